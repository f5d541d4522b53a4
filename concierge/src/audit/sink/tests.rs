//! The log under everything that can happen to a sink: a sheet of paper that can be taken away, torn, or never given back.

mod desk;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinHandle, time::Instant};

use self::desk::{Desk, Paper};
use super::{output::Batch, *};
use crate::{
    audit::{
        chain::Head,
        checkpoint::{Note, SigningKey},
        event::{Exchange, Outcome, Severity},
        verify::{Demands, Verifier},
    },
    authn::{Reason, Verdict},
    jwt::TokenFacts,
    time::ManualClock,
};

const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

/// The lines, whose chain holds and whose numbers never fall.
pub(super) fn intact(text: &[u8]) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with(b"\n"), "whole lines");
    let mut records: Vec<Value> = Vec::new();
    let mut head = None;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Value = serde_json::from_slice(line).unwrap();
        if let (Some(head), Some(before)) = (head, records.last()) {
            assert_eq!(record["prev"], Head::to_string(&head), "{record}");
            assert!(before["seq"].as_u64() <= record["seq"].as_u64(), "{record}");
        }
        head = Some(Head::of_line(line));
        records.push(record);
    }
    records
}

/// Numbers of events, without the records about the log.
pub(super) fn numbers(records: &[Value]) -> Vec<u64> {
    let events = records.iter().filter(|record| !record["kind"].as_str().unwrap().starts_with("audit."));
    events.map(|record| record["seq"].as_u64().unwrap()).collect()
}

/// The gaps, and that they add up to the numbers that are missing before `next`.
fn gaps(records: &[Value], next: u64) -> Vec<&Value> {
    let gaps: Vec<_> = records.iter().filter(|record| record["kind"] == "audit.gap").collect();
    let numbers = numbers(records);
    let told: u64 = gaps.iter().map(|gap| lost(gap).iter().sum::<u64>()).sum();
    let missing: Vec<_> = (1..next).filter(|seq| numbers.binary_search(seq).is_err()).collect();
    assert_eq!(missing.len() as u64, told);
    let within = |seq: &u64| gaps.iter().any(|gap| (first(gap)..=last(gap)).contains(seq));
    assert!(missing.iter().all(within));
    gaps
}

fn lost(gap: &Value) -> [u64; 4] {
    Severity::ALL.map(|severity| gap["dropped"][severity.as_str()].as_u64().unwrap_or(0))
}

fn first(gap: &Value) -> u64 {
    gap["seqFirst"].as_u64().unwrap()
}

fn last(gap: &Value) -> u64 {
    gap["seqLast"].as_u64().unwrap()
}

fn event(source: u32, outcome: Outcome<'_>) -> Event {
    let verdict = Verdict {
        facts: TokenFacts { bytes: 7, ..TokenFacts::default() }.into(),
        authenticator: None,
        outcome: Err(Reason::AuthenticatorUnknown),
    };
    // A network of its own for each, so that none is taken for a repeat of another.
    let peer = SocketAddr::from((Ipv4Addr::from(source << 8), 4_711));
    let exchange = Exchange {
        audit_id: "5c1e",
        peer: Some(peer),
        forwarded: None,
        user_agent: None,
        verdict: &verdict,
        outcome,
        latency: Duration::from_micros(312),
    };
    Event::exchange(NOW, &exchange)
}

pub(super) fn grant() -> Event {
    event(0, Outcome::Accepted)
}

pub(super) fn refusal(source: u32) -> Event {
    let text = "no such authenticator";
    event(source, Outcome::Refused { code: "authenticator-unknown", detail: text, discreet: text })
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("it comes true in time");
}

#[tokio::test]
async fn a_grant_is_out_before_it_is_answered_and_the_log_ends_with_its_end() {
    let paper = Paper::new();
    let desk = Desk::new(&[("file", true, &paper)]);
    desk.log.record(grant()).await.unwrap();
    let records = paper.records();
    assert_eq!(
        records.iter().map(|record| record["kind"].as_str().unwrap()).collect::<Vec<_>>(),
        ["audit.started", "token.accepted"]
    );
    assert_eq!(records[0]["prev"], "A".repeat(43) + "=");
    assert_eq!(*paper.0.syncs.lock().unwrap(), 1, "and on the disk");
    desk.log.record_refusal(refusal(1));
    desk.log.record_refusal(refusal(2));
    assert!(desk.counted(r#"latchkey_audit_sink_up{sink="file"} 1"#));
    desk.close().await;
    let records = paper.records();
    assert_eq!(numbers(&records), [1, 2, 3]);
    assert_eq!((&records[0]["seq"], records[0]["life"].as_u64()), (&Value::from(0), Some(7)));
    let last = records.last().unwrap();
    assert_eq!((&last["kind"], &last["seq"]), (&"audit.stopped".into(), &3.into()));
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_the_gap_adds_up() {
    let paper = Paper::stuck();
    let desk = Desk::new(&[("stdout", true, &paper)]);
    let queued = u32::try_from(ring::RECORDS).unwrap();
    // The first line is in hand.
    until(|| paper.0.gate.available_permits() == 0).await;
    for source in 0..queued + 10 {
        // Refusals of so many networks would be told together.
        desk.log.notice(refusal(source));
    }
    assert!(desk.counted(r#"latchkey_audit_dropped_total{sink="stdout",severity="info"} 10"#));
    paper.give_back();
    // It takes the place of one more.
    desk.log.record(grant()).await.unwrap();
    let metrics = desk.metrics.clone();
    desk.close().await;
    let records = paper.records();
    let told = gaps(&records, u64::from(queued) + 12);
    assert_eq!((told.len(), lost(told[0]), first(told[0]), last(told[0])), (1, [11, 0, 0, 0], 1, 11));
    assert_eq!(told[0]["reason"], "overflow");
    assert_eq!(records[1], *told[0], "the first line after");
    assert!(metrics.encode(NOW).contains("latchkey_audit_last_write_timestamp_seconds"));
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_after_a_failure_that_passed_is_not_put_down_to_it() {
    let paper = Paper::new();
    let desk = Desk::new(&[("stdout", true, &paper)]);
    desk.log.record(grant()).await.unwrap();
    paper.set_broken(true);
    desk.log.notice(refusal(1));
    until(|| desk.counted(r#"latchkey_audit_sink_up{sink="stdout"} 0"#)).await;
    paper.set_broken(false);
    until(|| numbers(&paper.records()).len() == 2).await;
    for source in 0..u32::try_from(ring::RECORDS).unwrap() + 10 {
        desk.log.notice(refusal(source));
    }
    desk.close().await;
    let records = paper.records();
    let told = gaps(&records, u64::try_from(ring::RECORDS).unwrap() + 13);
    assert_eq!((told.len(), lost(told[0])), (1, [10, 0, 0, 0]));
    assert_eq!(told[0]["reason"], "overflow");
}

#[tokio::test(start_paused = true)]
async fn without_a_writer_nothing_is_granted_and_refusals_do_not_wait() {
    let paper = Paper::stuck();
    let desk = Desk::new(&[("file", true, &paper)]);
    let begun = Instant::now();
    assert_eq!(desk.log.record(grant()).await, Err(AuditUnavailable));
    assert_eq!(begun.elapsed(), recorder::PATIENCE);
    // Whoever comes later is told at once.
    until(|| desk.counted(r#"latchkey_audit_sink_up{sink="file"} 0"#)).await;
    let begun = Instant::now();
    assert_eq!(desk.log.record(grant()).await, Err(AuditUnavailable));
    desk.log.record_refusal(refusal(1));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    paper.give_back();
    until(|| desk.counted(r#"latchkey_audit_sink_up{sink="file"} 1"#)).await;
    desk.log.record(grant()).await.unwrap();
    desk.close().await;
    assert_eq!(numbers(&paper.records()), [1, 2, 3], "what was refused at once was never numbered");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_costs_nothing_that_the_ring_can_hold() {
    let paper = Paper::new();
    let desk = Desk::new(&[("file", true, &paper)]);
    desk.log.record(grant()).await.unwrap();
    paper.set_broken(true);
    let (log, waiting) = (desk.log.clone(), desk.log.clone());
    let waiting = tokio::spawn(async move { waiting.record(grant()).await });
    until(|| desk.counted(r#"latchkey_audit_sink_up{sink="file"} 0"#)).await;
    for source in 0..2_000 {
        log.record_refusal(refusal(source));
    }
    assert_eq!(log.record(grant()).await, Err(AuditUnavailable), "known to be down");
    paper.set_broken(false);
    waiting.await.unwrap().unwrap();
    until(|| desk.counted(r#"latchkey_audit_sink_up{sink="file"} 1"#)).await;
    log.record(grant()).await.unwrap();
    drop(log);
    desk.close().await;
    let records = paper.records();
    assert_eq!(numbers(&records), (1..=2_003).collect::<Vec<_>>());
    assert!(gaps(&records, 2_004).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_sink_cannot_hold_is_told_with_the_reason() {
    let paper = Paper::new();
    paper.set_broken(true);
    let desk = Desk::new(&[("file", true, &paper)]);
    until(|| desk.counted(r#"latchkey_audit_sink_up{sink="file"} 0"#)).await;
    let sent = u32::try_from(ring::RECORDS).unwrap() + 500;
    for source in 0..sent {
        desk.log.notice(refusal(source));
        if source % 1_000 == 0 {
            // Tries, failures and pushes come in every order.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    paper.set_broken(false);
    until(|| paper.records().len() > 100).await;
    desk.close().await;
    let records = paper.records();
    let told = gaps(&records, u64::from(sent) + 1);
    assert_eq!(told.iter().map(|gap| lost(gap)[0]).sum::<u64>(), 500);
    assert!(told.iter().all(|gap| gap["reason"] == "sink-failed"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn sinks_do_not_wait_for_each_other_and_only_the_required_ones_are_asked() {
    let (good, stuck) = (Paper::new(), Paper::stuck());
    let desk = Desk::new(&[("file", true, &good), ("otlp", false, &stuck)]);
    for _ in 0..3 {
        desk.log.record(grant()).await.unwrap();
    }
    assert_eq!(numbers(&good.records()), [1, 2, 3]);
    assert!(stuck.text().is_empty());
    stuck.give_back();
    desk.close().await;
    assert_eq!(numbers(&stuck.records()), [1, 2, 3]);

    let (good, stuck) = (Paper::new(), Paper::stuck());
    let desk = Desk::new(&[("file", true, &good), ("stdout", true, &stuck)]);
    assert_eq!(desk.log.record(grant()).await, Err(AuditUnavailable));
    stuck.give_back();
    desk.close().await;
}

/// A collector may refuse for good what it was sent: that is out of the way, but it is no record.
#[tokio::test(start_paused = true)]
async fn what_a_required_sink_took_and_lost_grants_nothing_and_is_told_again() {
    let paper = Paper::stuck();
    let desk = Desk::new(&[("otlp", true, &paper)]);
    until(|| paper.0.gate.available_permits() == 0).await;
    let queued = u32::try_from(ring::RECORDS).unwrap();
    for source in 0..queued + 5 {
        desk.log.notice(refusal(source));
    }
    *paper.0.forgets.lock().unwrap() = true;
    paper.give_back();
    assert_eq!(desk.log.record(grant()).await, Err(AuditUnavailable), "nobody has its record");
    *paper.0.forgets.lock().unwrap() = false;
    desk.log.record(grant()).await.unwrap();
    desk.close().await;
    let records = String::from_utf8(paper.text()).unwrap();
    assert!(records.contains(r#""kind":"audit.gap","severity":"high","code":"overflow""#), "{records}");
}

#[tokio::test(start_paused = true)]
async fn repeats_are_told_as_one_record_with_their_exact_count() {
    let paper = Paper::new();
    let desk = Desk::new(&[("file", true, &paper)]);
    for _ in 0..500 {
        desk.log.record_refusal(refusal(1));
    }
    desk.clock.advance(Duration::from_secs(61));
    until(|| paper.records().len() == 12).await;
    for _ in 0..20 {
        desk.log.record_refusal(refusal(1));
    }
    assert!(desk.counted("latchkey_audit_folded_total 510"));
    // The handle that others hold keeps nobody from ending.
    let held = desk.log.clone();
    desk.stop.cancel();
    desk.close().await;
    held.record_refusal(refusal(1));
    assert_eq!(held.record(grant()).await, Err(AuditUnavailable));
    let records = paper.records();
    let counts: Vec<_> = records.iter().map(|record| record["count"].as_u64()).collect();
    assert_eq!(counts[..11], [None; 11], "the beginning, and the first ten");
    assert_eq!(counts[11..], [Some(490), Some(20), None]);
    assert_eq!(records[11]["lastTime"], "2026-11-21T04:00:00.000000Z");
    assert_eq!(records[12]["firstTime"], "2026-11-21T04:01:01.000000Z");
}

#[tokio::test(start_paused = true)]
async fn checkpoints_seal_every_thousand_lines_every_minute_and_the_end() {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let public = key.public();
    let paper = Paper::new();
    let desk = Desk::with(&[("file", true, &paper)], Some(&Arc::new(Keys::one(key))));
    for source in 0..1_200 {
        desk.log.record_refusal(refusal(source));
    }
    desk.log.record(grant()).await.unwrap();
    let is_checkpoint = |record: &Value| record["kind"] == "audit.checkpoint";
    until(|| paper.records().iter().any(is_checkpoint)).await;
    let (name, mut note) = desk.notes[0].clone();
    assert!(name == "file" && note.borrow_and_update().is_some());
    // Nothing new but the last lines: sealed within a minute, and then never again.
    tokio::time::sleep(Duration::from_mins(30)).await;
    let sealed = paper.records().iter().filter(|record| is_checkpoint(record)).count();
    assert!(sealed <= 3, "{sealed}");
    desk.close().await;
    let records = paper.records();
    let [.., stopped, last] = records.as_slice() else { panic!("{records:?}") };
    assert!(stopped["kind"] == "audit.stopped" && is_checkpoint(last));
    assert_eq!(note.borrow().as_deref(), last["note"].as_str());
    for (line, record) in records.iter().enumerate().filter(|(_, record)| is_checkpoint(record)) {
        let note = Note::parse(record["note"].as_str().unwrap()).unwrap();
        assert_eq!(note.verify(&[public]), Ok(public));
        assert_eq!((note.size, note.origin.as_str()), (line as u64, "latchkey.dev/audit/staging/one/7/file"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_is_sealed_as_soon_as_there_are_keys() {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let public = key.public();
    let paper = Paper::new();
    let desk = Desk::with(&[("stdout", true, &paper)], None);
    desk.log.record(grant()).await.unwrap();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(paper.records().len(), 2, "no keys, no checkpoint");
    assert_eq!(paper.records()[0]["sink"], "stdout");
    let begun = Instant::now();
    desk.keys.send_replace(Some(Arc::new(Keys::one(key))));
    until(|| paper.records().len() == 3).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // And then as seldom as ever.
    desk.log.record(grant()).await.unwrap();
    tokio::time::sleep(CHECKPOINT_EVERY / 2).await;
    assert_eq!(paper.records().len(), 4);
    until(|| paper.records().len() == 5).await;
    assert!(begun.elapsed() >= CHECKPOINT_EVERY);
    desk.close().await;
    // What is left once the first lines are gone still follows from what the first checkpoint says of them.
    let text = paper.text();
    let left = text.splitn(3, |byte| *byte == b'\n').last().unwrap();
    let mut verifier = Verifier::new(Demands { keys: vec![public], require_signed: true, ..Demands::default() });
    for (name, text) in [("whole", &text[..]), ("left", left)] {
        verifier.begin(name);
        verifier.feed(text);
        let report =
            std::mem::replace(&mut verifier, Verifier::new(Demands { keys: vec![public], ..Demands::default() }))
                .finish();
        let [log] = &report.logs[..] else { panic!("{report:?}") };
        assert!(log.intact && log.sink.as_deref() == Some("stdout"), "{name}: {report:#?}");
        let from = (name == "left").then_some(1);
        assert_eq!((log.checkpoints.signed_from, log.checkpoints.signed_until), (from, Some(2)), "{name}: {report:#?}");
    }
}

#[tokio::test]
async fn a_disk_that_is_full_is_a_device_too() {
    let clock = Arc::new(ManualClock::new(NOW));
    let identity = Identity { cluster: "staging".into(), replica: "one".into(), life: 7 };
    let full = Destination::File(FileSettings::new("/dev/full".into()));
    let (log, sinks) = Sinks::open(Settings::new(identity, vec![full], clock)).await.unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(sinks.run(stop.clone()));
    assert_eq!(log.record(grant()).await, Err(AuditUnavailable));
    log.record_refusal(refusal(1));
    assert!(!task.is_finished(), "the process lives on");
    task.abort();
}

//! What a process that was killed at any byte leaves, and what a clock that was set back does, before the verifier.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use latchkey_concierge::{
    audit::{
        chain::Identity,
        checkpoint::Keys,
        event::{Event, Exchange, Outcome},
        read,
        sink::{AuditLog, Destination, FileSettings, Fsync, Settings, Sinks},
        verify::{Demands, End, Report, Verdict, Verifier},
    },
    authn::{self, Reason},
    jwt::TokenFacts,
    time::{Clock, ManualClock, UnixTime},
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    waiting::{PATIENCE, until},
    watch::key,
};

const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

/// A folder that goes with the test; in memory where that can be had, as nothing here is about disks.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("latchkey-crash-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    /// What `audit*.jsonl*` names, in the order in which a shell does.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The closed pieces.
    fn closed(&self) -> Vec<PathBuf> {
        let is_closed = |file: &PathBuf| file.to_str().is_some_and(|file| file.contains("audit-"));
        self.files().into_iter().filter(is_closed).collect()
    }

    fn verify(&self) -> Report {
        // A piece that is being compressed changes its name between the listing and the reading; each does so once.
        (0..100).find_map(|_| self.try_verify().ok()).expect("all pieces are compressed in the end")
    }

    fn try_verify(&self) -> Result<Report, read::Unreadable> {
        let mut verifier = Verifier::new(Demands { keys: vec![key().public()], ..Demands::default() });
        for mut source in read::in_order(&self.files())? {
            verifier.begin(&source.name);
            source.for_each_block(|block| verifier.feed(block))?;
        }
        Ok(verifier.finish())
    }

    /// Waits for the end of the thread that compresses for the life before: it holds the lock to its last moment.
    async fn until_free(&self) {
        let Ok(lock) = File::open(self.log().with_extension("jsonl.lock")) else { return };
        let (sender, freed) = oneshot::channel();
        // No thread of the runtime, which would wait for it even after the test has failed.
        thread::spawn(move || {
            let taken = lock.lock();
            drop(lock);
            let _ = sender.send(taken);
        });
        timeout(PATIENCE, freed).await.expect("it ends in time").unwrap().unwrap();
    }

    /// A life of this log.
    async fn open(&self, life: u64, clock: &Arc<ManualClock>, rotate_bytes: u64) -> Life {
        let file = FileSettings { rotate_bytes, ..FileSettings::new(self.log()) };
        let identity = Identity { cluster: "staging".into(), replica: "one".into(), life };
        let clock: Arc<dyn Clock> = clock.clone();
        let settings = Settings {
            fsync: Fsync::Off,
            keys: watch::channel(Some(Arc::new(Keys::one(key())))).1,
            ..Settings::new(identity, vec![Destination::File(file)], clock)
        };
        self.until_free().await;
        let (log, sinks) = Sinks::open(settings).await.unwrap();
        let stop = CancellationToken::new();
        Life { log, task: tokio::spawn(sinks.run(stop.clone())), stop }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Life {
    log: AuditLog,
    task: JoinHandle<io::Result<()>>,
    stop: CancellationToken,
}

impl Life {
    async fn grants(&self, count: usize) {
        for _ in 0..count {
            self.log.record(grant()).await.unwrap();
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn event(source: u32, outcome: Outcome<'_>) -> Event {
    let verdict = authn::Verdict {
        facts: TokenFacts { bytes: 7, ..TokenFacts::default() }.into(),
        authenticator: None,
        outcome: Err(Reason::AuthenticatorUnknown),
    };
    let exchange = Exchange {
        audit_id: "5c1e",
        peer: Some(SocketAddr::from((Ipv4Addr::from(source << 8), 4_711))),
        forwarded: None,
        user_agent: None,
        verdict: &verdict,
        outcome,
        latency: Duration::from_micros(312),
    };
    Event::exchange(NOW, &exchange)
}

fn grant() -> Event {
    event(0, Outcome::Accepted)
}

fn refusal() -> Event {
    let text = "no such authenticator";
    event(1, Outcome::Refused { code: "authenticator-unknown", detail: text, discreet: text })
}

async fn until_compressed(folder: &Folder, pieces: usize) {
    until("compressed pieces", async || {
        let closed = folder.closed();
        let all = closed.iter().all(|file| file.extension() == Some("zst".as_ref()));
        (closed.len() >= pieces && all).then_some(())
    })
    .await;
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW))
}

fn codes(report: &Report) -> Vec<&'static str> {
    let of_logs = report.logs.iter().flat_map(|log| &log.findings);
    of_logs.chain(&report.findings).map(|finding| finding.code).collect()
}

#[tokio::test]
async fn a_log_killed_at_any_byte_is_intact_up_to_its_last_whole_record() {
    let folder = Folder::new();
    let life = folder.open(1, &clock(), u64::MAX).await;
    life.grants(1).await;
    life.log.notice(refusal());
    life.stop().await;
    let text = fs::read(folder.log()).unwrap();
    let lines: Vec<usize> = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let until_stopped = text.windows(15).position(|window| window == b"\"audit.stopped\"").unwrap();
    let stopped = 1 + lines.iter().filter(|line| **line <= until_stopped).count();
    assert!(stopped >= 4 && lines.len() == stopped + 1, "started, two events, stopped, checkpoint: {lines:?}");
    // Each byte of the first lines, for a log of one torn line is a case of its own; of the others some.
    for end in (0..=text.len()).filter(|end| *end <= lines[1] + 40 || end % 7 == 0 || lines.contains(end)) {
        let folder = Folder::new();
        fs::write(folder.log(), &text[..end]).unwrap();
        let life = folder.open(2, &clock(), u64::MAX).await;
        life.grants(1).await;
        life.stop().await;
        let report = folder.verify();
        let whole = lines.iter().filter(|line| **line <= end).count();
        let is_torn = end > 0 && !lines.contains(&end);
        // With its end the log is whole, sealed or not.
        let is_unclean = whole > 0 && (whole < stopped || is_torn);
        let mut expected = Vec::new();
        expected.extend(is_torn.then_some("torn"));
        expected.extend(is_unclean.then_some("unclean"));
        let mut found = codes(&report);
        found.sort_unstable();
        assert_eq!(found, expected, "{end}: {report:#?}");
        assert_eq!(report.verdict == Verdict::Intact, expected.is_empty(), "{end}");
        let [before @ .., last] = report.logs.as_slice() else { panic!("{end}: no log") };
        assert_eq!(before.iter().map(|log| log.records).sum::<u64>(), whole as u64, "{end}: each whole record counts");
        assert_eq!((last.last.seq, last.verdict, last.end), (1, Verdict::Intact, End::Stopped), "{end}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_changes_no_verdict() {
    let (folder, clock) = (Folder::new(), clock());
    let millis = |time: UnixTime| u64::try_from(time.as_micros() / 1_000).unwrap();
    let life = folder.open(millis(NOW), &clock, 4_096).await;
    life.grants(9).await;
    let earlier = UnixTime::from_secs(1_795_233_600 - 7_200);
    clock.set(earlier);
    life.grants(9).await;
    clock.advance(Duration::from_mins(1));
    life.grants(9).await;
    life.stop().await;
    // The next life began, by the clock, before the one that it follows.
    let life = folder.open(millis(earlier) + 90_000, &clock, 4_096).await;
    life.grants(9).await;
    clock.set(UnixTime::from_secs(1_795_233_600 - 90_000));
    life.grants(9).await;
    life.stop().await;
    assert!(folder.closed().len() >= 4, "{:?}", folder.files());
    let report = folder.verify();
    assert_eq!((report.verdict, codes(&report)), (Verdict::Intact, vec![]), "{report:#?}");
    assert_eq!(report.logs.iter().map(|log| log.end).collect::<Vec<_>>(), [End::Stopped; 2]);
    let sealed: Vec<_> = report.logs.iter().map(|log| log.checkpoints.signed_until == Some(log.last.seq)).collect();
    assert_eq!(sealed, [true, true], "{report:#?}");
}

#[tokio::test]
async fn what_is_deleted_under_the_sink_is_told_and_nobody_is_accused() {
    for keeps_closed in [true, false] {
        let folder = Folder::new();
        let life = folder.open(1, &clock(), 4_096).await;
        life.grants(20).await;
        assert!(!folder.closed().is_empty());
        if !keeps_closed {
            until_compressed(&folder, 1).await;
            folder.closed().iter().for_each(|file| fs::remove_file(file).unwrap());
        }
        // What was closed just now may have left an empty file.
        until("its file", async || fs::metadata(folder.log()).is_ok().then_some(())).await;
        life.grants(1).await;
        fs::remove_file(folder.log()).unwrap();
        life.grants(9).await;
        life.stop().await;
        let report = folder.verify();
        assert_eq!(report.verdict, Verdict::Incomplete, "{report:#?}");
        let expected = if keeps_closed { vec!["loss-told"] } else { vec!["beginning-missing", "loss-told"] };
        assert_eq!(codes(&report), expected, "{report:#?}");
        assert!(report.logs[0].intact && report.logs[0].end == End::Stopped);
    }
}

#[tokio::test]
async fn what_a_killed_compression_leaves_may_be_given_with_the_rest() {
    let folder = Folder::new();
    let life = folder.open(1, &clock(), 4_096).await;
    life.grants(60).await;
    until_compressed(&folder, 3).await;
    life.stop().await;
    let closed = folder.closed();
    assert!(closed.len() >= 3, "{closed:?}");
    // Killed before the plain one went, and in the middle of the next.
    let plain = |file: &Path| file.with_extension("");
    for file in &closed[..2] {
        fs::write(plain(file), zstd::decode_all(File::open(file).unwrap()).unwrap()).unwrap();
    }
    let half = fs::read(&closed[1]).unwrap();
    fs::remove_file(&closed[1]).unwrap();
    fs::write(closed[1].with_extension("zst.partial"), &half[..half.len() / 2]).unwrap();
    let report = folder.verify();
    assert_eq!((report.verdict, codes(&report)), (Verdict::Intact, vec![]), "{report:#?}");
    // Two texts under the two names are two stories: one of them was made up.
    let mut edited = fs::read(plain(&closed[0])).unwrap();
    let at = edited.windows(14).position(|window| window == b"token.accepted").unwrap();
    edited[at] = b'T';
    fs::write(plain(&closed[0]), edited).unwrap();
    assert_eq!(folder.verify().verdict, Verdict::Broken);
}

//! Logs that are tampered with in every way that the verifier names, at every line: the verdict must be the right one.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::{
    super::{
        chain::{Chain, Head, Identity},
        checkpoint::{Keys, Note, PublicKey, SigningKey, origin, sign},
    },
    *,
};

/// A log under construction, as a sink writes it.
struct Writer {
    identity: Identity,
    sink: &'static str,
    chain: Chain,
    seq: u64,
    micros: u64,
    keys: Keys,
    out: Vec<u8>,
    notes: Vec<String>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn public() -> PublicKey {
    key(1).public()
}

fn identity(replica: &str, life: u64) -> Identity {
    Identity { cluster: "prod".into(), replica: replica.into(), life }
}

impl Writer {
    fn new(identity: Identity, previous: Option<(Head, serde_json::Value)>, unclean: bool) -> Self {
        Self::begun(identity, "file", previous, unclean)
    }

    fn begun(
        identity: Identity,
        sink: &'static str,
        previous: Option<(Head, serde_json::Value)>,
        unclean: bool,
    ) -> Self {
        let (head, named) = previous.unzip();
        let chain = Chain::new(&identity, head);
        let keys = Keys::one(key(1));
        let mut writer = Self { identity, sink, chain, seq: 0, micros: 0, keys, out: Vec::new(), notes: Vec::new() };
        let mut more = json!({"sink": sink});
        if let Some(named) = named {
            more["previous"] = named;
        }
        if unclean {
            more["unclean"] = true.into();
        }
        writer.about("audit.started", &more);
        writer
    }

    fn line(&mut self, kind: &str, more: &serde_json::Value) {
        let mut body = format!(
            "\"time\":\"2026-11-21T01:02:{:02}.{:06}Z\",\"kind\":\"{kind}\"",
            self.micros / 1_000_000,
            self.micros % 1_000_000
        );
        for (name, value) in more.as_object().unwrap() {
            write!(body, ",\"{name}\":{value}").unwrap();
        }
        self.micros += 1_000;
        self.chain.append(self.seq, body.as_bytes(), &mut self.out);
    }

    fn about(&mut self, kind: &str, more: &serde_json::Value) {
        self.line(kind, more);
    }

    fn events(&mut self, count: u64) {
        for _ in 0..count {
            self.seq += 1;
            let text = format!("refused {}", self.seq);
            self.line("token.refused", &json!({"severity": "low", "code": "expired", "detail": text}));
        }
    }

    fn checkpoint(&mut self, others: &serde_json::Value) {
        let note = sign(&origin(&self.identity, self.sink), self.chain.size(), &self.chain.root(), &self.keys);
        self.notes.push(note.clone());
        let tree: Vec<String> = self.chain.peaks().map(|peak| peak.to_string()).collect();
        self.about("audit.checkpoint", &json!({"note": note, "tree": tree, "others": others}));
    }

    fn lose(&mut self, records: u64) {
        let (first, last) = (self.seq + 1, self.seq + records);
        self.about(
            "audit.gap",
            &json!({"reason": "overflow", "seqFirst": first, "seqLast": last, "dropped": {"info": records}}),
        );
        self.seq = last;
    }

    fn stop(&mut self) {
        self.about("audit.stopped", &json!({"written": self.chain.size()}));
        self.checkpoint(&json!([]));
    }

    /// The parts of a log that a life of some minutes leaves.
    fn usual(replica: &str, life: u64) -> Self {
        let mut writer = Self::new(identity(replica, life), None, false);
        writer.events(7);
        writer.checkpoint(&json!([]));
        writer.events(12);
        writer.checkpoint(&json!([]));
        writer.events(9);
        writer.stop();
        writer
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        lines(&self.out)
    }
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn verify_with(demands: Demands, files: &[&[u8]]) -> Report {
    let mut verifier = Verifier::new(demands);
    for (number, file) in files.iter().enumerate() {
        verifier.begin(&format!("f{number}"));
        // Blocks of an awkward size, so that lines lie across them.
        for block in file.chunks(257) {
            verifier.feed(block);
        }
    }
    verifier.finish()
}

fn signed() -> Demands {
    Demands { keys: vec![public()], require_signed: true, ..Demands::default() }
}

fn verify(lines: &[Vec<u8>]) -> Report {
    verify_with(Demands { keys: vec![public()], ..Demands::default() }, &[&lines.concat()])
}

/// Verdict, and codes of all findings that are no remark, with their lines.
fn found(report: &Report) -> (Verdict, Vec<(&'static str, u64)>) {
    let all = report.logs.iter().flat_map(|log| &log.findings).chain(&report.findings);
    let found = all.filter(|finding| finding.severity != Severity::Remark);
    (report.verdict, found.map(|finding| (finding.code, finding.line.unwrap_or(0))).collect())
}

fn broken(code: &'static str, line: u64) -> (Verdict, Vec<(&'static str, u64)>) {
    (Verdict::Broken, vec![(code, line)])
}

#[test]
fn a_log_that_nobody_touched_is_intact() {
    let writer = Writer::usual("a", 1);
    let report = verify_with(signed(), &[&writer.out]);
    // All but the record of the last checkpoint is covered by it, and that record says nothing that needs to be.
    assert_eq!(found(&report), (Verdict::Intact, vec![]), "{report:#?}");
    let [log] = &report.logs[..] else { panic!("{report:#?}") };
    assert_eq!((log.records, log.end, log.sink.as_deref()), (33, End::Stopped, Some("file")));
    assert_eq!((log.checkpoints.count, log.checkpoints.signed_until), (3, Some(28)));
    assert_eq!((log.first.seq, log.last.seq, log.last.line), (0, 28, 33));
    assert_eq!((report.lines, report.bytes), (33, writer.out.len() as u64));
}

#[test]
fn an_edited_line_is_pointed_at() {
    let lines = Writer::usual("a", 1).lines();
    for line in 0..lines.len() - 1 {
        let mut edited = lines.clone();
        let text = String::from_utf8(edited[line].clone()).unwrap();
        edited[line] = text.replacen("2026", "2025", 1).into_bytes();
        let report = verify(&edited);
        assert_eq!(found(&report), broken("edited", line as u64 + 1), "line {}: {report:#?}", line + 1);
        let expected = line.checked_sub(1).map(|before| seq(&lines[before]));
        assert_eq!(report.logs[0].intact_until, expected, "line {}", line + 1);
        assert!(report.logs[0].complete && !report.logs[0].intact);
        // Only that line is affected: everything after it is still what was signed.
        assert_eq!(report.logs[0].checkpoints.signed_until, Some(28), "line {}", line + 1);
    }
}

fn seq(line: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap()
}

#[test]
fn a_changed_link_or_name_is_pointed_at() {
    let lines = Writer::usual("a", 1).lines();
    for line in 1..lines.len() - 2 {
        let text = String::from_utf8(lines[line].clone()).unwrap();
        let position = text.find("\"prev\":\"").unwrap() + 10;
        let mut relinked = text.clone().into_bytes();
        relinked[position] = if relinked[position] == b'A' { b'B' } else { b'A' };
        let renamed = text.replacen("\"replica\":\"a\"", "\"replica\":\"b\"", 1).into_bytes();
        let renumbered = text.replacen("\"seq\":", "\"seq\":9", 1).into_bytes();
        for (what, code, changed) in
            [("link", "edited", relinked), ("name", "garbled", renamed), ("number", "edited", renumbered)]
        {
            let mut edited = lines.clone();
            edited[line] = changed;
            let report = verify(&edited);
            assert_eq!(found(&report), broken(code, line as u64 + 1), "{what} of line {}: {report:#?}", line + 1);
        }
    }
    let mut renamed = lines.clone();
    renamed[0] = String::from_utf8(lines[0].clone()).unwrap().replacen("\"life\":1,", "\"life\":2,", 1).into_bytes();
    assert_eq!(found(&verify(&renamed)), broken("edited", 1));
}

#[test]
fn a_line_that_is_cut_out_is_missed() {
    let lines = Writer::usual("a", 1).lines();
    for line in 1..lines.len() - 2 {
        let mut cut = lines.clone();
        cut.remove(line);
        let report = verify(&cut);
        let about = String::from_utf8_lossy(&lines[line]).contains("\"audit.");
        // A line about the log has no number: that it is gone shows at the line before it.
        let expected = if about { line } else { line + 1 };
        assert_eq!(found(&report), broken("missing", expected as u64), "line {}: {report:#?}", line + 1);
        assert!(!report.logs[0].complete && !report.logs[0].intact);
    }
    let mut many = lines.clone();
    many.drain(3..6);
    let report = verify(&many);
    assert_eq!(found(&report), broken("missing", 4));
    assert!(report.logs[0].findings[0].what.contains("records 3 to 5 are missing"), "{report:#?}");
}

#[test]
fn a_line_that_is_put_in_is_pointed_at() {
    let writer = Writer::usual("a", 1);
    let lines = writer.lines();
    let stranger = Writer::usual("a", 1).lines()[5].clone();
    for line in 1..lines.len() - 1 {
        // One that follows nothing.
        let mut forged = String::from_utf8(stranger.clone()).unwrap().replacen("refused", "granted", 1);
        let start = forged.find("\"prev\":\"").unwrap() + 8;
        forged.replace_range(start..start + 44, &Head::of_line(b"x").to_string());
        let mut put = lines.clone();
        put.insert(line, forged.clone().into_bytes());
        assert_eq!(found(&verify(&put)), broken("inserted", line as u64 + 1), "line {}", line + 1);
        // One that follows the line before it.
        forged.replace_range(
            start..start + 44,
            &Head::of_line(&lines[line - 1][..lines[line - 1].len() - 1]).to_string(),
        );
        let mut put = lines.clone();
        put.insert(line, forged.into_bytes());
        let code = if line + 1 < lines.len() { "inserted" } else { "two-histories" };
        let report = verify(&put);
        assert_eq!(found(&report), broken(code, line as u64 + 1), "line {}: {report:#?}", line + 1);
        // One that is none of ours, and one that only looks like it.
        let mut put = lines.clone();
        put.insert(line, b"{\"level\":\"info\"}\n".to_vec());
        assert_eq!(found(&verify(&put)), broken("not-a-record", line as u64 + 1));
        let mixed = verify_with(Demands { mixed: true, ..Demands::default() }, &[&put.concat()]);
        assert_eq!(found(&mixed), (Verdict::Intact, vec![]));
        put[line] = b"{\"v\":1,\"seq\":7}\n".to_vec();
        assert_eq!(found(&verify(&put)), broken("inserted", line as u64 + 1));
    }
}

#[test]
fn lines_that_changed_places_are_told_from_others() {
    let lines = Writer::usual("a", 1).lines();
    for line in 1..lines.len() - 2 {
        let mut swapped = lines.clone();
        swapped.swap(line, line + 1);
        let report = verify(&swapped);
        assert_eq!(found(&report), broken("reordered", line as u64 + 1), "line {}: {report:#?}", line + 1);
        let mut copied = lines.clone();
        copied.insert(line + 1, lines[line - 1].clone());
        assert_eq!(found(&verify(&copied)), broken("copied", line as u64 + 2));
    }
    let mut turned = lines.clone();
    turned[4..9].reverse();
    assert_eq!(found(&verify(&turned)), broken("reordered", 5));
}

#[test]
fn a_line_moved_far_is_recognised_where_it_turns_up() {
    let mut writer = Writer::new(identity("a", 1), None, false);
    writer.events(2_000);
    let mut lines = writer.lines();
    let moved = lines.remove(100);
    lines.insert(1_500, moved);
    let report = verify(&lines);
    assert_eq!(found(&report), (Verdict::Broken, vec![("reordered", 101), ("reordered", 1_501)]));
}

#[test]
fn an_end_that_is_cut_off_shows_against_a_checkpoint() {
    let writer = Writer::usual("a", 1);
    let lines = writer.lines();
    let published = |note: &String| Published { note: Note::parse(note).unwrap(), source: "heads.yaml".into() };
    for end in 11..lines.len() - 1 {
        let cut = lines[..end].concat();
        // By itself nothing shows.
        let alone = verify_with(Demands::default(), &[&cut]);
        assert_eq!(found(&alone), (Verdict::Intact, vec![]));
        let expected = if end == lines.len() - 1 { End::Stopped } else { End::Open };
        assert_eq!(alone.logs[0].end, expected);
        let demands = Demands {
            keys: vec![public()],
            published: writer.notes.iter().map(published).collect(),
            ..Demands::default()
        };
        let report = verify_with(demands, &[&cut]);
        assert_eq!(report.verdict, Verdict::Broken, "{end}");
        let findings = &report.logs[0].findings;
        assert!(findings.iter().all(|finding| finding.code == "tail-missing"), "{findings:#?}");
        assert!(!report.logs[0].complete);
        assert_eq!(report.logs[0].intact_until, Some(seq(&lines[end - 1])));
    }
}

#[test]
fn a_tail_that_was_computed_anew_shows_only_against_a_checkpoint() {
    let honest = Writer::usual("a", 1);
    let rewrite = |keys: Keys| {
        let mut writer = Writer::new(identity("a", 1), None, false);
        writer.keys = keys;
        writer.events(7);
        writer.checkpoint(&json!([]));
        writer.events(11);
        writer.seq += 1;
        writer.line("token.accepted", &json!({"detail": "nothing happened"}));
        writer.checkpoint(&json!([]));
        writer.events(9);
        writer.stop();
        writer
    };
    // Whoever has the key can tell any story, until a checkpoint from outside is held against it.
    let forged = rewrite(Keys::one(key(1)));
    assert_eq!(found(&verify_with(signed(), &[&forged.out])), (Verdict::Intact, vec![]));
    for (note, expected) in honest.notes.iter().zip([None, Some("rewritten"), Some("rewritten")]) {
        let published = vec![Published { note: Note::parse(note).unwrap(), source: "heads.yaml".into() }];
        let report = verify_with(Demands { published, ..Demands::default() }, &[&forged.out]);
        let codes: Vec<_> = report.logs[0].findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, expected.into_iter().collect::<Vec<_>>(), "{report:#?}");
    }
    // Whoever has not keeps the old checkpoints, which no longer fit, or signs with another key.
    let mut kept = forged.lines();
    let old: Vec<_> = honest.lines();
    kept.truncate(21);
    let note = serde_json::from_slice::<serde_json::Value>(&old[21]).unwrap()["note"].clone();
    let mut chain_on = rewrite(Keys::one(key(1)));
    chain_on.out.clear();
    chain_on.chain = Chain::new(&chain_on.identity, None);
    let mut bytes = Vec::new();
    for line in &kept {
        let text = String::from_utf8(line.clone()).unwrap();
        let body = &text[text.find("\"time\"").unwrap()..text.find(",\"prev\"").unwrap()];
        chain_on.chain.append(seq(line), body.as_bytes(), &mut bytes);
    }
    assert_eq!(bytes, kept.concat());
    let body = format!("\"time\":\"2026-11-21T01:03:00.000000Z\",\"kind\":\"audit.checkpoint\",\"note\":{note}");
    chain_on.chain.append(19, body.as_bytes(), &mut bytes);
    let report = verify_with(signed(), &[&bytes]);
    assert_eq!(report.logs[0].findings[0].code, "rewritten", "{report:#?}");
    assert_eq!(report.logs[0].intact_until, Some(7));
    let stolen = rewrite(Keys::one(key(2)));
    let report = verify_with(signed(), &[&stolen.out]);
    assert_eq!(found(&report), (Verdict::Broken, vec![("key-unknown", 9), ("not-signed", 0)]));
}

#[test]
fn a_wrong_signature_is_not_an_unknown_key() {
    let writer = Writer::usual("a", 1);
    let text = String::from_utf8(writer.out.clone()).unwrap();
    // The last checkpoint's signature, changed: nothing after it would tell otherwise.
    let start = text.rfind("file ").unwrap() + 20;
    let mut forged = text.into_bytes();
    forged[start] = if forged[start] == b'A' { b'B' } else { b'A' };
    assert_eq!(
        found(&verify_with(Demands { keys: vec![public()], ..Demands::default() }, &[&forged])),
        broken("signature-wrong", 33)
    );
    assert_eq!(found(&verify_with(Demands::default(), &[&forged])), (Verdict::Intact, vec![]));
}

#[test]
fn a_loss_is_told_or_not() {
    let mut writer = Writer::new(identity("a", 1), None, false);
    writer.events(3);
    writer.lose(4);
    writer.events(3);
    writer.stop();
    assert_eq!(found(&verify_with(signed(), &[&writer.out])), (Verdict::Incomplete, vec![("loss-told", 5)]));
    let mut silent = Writer::new(identity("a", 1), None, false);
    silent.events(3);
    silent.seq += 4;
    silent.events(3);
    silent.stop();
    let report = verify_with(signed(), &[&silent.out]);
    assert_eq!(found(&report), (Verdict::Incomplete, vec![("loss-untold", 5)]));
    assert!(report.logs[0].findings[0].what.starts_with("records 4 to 7 were never written"), "{report:#?}");
    assert!(report.logs[0].intact && !report.logs[0].complete);
}

#[test]
fn what_a_crash_leaves_is_intact_up_to_the_last_whole_line() {
    let writer = Writer::usual("a", 1);
    let lines = writer.lines();
    let before: usize = lines[..20].iter().map(Vec::len).sum();
    for end in before + 1..before + lines[20].len() {
        let report = verify_with(Demands::default(), &[&writer.out[..end]]);
        assert_eq!(found(&report), (Verdict::Incomplete, vec![("torn", 21)]), "{end}");
        assert_eq!((report.logs[0].records, report.logs[0].intact), (20, true));
    }
    // The next life found the end, and says so.
    let head = Head::of_line(&lines[19][..lines[19].len() - 1]);
    let named = json!({"replica": "a", "life": 1, "seq": seq(&lines[19])});
    let mut next = Writer::new(identity("a", 2), Some((head, named)), true);
    next.events(5);
    next.stop();
    let report = verify_with(Demands::default(), &[&writer.out[..before + 9], &next.out]);
    assert_eq!(found(&report), (Verdict::Incomplete, vec![("torn", 21), ("unclean", 0)]), "{report:#?}");
    assert_eq!((report.logs[0].end, report.logs[1].end), (End::Unclean, End::Stopped));
    // The end was cut after the next life had seen it.
    let report = verify_with(Demands::default(), &[&lines[..19].concat(), &next.out]);
    assert_eq!(found(&report), (Verdict::Broken, vec![("tail-missing", 19)]));
}

/// Whoever can delete files may delete all of one life; the next one names it.
#[test]
fn a_life_that_is_gone_between_two_others_is_missed() {
    let follow = |before: &Writer, life| {
        let lines = before.lines();
        let last = lines.last().unwrap();
        let named = json!({"replica": "a", "life": before.identity.life, "seq": seq(last)});
        let head = Head::of_line(last.strip_suffix(b"\n").unwrap());
        let mut next = Writer::new(identity("a", life), Some((head, named)), false);
        next.events(5);
        next.stop();
        next
    };
    let first = Writer::usual("a", 1);
    let second = follow(&first, 2);
    let third = follow(&second, 3);
    let all = verify_with(signed(), &[&first.out, &second.out, &third.out]);
    assert_eq!(found(&all), (Verdict::Intact, vec![]), "{all:#?}");
    let gone = verify_with(signed(), &[&first.out, &third.out]);
    assert_eq!(found(&gone), (Verdict::Incomplete, vec![("life-missing", 1)]), "{gone:#?}");
    assert!(!gone.logs[1].complete && gone.logs[1].intact);
    let youngest = verify_with(signed(), &[&third.out]);
    assert_eq!(found(&youngest), (Verdict::Intact, vec![]), "the oldest go by rule");
}

/// Links can be computed by anybody. A log written anew without checkpoints has no line that is wrong.
#[test]
fn with_a_key_nothing_is_intact_that_it_never_signed() {
    let mut forged = Writer::new(identity("a", 1), None, false);
    forged.events(20);
    forged.about("audit.stopped", &json!({"written": 21}));
    assert_eq!(found(&verify_with(Demands::default(), &[&forged.out])), (Verdict::Intact, vec![]));
    assert_eq!(found(&verify(&forged.lines())), (Verdict::Incomplete, vec![("tail-unsigned", 0)]));
    assert_eq!(found(&verify(&Writer::usual("a", 1).lines())), (Verdict::Intact, vec![]));
}

#[test]
fn rotated_files_and_mixed_replicas_are_followed() {
    let (one, two) = (Writer::usual("a", 1), Writer::usual("b", 2));
    let (first, second) = (one.lines(), two.lines());
    let mixed: Vec<Vec<u8>> = first.iter().zip(&second).flat_map(|(one, two)| [one.clone(), two.clone()]).collect();
    let (part, rest) = mixed.split_at(31);
    let report = verify_with(signed(), &[&part.concat(), &rest.concat()]);
    assert_eq!(found(&report), (Verdict::Intact, vec![]), "{report:#?}");
    assert_eq!(report.logs.len(), 2);
    // A part that was not given, and one that was deleted as the rules say.
    let report = verify_with(Demands::default(), &[&first[..10].concat(), &first[15..].concat()]);
    assert_eq!(report.logs[0].findings[0].code, "missing");
    assert!(report.logs[0].findings[0].what.contains("a file may have been left out"), "{report:#?}");
    let report = verify_with(Demands::default(), &[&first[15..].concat()]);
    assert_eq!(found(&report), (Verdict::Incomplete, vec![("beginning-missing", 1)]));
    let mut keeper = Writer::new(identity("c", 3), None, false);
    let head = Head::of_line(&first[14][..first[14].len() - 1]).to_string();
    let gap = json!({"reason": "retention", "seqFirst": 1, "seqLast": 14, "head": head});
    keeper.about("audit.gap", &gap);
    let report = verify_with(Demands::default(), &[&first[15..].concat(), &keeper.out]);
    assert_eq!(found(&report), (Verdict::Intact, vec![]), "{report:#?}");
}

#[test]
fn what_is_left_of_a_log_is_held_against_the_trees_of_its_checkpoints() {
    let writer = Writer::usual("a", 1);
    let lines = writer.lines();
    let checkpoints = |lines: &[Vec<u8>]| verify(lines).logs.remove(0).checkpoints;
    for first in 1..33 {
        // The checkpoints are the lines 8, 21 and 32, over as many lines before them; for the last subtree of the tree of
        // 8 and of 32 lines, all are needed, so these two can only be held against a later one.
        let (unchecked, from) = match first {
            ..=8 => (1, Some(seq(&lines[first]))),
            9..=20 => (0, Some(seq(&lines[first]))),
            // What the checkpoint over 21 lines covers is not here, but it says how to go on.
            21 => (1, Some(seq(&lines[21]))),
            _ => (1, None),
        };
        let left = checkpoints(&lines[first..]);
        assert_eq!((left.unchecked, left.signed_from, left.sealed_from), (unchecked, from, from), "from line {first}");
        assert_eq!(left.signed_until, from.map(|_| 28), "from line {first}");
        // What was changed in what is left is pointed at, and no checkpoint is led astray by it.
        if first < 21 {
            let mut edited = lines[first..].to_vec();
            edited[0] = String::from_utf8(edited[0].clone()).unwrap().replacen("2026", "2025", 1).into_bytes();
            let report = verify(&edited);
            let expected = (Verdict::Broken, vec![("edited", 1), ("beginning-missing", 1)]);
            let mut findings = found(&report);
            findings.1.sort_by_key(|(code, _)| *code != "edited");
            assert_eq!(findings, expected, "from line {first}");
        }
    }
    // A hole in the middle: signed is what is behind it, too.
    let holed = [&lines[..10], &lines[15..]].concat();
    let left = checkpoints(&holed);
    assert_eq!((left.unchecked, left.signed_from, left.signed_until), (0, Some(14), Some(28)));
    assert_eq!(checkpoints(&lines).signed_from, None);
    // A published checkpoint is held against what is left, too.
    let note = Note::parse(writer.notes.last().unwrap()).unwrap();
    let published = vec![Published { note, source: "heads.yaml".into() }];
    let demands = Demands { published, ..Demands::default() };
    let report = verify_with(demands, &[&lines[15..28].concat()]);
    assert_eq!(found(&report).1, [("beginning-missing", 1), ("tail-missing", 13)]);
}

#[test]
fn what_is_left_of_a_log_cannot_be_computed_anew() {
    let writer = Writer::usual("a", 1);
    let lines = writer.lines();
    // Whoever has no key can link other lines to each other, and leave the checkpoints and their trees as they are.
    let mut chain = Chain::new(&identity("a", 1), None);
    let mut bytes = Vec::new();
    for (number, line) in lines.iter().enumerate().skip(15) {
        let text = String::from_utf8(line.clone()).unwrap();
        let body = &text[text.find("\"time\"").unwrap()..text.find(",\"prev\"").unwrap()];
        let body = if number == 15 { body.replacen("refused", "accepted", 2) } else { body.to_owned() };
        chain.append(seq(line), body.as_bytes(), &mut bytes);
    }
    let report = verify_with(Demands { keys: vec![public()], ..Demands::default() }, &[&bytes]);
    assert_eq!(found(&report).1, [("beginning-missing", 1), ("rewritten", 7)], "{report:#?}");
    assert_eq!((report.logs[0].checkpoints.signed_until, report.logs[0].checkpoints.unchecked), (None, 1));
    // Without their trees, or with others, they can be held against nothing, and nothing is signed.
    let first = lines[15..].concat();
    for (change, with) in
        [("\"tree\":", "\"were\":"), ("\"tree\":[\"", "\"tree\":[\"AAAA"), ("\"tree\":[", "\"tree\":[\"\",")]
    {
        let changed = String::from_utf8(first.clone()).unwrap().replace(change, with);
        let mut chain = Chain::new(&identity("a", 1), None);
        let mut bytes = Vec::new();
        for line in changed.lines() {
            let body = &line[line.find("\"time\"").unwrap()..line.find(",\"prev\"").unwrap()];
            chain.append(seq(line.as_bytes()), body.as_bytes(), &mut bytes);
        }
        let report = verify_with(Demands { keys: vec![public()], ..Demands::default() }, &[&bytes]);
        assert_eq!(found(&report), (Verdict::Incomplete, vec![("beginning-missing", 1)]), "{with}");
        let checkpoints = &report.logs[0].checkpoints;
        assert_eq!((checkpoints.unchecked, checkpoints.signed_until, checkpoints.sealed_until), (2, None, None));
    }
}

#[test]
fn the_sink_is_known_from_the_first_line_on() {
    let two = ["file", "stdout"].map(|sink| {
        let mut writer = Writer::begun(identity("a", 1), sink, None, false);
        writer.events(3);
        writer
    });
    let report = verify_with(Demands::default(), &[&two[0].out, &two[1].out]);
    assert_eq!(found(&report), (Verdict::Intact, vec![]), "{report:#?}");
    let sinks: Vec<_> = report.logs.iter().map(|log| log.sink.as_deref()).collect();
    assert_eq!(sinks, [Some("file"), Some("stdout")]);
    assert!(report.logs.iter().all(|log| log.findings.is_empty()), "two logs, not one given twice: {report:#?}");
    // A checkpoint of another sink has no place in it.
    let mut mixed = Writer::begun(identity("a", 1), "file", None, false);
    mixed.sink = "stdout";
    mixed.checkpoint(&json!([]));
    assert_eq!(found(&verify_with(Demands::default(), &[&mixed.out])), broken("checkpoint-of-another-log", 2));
}

#[test]
fn replicas_vouch_for_each_other() {
    let one = Writer::usual("a", 1);
    let note = Note::parse(one.notes.last().unwrap()).unwrap();
    let other = json!([{"origin": note.origin, "size": note.size, "root": note.root.to_string()}]);
    let mut two = Writer::new(identity("b", 1), None, false);
    two.events(2);
    two.checkpoint(&other);
    assert_eq!(found(&verify_with(Demands::default(), &[&one.out, &two.out])), (Verdict::Intact, vec![]));
    let lines = one.lines();
    let report = verify_with(Demands::default(), &[&lines[..20].concat(), &two.out]);
    assert_eq!(found(&report), (Verdict::Broken, vec![("tail-missing", 20)]));
    assert!(report.logs[0].findings[0].what.contains("replica b at f1:4 knows 32 lines"), "{report:#?}");
    let false_root = json!([{"origin": note.origin, "size": note.size, "root": Head::NONE.to_string()}]);
    let mut three = Writer::new(identity("b", 1), None, false);
    three.checkpoint(&false_root);
    let report = verify_with(Demands::default(), &[&one.out, &three.out]);
    assert_eq!(found(&report).0, Verdict::Broken);
    assert_eq!(report.logs[0].findings[0].code, "rewritten");
}

#[test]
fn two_versions_of_one_log_are_two_histories() {
    let one = Writer::usual("a", 1);
    let mut two = Writer::new(identity("a", 1), None, false);
    two.events(6);
    two.seq += 1;
    two.line("token.accepted", &json!({}));
    two.checkpoint(&json!([]));
    let report = verify_with(Demands::default(), &[&one.out, &two.out]);
    assert_eq!(found(&report), (Verdict::Broken, vec![("two-histories", 1)]), "{report:#?}");
    assert_eq!(found(&verify_with(signed(), &[&one.out, &one.out])), (Verdict::Intact, vec![]));
    // In one file: the log up to a line, and then another version from a line before that.
    let lines = one.lines();
    let fork = [&lines[..14], &two.lines()[7..]].concat();
    assert_eq!(found(&verify(&fork)), broken("two-histories", 15));
    let notes = [&one.notes[0], &two.notes[0]];
    let published = notes.map(|note| Published { note: Note::parse(note).unwrap(), source: "x".into() }).to_vec();
    let report = verify_with(Demands { published, ..Demands::default() }, &[&one.out]);
    assert_eq!(report.findings[0].code, "two-histories");
}

#[test]
fn lines_of_another_life_do_not_pass() {
    let (one, two) = (Writer::usual("a", 1).lines(), Writer::usual("a", 2).lines());
    let spliced = [&one[..10], &two[10..20], &one[20..]].concat();
    let report = verify(&spliced);
    let codes: Vec<_> = found(&report).1;
    assert_eq!(report.verdict, Verdict::Broken);
    assert_eq!(codes, [("missing", 21), ("beginning-missing", 11)], "{report:#?}");
}

#[test]
fn nothing_is_too_long_or_too_short() {
    let writer = Writer::usual("a", 1);
    let mut lines = writer.lines();
    lines.insert(5, [&vec![b'x'; 3 * LONGEST_LINE][..], b"\n"].concat());
    let report = verify(&lines);
    assert_eq!(found(&report), broken("not-a-record", 6));
    assert_eq!(report.bytes, lines.concat().len() as u64);
    for nothing in [&b""[..], b"\n", b"x", b"{\"v\":1,\"seq\":"] {
        let report = verify_with(Demands::default(), &[nothing]);
        assert_eq!((report.logs.len(), report.verdict == Verdict::Intact), (0, nothing.is_empty()), "{nothing:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whichever byte is changed to whatever, the log is not intact, and the first finding is at that line or the next.
    #[test]
    fn no_byte_can_be_changed(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let writer = Writer::usual("a", 1);
        let mut bytes = writer.out.clone();
        // Nothing follows the last line, so nothing tells what it was but the signature in it.
        let position = position.index(bytes.len() - writer.lines().last().unwrap().len());
        prop_assume!(bytes[position] != byte);
        bytes[position] = byte;
        let report = verify_with(signed(), &[&bytes]);
        prop_assert!(report.verdict != Verdict::Intact, "{position}");
        let line = writer.out[..position].split(|byte| *byte == b'\n').count() as u64;
        let findings: Vec<&Finding> =
            report.logs.iter().flat_map(|log| &log.findings).chain(&report.findings).filter(|finding| finding.line.is_some()).collect();
        let nearest = findings.iter().filter_map(|finding| finding.line).map(|at| at.abs_diff(line)).min();
        prop_assert!(nearest.is_none_or(|distance| distance <= 1), "byte {position} of line {line}: {findings:#?}");
    }

    /// Any lines cut, doubled, swapped or taken from another life: never intact, never a panic.
    #[test]
    fn no_lines_can_be_rearranged(order in prop::collection::vec(0_usize..66, 1..80)) {
        let own = Writer::usual("a", 1).lines();
        let all = [own.clone(), Writer::usual("a", 2).lines()].concat();
        let chosen: Vec<Vec<u8>> = order.iter().map(|line| all[*line].clone()).collect();
        let report = verify_with(signed(), &[&chosen.concat()]);
        let whole = |life: usize| order.iter().copied().filter(|line| line / 33 == life).eq(life * 33..life * 33 + 33);
        let none = |life: usize| order.iter().all(|line| line / 33 != life);
        let expected = (0..2).all(|life| whole(life) || none(life));
        prop_assert_eq!(report.verdict == Verdict::Intact, expected);
    }

    /// Bytes of any kind: never a panic, and every line is counted.
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64 - u64::from(bytes.last().is_none_or(|last| *last == b'\n'));
        let report = verify_with(Demands::default(), &[&bytes]);
        prop_assert_eq!(report.lines, lines);
        prop_assert_eq!(report.bytes, bytes.len() as u64);
    }
}

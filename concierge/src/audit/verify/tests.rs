//! Logs that are tampered with in every way that the verifier names, at every line: the verdict must be the right one.

mod lives;
mod tails;
mod writer;

use proptest::prelude::*;
use serde_json::json;

use self::writer::Writer;
use super::{
    super::{
        chain::{Chain, Head, Identity},
        checkpoint::{Keys, Note, PublicKey, SigningKey, origin, sign},
    },
    *,
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn public() -> PublicKey {
    key(1).public()
}

fn identity(replica: &str, life: u64) -> Identity {
    Identity { cluster: "prod".into(), replica: replica.into(), life }
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

fn seq(line: &[u8]) -> u64 {
    serde_json::from_slice::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap()
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

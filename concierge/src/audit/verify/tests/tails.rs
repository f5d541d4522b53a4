//! Ends that are cut off or computed anew, and what checkpoints, their trees and signatures say of them.

use super::*;

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

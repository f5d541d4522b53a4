//! Losses, crashes and lives, several files, replicas and sinks: what belongs together, and what is missing between.

use super::*;

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

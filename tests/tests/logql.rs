//! The questions of `deploy/monitoring/loki.md` and of the dashboard, asked of real records by Loki's own parser and
//! pipeline.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    logql::{self, Answer, Line},
    prometheus::monitoring,
};
use serde_json::Value;

/// The records that the concierge's documentation shows, one for each kind of event: a test of the concierge holds them
/// equal to what it writes.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/audit/examples");

/// One test, because each would build the program for itself.
#[test]
fn each_question_is_answered_by_the_records_it_is_about() -> Result<()> {
    let (names, lines) = records()?;
    let mut queries = questions()?;
    queries.push("{app=".to_owned());
    let mut answers = logql::run(&queries, &lines)?;
    let broken = answers.pop().context("an answer for each question")?;
    ensure!(broken.error.contains("parse error"), "a question that is none is told apart: {broken:?}");
    queries.pop();
    finds_its_records_and_no_others(&queries, &answers, &names)?;
    says_who_from_where_and_with_which_token(&queries, &answers, &names, &lines)
}

fn finds_its_records_and_no_others(queries: &[String], answers: &[Answer], names: &[String]) -> Result<()> {
    let replays = ["token.refused.replay-repeated", "token.refused.replay", "token.refused.shared"];
    let live = &replays[..2];
    let refused = ["token.refused.forged", "token.refused", replays[0], replays[1], replays[2]];
    let about_the_log = ["audit.gap", "audit.started"];
    // In the order of the page, by how the question begins and what only it has.
    let expected: [(&str, &[&str]); 5] = [
        ("got a token of", &replays),
        ("[1h]", live),
        ("[10m]", &replays),
        ("unwrap times", &refused),
        ("unclean", &about_the_log),
    ];
    for (mark, expected) in expected {
        let (_, answer) = one(queries, answers, mark)?;
        ensure!(found(names, answer) == sorted(expected), "{mark}: {:?}", found(names, answer));
    }
    for (query, answer) in queries.iter().zip(answers) {
        ensure!(answer.error.is_empty(), "{query}: {}", answer.error);
        ensure!(!answer.matches.is_empty(), "{query} finds nothing");
        for line in &answer.matches {
            ensure!(!line.labels.contains_key("__error__"), "{query}: {:?}", line.labels);
            ensure!(!line.line.contains("<no value>"), "{query} shows a member that there is not: {}", line.line);
        }
    }
    Ok(())
}

fn says_who_from_where_and_with_which_token(
    queries: &[String],
    answers: &[Answer],
    names: &[String],
    lines: &[Line],
) -> Result<()> {
    let (_, answer) = one(queries, answers, "got a token of")?;
    let replay =
        answer.matches.iter().find(|found| names[found.index] == "token.refused.replay").context("the replay")?;
    let record: Value = serde_json::from_str(&lines[replay.index].line)?;
    for member in ["cluster", "claimedCluster", "state", "userAgent"] {
        let value = record[member].as_str().context(member)?;
        ensure!(replay.line.contains(value), "{member} {value}: {}", replay.line);
    }
    for (outer, inner) in [("peer", "ip"), ("verified", "sub"), ("token", "fingerprint")] {
        let value = record[outer][inner].as_str().context(inner)?;
        ensure!(replay.line.contains(value), "{outer}.{inner} {value}: {}", replay.line);
    }
    // A record that stands for many counts as many.
    let (_, counted) = one(queries, answers, "unwrap times")?;
    for found in &counted.matches {
        let record: Value = serde_json::from_str(&lines[found.index].line)?;
        let count = record["count"].as_u64().unwrap_or(1).to_string();
        ensure!(found.labels["times"] == count, "{}: {:?}", names[found.index], found.labels);
    }
    Ok(())
}

/// The records with the stream labels that `loki.md` has them pushed with, and a line of somebody else's.
fn records() -> Result<(Vec<String>, Vec<Line>)> {
    let mut records = BTreeMap::new();
    for entry in fs::read_dir(Path::new(EXAMPLES))? {
        let path = entry?.path();
        let line = fs::read_to_string(&path)?.trim_end().to_owned();
        let record: Value = serde_json::from_str(&line).with_context(|| path.display().to_string())?;
        let labels = format!(r#"{{app="latchkey",cluster={},kind={}}}"#, record["cluster"], record["kind"]);
        let name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
        records.insert(name, Line { labels, line });
    }
    let strange = records.values().next().context("records")?.line.replace("latchkey", "other");
    records.insert("somebody else's".to_owned(), Line { labels: r#"{app="other"}"#.to_owned(), line: strange });
    Ok(records.into_iter().unzip())
}

/// The queries of the page and of the dashboard's log panels.
fn questions() -> Result<Vec<String>> {
    let page = fs::read_to_string(monitoring("loki.md"))?;
    let blocks = page.split("```logql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut questions: Vec<String> = blocks.map(|block| block.trim().to_owned()).collect();
    ensure!(questions.len() >= 8, "{questions:?}");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(monitoring("dashboard.json"))?)?;
    let targets =
        dashboard["panels"].as_array().into_iter().flatten().filter_map(|panel| panel["targets"].as_array()).flatten();
    let of_loki = targets.filter(|target| target["datasource"]["type"] == "loki");
    questions.extend(of_loki.filter_map(|target| Some(target["expr"].as_str()?.replace("$cluster", ".*"))));
    Ok(questions)
}

fn one<'a>(queries: &'a [String], answers: &'a [Answer], mark: &str) -> Result<(&'a str, &'a Answer)> {
    let mut marked = queries.iter().zip(answers).filter(|(query, _)| query.contains(mark));
    let (query, answer) = marked.next().with_context(|| format!("no question with {mark}"))?;
    ensure!(marked.next().is_none(), "two questions with {mark}");
    Ok((query, answer))
}

fn found(names: &[String], answer: &Answer) -> Vec<String> {
    let names: Vec<&str> = answer.matches.iter().map(|found| names[found.index].as_str()).collect();
    sorted(&names)
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort_unstable();
    names
}

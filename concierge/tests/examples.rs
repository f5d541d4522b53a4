//! Every authenticator that the documentation shows is one that works, and every one that the schema refuses the
//! concierge refuses too: an object may be older than its schema, or come from a file.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read has failed the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use latchkey_concierge::convert;
use serde::Deserialize as _;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The documents of a YAML text.
fn documents(text: &str) -> impl Iterator<Item = Value> {
    serde_norway::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap())
}

/// The YAML of a page: what stands between a line "```yaml" and the next "```", however far it is moved in.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(opening) = lines.by_ref().find(|line| line.trim_start().starts_with("```yaml")) {
        let indent = opening.len() - opening.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks.push(inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect());
    }
    blocks
}

/// All authenticators shown, each with the place where it stands.
fn shown() -> Vec<(String, Value)> {
    let mut texts = Vec::new();
    for page in ["README.md", "deploy/README.md"] {
        let blocks = blocks(&fs::read_to_string(root().join(page)).unwrap());
        texts.extend(blocks.into_iter().map(|block| (page.to_owned(), block)));
    }
    texts.extend(files("deploy/examples"));
    texts.extend(files("crds/tests/good_objects").into_iter().filter(|(path, _)| path.ends_with("everything.yaml")));
    authenticators(texts)
}

/// The YAML files of a folder.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

fn authenticators(texts: Vec<(String, String)>) -> Vec<(String, Value)> {
    let objects = texts
        .into_iter()
        .flat_map(|(place, text)| documents(&text).map(move |object| (place.clone(), object)).collect::<Vec<_>>());
    objects.filter(|(_, object)| object["kind"] == "JWTAuthenticator").collect()
}

#[test]
fn every_authenticator_that_is_shown_converts_without_a_word() {
    let shown = shown();
    for place in ["README.md", "deploy/README.md", "production.yaml", "staging.yaml", "rich.yaml", "everything.yaml"] {
        assert!(shown.iter().any(|(shown, _)| shown.ends_with(place)), "no authenticator in {place}");
    }
    for (place, object) in shown {
        let problems = problems(&object);
        assert!(problems.is_empty(), "{place}: {}", problems.join("; "));
    }
}

#[test]
fn what_the_schema_refuses_is_refused_again() {
    // Pinniped's meaning of a rule without a value, which objects of that time may have: the claim must be "". And a
    // list that is there and empty says no more than one that is absent.
    const TAKEN: [&str; 3] = ["claim-rule-without-value.yaml", "algorithms-empty.yaml", "token-types-empty.yaml"];
    let refused = authenticators(files("crds/tests/bad_objects"));
    assert!(refused.len() > 70);
    let wrong: Vec<_> = refused
        .into_iter()
        .filter(|(place, object)| problems(object).is_empty() != TAKEN.iter().any(|taken| place.ends_with(taken)))
        .map(|(place, _)| place)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// All that is wrong with an authenticator.
fn problems(object: &Value) -> Vec<String> {
    match convert::jwt_authenticator(&object["spec"]) {
        Err(problem) => vec![problem.to_string()],
        Ok(spec) => {
            let problems = [
                spec.issuer.err().map(|problem| problem.to_string()),
                spec.keys.err().map(|problem| problem.to_string()),
                spec.trust.err().map(|problem| problem.to_string()),
                spec.judge.err().map(|problem| problem.to_string()),
            ];
            problems.into_iter().flatten().collect()
        }
    }
}

//! What is converted means what it meant: by the cases of the conformance suite, and by a real kube-apiserver.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use latchkey_concierge::{
    convert,
    migrate::{self, Convert, Direction, Ending, Format, Ours, Version},
    time::UnixTime,
};
use latchkey_e2e::conformance::{
    comparison, differences,
    issuers::Issuers,
    kubernetes::{Kubernetes, MOST_ENTRIES},
    ours,
    plan::{self, Plan},
    table::{self, Expect},
    token,
};
use serde_json::{Value, json};

/// Reasons of ours that a converted configuration brings along as rules.
const GUARDED: [&str; 2] = ["refused: audience-shared", "refused: identity-reserved"];

/// The tables whose tokens go to kube-apiserver: what tokens say, not what expressions can.
const TABLES: [&str; 4] = ["audience", "mapping", "shapes", "times"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

/// A conversion in this process: how it ended, the result as JSON, the notes.
fn converted(direction: Direction, input: &Value) -> Result<(Ending, Value, String)> {
    let convert = Convert { direction, files: Vec::new(), ca_file: None, allow_loss: true, format: Format::Json };
    let (mut output, mut notes) = (Vec::new(), Vec::new());
    let ending = migrate::run(&convert, input.to_string().as_bytes(), &mut output, &mut notes)?;
    let made = if output.is_empty() { Value::Null } else { serde_json::from_slice(&output)? };
    Ok((ending, made, String::from_utf8(notes)?))
}

fn authenticator(spec: &Value) -> Value {
    json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1",
        "kind": "JWTAuthenticator",
        "metadata": {"name": "converted"},
        "spec": spec,
    })
}

/// The suite holds our verdict under [`ours::translate`] against kube-apiserver's; so whoever converts to the same judge
/// has kube-apiserver's verdict too.
#[test]
fn every_configuration_that_kube_apiserver_takes_becomes_the_judge_that_the_suite_holds_against_it() -> Result<()> {
    let tables = table::read_all(&folder())?;
    let ca = rcgen::generate_simple_self_signed(["ca".to_owned()])?.cert.pem();
    let plan = plan::plan(&tables, "https://127.0.0.1:1", &ca)?;
    let refused: BTreeSet<usize> = plan
        .cases
        .iter()
        .filter(|planned| planned.case.expect == Expect::Invalid)
        .map(|planned| planned.setup)
        .collect();
    let mut same = 0;
    for (number, setup) in plan.setups.iter().enumerate().filter(|(number, _)| !refused.contains(number)) {
        let of = || format!("configuration {number}: {}", setup.entry);
        let file = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [setup.entry],
        });
        let faithful = Ours { faithful: true, ..Ours::default() };
        let (ending, made, notes) = converted(Direction::FromConfiguration(faithful), &file).with_context(of)?;
        let mut expected = ours::translate(&setup.entry);
        if let Some(members) = expected.as_object_mut() {
            // No dialer can be chosen here: it is told as lost.
            members.remove("egressSelectorType");
            members.insert("additionalAudiences".to_owned(), "Allow".into());
            members.insert("reservedIdentities".to_owned(), json!({"policy": "Allow"}));
        }
        let expected = convert::jwt_authenticator(&expected)?;
        let sound =
            expected.issuer.is_ok() && expected.trust.is_ok() && expected.keys.is_ok() && expected.judge.is_ok();
        ensure!((ending == Ending::Well) == sound, "{}: {ending:?}\n{notes}", of());
        if !sound {
            continue;
        }
        let found = convert::jwt_authenticator(&made["spec"])?;
        ensure!(found.issuer == expected.issuer && found.trust == expected.trust, "{}: {made}", of());
        ensure!(found.keys == expected.keys && found.judge == expected.judge, "{}: {made}", of());
        same += 1;
    }
    ensure!(same > 1000, "only {same} configurations");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kube_apiserver_says_of_tokens_what_we_say_under_the_authenticator_that_it_was_given() -> Result<()> {
    let tables: Vec<_> =
        table::read_all(&folder())?.into_iter().filter(|table| TABLES.contains(&table.name.as_str())).collect();
    let listed = differences::read(&folder().join(table::DIFFERENCES))?;
    let issuers = Issuers::start().await?;
    let keys = token::Keys::make()?;
    let plan = plan::plan(&tables, issuers.url(), issuers.ca_pem())?;

    // Our objects, in kube-apiserver's words.
    let (mut chosen, mut entries) = (Vec::new(), Vec::new());
    for (number, setup) in plan.setups.iter().enumerate() {
        let sound = plan.cases.iter().all(|planned| planned.setup != number || planned.case.expect != Expect::Invalid);
        if !sound || entries.len() == MOST_ENTRIES {
            continue;
        }
        issuers.publish(setup, keys.publish(&setup.keys)?);
        let object = authenticator(&ours::translate(&setup.entry));
        let (ending, made, notes) = converted(Direction::ToConfiguration(Version::V1), &object)?;
        ensure!(ending == Ending::Well, "{object}: {notes}");
        chosen.push(number);
        entries.push(made["jwt"][0].clone());
    }
    let mut server = Kubernetes::start("migration").await?;
    server.load(&entries.iter().collect::<Vec<_>>()).await?;

    let asked: Vec<usize> = (0..plan.cases.len())
        .filter(|number| chosen.contains(&plan.cases[*number].setup) && plan.cases[*number].case.ours.is_null())
        .collect();
    let (server, plan, keys) = (&server, &plan, &keys);
    let stories: Vec<(bool, Option<String>)> = stream::iter(asked.iter().copied())
        .map(|number| one_case(server, plan, keys, &listed, number))
        .buffer_unordered(16)
        .try_collect()
        .await?;
    let problems: Vec<_> = stories.iter().filter_map(|(_, problem)| problem.as_deref()).collect();
    let guarded = stories.iter().filter(|(guarded, _)| *guarded).count();
    eprintln!("{} tokens under {} converted authenticators, {guarded} refused by a guard", asked.len(), entries.len());
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    ensure!(asked.len() >= 200 && guarded >= 5, "only {} tokens, {guarded} guarded", asked.len());
    Ok(())
}

/// Whether a guard alone makes kube-apiserver refuse this token, and what is wrong.
async fn one_case(
    server: &Kubernetes,
    plan: &Plan<'_>,
    keys: &token::Keys,
    listed: &[differences::Difference],
    number: usize,
) -> Result<(bool, Option<String>)> {
    let planned = &plan.cases[number];
    let setup = &plan.setups[planned.setup];
    let now = token::unix_now();
    let token = token::make(planned.case, keys, setup.issuer(), now)?;
    let theirs = server.review(&token).await?;
    let published = keys.publish(&setup.keys)?;
    let ours = ours::judge(&setup.entry, &Value::Null, &published, &token, UnixTime::from_secs(now));
    let known = listed.iter().find(|difference| difference.names(&planned.name));
    let is_guarded = known.is_some_and(|known| known.ours.iter().any(|word| GUARDED.contains(&word.as_str())));
    let problem = match comparison::against_ours(&theirs, &ours) {
        None => None,
        Some(divergence) if !is_guarded && known.is_some_and(|known| divergence.is(known)) => None,
        Some(divergence) => Some(format!("{}: differs\n      {}", planned.name, divergence.story)),
    };
    Ok((is_guarded, problem))
}

//! The doctor: silent where all is well, and one thing broken at a time.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{leak, site::AUTHENTICATOR};
use serde_json::Value;

use super::{place::Place, refusals::refused};

/// What is not well about the context: the check, and what was found. How programs from this machine's desktop find the
/// plugin is not ours to say.
async fn troubles(place: &Place, config: &Path) -> Result<Vec<(String, String)>> {
    let answer = place.with(&[], config, &["latchkey", "doctor", "-o", "json"]).await?;
    let report: Value = serde_json::from_str(&answer.stdout).with_context(|| answer.seen())?;
    let section = report["sections"][1]["checks"].as_array().with_context(|| answer.seen())?;
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let bad: Vec<(String, String)> = section
        .iter()
        .filter(|finding| finding["verdict"] != "ok" && finding["check"] != "desktop")
        .map(|finding| (text(finding, "check"), text(finding, "found")))
        .collect();
    ensure!(answer.ok == (report["failed"] == 0), "{}", answer.seen());
    leak::no_token("the report", &answer.stdout)?;
    ensure!(!answer.stdout.contains("PRIVATE KEY"), "a secret");
    Ok(bad)
}

/// Exactly these checks complain, each with these words.
async fn finds(place: &Place, config: &Path, expected: &[(&str, &str)]) -> Result<()> {
    let found = troubles(place, config).await?;
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|((check, text), (name, words))| check == name && text.contains(words));
    ensure!(fits, "expected {expected:?}, found {found:#?}");
    Ok(())
}

pub(crate) async fn before_the_first_login_all_is_well(place: &Place) -> Result<()> {
    let config = &place.staging.kubeconfig;
    let records = place.staging.exchanges()?.len();
    finds(place, config, &[]).await?;
    let text = place.ok(config, &["latchkey", "doctor"]).await?.stdout;
    for words in
        ["nobody is logged in", "it answers for login.concierge.latchkey.dev", "device code, revocation at logout"]
    {
        ensure!(text.contains(words), "{words}:\n{text}");
    }
    ensure!(place.staging.exchanges()?.len() == records, "the doctor leaves a record of its question");
    Ok(())
}

pub(crate) async fn each_trouble_is_found_where_it_is(place: &mut Place) -> Result<()> {
    let config = place.staging.kubeconfig.clone();
    place.ok(&config, &["latchkey", "login"]).await?;
    finds(place, &config, &[]).await?;
    let text = place.ok(&config, &["latchkey", "doctor"]).await?.stdout;
    ensure!(text.contains("the plugin gives a client certificate until ") && text.contains(", kept since "), "{text}");

    // kubectl's roots are another cluster's, the plugin's are right.
    let good = fs::read_to_string(&config)?;
    let other = fs::read_to_string(place.path("written/production-sso.yaml"))?;
    let line = |text: &str| {
        text.lines().find(|line| line.trim_start().starts_with("certificate-authority-data:")).map(str::to_owned)
    };
    let wrong = place.path("wrong-roots");
    let (mine, theirs) = (line(&good).context("roots")?, line(&other).context("roots")?);
    fs::write(&wrong, good.replace(&mine, &theirs))?;
    finds(place, &wrong, &[("cluster", "for kubectl itself: the certificate of the cluster at ")]).await?;

    // The authenticator is gone.
    let authenticator = place.staging.authenticator_object(AUTHENTICATOR).await?;
    place.staging.cluster.kubectl_ok(&["delete", "jwtauthenticator", AUTHENTICATOR]).await?;
    place.ann.lose_credentials()?;
    refused(&place.ann, &config, &place.staging, "authenticator-unknown").await?;
    finds(place, &config, &[("answer", "the cluster refused the login")]).await?;
    let again = serde_json::json!({
        "apiVersion": authenticator["apiVersion"], "kind": authenticator["kind"],
        "metadata": {"name": AUTHENTICATOR}, "spec": authenticator["spec"],
    });
    place.staging.trust_with(&again).await?;
    place.ok(&config, &["get", "ns"]).await?;

    // The concierge is gone. What was handed out before is good all the same; the doctor sees it coming.
    place.staging.concierge.stop().await?;
    place.ok(&config, &["get", "ns"]).await?;
    finds(place, &config, &[("concierge", "nobody answers for it")]).await?;
    place.ann.lose_credentials()?;
    place.fails(&config, &["get", "ns"], "cannot exchange the login at ").await?;
    finds(place, &config, &[("answer", "503"), ("concierge", "nobody answers for it")]).await?;
    place.staging.concierge.start().await?;
    place.staging.concierge.available(&place.staging.cluster).await?;
    finds(place, &config, &[]).await
}

pub(crate) async fn a_provider_that_is_gone_is_found(place: Place) -> Result<()> {
    let Place { provider, .. } = &place;
    let pid = rustix::process::Pid::from_raw(i32::try_from(provider.pid())?).context("a process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    finds(&place, &place.staging.kubeconfig, &[("provider", "no connection to the identity provider at ")]).await?;
    let config = &place.staging.kubeconfig;
    place.ok(config, &["get", "ns"]).await.context("what is kept is good without a provider")?;
    // It cannot be told, and the login is gone from here.
    let told =
        place.fails(config, &["latchkey", "logout"], "is forgotten here, but 127.0.0.1 could not be told").await?;
    ensure!(told.stdout.is_empty(), "{}", told.seen());
    place.fails(config, &["latchkey", "status", "--check"], "login to staging is needed").await.map(drop)
}

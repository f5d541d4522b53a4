//! What a person learns of a refusal, and that the administrator finds its reason by what the person was told.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{leak, person::Person, programs::Programs, site::Site};
use tokio::process::Command;

use super::place::{Place, RESERVED};

/// The user of staging with the server of production, as somebody joins them who copies too much.
fn astray(place: &Place) -> Result<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let encoded = |site: &Site| STANDARD.encode(site.cluster.ca_pem());
    let text = fs::read_to_string(&place.staging.kubeconfig)?;
    Ok(text
        .replace(&place.staging.cluster.server_url(), &place.production.cluster.server_url())
        .replace(&encoded(&place.staging), &encoded(&place.production))
        .replace("staging\n", "astray\n")
        .replace("--client-id=kubernetes-astray\n", "--client-id=kubernetes-staging\n"))
}

pub(crate) async fn a_login_that_goes_astray_is_not_sent(place: &Place) -> Result<()> {
    let config = place.path("astray");
    fs::write(&config, astray(place)?)?;
    let seen = place.production.exchanges()?.len();
    let both = std::env::join_paths([&config, &place.staging.kubeconfig])?;
    place.fails(both.as_ref(), &["get", "ns"], "and so far it was used with").await?;
    let told = place.ok(both.as_ref(), &["latchkey", "explain"]).await?.stdout;
    let unwrapped = told.split_whitespace().collect::<Vec<_>>().join(" ");
    let other = "it is the token of context \"staging\" as well, whose server is another one";
    ensure!(unwrapped.contains(": the token is not sent ") && unwrapped.contains(other), "{told}");
    ensure!(place.production.exchanges()?.len() == seen, "the token left the laptop");
    Ok(())
}

pub(crate) async fn a_token_of_another_cluster_is_explained_by_its_audit_id(place: &Place) -> Result<()> {
    // On a laptop that does not know yet where the login belongs.
    let robot = place.person("robot").await?;
    let told = refused(&robot, &place.path("astray"), &place.production, "audience-other-cluster").await?;
    ensure!(told.contains("Token:    for [\"kubernetes-staging\"], by "), "{told}");
    Ok(())
}

pub(crate) async fn a_reserved_name_is_explained_by_its_audit_id(place: &Place) -> Result<()> {
    let admin = place.person(RESERVED).await?;
    refused(&admin, &place.staging.kubeconfig, &place.staging, "identity-reserved").await.map(drop)
}

/// Somebody is refused, asks why, and what they are told leads the administrator to the reason. Returns what was told.
pub(crate) async fn refused(person: &Person, config: &Path, site: &Site, code: &str) -> Result<String> {
    let answer = person.kubectl(config, &["get", "ns"]).await?;
    ensure!(!answer.ok && answer.stderr.contains("the cluster refused the login"), "{}", answer.seen());
    let explained = person.kubectl(config, &["latchkey", "explain"]).await?;
    ensure!(explained.ok, "{}", explained.seen());
    let command = explained.stdout.lines().find_map(|line| line.strip_prefix("  latchkey-concierge "));
    let words: Vec<&str> = command.with_context(|| explained.seen())?.split(' ').collect();
    let [verbs @ .., "--audit-id", id, "audit.jsonl"] = words.as_slice() else { anyhow::bail!("{words:?}") };
    ensure!(answer.stderr.contains(&format!("(audit id {id})")), "another id: {}", answer.seen());
    let record = site.record_of(id).await?;
    ensure!(record["code"] == code, "{record}");

    // The very line, with the file where it is.
    let mut show = Command::new(&Programs::find().await?.concierge);
    show.args(verbs).args(["--audit-id", id]).arg(site.concierge.audit_file());
    let shown = person.run(show).await?;
    ensure!(shown.ok && shown.stdout.lines().count() == 2 && shown.stdout.contains(code), "{}", shown.seen());
    let meaning = person.kubectl(config, &["latchkey", "explain", code]).await?;
    ensure!(meaning.ok && meaning.stdout.starts_with(&format!("{code}\n\n")), "{}", meaning.seen());
    leak::no_token("the explanation", &explained.stdout)?;
    Ok(explained.stdout)
}

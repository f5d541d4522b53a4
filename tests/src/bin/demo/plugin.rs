//! The chapter about the plugin: what it keeps, why a login that goes astray is refused, whether all is well, and the end.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_e2e::{person::Person, site::Site};
use serde_json::Value;
use tokio::process::Command;

use super::narrator::Narrator;

pub(super) async fn itself(
    narrator: &mut Narrator,
    work: &Path,
    person: &Person,
    staging: &Site,
    production: &Site,
) -> Result<()> {
    narrator.chapter(8, "The plugin itself");
    let status = person.kubectl(&staging.kubeconfig, &["latchkey", "status"]).await?;
    narrator.command("kubectl latchkey status", &status.stdout);
    narrator.seen("it keeps one login for each cluster", {
        status.ok && [staging, production].iter().all(|site| status.stdout.contains(&format!("\n{} ", site.name)))
    })?;
    refused_replay(narrator, work, person, staging, production).await?;

    let doctor = person.kubectl(&staging.kubeconfig, &["latchkey", "doctor", "--context", staging.name]).await?;
    narrator.command("kubectl latchkey doctor --context staging", &doctor.stdout);
    narrator.seen("nothing is wrong between this computer, the identity provider and staging", doctor.ok)?;
    logout(narrator, person, staging, production).await
}

/// Staging's user beside production's server: what somebody gets who edits kubeconfigs by hand.
async fn refused_replay(
    narrator: &mut Narrator,
    work: &Path,
    person: &Person,
    staging: &Site,
    production: &Site,
) -> Result<()> {
    let encoded = |site: &Site| STANDARD.encode(site.cluster.ca_pem());
    let mixed = work.join("kubeconfig-mixed.yaml");
    let text = fs::read_to_string(&staging.kubeconfig)?
        .replace(&staging.cluster.server_url(), &production.cluster.server_url())
        .replace(&encoded(staging), &encoded(production))
        .replace("latchkey-staging\n", "latchkey-mixed\n")
        .replace("name: staging\n", "name: mixed\n")
        .replace("context: staging\n", "context: mixed\n");
    fs::write(&mixed, text)?;
    let mixed = env::join_paths([&mixed, &staging.kubeconfig])?;
    narrator.say(
        "Somebody edits a kubeconfig and puts production's server beside staging's user. The plugin has noted where\n\
         staging's login belongs and sends it nowhere else; so they delete the note, and the token goes to production.",
    );
    let before = production.exchanges()?.len();
    let kept_here = person.kubectl(mixed.as_ref(), &["get", "namespaces"]).await?;
    narrator.seen(
        "with the note, the token stays on the laptop",
        !kept_here.ok && production.exchanges()?.len() == before,
    )?;
    forget_servers(&person.cache().join("sessions"))?;
    person.lose_credentials()?;
    let refused = person.kubectl(mixed.as_ref(), &["get", "namespaces"]).await?;
    ensure!(!refused.ok, "production took it: {}", refused.seen());
    let why = person.kubectl(mixed.as_ref(), &["latchkey", "explain"]).await?;
    narrator.command("kubectl latchkey explain", &why.stdout);
    let id = why.stdout.split_once("--audit-id ").and_then(|(_, rest)| rest.split(' ').next());
    let record = production.record_of(id.context("explain names no audit id")?).await?;
    narrator.seen(
        "it says whose token it is, and the audit id under which production has the reason",
        why.stdout.contains("it is the token of context \"staging\" as well")
            && record["code"] == "audience-other-cluster",
    )
}

async fn logout(narrator: &mut Narrator, person: &Person, staging: &Site, production: &Site) -> Result<()> {
    let both = env::join_paths([&staging.kubeconfig, &production.kubeconfig])?;
    let out = person.kubectl(both.as_ref(), &["latchkey", "logout", "--all"]).await?;
    narrator.command("kubectl latchkey logout --all", &out.seen());
    let status = person.kubectl(&staging.kubeconfig, &["latchkey", "status", "-o", "json"]).await?;
    let kept: Value = serde_json::from_str(&status.stdout)?;
    // Nobody sits in this one, so that it says what it needs in place of opening a browser.
    let mut next = Command::new(staging.cluster.kubectl_program());
    next.args(["get", "namespaces"]).env("KUBECONFIG", &staging.kubeconfig).env("LATCHKEY_FLOW", "none");
    let next = person.run(next).await?;
    narrator.seen(
        "the logins are gone, and the next call asks",
        out.ok && kept["sessions"] == serde_json::json!([]) && !next.ok,
    )
}

/// Takes the notes away that say to which server a login belongs.
fn forget_servers(sessions: &Path) -> Result<()> {
    for entry in fs::read_dir(sessions)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "server") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

//! What people do every day: kubeconfigs, logging in, looking who one is, logging out.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    leak,
    relying_party::{RelyingParty, refresh_form},
    site::Site,
};
use serde_json::{Value, json};

use super::place::Place;

pub(crate) async fn kubeconfigs_are_written_for_one_cluster_and_for_all(place: &Place) -> Result<()> {
    let admin = place.staging.cluster.admin_kubeconfig();
    let config = place.staging.kubeconfig.to_string_lossy();
    let written = place.ok(admin, &["latchkey", "kubeconfig", "--name", "staging", "--output", &config]).await?;
    ensure!(written.stdout.is_empty() && written.stderr.contains("Wrote context staging to "), "{}", written.seen());

    // Two clusters in one kubeconfig of the admin's, whose users there have names of their own.
    let production = fs::read_to_string(place.production.cluster.admin_kubeconfig())?;
    let other = place.path("admin-production");
    fs::write(&other, production.replace("\"admin\"", "\"admin-production\""))?;
    let both = std::env::join_paths([admin, &other])?;
    let folder = place.path("written");
    let all = ["latchkey", "kubeconfig", "--all-contexts", "--name-template", "{cluster}-sso", "--output-dir"];
    let all: Vec<&str> = all.into_iter().chain(folder.to_str()).collect();
    let written = place.ok(both.as_ref(), &all).await?;
    ensure!(written.stderr.matches("Wrote context ").count() == 2, "{}", written.seen());
    let line = written.stdout.trim_end().strip_prefix("export KUBECONFIG=").with_context(|| written.seen())?;
    for site in [&place.staging, &place.production] {
        let name = format!("{}-sso", site.name);
        ensure!(line.contains(&format!("{name}.yaml")), "{line}");
        let answer = place.ok(line.as_ref(), &["--context", &name, "get", "namespaces", "-o", "name"]).await?;
        ensure!(answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
    }
    let logins = place.ann.invitations()?.len();
    ensure!(logins == 2, "one login for each cluster, found {logins}");
    let again = place.ok(both.as_ref(), &all).await?;
    ensure!(again.stderr == "Nothing to change in 2 of 2 files\n", "{}", again.seen());
    place.ok(line.as_ref(), &["latchkey", "logout", "--all"]).await.map(drop)
}

pub(crate) async fn a_context_is_merged_into_a_file_with_comments(place: &Place) -> Result<()> {
    let admin = place.staging.cluster.admin_kubeconfig();
    let plain = place.ok(admin, &["config", "view", "--raw"]).await?.stdout;
    let commented = plain.replacen("contexts:\n", "# how I reach them\ncontexts: # all of mine\n", 1);
    ensure!(commented != plain, "{plain}");
    let mine = place.path("mine");
    fs::write(&mine, &commented)?;
    let merge = ["latchkey", "kubeconfig", "--merge", "--name", "people@staging", "--set-current"];
    place.ok(&mine, &merge).await?;
    let merged = fs::read_to_string(&mine)?;
    for line in commented.lines().filter(|line| !line.starts_with("current-context:")) {
        ensure!(merged.lines().any(|other| other == line), "{line:?} is lost:\n{merged}");
    }
    ensure!(place.ok(&mine, &["config", "current-context"]).await?.stdout == "people@staging\n");
    ensure!(place.who(&[], &mine).await? == "ann");
    place.ok(&mine, &["latchkey", "logout"]).await.map(drop)
}

pub(crate) async fn a_login_is_made_shown_and_used(place: &Place) -> Result<()> {
    let config = &place.staging.kubeconfig;
    place.fails(config, &["latchkey", "status", "--check"], "login to staging is needed").await?;
    let login = place.ok(config, &["latchkey", "login"]).await?;
    ensure!(login.stdout.is_empty() && login.stderr.contains("\nLogged in to staging as ann"), "{}", login.seen());
    place.ok(config, &["latchkey", "status", "--check"]).await?;

    let table = place.ok(config, &["latchkey", "status"]).await?.stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(rows.len() == 2 && rows[0][0] == "CLUSTER" && rows[1][0] == "staging", "{table}");
    let status: Value = serde_json::from_str(&place.ok(config, &["latchkey", "status", "-o", "json"]).await?.stdout)?;
    let session = &status["sessions"][0];
    ensure!(
        session["provider"] == place.provider.url() && session["audience"] == Site::audience("staging"),
        "{status}"
    );
    ensure!(session["state"] == "valid" && session["renewable"] == true && session["kept"] == "plain", "{status}");

    let who = place.ok(config, &["latchkey", "whoami", "-o", "yaml"]).await?.stdout;
    ensure!(who.contains("username: ann\n") && who.contains("- developers\n"), "{who}");
    let who = place.ok(config, &["latchkey", "whoami"]).await?.stdout;
    ensure!(who.starts_with("Cluster:  staging\n"), "the name that the login has: {who}");
    let browsers = place.ann.invitations()?.len();
    let namespaces = place.ok(config, &["get", "ns", "-o", "name"]).await?;
    ensure!(
        namespaces.stdout.contains("namespace/kube-system") && namespaces.stderr.is_empty(),
        "{}",
        namespaces.seen()
    );
    ensure!(place.ann.invitations()?.len() == browsers, "the login was made before");
    Ok(())
}

pub(crate) async fn a_token_tells_what_is_in_it_and_not_itself(place: &Place) -> Result<()> {
    let token = place.ok(&place.staging.kubeconfig, &["latchkey", "token", "--decode"]).await?;
    let claims: Value = serde_json::from_str(&token.stdout)?;
    ensure!(claims["username"] == "ann" && claims["aud"] == Site::audience("staging"), "{claims}");
    ensure!(token.stderr.starts_with("For: kubernetes-staging\n"), "{}", token.seen());
    leak::no_token("the answer", &token.seen())
}

/// What a thief with the file would have.
fn stolen(place: &Place) -> Result<Value> {
    let mut sessions = Vec::new();
    for entry in fs::read_dir(place.ann.cache().join("sessions"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            sessions.push(serde_json::from_slice::<Value>(&fs::read(path)?)?);
        }
    }
    ensure!(sessions.len() == 1, "{} sessions", sessions.len());
    Ok(json!({"refresh_token": sessions[0]["refresh_token"]}))
}

pub(crate) async fn a_logout_is_one_at_the_provider_too(place: &Place) -> Result<()> {
    let (config, client) = (&place.staging.kubeconfig, Site::audience("staging"));
    let provider = RelyingParty::of(place.provider.url(), place.provider.ca_pem()).await?;
    place.ok(config, &["latchkey", "login"]).await?;
    // Where the provider is not told, the thief's copy goes on; so it is the telling that ends the next one.
    let kept = stolen(place)?;
    let here = place.ok(config, &["latchkey", "logout", "--no-revoke"]).await?;
    ensure!(here.stderr == "Logged out of staging on this computer\n", "{}", here.seen());
    provider.token(&refresh_form(&client, &kept)?).await.context("a token that nobody withdrew")?;

    place.ok(config, &["latchkey", "login"]).await?;
    let kept = stolen(place)?;
    let everywhere = place.ok(config, &["latchkey", "logout"]).await?;
    ensure!(everywhere.stderr == "Logged out of staging, here and at 127.0.0.1\n", "{}", everywhere.seen());
    let refused = provider.token(&refresh_form(&client, &kept)?).await.err().context("the stolen token still works")?;
    ensure!(refused.to_string().contains("invalid_grant"), "{refused}");

    let asked = place.with(&[("LATCHKEY_FLOW", "none")], config, &["get", "ns"]).await?;
    ensure!(!asked.ok && asked.stderr.contains("login to staging is needed"), "{}", asked.seen());
    let browsers = place.ann.invitations()?.len();
    place.ok(config, &["get", "ns"]).await?;
    ensure!(place.ann.invitations()?.len() == browsers + 1, "the next kubectl asks for a login");
    Ok(())
}

pub(crate) async fn all_logins_are_forgotten_at_once(place: &Place) -> Result<()> {
    let folder = place.path("written");
    let both = std::env::join_paths(["staging", "production"].map(|name| folder.join(format!("{name}-sso.yaml"))))?;
    place.ok(both.as_ref(), &["latchkey", "login", "--all-contexts"]).await?;
    let sessions = async || -> Result<usize> {
        let status = place.ok(both.as_ref(), &["latchkey", "status", "-o", "json"]).await?.stdout;
        Ok(serde_json::from_str::<Value>(&status)?["sessions"].as_array().context("sessions")?.len())
    };
    // That of staging is shared with the context of before: one client, one login.
    ensure!(sessions().await? == 2);
    let told = place.ok(both.as_ref(), &["latchkey", "logout", "--all"]).await?;
    ensure!(told.stderr.matches(", here and at 127.0.0.1\n").count() == 2, "{}", told.seen());
    ensure!(sessions().await? == 0);
    Ok(())
}

//! A person logs in with kubectl and a real browser, and is not asked again.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    browser::Browser,
    folder::TempFolder,
    issuer::{Client, Issuer, IssuerOptions, User},
    person::{Answer, Person},
    programs::Programs,
    site::Site,
    wait::eventually,
};
use serde_json::Value;

/// The plugin starts its browser within a second of kubectl's start.
const INVITATION_LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn kubectl_logs_in_with_chromium_and_asks_nobody_the_second_time() -> Result<()> {
    let work = TempFolder::new("login-browser")?;
    let users = vec![
        User::new("ann", "ann-password").groups(&["developers", "on-call"]),
        User::new("eve", "eve-password").groups(&["system:masters"]),
    ];
    let clients = vec![Client::native(&Site::audience("staging"))];
    let issuer = Issuer::start(IssuerOptions { clients, users, ..IssuerOptions::default() }).await?;
    let (site, browser) = tokio::try_join!(Site::start("staging", work.path()), Browser::start())?;
    site.trust(&issuer).await?;
    site.offers("CertificateSigningRequestAPI").await?;
    let ann = person(&work.path().join("ann"), &site).await?;
    site.write_kubeconfig(&ann).await?;

    the_browser_does_the_login(&site, &ann, &browser).await?;
    the_cluster_knows_name_and_groups_and_obeys_rbac(&site, &ann).await?;
    the_second_call_asks_nobody(&site, &ann, &issuer).await?;

    // A browser of her own: the issuer remembers ann in the other.
    let browser = Browser::start().await?;
    let eve = person(&work.path().join("eve"), &site).await?;
    the_page_says_when_the_cluster_refuses(&site, &eve, &browser).await
}

async fn the_browser_does_the_login(site: &Site, ann: &Person, browser: &Browser) -> Result<()> {
    let get = ann.kubectl(&site.kubeconfig, &["get", "namespaces", "-o", "name"]);
    let (answer, url) = tokio::try_join!(get, sign_in(ann, browser, "ann"))?;
    ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
    ensure!(answer.stderr.contains(&url), "the address must be shown, whatever opens: {}", answer.stderr);

    ensure!(browser.title().await? == "Logged in to staging", "{}", browser.title().await?);
    ensure!(browser.text(&browser.find("h1").await?).await? == "You are in: staging");
    let words = browser.text(&browser.find("main").await?).await?;
    for expected in ["Signed in as", "ann", "127.0.0.1", "staging, and nothing else", "You can close this tab"] {
        ensure!(words.contains(expected), "no {expected:?} in {words:?}");
    }
    picture(browser, "logged-in").await
}

async fn the_cluster_knows_name_and_groups_and_obeys_rbac(site: &Site, ann: &Person) -> Result<()> {
    let whoami = ann.kubectl(&site.kubeconfig, &["auth", "whoami", "-o", "json"]).await?;
    ensure!(whoami.ok, "{}", whoami.seen());
    let user = &serde_json::from_str::<Value>(&whoami.stdout)?["status"]["userInfo"];
    ensure!(user["username"] == "ann", "{user}");
    // As a set: Go writes the organizations of a certificate as one, sorted by their DER.
    let groups: BTreeSet<&str> = user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(groups == BTreeSet::from(["developers", "on-call", "system:authenticated"]), "{user}");

    let whoami = ann.kubectl(&site.kubeconfig, &["latchkey", "whoami"]).await?;
    ensure!(whoami.ok, "{}", whoami.seen());
    for expected in ["Username: ann\n", "developers\n", "on-call\n", &site.cluster.server_url()] {
        ensure!(whoami.stdout.contains(expected), "no {expected:?} in {}", whoami.stdout);
    }

    let forbidden = ann.kubectl(&site.kubeconfig, &["delete", "namespace", "default"]).await?;
    ensure!(!forbidden.ok && forbidden.stderr.contains("User \"ann\" cannot delete"), "{}", forbidden.seen());
    Ok(())
}

async fn the_second_call_asks_nobody(site: &Site, ann: &Person, issuer: &Issuer) -> Result<()> {
    let (asked, exchanged) = (issuer.requests_total(), site.exchanges()?.len());
    ensure!(exchanged > 0);
    let answer = ann.kubectl(&site.kubeconfig, &["get", "configmaps", "-n", "default"]).await?;
    ensure!(answer.ok && answer.stdout.contains("kube-root-ca.crt"), "{}", answer.seen());
    ensure!(answer.stderr.is_empty(), "nothing to say: {}", answer.stderr);
    ensure!(issuer.requests_total() == asked, "the identity provider was asked");
    ensure!(site.exchanges()?.len() == exchanged, "the concierge was asked");
    ensure!(ann.invitations()?.len() == 1, "the browser was opened again");
    Ok(())
}

async fn the_page_says_when_the_cluster_refuses(site: &Site, eve: &Person, browser: &Browser) -> Result<()> {
    let get = eve.kubectl(&site.kubeconfig, &["get", "namespaces"]);
    let (answer, _) = tokio::try_join!(get, sign_in(eve, browser, "eve"))?;
    ensure!(!answer.ok && answer.stdout.is_empty(), "{}", answer.seen());
    ensure!(browser.title().await? == "Not logged in to staging", "{}", browser.title().await?);
    let words = browser.text(&browser.find("main").await?).await?;
    let record = site.last_record("identity-reserved").await?;
    let audit_id = record["auditID"].as_str().context("an audit id")?;
    ensure!(words.contains("The cluster refused the login: authentication failed") && words.contains(audit_id));
    ensure!(refusal(&answer, audit_id), "terminal and page say the same: {}", answer.stderr);
    picture(browser, "refused").await
}

fn refusal(answer: &Answer, audit_id: &str) -> bool {
    answer.stderr.contains("authentication failed") && answer.stderr.contains(audit_id)
}

/// Somebody with an empty cache, and a browser that waits to be told where to go.
async fn person(home: &Path, site: &Site) -> Result<Person> {
    std::fs::create_dir(home)?;
    let mut person = Person::new(home, site.cluster.kubectl_program(), Programs::find().await?)?;
    person.expect_invitations()?;
    Ok(person)
}

/// Takes the browser where the plugin sends it, logs in there, and waits for the plugin's page. Returns that first address.
async fn sign_in(person: &Person, browser: &Browser, user: &str) -> Result<String> {
    let url = eventually("the plugin to open a browser", INVITATION_LIMIT, async || {
        anyhow::Ok(person.invitations()?.first().context("no invitation")?.clone())
    })
    .await?;
    browser.go(&url).await?;
    ensure!(browser.title().await? == "Sign in");
    picture(browser, "sign-in").await?;
    browser.sign_in(user, &format!("{user}-password")).await?;
    browser.address_starting_with("http://127.0.0.1:").await?;
    browser.find("body.good, body.bad").await?;
    Ok(url)
}

/// Keeps a picture where `LATCHKEY_SCREENSHOTS` says, else in the browser's folder, which stays if `LATCHKEY_KEEP` is set.
async fn picture(browser: &Browser, name: &str) -> Result<()> {
    let picture = browser.screenshot().await?;
    ensure!(picture.starts_with(b"\x89PNG"), "a picture");
    let folder = std::env::var_os("LATCHKEY_SCREENSHOTS").map_or_else(|| browser.folder().to_owned(), Into::into);
    Ok(std::fs::write(folder.join(format!("login-{name}.png")), picture)?)
}

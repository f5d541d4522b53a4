//! `status` and `logout`: what is kept, and how it goes.

use std::fs;

use serde_json::{Value, json};

use crate::people_login::{laptop, stanza, verb, with_person};
use crate::plugin::{Ended, Laptop};
use crate::site::{Exchange, Site};

async fn logged_in(site: &Site, contexts: &[(&str, Value)]) -> Laptop {
    let laptop = laptop(site, contexts);
    let ended = with_person(verb(&laptop, &["login", "--all-contexts"]).start(), site).await;
    assert!(ended.status.success(), "{ended:?}");
    laptop
}

async fn status(laptop: &Laptop) -> Value {
    let ended = verb(laptop, &["status", "-o", "json"]).end().await;
    serde_json::from_str(&ended.stdout).unwrap()
}

fn kept(laptop: &Laptop, directory: &str, extension: &str) -> usize {
    let entries = fs::read_dir(laptop.path("cache").join(directory)).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|found| found == extension)).count()
}

/// The last line, after checking that standard output stayed empty.
fn last(ended: &Ended) -> &str {
    assert_eq!(ended.stdout, "", "{ended:?}");
    ended.said.lines().last().unwrap_or_default()
}

#[tokio::test]
async fn status_shows_what_is_kept_without_asking_anybody() {
    let site = Site::start();
    let contexts = [("staging", stanza(&site, &[])), ("mine", stanza(&site, &["--account=jane@example.com"]))];
    let laptop = logged_in(&site, &contexts).await;
    let discoveries = site.seen(|seen| seen.discovery);
    let shown = verb(&laptop, &["status"]).end().await;
    let lines: Vec<&str> = shown.stdout.lines().collect();
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(head, ["CLUSTER", "IDENTITY", "ACCOUNT", "PROVIDER", "VALID-FOR", "UNTIL", "RENEWS", "KEPT"]);
    let row: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(row[..3], ["staging", "jane@example.com", "<none>"], "{shown:?}");
    assert_eq!(row[6..], ["yes", "plain"], "{shown:?}");
    let answer = status(&laptop).await;
    let session = &answer["sessions"][1];
    assert_eq!(session["account"], "jane@example.com");
    assert_eq!(
        (&session["cluster"], &session["state"], &session["renewable"]),
        (&json!("mine"), &json!("valid"), &json!(true))
    );
    assert_eq!(session["provider"], json!(site.issuer()));
    assert!(fs::exists(session["file"].as_str().unwrap()).unwrap());
    assert_eq!(site.seen(|seen| seen.discovery), discoveries);
    let yaml = verb(&laptop, &["status", "-o", "yaml"]).end().await.stdout;
    assert!(yaml.starts_with("sessions:\n") && yaml.contains("  client: staging\n"), "{yaml}");
}

#[tokio::test]
async fn status_tells_scripts_whether_a_login_is_needed() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[])), ("aws", json!({"exec": {"command": "aws"}}))]);
    let check = || verb(&laptop, &["status", "--check"]);
    let needed = check().end().await;
    assert_eq!(needed.failure(3), "error: login to staging is needed\n\nhint: kubectl latchkey login");
    let nothing = verb(&laptop, &["status"]).end().await;
    assert!(nothing.status.success() && last(&nothing) == "No login is kept here.", "{nothing:?}");
    assert_eq!(status(&laptop).await, json!({"sessions": []}));
    with_person(verb(&laptop, &["login"]).start(), &site).await;
    let good = check().end().await;
    assert!(good.status.success() && good.stdout.is_empty() && good.said.is_empty(), "{good:?}");
    // Ended, but it goes on by itself.
    laptop.edit("credentials", |credential| credential["usable_until"] = 1.into());
    laptop.edit("sessions", |session| session["usable_until"] = 1.into());
    assert!(check().end().await.status.success());
    assert_eq!(status(&laptop).await["sessions"][0]["state"], "renews");
    laptop.edit("sessions", |session| session["refresh_token"] = Value::Null);
    check().end().await.failure(3);
    assert_eq!(status(&laptop).await["sessions"][0]["state"], "ended");
    verb(&laptop, &["status", "--check", "--context=aws"]).end().await.failure(2);
}

#[tokio::test]
async fn logging_out_forgets_here_and_withdraws_there() {
    let site = Site::start();
    site.behave(|behaviour| behaviour.revocation = Some(200));
    let laptop = logged_in(&site, &[("staging", stanza(&site, &[]))]).await;
    let ended = verb(&laptop, &["logout"]).end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(last(&ended), "Logged out of staging, here and at 127.0.0.1");
    assert_eq!(site.seen(|seen| seen.revoked.clone()), ["refresh-1"]);
    assert_eq!((kept(&laptop, "sessions", "json"), kept(&laptop, "credentials", "json")), (0, 0));
    assert_eq!(kept(&laptop, "sessions", "server"), 0, "another cluster may be the next");
    let again = verb(&laptop, &["logout"]).end().await;
    assert!(again.status.success() && last(&again) == "No login of staging is kept here", "{again:?}");
}

#[tokio::test]
async fn how_the_cluster_refused_goes_with_the_login_or_with_time() {
    let site = Site::start();
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    let login = async |options: &[&str]| {
        let arguments: Vec<&str> = std::iter::once("login").chain(options.iter().copied()).collect();
        with_person(verb(&laptop, &arguments).start(), &site).await
    };
    login(&[]).await.failure(5);
    assert_eq!(kept(&laptop, "credentials", "refused"), 1);
    assert!(verb(&laptop, &["logout"]).end().await.status.success());
    assert_eq!((kept(&laptop, "sessions", "json"), kept(&laptop, "credentials", "refused")), (0, 0));
    // Nobody logs out, and three days pass.
    login(&[]).await.failure(5);
    let old = std::time::Duration::from_hours(72);
    let refusal = fs::File::options().write(true).open(laptop.entry("credentials", "refused")).unwrap();
    let written = refusal.metadata().unwrap().modified().unwrap();
    refusal.set_modified(written - old).unwrap();
    site.behave(|behaviour| behaviour.exchange = Exchange::Certificate);
    assert!(login(&["--force"]).await.status.success());
    assert_eq!(kept(&laptop, "credentials", "refused"), 0);
}

#[tokio::test]
async fn a_provider_that_cannot_be_told_keeps_nothing_here() {
    let site = Site::start();
    for (revocation, status, words) in [
        (Some(503), 6, "the login of staging is forgotten here, but 127.0.0.1 could not be told: "),
        (None, 0, "127.0.0.1 withdraws no logins, there it ends by itself"),
    ] {
        site.behave(|behaviour| behaviour.revocation = revocation);
        let laptop = logged_in(&site, &[("staging", stanza(&site, &[]))]).await;
        let ended = verb(&laptop, &["logout"]).end().await;
        assert_eq!(ended.status.code(), Some(status), "{ended:?}");
        assert!(ended.said.contains(words), "{ended:?}");
        assert_eq!(kept(&laptop, "sessions", "json"), 0);
    }
}

#[tokio::test]
async fn only_this_computer_or_the_browser_too() {
    let site = Site::start();
    site.behave(|behaviour| {
        behaviour.revocation = Some(200);
        behaviour.end_session = true;
    });
    let laptop = logged_in(&site, &[("staging", stanza(&site, &[]))]).await;
    let quietly = verb(&laptop, &["logout", "--no-revoke"]).end().await;
    assert_eq!(last(&quietly), "Logged out of staging on this computer");
    assert!(site.seen(|seen| seen.revoked.is_empty()));
    with_person(verb(&laptop, &["login"]).start(), &site).await;
    let ended = verb(&laptop, &["logout", "--end-session"]).end().await;
    assert!(ended.status.success(), "{ended:?}");
    let page = format!("Log out at 127.0.0.1: visit {}/end?client_id=staging", site.issuer());
    assert!(ended.said.contains(&page), "{ended:?}");
    assert_eq!(site.seen(|seen| seen.revoked.len()), 1);
}

#[tokio::test]
async fn all_logins_go_whether_or_not_a_context_uses_them() {
    let site = Site::start();
    site.behave(|behaviour| behaviour.revocation = Some(200));
    let contexts = [("staging", stanza(&site, &[])), ("mine", stanza(&site, &["--account=jane@example.com"]))];
    let laptop = logged_in(&site, &contexts).await;
    let mut kubeconfig: Value = serde_json::from_slice(&fs::read(laptop.path("kubeconfig")).unwrap()).unwrap();
    kubeconfig["contexts"].as_array_mut().unwrap().truncate(1);
    fs::write(laptop.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    let of_contexts = verb(&laptop, &["logout", "--all-contexts"]).end().await;
    assert_eq!(last(&of_contexts), "Logged out of staging, here and at 127.0.0.1");
    assert_eq!(kept(&laptop, "sessions", "json"), 1);
    let all = verb(&laptop, &["logout", "--all"]).end().await;
    assert!(all.status.success(), "{all:?}");
    let words =
        "Logged out of mine (jane@example.com) on this computer; no context uses it, so the provider is not told";
    assert_eq!(last(&all), words, "the site's roots are only in the kubeconfig");
    assert_eq!((kept(&laptop, "sessions", "json"), site.seen(|seen| seen.revoked.len())), (0, 1));
    assert_eq!(last(&verb(&laptop, &["logout", "--all"]).end().await), "No login is kept here.");
}

//! `login` and what follows from it, with a kubeconfig of several contexts.

use std::fs;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, Running, credential, log_in};
use crate::site::{CLIENT, Site, base64};

/// A stanza for this site, with further options.
pub(crate) fn stanza(site: &Site, more: &[&str]) -> Value {
    let own = [
        "credential".to_owned(),
        format!("--issuer={}", site.issuer()),
        format!("--client-id={CLIENT}"),
        format!("--ca-data={}", base64(&site.roots)),
        "--authenticator=people".to_owned(),
        "--skip-browser".to_owned(),
    ];
    let args: Vec<String> = own.into_iter().chain(more.iter().map(|&option| option.to_owned())).collect();
    json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "kubectl-latchkey", "args": args,
        "interactiveMode": "IfAvailable", "provideClusterInfo": true}})
}

/// A laptop with a kubeconfig: each context has a user of its own and the site as its cluster. The first one is in use.
pub(crate) fn laptop(site: &Site, contexts: &[(&str, Value)]) -> Laptop {
    let laptop = Laptop::new();
    let cluster = json!({"server": site.url(), "certificate-authority-data": base64(&site.roots)});
    let context = |name: &str| json!({"name": name, "context": {"cluster": "site", "user": name}});
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": contexts[0].0,
        "clusters": [{"name": "site", "cluster": cluster}],
        "contexts": contexts.iter().map(|(name, _)| context(name)).collect::<Vec<_>>(),
        "users": contexts.iter().map(|(name, user)| json!({"name": name, "user": user})).collect::<Vec<_>>()});
    fs::write(laptop.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    laptop
}

/// The plugin with this kubeconfig, without a terminal.
pub(crate) fn verb<'a>(laptop: &'a Laptop, arguments: &[&str]) -> Run<'a> {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let kubeconfig = laptop.path("kubeconfig").display().to_string();
    Run { laptop, arguments, environment: vec![("KUBECONFIG", kubeconfig)] }
}

/// Logs in as often as asked.
pub(crate) async fn with_person(mut running: Running, site: &Site) -> Ended {
    while let Some(url) = running.url().await {
        log_in(site, &url).await;
    }
    running.end().await
}

fn logins(site: &Site) -> usize {
    site.seen(|seen| seen.logins)
}

#[tokio::test]
async fn a_login_is_tried_out_and_then_nothing_asks() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    let ended = with_person(verb(&laptop, &["login"]).start(), &site).await;
    assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
    let last = ended.said.lines().last().unwrap();
    assert!(last.starts_with("Logged in to staging as jane@example.com until 20"), "{last}");
    assert!(last.ends_with("Z (9m59s, then renewed by itself)") || last.contains("Z (9m"), "{last}");
    assert_eq!((logins(&site), site.exchanges()), (1, 1));
    // kubectl finds all it needs.
    credential(&laptop, &site).end().await.credential();
    assert_eq!((logins(&site), site.exchanges()), (1, 1));
}

#[tokio::test]
async fn a_good_login_is_kept_unless_forced() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    with_person(verb(&laptop, &["login"]).start(), &site).await;
    let again = verb(&laptop, &["login"]).end().await;
    assert!(again.status.success() && again.said.starts_with("Logged in to staging as jane@"), "{again:?}");
    assert_eq!((logins(&site), site.exchanges()), (1, 2), "tried out again");
    let forced = with_person(verb(&laptop, &["login", "--force"]).start(), &site).await;
    assert!(forced.status.success(), "{forced:?}");
    assert_eq!(logins(&site), 2);
}

#[tokio::test]
async fn a_login_that_fails_costs_nobody_the_old_one() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    with_person(verb(&laptop, &["login"]).start(), &site).await;
    let forced = verb(&laptop, &["login", "--force", "--login-timeout=1"]).end().await;
    assert_eq!(forced.status.code(), Some(3), "{forced:?}");
    let again = verb(&laptop, &["login"]).end().await;
    assert!(again.status.success(), "{again:?}");
    assert_eq!(logins(&site), 1);
}

#[tokio::test]
async fn a_login_forgets_that_nobody_answered() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    let ignored = credential(&laptop, &site).with("--login-timeout=1").end().await;
    assert_eq!(ignored.status.code(), Some(3), "{ignored:?}");
    let paused = credential(&laptop, &site).end().await;
    assert_eq!(paused.status.code(), Some(3), "{paused:?}");
    let asked = with_person(verb(&laptop, &["login"]).start(), &site).await;
    assert!(asked.status.success(), "{asked:?}");
}

#[tokio::test]
async fn all_contexts_are_logged_in_to_and_a_shared_login_is_one() {
    let site = Site::start();
    let job = json!({"exec": {"command": "kubectl-latchkey", "args": ["credential", "--token-env=TOKEN"]}});
    let contexts = [
        ("staging", stanza(&site, &[])),
        ("staging-robots", stanza(&site, &["--authenticator=robots"])),
        ("other-account", stanza(&site, &["--account=jane@example.com"])),
        ("aws", json!({"exec": {"command": "aws"}})),
        ("job", job),
        ("wrong", stanza(&site, &["--no-such-option"])),
    ];
    let laptop = laptop(&site, &contexts);
    let ended = with_person(verb(&laptop, &["login", "--all-contexts", "--force"]).start(), &site).await;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert_eq!((logins(&site), site.exchanges()), (2, 3));
    let done: Vec<&str> = ended.said.lines().filter(|line| line.starts_with("Logged in to ")).collect();
    assert_eq!(done.len(), 3, "{ended:?}");
    assert!(done[1].starts_with("Logged in to staging-robots as jane@"), "{done:?}");
    let wrong = "wrong: the options of this plugin in the kubeconfig (context \"wrong\"): ";
    assert!(ended.said.contains(wrong), "{ended:?}");
    assert!(ended.said.ends_with("error: 1 of 4 logins did not succeed"), "{ended:?}");
}

#[tokio::test]
async fn options_may_be_typed_without_any_kubeconfig() {
    let site = Site::start();
    let laptop = Laptop::new();
    let mut run = credential(&laptop, &site).with(&format!("--concierge-endpoint={}", site.url()));
    run = run.with(&format!("--concierge-ca-data={}", base64(&site.roots)));
    run.arguments[0] = "login".to_owned();
    run.environment.clear();
    let ended = with_person(run.start(), &site).await;
    assert!(ended.said.lines().last().unwrap().starts_with("Logged in to Staging as jane@"), "{ended:?}");
}

#[tokio::test]
async fn whose_login_is_meant_must_be_clear() {
    let site = Site::start();
    let laptop = laptop(&site, &[("aws", json!({"exec": {"command": "aws"}})), ("staging", stanza(&site, &[]))]);
    let other = verb(&laptop, &["login"]).end().await;
    assert!(other.failure(2).contains("context \"aws\" does not log in by this plugin (but by aws)"), "{other:?}");
    let missing = verb(&laptop, &["login", "--context=stagin"]).end().await;
    assert!(missing.failure(2).contains("has no context \"stagin\""), "{missing:?}");
    let both = verb(&laptop, &["login", "--context=staging", "--all-contexts"]).end().await;
    assert!(both.failure(2).contains("either all contexts or one of them"), "{both:?}");
    let given = verb(&laptop, &["login", "--context=staging"]).set("LATCHKEY_TOKEN_ENV", "TOKEN").end().await;
    assert!(given.failure(2).contains("nobody logs in for staging: a token is given to it"), "{given:?}");
}

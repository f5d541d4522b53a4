//! `doctor` against a provider and a cluster of the tests' own, with one thing wrong at a time.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::{Value, json};

use crate::people_login::{laptop, stanza, verb};
use crate::plugin::{Ended, Laptop, Run};
use crate::site::{Site, base64};

type Change = fn(&mut Value);

/// A laptop on which all is well, but that nobody has logged in yet.
fn well(site: &Site) -> Laptop {
    let laptop = laptop(site, &[("staging", stanza(site, &[]))]);
    fs::create_dir(laptop.path("bin")).unwrap();
    fs::create_dir_all(laptop.path("home/.kube")).unwrap();
    symlink(env!("CARGO_BIN_EXE_kubectl-latchkey"), laptop.path("bin/kubectl-latchkey")).unwrap();
    kubectl(&laptop, "v1.36.3");
    // No desktop here, whatever the machine has.
    laptop.executable("bin/systemctl", "#!/bin/sh\nexit 1\n");
    laptop
}

/// A kubectl that shows the kubeconfig as it is.
fn kubectl(laptop: &Laptop, version: &str) {
    let version = json!({"clientVersion": {"gitVersion": version}});
    laptop.executable(
        "bin/kubectl",
        &format!(
            "#!/bin/sh\ncase \"$*\" in\n'version --client -o json '*) echo '{version}';;\n\
             'config view --raw -o json '*) cat \"$KUBECONFIG\";;\n\
             'get jwtauthenticators.authentication.concierge.latchkey.dev people -o json '*) echo '{{\"status\":{{\"phase\":\"Ready\"}}}}';;\n\
             *) echo \"unexpected: $*\" >&2; exit 1;;\nesac\n"
        ),
    );
}

fn doctor<'a>(laptop: &'a Laptop, arguments: &[&str]) -> Run<'a> {
    let arguments: Vec<&str> = std::iter::once("doctor").chain(arguments.iter().copied()).collect();
    verb(laptop, &arguments).set("PATH", format!("{}:/usr/bin:/bin", laptop.path("bin").display()))
}

/// Changes the one user of the kubeconfig.
fn with_user(laptop: &Laptop, change: impl FnOnce(&mut Value)) {
    let path = laptop.path("kubeconfig");
    let mut kubeconfig: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut kubeconfig["users"][0]["user"]);
    fs::write(&path, kubeconfig.to_string()).unwrap();
}

/// The verdicts of one check, each with what was found and the mend.
fn of(ended: &Ended, check: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let sections = report["sections"].as_array().unwrap().iter();
    let checks = sections.flat_map(|section| section["checks"].as_array().unwrap());
    checks
        .filter(|finding| finding["check"] == check)
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            (text("verdict"), format!("{}\n{}", text("found"), text("mend")))
        })
        .collect()
}

/// Runs it and expects one check to fail or to warn with these words, and the exit status to agree.
async fn expect(run: Run<'_>, check: &str, verdict: &str, words: &str) {
    let ended = run.with("-o").with("json").end().await;
    let found = of(&ended, check);
    let matching = found.iter().any(|(is, text)| is == verdict && text.contains(words));
    assert!(matching, "{check} {verdict} {words:?}: {found:?}\n{ended:?}");
    let failed = ended.stdout.contains("\"verdict\": \"fail\"");
    assert_eq!(ended.status.code(), Some(i32::from(failed)), "{ended:?}");
    assert!(!ended.stdout.contains("SECRET"), "{ended:?}");
}

#[tokio::test]
async fn where_all_is_well_it_says_so_and_changes_nothing() {
    let site = Site::start();
    let laptop = well(&site);
    let ended = doctor(&laptop, &[]).end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.starts_with("This computer\n  ok    kubectl       v1.36.3 at "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("\nContext staging\n") && ended.stdout.ends_with(" ok, 0 warnings, 0 failed\n"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains('\u{1b}') && ended.said.is_empty(), "{ended:?}");
    for words in
        ["nobody is logged in", "the provider takes http://127.0.0.1:", "it answers for login.concierge.latchkey.dev"]
    {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert_eq!(site.seen(|seen| (seen.logins, seen.exchanges.len())), (0, 0));
    for directory in ["sessions", "credentials"] {
        let left = fs::read_dir(laptop.path("cache").join(directory)).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().contains("doctor")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn with_a_login_the_round_trip_brings_a_credential_that_is_not_shown() {
    let site = Site::start();
    let laptop = well(&site);
    verb(&laptop, &["login"]).end_with_login(&site).await;
    let ended = doctor(&laptop, &["-o", "yaml"]).end().await;
    assert!(ended.status.success(), "{ended:?}");
    for words in [
        "a client certificate until ",
        "jane@example.com, until",
        "it answers for login.concierge.latchkey.dev",
        "people is in the cluster",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    for secret in ["PRIVATE KEY", "BEGIN CERTIFICATE", "refresh-1", "eyJ"] {
        assert!(!ended.stdout.contains(secret), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_provider_is_found() {
    let site = Site::start();
    let laptop = well(&site);
    site.behave(|it| it.clock_ahead = -3600);
    expect(doctor(&laptop, &[]), "clock", "fail", "60 min ahead of the identity provider's").await;
    site.behave(|it| it.clock_ahead = 120);
    expect(doctor(&laptop, &[]), "clock", "warn", "2 min behind the cluster's").await;
    site.behave(|it| {
        it.clock_ahead = 0;
        it.metadata = json!({"issuer": "https://other.example/"});
    });
    expect(doctor(&laptop, &[]), "discovery", "fail", "--issuer=https://other.example/,").await;
    site.behave(|it| it.metadata = json!({"code_challenge_methods_supported": ["plain"]}));
    expect(doctor(&laptop, &[]), "pkce", "warn", "S256").await;
    site.behave(|it| it.metadata = json!({"scopes_supported": ["openid"]}));
    expect(doctor(&laptop, &[]), "refresh", "warn", "offline_access").await;
    site.behave(|it| {
        it.metadata = json!({});
        it.keys_outage = true;
    });
    expect(doctor(&laptop, &[]), "keys", "fail", "503").await;
    site.behave(|it| {
        it.keys_outage = false;
        it.refuses_redirects = true;
    });
    expect(doctor(&laptop, &[]), "redirect", "fail", "register http://127.0.0.1:").await;
}

#[tokio::test]
async fn what_is_wrong_with_the_way_is_found() {
    let (site, other) = (Site::start(), Site::start());
    let laptop = well(&site);
    // Another authority: the certificate could be anybody's.
    with_user(&laptop, |user| {
        user["exec"]["args"] = stanza(
            &site,
            &[&format!("--concierge-ca-data={}", base64(&other.roots)), "--redirect-ports=0"],
        )["exec"]["args"]
            .clone();
    });
    expect(doctor(&laptop, &[]), "cluster", "fail", "not signed by the authority that the settings name").await;
    // Nobody listens there.
    with_user(&laptop, |user| *user = stanza(&site, &["--concierge-endpoint=https://127.0.0.1:9"]));
    expect(doctor(&laptop, &[]), "cluster", "fail", "no connection to the cluster at 127.0.0.1:9").await;
    with_user(&laptop, |user| *user = stanza(&site, &["--concierge-endpoint=https://no-such-name.invalid"]));
    expect(doctor(&laptop, &[]), "cluster", "fail", "cannot be resolved").await;
    // The plugin has roots of its own for the same server, and kubectl has wrong ones.
    let (endpoint, roots) = (format!("--concierge-endpoint={}", site.url()), base64(&site.roots));
    with_user(&laptop, |user| *user = stanza(&site, &[&endpoint, &format!("--concierge-ca-data={roots}")]));
    let kubeconfig = fs::read_to_string(laptop.path("kubeconfig")).unwrap();
    let mut wrong: Value = serde_json::from_str(&kubeconfig).unwrap();
    wrong["clusters"][0]["cluster"]["certificate-authority-data"] = base64(&other.roots).into();
    fs::write(laptop.path("kubeconfig"), wrong.to_string()).unwrap();
    expect(doctor(&laptop, &[]), "cluster", "fail", "for kubectl itself: the certificate of the cluster at").await;
    expect(doctor(&laptop, &[]), "concierge", "ok", "it answers").await;
    fs::write(laptop.path("kubeconfig"), kubeconfig).unwrap();
    with_user(&laptop, |user| *user = stanza(&site, &[]));
    let proxied = doctor(&laptop, &[]).set("HTTPS_PROXY", "http://jane:SECRET@127.0.0.1:9");
    expect(proxied, "provider", "fail", "NO_PROXY,127.0.0.1").await;
}

#[tokio::test]
async fn what_is_wrong_with_the_cluster_is_found() {
    let site = Site::start();
    let laptop = well(&site);
    for (status, verdict, words) in [
        (404, "fail", "--api-group-suffix"),
        (503, "fail", "nobody answers for it"),
        (401, "fail", "impersonation proxy"),
        (403, "fail", "lets nobody reach"),
    ] {
        site.behave(|it| it.without_token = status);
        expect(doctor(&laptop, &[]), "concierge", verdict, words).await;
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_stanza_is_found() {
    let site = Site::start();
    let laptop = well(&site);
    let changes: [(Change, &str, &str); 5] = [
        (|user| user["token"] = "SECRET".into(), "silenced", "kubectl config unset 'users.staging.token'"),
        (|user| user["exec"]["apiVersion"] = "client.authentication.k8s.io/v1alpha1".into(), "stanza", "v1alpha1"),
        (
            |user| drop(user["exec"].as_object_mut().unwrap().remove("interactiveMode")),
            "stanza",
            "interactiveMode: IfAvailable",
        ),
        (|user| user["exec"]["command"] = "/no/such/kubectl-latchkey".into(), "stanza", "is not found"),
        (|user| user["exec"]["args"] = json!(["credential", "--isuer=x"]), "settings", "--isuer"),
    ];
    for (change, check, words) in changes {
        with_user(&laptop, |user| *user = stanza(&site, &[]));
        with_user(&laptop, change);
        expect(doctor(&laptop, &[]), check, "fail", words).await;
    }
    expect(doctor(&laptop, &["--context", "nowhere"]), "kubeconfig", "fail", "\"nowhere\"").await;
}

#[tokio::test]
async fn the_plugin_policy_of_kubectl_is_judged_with_its_mend() {
    let site = Site::start();
    let laptop = well(&site);
    let policy = |text: &str| {
        let head = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n";
        fs::write(laptop.path("home/.kube/kuberc"), format!("{head}{text}")).unwrap();
    };
    policy("credentialPluginPolicy: DenyAll\n");
    expect(doctor(&laptop, &[]), "kuberc", "fail", "\n- name: kubectl-latchkey\n").await;
    expect(doctor(&laptop, &[]).set("KUBERC", "off"), "kuberc", "ok", "KUBERC=off").await;
    policy("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: sh\n");
    let words = "--allowlist-entry command=sh --allowlist-entry command=kubectl-latchkey";
    expect(doctor(&laptop, &[]), "kuberc", "fail", words).await;
    policy("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: kubectl-latchkey\n");
    expect(doctor(&laptop, &[]), "kuberc", "ok", "lets kubectl run").await;
    kubectl(&laptop, "v1.35.1");
    expect(doctor(&laptop, &[]), "kuberc", "fail", "write `name:`").await;
}

#[tokio::test]
async fn what_is_wrong_with_this_computer_is_found() {
    let site = Site::start();
    let laptop = well(&site);
    laptop.executable("bin/kubectl-latchkey-login", "#!/bin/sh\n");
    expect(doctor(&laptop, &[]), "shadowing", "fail", "`kubectl latchkey login` runs another program").await;
    fs::remove_file(laptop.path("bin/kubectl-latchkey-login")).unwrap();
    let sessions = laptop.path("cache/sessions");
    fs::set_permissions(&sessions, fs::Permissions::from_mode(0o777)).unwrap();
    expect(doctor(&laptop, &[]), "cache", "fail", "chmod 700").await;
    fs::set_permissions(&sessions, fs::Permissions::from_mode(0o700)).unwrap();
    expect(doctor(&laptop, &[]).set("LATCHKEY_FLWO", "none"), "environment", "warn", "unset LATCHKEY_FLWO").await;
    laptop.executable("bin/systemctl", "#!/bin/sh\necho PATH=/usr/bin:/bin\n");
    expect(doctor(&laptop, &[]), "desktop", "warn", "--command-path=").await;
    fs::remove_file(laptop.path("bin/kubectl")).unwrap();
    let elsewhere = doctor(&laptop, &[]).set("PATH", laptop.path("bin").display().to_string());
    expect(elsewhere, "kubectl", "fail", "install kubectl").await;
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    kubectl(&laptop, "v1.36.3");
    with_user(&laptop, |user| *user = stanza(&site, &[&format!("--redirect-ports={port}")]));
    expect(doctor(&laptop, &[]), "loopback", "fail", "another program holds it").await;
}

#[tokio::test]
async fn options_can_be_tried_without_a_kubeconfig() {
    let site = Site::start();
    let laptop = well(&site);
    fs::write(laptop.path("kubeconfig"), "{}").unwrap();
    let arguments = stanza(
        &site,
        &[&format!("--concierge-endpoint={}", site.url()), &format!("--concierge-ca-data={}", base64(&site.roots))],
    );
    let typed: Vec<&str> =
        arguments["exec"]["args"].as_array().unwrap()[1..].iter().map(|it| it.as_str().unwrap()).collect();
    let ended = doctor(&laptop, &[&["--"], typed.as_slice()].concat()).end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert!(
        ended.stdout.contains("\nThe options\n") && ended.stdout.contains("nobody is logged in yet"),
        "{}",
        ended.stdout
    );
}

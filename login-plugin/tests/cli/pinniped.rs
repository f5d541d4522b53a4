//! Kubeconfigs of Pinniped's CLI from outside: its flags, its files, and a concierge of Pinniped's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, log_in};
use crate::site::{CLIENT, Exchange, Refresh, Site, base64, now};

/// As the stock program, v0.47.0, wrote them; names in capitals stand for what differs from run to run.
const STOCK_SESSIONS: &str = include_str!("pinniped/sessions.yaml");
const STOCK_CREDENTIALS: &str = include_str!("pinniped/credentials.yaml");

/// The stanza that `pinniped get kubeconfig` writes for this site, with the URL shown.
pub(crate) fn oidc<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    let mut arguments = vec!["login".to_owned(), "oidc".to_owned()];
    arguments.extend(concierge(site));
    arguments.extend([
        format!("--issuer={}", site.issuer()),
        format!("--client-id={CLIENT}"),
        "--scopes=offline_access,openid,email".to_owned(),
        "--skip-browser".to_owned(),
        format!("--ca-bundle-data={}", base64(&site.roots)),
        format!("--request-audience={CLIENT}"),
    ]);
    Run { laptop, arguments, environment: Vec::new() }
}

fn concierge(site: &Site) -> [String; 6] {
    [
        "--enable-concierge".to_owned(),
        "--concierge-api-group-suffix=pinniped.dev".to_owned(),
        "--concierge-authenticator-name=people".to_owned(),
        "--concierge-authenticator-type=jwt".to_owned(),
        format!("--concierge-endpoint={}", site.url()),
        format!("--concierge-ca-bundle-data={}", base64(&site.roots)),
    ]
}

/// A static token for the same concierge.
fn fixed<'a>(laptop: &'a Laptop, site: &Site, token: &str) -> Run<'a> {
    let mut arguments = vec!["login".to_owned(), "static".to_owned()];
    arguments.extend(concierge(site));
    arguments.push(format!("--token={token}"));
    Run { laptop, arguments, environment: Vec::new() }
}

/// A site with a concierge of Pinniped's: it knows nothing of certificate requests and makes keys itself.
pub(crate) fn stock_site() -> Site {
    let site = Site::start();
    site.behave(|behaviour| behaviour.exchange = Exchange::ServerKey);
    site
}

impl Laptop {
    pub(crate) fn pinniped(&self, file: &str) -> PathBuf {
        self.path("home/.config/pinniped").join(file)
    }

    pub(crate) fn yaml(&self, file: &str) -> Value {
        serde_norway::from_str(&fs::read_to_string(self.pinniped(file)).unwrap()).unwrap()
    }

    fn put(&self, file: &str, text: &str) {
        fs::create_dir_all(self.path("home/.config/pinniped")).unwrap();
        for directory in ["home", "home/.config", "home/.config/pinniped"] {
            fs::set_permissions(self.path(directory), fs::Permissions::from_mode(0o700)).unwrap();
        }
        fs::write(self.pinniped(file), text).unwrap();
        fs::set_permissions(self.pinniped(file), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Changes the one entry of a file as time, or another program, would have.
    pub(crate) fn change(&self, file: &str, list: &str, change: impl FnOnce(&mut Value)) {
        let mut document = self.yaml(file);
        change(&mut document[list][0]);
        fs::write(self.pinniped(file), serde_norway::to_string(&document).unwrap()).unwrap();
    }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap().to_string()
}

/// The answer, after checking that it has the stock program's shape.
pub(crate) fn answer(ended: &Ended) -> Value {
    let answer = ended.credential();
    assert_eq!(answer["apiVersion"], "client.authentication.k8s.io/v1beta1");
    assert_eq!(answer["spec"], json!({"interactive": false}));
    answer
}

#[tokio::test]
async fn a_login_stands_in_the_stock_programs_files() {
    let (site, laptop) = (stock_site(), Laptop::new());
    let run = oidc(&laptop, &site);
    let first = run.end_with_login(&site).await;
    let answered = answer(&first);
    assert!(answered["status"]["clientKeyData"].as_str().unwrap().contains("PRIVATE KEY"));
    let request = site.seen(|seen| seen.exchanges[0].clone());
    assert_eq!(request["apiVersion"], "login.concierge.pinniped.dev/v1alpha1");
    assert_eq!(request["spec"]["authenticator"]["apiGroup"], "authentication.concierge.pinniped.dev");
    let asked = site.seen(|seen| seen.authorizations[0].clone());
    let mut scopes: Vec<&str> = asked["scope"].split(' ').collect();
    scopes.sort_unstable();
    assert_eq!((asked["access_type"].as_str(), scopes), ("offline", vec!["email", "offline_access", "openid"]));
    assert!(asked["redirect_uri"].starts_with("http://127.0.0.1:") && asked["redirect_uri"].ends_with("/callback"));

    let sessions = laptop.yaml("sessions.yaml");
    assert_eq!(sessions["apiVersion"], "config.supervisor.pinniped.dev/v1alpha1");
    assert_eq!(sessions["kind"], "SessionCache");
    let session = &sessions["sessions"][0];
    assert_eq!(
        session["key"],
        json!({"clientID": CLIENT, "issuer": site.issuer(), "redirect_uri": "http://localhost:0/callback",
            "scopes": ["email", "offline_access", "openid"]})
    );
    assert_eq!(session["tokens"]["refresh"], json!({"token": "refresh-1"}));
    assert_eq!(session["tokens"]["id"]["claims"]["aud"], CLIENT, "the stock program looks for it there");
    let expiry = session["tokens"]["id"]["claims"]["exp"].as_i64().unwrap();
    assert_eq!(session["tokens"]["id"]["expiryTimestamp"], time(expiry));
    assert_eq!(laptop.yaml("credentials.yaml")["credentials"][0]["key"].as_str().unwrap().len(), 64);
    for file in ["sessions.yaml", "credentials.yaml", "sessions.yaml.lock", "credentials.yaml.lock"] {
        assert_eq!(fs::metadata(laptop.pinniped(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    assert_eq!(fs::metadata(laptop.pinniped("")).unwrap().permissions().mode() & 0o777, 0o700);

    assert_eq!(run.end().await.stdout, first.stdout, "the same bytes");
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    answer(&run.end().await);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 0));
    assert_eq!(site.exchanges(), 2);
}

#[tokio::test]
async fn a_session_of_the_stock_program_needs_no_login() {
    let (site, laptop) = (stock_site(), Laptop::new());
    // What it left when its ID token was past: a refresh token, and no word about whose it is.
    oidc(&laptop, &site).end_with_login(&site).await.credential();
    let filled = STOCK_SESSIONS.replace("ISSUER", &site.issuer()).replace("REFRESH", "refresh-1");
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let stale = format!("{}.{}.c2ln", part(&json!({"alg": "ES256"})), part(&json!({"aud": CLIENT, "sub": "jane"})));
    let filled =
        filled.replace("TOKEN", &stale).replace("EXPIRY", &time(now() - 60)).replace("USED", &time(now() - 100));
    laptop.put("sessions.yaml", &filled);
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    answer(&oidc(&laptop, &site).end().await);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
    let sessions = laptop.yaml("sessions.yaml");
    let session = &sessions["sessions"][0];
    assert_eq!(session["tokens"]["refresh"]["token"], "refresh-2");
    assert_ne!(session["tokens"]["id"]["token"], stale);
    assert_eq!(session["creationTimestamp"], "2026-11-21T10:00:00Z", "the login's own time stays");
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_credential_of_the_stock_program_is_handed_out() {
    let laptop = Laptop::new();
    // The arguments and the key are those of a run of the stock program.
    let line = "login static --enable-concierge --concierge-authenticator-name=people \
                --concierge-authenticator-type=webhook --concierge-endpoint=https://127.0.0.1:34567 --token=a<b>&\"c";
    let run = Run {
        laptop: &laptop,
        arguments: line.split_whitespace().map(ToOwned::to_owned).collect(),
        environment: Vec::new(),
    };
    laptop.put("credentials.yaml", &STOCK_CREDENTIALS.replace("CREATED", &time(now() - 60)));
    let answered = answer(&run.end().await);
    assert_eq!(answered["status"]["expirationTimestamp"], "2099-07-23T12:05:00Z");
    assert_eq!(
        answered["status"]["clientCertificateData"],
        "-----BEGIN CERTIFICATE-----\nQ0VSVA==\n-----END CERTIFICATE-----\n"
    );
    assert_eq!(answered["status"]["clientKeyData"], "-----BEGIN PRIVATE KEY-----\nS0VZ\n-----END PRIVATE KEY-----\n");
    // An hour later it is not: nobody listens there, so there is no other.
    laptop.put("credentials.yaml", &STOCK_CREDENTIALS.replace("CREATED", &time(now() - 3700)));
    run.end().await.failure(6);
}

#[tokio::test]
async fn a_static_token_is_exchanged_once_and_kept_under_its_own_name() {
    let (site, laptop) = (stock_site(), Laptop::new());
    let first = fixed(&laptop, &site, "opaque").end().await;
    answer(&first);
    assert_eq!(fixed(&laptop, &site, "opaque").end().await.stdout, first.stdout);
    assert_eq!(site.exchanges(), 1);
    let by_variable = fixed(&laptop, &site, "opaque").with("--token-env=TOKEN").set("TOKEN", "another");
    answer(&by_variable.end().await);
    assert_eq!(site.exchanges(), 2);
    assert_eq!(site.seen(|seen| seen.exchanges[1]["spec"]["token"].clone()), "another", "the variable wins");
    let unset = fixed(&laptop, &site, "opaque").with("--token-env=NOPE");
    assert!(unset.end().await.failure(2).contains("--token-env variable \"NOPE\" is not set"));
    let switched_off = fixed(&laptop, &site, "opaque").with("--credential-cache=");
    answer(&switched_off.end().await);
    answer(&switched_off.end().await);
    assert_eq!(site.exchanges(), 4);
}

#[tokio::test]
async fn without_a_concierge_the_token_itself_is_the_answer() {
    let laptop = Laptop::new();
    let arguments = ["login", "static", "--token=a", "--concierge-namespace=old"].map(ToOwned::to_owned).to_vec();
    let ended = Run { laptop: &laptop, arguments, environment: Vec::new() }.end().await;
    assert_eq!(answer(&ended)["status"], json!({"token": "a"}));
    assert_eq!(ended.said, "Flag --concierge-namespace has been deprecated, not needed anymore");
    assert!(!laptop.pinniped("credentials.yaml").exists());
}

#[tokio::test]
async fn an_end_that_nobody_said_is_null() {
    let (site, laptop) = (stock_site(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::TokenWithoutEnd);
    let ended = fixed(&laptop, &site, "opaque").end().await;
    assert_eq!(answer(&ended)["status"], json!({"expirationTimestamp": null, "token": "cluster-token"}));
    assert!(!laptop.pinniped("credentials.yaml").exists(), "nobody knows how long it may be kept");
}

#[tokio::test]
async fn what_others_keep_in_the_files_stays() {
    let (site, laptop) = (stock_site(), Laptop::new());
    let run = oidc(&laptop, &site);
    run.end_with_login(&site).await.credential();
    let mut document = laptop.yaml("sessions.yaml");
    document["novelty"] = json!({"a": 1});
    document["sessions"][0]["tokens"]["refresh"]["novelty"] = json!("yes");
    let other = json!({
        "key": {"clientID": "x", "issuer": "https://other", "redirect_uri": "http://localhost:0/callback", "scopes": []},
        "creationTimestamp": time(now() - 1000), "lastUsedTimestamp": time(now() - 1000),
        "tokens": {"refresh": {"token": "of another login"}}, "novelty": true,
    });
    let mut old = other.clone();
    old["key"]["issuer"] = json!("https://forgotten");
    old["lastUsedTimestamp"] = json!(time(now() - 91 * 24 * 3600));
    document["sessions"].as_array_mut().unwrap().extend([other.clone(), old]);
    document["sessions"][0]["tokens"]["id"]["expiryTimestamp"] = json!(time(now() - 1));
    laptop.put("sessions.yaml", &serde_norway::to_string(&document).unwrap());
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    answer(&run.end().await);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
    let after = laptop.yaml("sessions.yaml");
    assert_eq!(after["novelty"], json!({"a": 1}));
    let sessions = after["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "the one that nobody used is dropped: {sessions:?}");
    assert_eq!(sessions[0], other, "the oldest stands first, as it was");
    assert_eq!(sessions[1]["tokens"]["refresh"], json!({"token": "refresh-2", "novelty": "yes"}));
}

#[tokio::test]
async fn only_a_dead_session_costs_a_login() {
    let (site, laptop) = (stock_site(), Laptop::new());
    let run = oidc(&laptop, &site);
    run.end_with_login(&site).await.credential();
    let expire = || {
        laptop.change("sessions.yaml", "sessions", |entry| {
            entry["tokens"]["id"]["expiryTimestamp"] = json!(time(now() - 1));
        });
        let _gone_already = fs::remove_file(laptop.pinniped("credentials.yaml"));
    };
    expire();
    site.behave(|behaviour| behaviour.refresh = Refresh::NotWell);
    run.end().await.failure(6);
    assert_eq!(laptop.yaml("sessions.yaml")["sessions"][0]["tokens"]["refresh"]["token"], "refresh-1");
    site.behave(|behaviour| behaviour.refresh = Refresh::InvalidGrant);
    run.end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn files_that_are_damaged_or_linked_are_handled_with_care() {
    let (site, laptop) = (stock_site(), Laptop::new());
    let run = oidc(&laptop, &site);
    laptop.put("sessions.yaml", "sessions: [{key: {clientID");
    run.end_with_login(&site).await.credential();
    assert_eq!(laptop.yaml("sessions.yaml")["sessions"].as_array().unwrap().len(), 1, "half a file is none");

    // A flag may name any file of the person's; what was never a list of logins stays as it is.
    laptop.put("sessions.yaml", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n");
    laptop.put("credentials.yaml", "not: [a list of ours");
    let before = ["sessions.yaml", "credentials.yaml"].map(|name| fs::read(laptop.pinniped(name)).unwrap());
    let ended = run.end_with_login(&site).await;
    ended.credential();
    assert!(ended.said.contains("holds something else and is left alone"), "{ended:?}");
    let after = ["sessions.yaml", "credentials.yaml"].map(|name| fs::read(laptop.pinniped(name)).unwrap());
    assert_eq!(after, before);
    for name in ["sessions.yaml", "credentials.yaml"] {
        fs::remove_file(laptop.pinniped(name)).unwrap();
    }
    run.end_with_login(&site).await.credential();

    // Of people who keep their settings in one place.
    let real = laptop.path("home/sessions-elsewhere.yaml");
    fs::rename(laptop.pinniped("sessions.yaml"), &real).unwrap();
    symlink(&real, laptop.pinniped("sessions.yaml")).unwrap();
    laptop.change("sessions.yaml", "sessions", |entry| {
        entry["tokens"]["id"]["expiryTimestamp"] = json!(time(now() - 1));
    });
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (3, 1));
    assert!(fs::symlink_metadata(laptop.pinniped("sessions.yaml")).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("refresh-4"));

    let later = "apiVersion: config.supervisor.pinniped.dev/v9\nkind: SessionCache\nsessions: []\n";
    fs::write(&real, later).unwrap();
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    let ended = run.end_with_login(&site).await;
    ended.credential();
    assert_eq!(ended.said.matches("is of another version and left alone").count(), 1, "once: {}", ended.said);
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    let ended = oidc(&laptop, &site).with("--debug-session-cache").end_with_login(&site).await;
    assert!(ended.said.matches("debug: ").count() > 1, "each time: {}", ended.said);
    assert_eq!(fs::read_to_string(&real).unwrap(), later);
}

#[tokio::test]
async fn many_at_once_from_empty_files_are_one_login() {
    let (site, laptop) = (stock_site(), Laptop::new());
    let run = oidc(&laptop, &site);
    let mut first = run.start();
    let url = first.url().await.unwrap();
    let others: Vec<_> = (0..4).map(|_| run.start()).collect();
    log_in(&site, &url).await;
    let first = first.end().await;
    for other in others {
        assert_eq!(answer(&other.end().await), answer(&first));
    }
    assert_eq!((site.seen(|seen| seen.logins), site.exchanges()), (1, 1));
}

#[tokio::test]
async fn a_refusal_of_a_stock_concierge_is_one_though_it_says_created() {
    let (site, laptop) = (stock_site(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    let ended = fixed(&laptop, &site, "opaque").end().await;
    assert!(ended.failure(5).contains("authentication failed"), "{ended:?}");
    site.behave(|behaviour| behaviour.exchange = Exchange::AnonymousForbidden);
    assert!(fixed(&laptop, &site, "opaque").end().await.failure(5).contains("anonymous"));
    site.behave(|behaviour| behaviour.exchange = Exchange::NotWell);
    fixed(&laptop, &site, "opaque").end().await.failure(6);
}

#[tokio::test]
async fn a_concierge_that_speaks_the_newest_tls_only_is_spoken_to() {
    let (site, laptop) = (Site::start_speaking(&[&rustls::version::TLS13]), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::ServerKey);
    answer(&fixed(&laptop, &site, "opaque").end().await);
}

#[tokio::test]
async fn another_suffix_stands_in_path_and_body() {
    let (site, laptop) = (stock_site(), Laptop::new());
    let run = fixed(&laptop, &site, "opaque").with("--concierge-api-group-suffix=tuna.io");
    answer(&run.end().await);
    let request = site.seen(|seen| seen.exchanges[0].clone());
    assert_eq!(request["apiVersion"], "login.concierge.tuna.io/v1alpha1");
    assert_eq!(request["spec"]["authenticator"]["apiGroup"], "authentication.concierge.tuna.io");
}

#[tokio::test]
async fn under_its_name_the_other_commands_answer() {
    let laptop = Laptop::new();
    symlink(env!("CARGO_BIN_EXE_kubectl-latchkey"), laptop.path("pinniped")).unwrap();
    let pinniped = |line: &'static str| {
        let mut command = tokio::process::Command::new(laptop.path("pinniped"));
        command.args(line.split_whitespace()).env_clear().env("HOME", laptop.path("home"));
        async move { command.output().await.unwrap() }
    };
    let get = pinniped("get kubeconfig --oidc-skip-browser").await;
    assert_eq!(get.status.code(), Some(2));
    assert!(String::from_utf8(get.stderr).unwrap().contains("kubectl latchkey kubeconfig"));
    let version = pinniped("version -o json").await;
    let version: Value = serde_json::from_slice(&version.stdout).unwrap();
    assert_eq!(version["gitVersion"], concat!("v", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "fish", "powershell", "zsh"] {
        let mut command = tokio::process::Command::new(laptop.path("pinniped"));
        let script = command.args(["completion", shell]).env_clear().output().await.unwrap();
        let script = String::from_utf8(script.stdout).unwrap();
        assert!(script.contains("--concierge-endpoint") && !script.contains("skip-listen"), "{shell}: {script}");
    }
    let refused = pinniped("login oidc --issuer=https://idp --foo").await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("unknown flag: --foo"));
}

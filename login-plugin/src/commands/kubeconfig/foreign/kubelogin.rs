//! Users of int128/kubelogin (`kubectl oidc-login get-token`): the API server takes the token itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;

use super::{Rewritten, bundle, unmappable};
use crate::args::{CredentialArgs, Flow, RedirectHost, Store, TokenKind};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::pinniped::flags::{self, Flag, Given, Kind};

/// Where it listens unless told otherwise.
const LISTEN: [&str; 2] = ["127.0.0.1:8000", "127.0.0.1:18000"];

/// Its flags, of this and earlier releases (v1.36 and back).
const FLAGS: [Flag; 38] = {
    const fn flag(name: &'static str, kind: Kind) -> Flag {
        Flag { name, short: None, kind, deprecated: None }
    }
    [
        flag("authentication-timeout-sec", Kind::Text),
        flag("browser-command", Kind::Text),
        flag("certificate-authority", Kind::Text),
        flag("certificate-authority-data", Kind::Text),
        flag("force-keyring", Kind::Switch),
        flag("force-refresh", Kind::Switch),
        flag("grant-type", Kind::Text),
        flag("insecure-skip-tls-verify", Kind::Switch),
        flag("listen-address", Kind::List),
        flag("listen-port", Kind::List),
        flag("local-server-cert", Kind::Text),
        flag("local-server-key", Kind::Text),
        flag("logtostderr", Kind::Switch),
        flag("no-keyring", Kind::Switch),
        flag("oidc-auth-request-extra-params", Kind::List),
        flag("oidc-client-id", Kind::Text),
        flag("oidc-client-secret", Kind::Text),
        flag("oidc-extra-scope", Kind::List),
        flag("oidc-issuer-url", Kind::Text),
        flag("oidc-pkce-method", Kind::Text),
        flag("oidc-redirect-url", Kind::Text),
        flag("oidc-redirect-url-authcode-keyboard", Kind::Text),
        flag("oidc-redirect-url-hostname", Kind::Text),
        flag("oidc-request-header", Kind::List),
        flag("oidc-use-access-token", Kind::Switch),
        flag("oidc-use-pkce", Kind::Switch),
        flag("open-url-after-authentication", Kind::Text),
        flag("password", Kind::Text),
        flag("skip-open-browser", Kind::Switch),
        flag("skip_headers", Kind::Switch),
        flag("skip_log_headers", Kind::Switch),
        flag("stderrthreshold", Kind::Text),
        flag("tls-renegotiation-freely", Kind::Switch),
        flag("tls-renegotiation-once", Kind::Switch),
        flag("token-cache-dir", Kind::Text),
        flag("token-cache-storage", Kind::Text),
        flag("username", Kind::Text),
        Flag { name: "v", short: Some('v'), kind: Kind::Text, deprecated: None },
    ]
};

/// Flags without a counterpart, and why.
const UNMAPPABLE: [(&str, &str); 10] = [
    ("force-refresh", "a token is refreshed when it has to be"),
    ("insecure-skip-tls-verify", "a provider that does not prove itself is not logged in at; name its roots"),
    ("local-server-cert", "the answer of the browser comes over plain HTTP on this computer (RFC 8252 section 7.3)"),
    ("local-server-key", "the answer of the browser comes over plain HTTP on this computer (RFC 8252 section 7.3)"),
    ("oidc-request-header", "no headers can be added to the requests to the provider"),
    ("open-url-after-authentication", "the browser shows a page of this plugin"),
    ("password", "no password is taken"),
    ("tls-renegotiation-freely", "TLS 1.3 knows no renegotiation"),
    ("tls-renegotiation-once", "TLS 1.3 knows no renegotiation"),
    ("username", "no password is taken"),
];

/// Flags about its own files and words.
const LEFT_OUT: [&str; 6] =
    ["logtostderr", "skip_headers", "skip_log_headers", "stderrthreshold", "token-cache-dir", "v"];

/// Says a user's arguments, behind `get-token`, in our words. `typed` says where the client's secret is, if it has one.
///
/// # Errors
/// When they are none of kubelogin's, or cannot be said.
pub(super) fn rewritten(
    arguments: &[String],
    typed: &CredentialArgs,
    environment: &Environment,
) -> Result<Rewritten, Failure> {
    if arguments.iter().any(|word| word.starts_with("--server-id")) {
        return Err(unmappable("--server-id", "this is Azure's kubelogin, a program of the same name"));
    }
    let given = flags::parse(arguments.iter().cloned(), "kubelogin get-token", &FLAGS).map_err(|error| {
        Failure::new(Status::Usage, format!("not what kubelogin takes: {error}")).hint("nothing was written")
    })?;
    for (flag, why) in UNMAPPABLE {
        let says_no =
            FLAGS.iter().any(|known| known.name == flag && matches!(known.kind, Kind::Switch)) && !given.switch(flag);
        if !says_no && given.text(flag).is_some_and(|text| !text.is_empty()) {
            return Err(unmappable(&format!("--{flag}"), why));
        }
    }
    let required = |flag: &str| {
        given
            .filled(flag)
            .ok_or_else(|| Failure::new(Status::Usage, format!("--{flag} is missing")).hint("nothing was written"))
    };
    expect_secret(&given, typed)?;
    if given.text("oidc-pkce-method") == Some("no") {
        return Err(unmappable("--oidc-pkce-method=no", "a login without PKCE can be stolen"));
    }
    let flow = flow(&given)?;
    let redirect = Redirect::of(&given, flow)?;
    let (parameters, own) = parameters(&given)?;
    let browser = given.filled("browser-command").map(|command| ("LATCHKEY_BROWSER".to_owned(), command));
    let login = CredentialArgs {
        ca_data: roots(&given, environment)?,
        client_id: Some(required("oidc-client-id")?),
        extra_params: (!parameters.is_empty()).then_some(parameters),
        flow,
        issuer: Some(required("oidc-issuer-url")?),
        login_timeout: given.text("authentication-timeout-sec").map(timeout).transpose()?,
        no_exchange: Some(true),
        // What it asks for, and no more: the client may not be allowed more.
        optional_scopes: Some(Vec::new()),
        redirect_host: Some(vec![redirect.host]),
        redirect_path: Some(redirect.path),
        redirect_ports: Some(redirect.ports),
        scopes: given.list("oidc-extra-scope"),
        skip_browser: given.switch("skip-open-browser").then_some(true),
        store: store(&given)?,
        token_kind: given.switch("oidc-use-access-token").then_some(TokenKind::Access),
        ..own
    };
    Ok(Rewritten {
        login,
        environment: browser.into_iter().collect(),
        left_out: LEFT_OUT
            .into_iter()
            .filter(|flag| given.text(flag).is_some())
            .map(|flag| if flag == "v" { "-v".to_owned() } else { format!("--{flag}") })
            .collect(),
    })
}

/// A secret is never written into a kubeconfig again: the person has to say where it is now.
fn expect_secret(given: &Given, typed: &CredentialArgs) -> Result<(), Failure> {
    let is_elsewhere = typed.client_secret_file.is_some()
        || typed.client_secret_env.is_some()
        || typed.client_secret_keyring.unwrap_or_default();
    if is_elsewhere || given.filled("oidc-client-secret").is_none() {
        return Ok(());
    }
    Err(Failure::new(Status::Usage, "--oidc-client-secret: a secret does not belong into a kubeconfig").hint(
        "nothing was written; put the secret into a file that only you can read and say --client-secret-file FILE, \
         or into the keyring and say --client-secret-keyring, or into a variable and say --client-secret-env NAME",
    ))
}

fn flow(given: &Given) -> Result<Option<Flow>, Failure> {
    match given.text("grant-type").unwrap_or("auto") {
        "auto" => Ok(None),
        "authcode" => Ok(Some(Flow::Browser)),
        "authcode-keyboard" => Ok(Some(Flow::Paste)),
        "device-code" => Ok(Some(Flow::Device)),
        other => Err(unmappable(&format!("--grant-type={other}"), "a person logs in, or a job brings its own token")),
    }
}

fn store(given: &Given) -> Result<Option<Store>, Failure> {
    match given.text("token-cache-storage") {
        None if given.switch("force-keyring") => Ok(Some(Store::Keyring)),
        None if given.switch("no-keyring") => Ok(Some(Store::File)),
        None => Ok(None),
        Some("disk") => Ok(Some(Store::File)),
        Some("keyring") => Ok(Some(Store::Keyring)),
        Some("none") => Ok(Some(Store::None)),
        Some(other) => Err(unmappable(&format!("--token-cache-storage={other}"), "expected disk, keyring or none")),
    }
}

fn timeout(text: &str) -> Result<u32, Failure> {
    // The longest that this plugin waits.
    text.parse().ok().filter(|seconds| (1..=1800).contains(seconds)).ok_or_else(|| {
        unmappable(&format!("--authentication-timeout-sec={text}"), "expected between 1 and 1800 seconds")
    })
}

/// The redirect address as the client is registered, byte for byte.
#[derive(Debug, PartialEq, Eq)]
struct Redirect {
    host: RedirectHost,
    ports: Vec<u16>,
    path: String,
}

impl Redirect {
    fn of(given: &Given, flow: Option<Flow>) -> Result<Self, Failure> {
        let mut ports = Vec::new();
        let listened = given.list("listen-address").unwrap_or_else(|| {
            let older =
                given.list("listen-port").map(|ports| ports.iter().map(|port| format!("127.0.0.1:{port}")).collect());
            older.unwrap_or_else(|| LISTEN.map(ToOwned::to_owned).to_vec())
        });
        for address in &listened {
            let flag = format!("--listen-address={address}");
            let (host, port) =
                address.rsplit_once(':').ok_or_else(|| unmappable(&flag, "expected a host and a port"))?;
            if !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
                return Err(unmappable(&flag, "the answer of the browser is taken on this computer only"));
            }
            ports.push(port.parse().map_err(|_| unmappable(&flag, "expected a port"))?);
        }
        let by_keyboard = (flow == Some(Flow::Paste)).then_some("oidc-redirect-url-authcode-keyboard");
        let url = [Some("oidc-redirect-url"), by_keyboard]
            .into_iter()
            .flatten()
            .find_map(|flag| given.filled(flag).map(|url| (format!("--{flag}={url}"), url)));
        let Some((flag, text)) = url else {
            if flow == Some(Flow::Paste) {
                return Err(unmappable(
                    "--grant-type=authcode-keyboard",
                    "its redirect address urn:ietf:wg:oauth:2.0:oob is not taken by providers any more",
                ));
            }
            let name = given.text("oidc-redirect-url-hostname").unwrap_or("localhost");
            let host = host(name).ok_or_else(|| {
                unmappable(&format!("--oidc-redirect-url-hostname={name}"), "expected localhost, 127.0.0.1 or [::1]")
            })?;
            return Ok(Self { host, ports, path: String::new() });
        };
        let refused = |why| unmappable(&flag, why);
        let url = Url::parse(&text).map_err(|_| refused("expected an address on this computer"))?;
        let host = url.host_str().filter(|_| url.scheme() == "http").and_then(host);
        let host = host.ok_or_else(|| refused("expected http://, and localhost, 127.0.0.1 or [::1]"))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("expected no query"));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if flow != Some(Flow::Paste) && !ports.contains(&port) {
            return Err(refused("its port is none of those that it listens on"));
        }
        // As written: `http://localhost:8000` and `http://localhost:8000/` are two addresses to a provider.
        let path = text.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        Ok(Self { host, ports: vec![port], path })
    }
}

fn host(name: &str) -> Option<RedirectHost> {
    name.parse().ok()
}

/// Parameters of the authorization request: those that have an option of their own here, and the others.
fn parameters(given: &Given) -> Result<(BTreeMap<String, String>, CredentialArgs), Failure> {
    let mut parameters = BTreeMap::new();
    let mut own = CredentialArgs::default();
    for pair in given.list("oidc-auth-request-extra-params").unwrap_or_default() {
        let flag = format!("--oidc-auth-request-extra-params={pair}");
        let (name, value) = pair.split_once('=').ok_or_else(|| unmappable(&flag, "expected name=value"))?;
        let value = value.to_owned();
        match name {
            "audience" => own.request_audience = Some(value),
            "login_hint" => own.login_hint = Some(value),
            "prompt" => own.prompt = Some(value),
            "resource" => own.resource.get_or_insert_default().push(value),
            _ if crate::config::is_own_parameter(name) => {
                return Err(unmappable(&flag, "this plugin sets it itself"));
            }
            _ => {
                parameters.insert(name.to_owned(), value);
            }
        }
    }
    Ok((parameters, own))
}

fn roots(given: &Given, environment: &Environment) -> Result<Option<String>, Failure> {
    let mut pem = Vec::new();
    for data in given.every("certificate-authority-data") {
        let data = BASE64_STANDARD.decode(data.trim());
        pem.extend(data.map_err(|_| unmappable("--certificate-authority-data", "expected base64 of PEM"))?);
        pem.push(b'\n');
    }
    let home = environment.absolute_path("HOME").unwrap_or_default();
    let files: Vec<PathBuf> = given
        .every("certificate-authority")
        .iter()
        .map(|path| path.strip_prefix("~/").map_or_else(|| PathBuf::from(path), |path| home.join(path)))
        .collect();
    bundle("--certificate-authority", files.iter().map(AsRef::as_ref), pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::kubeconfig::arguments::arguments;

    const CLIENT: &str = "--oidc-issuer-url=https://idp --oidc-client-id=kubernetes";

    fn of(line: &str) -> Result<Rewritten, Failure> {
        let words: Vec<String> = format!("{CLIENT} {line}").split_whitespace().map(ToOwned::to_owned).collect();
        rewritten(&words, &CredentialArgs::default(), &Environment::Table(BTreeMap::new()))
    }

    fn redirect(line: &str) -> String {
        let login = of(line).unwrap().login;
        let ports: Vec<String> = login.redirect_ports.unwrap().iter().map(ToString::to_string).collect();
        let host = login.redirect_host.unwrap()[0].as_str();
        format!("http://{host}:{}{}", ports.join("|"), login.redirect_path.unwrap())
    }

    #[test]
    fn a_usual_stanza_is_said_in_our_words() {
        let line = "--oidc-extra-scope=email,groups --oidc-extra-scope offline_access --oidc-use-access-token -v1 \
            --skip-open-browser --authentication-timeout-sec 60 --token-cache-storage=keyring --grant-type=device-code \
            --oidc-auth-request-extra-params=prompt=login,hd=example.com --certificate-authority-data=QQ== \
            --certificate-authority-data=Qg== --token-cache-dir=~/x --browser-command=firefox --oidc-pkce-method=S256";
        let rewritten = of(line).unwrap();
        assert_eq!(
            arguments(&rewritten.login),
            [
                "credential",
                "--issuer=https://idp",
                "--client-id=kubernetes",
                "--scopes=email,groups,offline_access",
                "--optional-scopes=",
                "--prompt=login",
                "--extra-params=hd=example.com",
                "--token-kind=access",
                "--ca-data=QQpCCg==",
                "--flow=device",
                "--redirect-host=localhost",
                "--redirect-ports=8000,18000",
                "--redirect-path=",
                "--skip-browser",
                "--login-timeout=60",
                "--store=keyring",
                "--no-exchange",
            ]
        );
        assert_eq!(rewritten.left_out, ["--token-cache-dir", "-v"]);
        assert_eq!(rewritten.environment, [("LATCHKEY_BROWSER".to_owned(), "firefox".to_owned())]);
    }

    #[test]
    fn the_redirect_address_stays_as_it_is_registered() {
        for (line, expected) in [
            ("", "http://localhost:8000|18000"),
            ("--listen-address=127.0.0.1:12345 --listen-address localhost:0", "http://localhost:12345|0"),
            ("--oidc-redirect-url-hostname=127.0.0.1", "http://127.0.0.1:8000|18000"),
            ("--oidc-redirect-url=http://127.0.0.1:8000/", "http://127.0.0.1:8000/"),
            ("--oidc-redirect-url=http://localhost:18000/a/b", "http://localhost:18000/a/b"),
            ("--grant-type=authcode-keyboard --oidc-redirect-url=http://localhost", "http://localhost:80"),
        ] {
            assert_eq!(redirect(line), expected, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_said_names_its_flag() {
        for (line, flag) in [
            ("--insecure-skip-tls-verify", "--insecure-skip-tls-verify"),
            ("--oidc-client-secret=SECRET", "--oidc-client-secret"),
            ("--grant-type=password", "--grant-type=password"),
            ("--grant-type=authcode-keyboard", "authcode-keyboard"),
            ("--username=jane", "--username"),
            ("--listen-address=0.0.0.0:8000", "--listen-address=0.0.0.0:8000"),
            ("--oidc-redirect-url=https://x/cb", "--oidc-redirect-url=https://x/cb"),
            ("--oidc-redirect-url=http://localhost:9/", "--oidc-redirect-url"),
            ("--oidc-auth-request-extra-params=nonce=1", "nonce"),
            ("--oidc-pkce-method=no", "--oidc-pkce-method"),
            ("--oidc-request-header=a=b", "--oidc-request-header"),
            ("--local-server-cert=x", "--local-server-cert"),
            ("--certificate-authority=/no/such", "--certificate-authority /no/such"),
            ("--server-id x", "Azure"),
            ("--from-the-future", "--from-the-future"),
        ] {
            let failure = of(line).unwrap_err();
            assert!(failure.message.contains(flag) && !failure.message.contains("SECRET"), "{line}: {failure}");
        }
        assert!(of("--insecure-skip-tls-verify=false --force-refresh=false").is_ok());
    }

    #[test]
    fn a_secret_that_is_elsewhere_is_no_obstacle() {
        let words: Vec<String> =
            format!("{CLIENT} --oidc-client-secret=SECRET").split(' ').map(ToOwned::to_owned).collect();
        let typed = CredentialArgs { client_secret_keyring: Some(true), ..CredentialArgs::default() };
        let rewritten = rewritten(&words, &typed, &Environment::Table(BTreeMap::new())).unwrap();
        assert!(!arguments(&rewritten.login).join(" ").contains("SECRET"));
    }
}

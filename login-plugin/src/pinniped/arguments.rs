//! The commands of Pinniped's CLI that kubeconfigs and people use, with all their flags, hidden and deprecated ones too.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use latchkey_crds::groups::GroupSuffix;

use super::flags::{self, Flag, FlagError, Given, Kind};
use crate::config::{SupervisorFlow, SupervisorUpstream};
use crate::environment::Environment;

/// The client that a Pinniped Supervisor has for everybody.
const CLIENT: &str = "pinniped-cli";

/// What is asked for where the kubeconfig says nothing.
const SCOPES: [&str; 5] = ["offline_access", "openid", "pinniped:request-audience", "username", "groups"];

/// The ending of API group names where the kubeconfig says nothing.
const SUFFIX: &str = "pinniped.dev";

const fn flag(name: &'static str, kind: Kind) -> Flag {
    Flag { name, short: None, kind, deprecated: None }
}

/// Flags that both ways of logging in have.
const LOGIN: [Flag; 8] = [
    flag("concierge-api-group-suffix", Kind::Text),
    flag("concierge-authenticator-name", Kind::Text),
    flag("concierge-authenticator-type", Kind::Text),
    flag("concierge-ca-bundle-data", Kind::Text),
    flag("concierge-endpoint", Kind::Text),
    Flag { name: "concierge-namespace", short: None, kind: Kind::Text, deprecated: Some("not needed anymore") },
    flag("credential-cache", Kind::Text),
    flag("enable-concierge", Kind::Switch),
];

const OIDC: [Flag; 14] = [
    flag("ca-bundle", Kind::List),
    flag("ca-bundle-data", Kind::List),
    flag("client-id", Kind::Text),
    flag("debug-session-cache", Kind::Switch),
    flag("issuer", Kind::Text),
    flag("listen-port", Kind::Port),
    flag("request-audience", Kind::Text),
    flag("scopes", Kind::List),
    flag("session-cache", Kind::Text),
    flag("skip-browser", Kind::Switch),
    flag("skip-listen", Kind::Switch),
    flag("upstream-identity-provider-flow", Kind::Text),
    flag("upstream-identity-provider-name", Kind::Text),
    flag("upstream-identity-provider-type", Kind::Text),
];

const STATIC: [Flag; 2] = [flag("token", Kind::Text), flag("token-env", Kind::Text)];

const WHOAMI: [Flag; 5] = [
    flag("api-group-suffix", Kind::Text),
    flag("kubeconfig", Kind::Text),
    flag("kubeconfig-context", Kind::Text),
    Flag { name: "output", short: Some('o'), kind: Kind::Text, deprecated: None },
    flag("timeout", Kind::Span),
];

const VERSION: [Flag; 1] = [Flag { name: "output", short: Some('o'), kind: Kind::Text, deprecated: None }];

/// What is wanted.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// A completion script for this shell.
    Completion(Option<String>),
    /// `get kubeconfig`.
    GetKubeconfig,
    /// What there is.
    Help,
    /// A credential for a client of Kubernetes.
    Login(Box<Login>),
    /// The version.
    Version(Output),
    /// Who the cluster takes us for.
    Whoami(Whoami),
}

/// `login oidc` or `login static`.
#[derive(Debug, PartialEq)]
pub(crate) struct Login {
    /// Where the token goes.
    pub(crate) concierge: Option<Concierge>,
    /// The file of credentials; none if there shall be none.
    pub(crate) credential_cache: Option<PathBuf>,
    /// How to log in.
    pub(crate) by: By,
    /// What to say about flags that nobody needs any more.
    pub(crate) remarks: Vec<String>,
}

/// How to log in.
#[derive(Debug, PartialEq)]
pub(crate) enum By {
    /// At an identity provider.
    Oidc(OidcLogin),
    /// With a token that is there.
    Static(StaticLogin),
}

/// The endpoint that exchanges the token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Concierge {
    /// `JWTAuthenticator` or `WebhookAuthenticator`.
    pub(crate) authenticator_kind: &'static str,
    /// Its name.
    pub(crate) authenticator_name: String,
    /// Base64 of PEM; none for the system's roots.
    pub(crate) ca_data: Option<String>,
    /// URL.
    pub(crate) endpoint: String,
    /// Suffix of the API groups.
    pub(crate) suffix: GroupSuffix,
}

/// Flags of `login oidc`.
#[derive(Debug, PartialEq)]
pub(crate) struct OidcLogin {
    /// Files of PEM.
    pub(crate) ca_bundles: Vec<PathBuf>,
    /// PEM.
    pub(crate) ca_data: Vec<u8>,
    /// Our client at the provider.
    pub(crate) client_id: String,
    /// Whether to say why the file of sessions is not used.
    pub(crate) debug_session_cache: bool,
    /// The provider.
    pub(crate) issuer: String,
    /// 0 for any.
    pub(crate) listen_port: u16,
    /// The audience that the cluster takes, where it is not the client.
    pub(crate) request_audience: Option<String>,
    /// Sorted, as they were given.
    pub(crate) scopes: Vec<String>,
    /// The file of sessions.
    pub(crate) session_cache: Option<PathBuf>,
    /// Never start a browser.
    pub(crate) skip_browser: bool,
    /// Paste only.
    pub(crate) skip_listen: bool,
    /// Which provider behind a Pinniped Supervisor.
    pub(crate) upstream: Option<SupervisorUpstream>,
    /// How to log in there; none if the Supervisor decides.
    pub(crate) flow: Option<SupervisorFlow>,
}

/// Flags of `login static`.
#[derive(Debug, PartialEq)]
pub(crate) struct StaticLogin {
    /// `--token`.
    pub(crate) token: Option<String>,
    /// `--token-env`, which wins.
    pub(crate) variable: Option<String>,
}

/// Flags of `whoami`.
#[derive(Debug, PartialEq)]
pub(crate) struct Whoami {
    /// `--kubeconfig`.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// `--kubeconfig-context`.
    pub(crate) context: Option<String>,
    /// How to answer.
    pub(crate) output: Output,
    /// `--api-group-suffix`.
    pub(crate) suffix: GroupSuffix,
    /// `--timeout` in seconds; none for no limit of the caller's.
    pub(crate) timeout: Option<u64>,
}

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// For programs.
    Json,
    /// For people.
    Text,
    /// For programs.
    Yaml,
}

/// Reads the command line without the program's own name.
///
/// # Errors
/// In the stock program's words, as far as it has some.
pub(crate) fn parse(arguments: &[String], environment: &Environment) -> Result<Command, FlagError> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let rest = |count: usize| arguments.iter().skip(count).cloned();
    match words.as_slice() {
        [] | ["help" | "-h" | "--help", ..] | ["login" | "get"] | ["login" | "get", "-h" | "--help" | "help", ..] => {
            Ok(Command::Help)
        }
        ["login", "oidc", ..] => oidc(rest(2), environment),
        ["login", "static", ..] => fixed(rest(2), environment),
        ["whoami", ..] => whoami(rest(1), environment),
        ["version", ..] => {
            let given = flags::parse(rest(1), "pinniped version", &VERSION)?;
            let output = output(&given, "", |text| format!("'{text}' is not a valid option for output"))?;
            Ok(if given.help { Command::Help } else { Command::Version(output) })
        }
        ["get", "kubeconfig", ..] => Ok(Command::GetKubeconfig),
        ["completion", shell @ ..] => {
            Ok(Command::Completion(shell.first().filter(|word| !word.starts_with('-')).map(|&word| word.to_owned())))
        }
        ["login", word, ..] => unknown(word, "pinniped login"),
        ["get", word, ..] => unknown(word, "pinniped get"),
        [word, ..] => unknown(word, "pinniped"),
    }
}

/// Everything that may be typed, for shells that complete words; what the stock program hides stays hidden.
pub(crate) fn words() -> Vec<String> {
    let commands = ["completion", "get", "kubeconfig", "login", "oidc", "static", "version", "whoami"];
    let flags = [LOGIN.as_slice(), &OIDC, &STATIC, &WHOAMI].concat();
    let hidden = ["concierge-namespace", "debug-session-cache", "skip-listen"];
    let flags = flags.iter().map(|flag| flag.name).filter(|name| !hidden.contains(name));
    let mut words: Vec<String> = flags.map(|name| format!("--{name}")).collect();
    words.sort_unstable();
    commands.map(ToOwned::to_owned).into_iter().chain(words).collect()
}

fn unknown(word: &str, command: &'static str) -> Result<Command, FlagError> {
    if word.starts_with("--") {
        return Err(FlagError::UnknownFlag(word.to_owned()));
    }
    Err(FlagError::UnknownCommand { word: word.to_owned(), command })
}

fn oidc(words: impl Iterator<Item = String>, environment: &Environment) -> Result<Command, FlagError> {
    let given = flags::parse(words, "pinniped login oidc", &[LOGIN.as_slice(), &OIDC].concat())?;
    if given.help {
        return Ok(Command::Help);
    }
    let issuer = given.text("issuer").ok_or(FlagError::Required("issuer"))?.to_owned();
    let mut ca_data = Vec::new();
    for data in given.list("ca-bundle-data").unwrap_or_default() {
        let pem = BASE64_STANDARD.decode(data.trim());
        ca_data.extend(pem.map_err(|error| FlagError::Value(format!("could not read --ca-bundle-data: {error}")))?);
        ca_data.push(b'\n');
    }
    let kind = given.text("upstream-identity-provider-type").unwrap_or("oidc").to_owned();
    let flow = environment.text("PINNIPED_UPSTREAM_IDENTITY_PROVIDER_FLOW");
    let flow = flow.or_else(|| given.filled("upstream-identity-provider-flow")).map(|text| upstream_flow(&text));
    let mut scopes = given.list("scopes").unwrap_or_else(|| SCOPES.map(ToOwned::to_owned).to_vec());
    scopes.sort_unstable();
    let session_cache = match given.text("session-cache") {
        Some(path) => Some(path.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty()),
        None => place(environment, "sessions.yaml"),
    };
    let by = By::Oidc(OidcLogin {
        ca_bundles: given.list("ca-bundle").unwrap_or_default().into_iter().map(PathBuf::from).collect(),
        ca_data,
        client_id: given.text("client-id").unwrap_or(CLIENT).to_owned(),
        debug_session_cache: given.switch("debug-session-cache"),
        issuer,
        listen_port: given.port("listen-port"),
        request_audience: given.filled("request-audience"),
        scopes,
        session_cache,
        skip_browser: given.switch("skip-browser"),
        skip_listen: given.switch("skip-listen"),
        upstream: given.filled("upstream-identity-provider-name").map(|name| SupervisorUpstream { name, kind }),
        flow: flow.transpose()?,
    });
    login(given, by, environment)
}

fn upstream_flow(text: &str) -> Result<SupervisorFlow, FlagError> {
    match text {
        "browser_authcode" => Ok(SupervisorFlow::Browser),
        "cli_password" => Ok(SupervisorFlow::Password),
        other => Err(FlagError::Value(format!(
            "--upstream-identity-provider-flow, or PINNIPED_UPSTREAM_IDENTITY_PROVIDER_FLOW: expected \
             \"browser_authcode\" or \"cli_password\", found {other:?}"
        ))),
    }
}

fn fixed(words: impl Iterator<Item = String>, environment: &Environment) -> Result<Command, FlagError> {
    let given = flags::parse(words, "pinniped login static", &[LOGIN.as_slice(), &STATIC].concat())?;
    if given.help {
        return Ok(Command::Help);
    }
    let by = StaticLogin { token: given.filled("token"), variable: given.filled("token-env") };
    if by == (StaticLogin { token: None, variable: None }) {
        return Err(FlagError::Value("one of --token or --token-env must be set".to_owned()));
    }
    login(given, By::Static(by), environment)
}

fn login(given: Given, by: By, environment: &Environment) -> Result<Command, FlagError> {
    let credential_cache = match given.text("credential-cache") {
        Some("") => None,
        Some(path) => Some(path.into()),
        None => place(environment, "credentials.yaml"),
    };
    let concierge = given.switch("enable-concierge").then(|| concierge(&given)).transpose();
    let concierge = concierge.map_err(|why| FlagError::Value(format!("invalid Concierge parameters: {why}")))?;
    Ok(Command::Login(Box::new(Login { concierge, credential_cache, by, remarks: given.remarks })))
}

fn concierge(given: &Given) -> Result<Concierge, String> {
    let endpoint = given.filled("concierge-endpoint").ok_or("endpoint must not be empty")?;
    if let Some((scheme, _)) = endpoint.split_once("://").filter(|(scheme, _)| *scheme != "https") {
        return Err(format!("invalid endpoint scheme {scheme:?} (must be \"https\")"));
    }
    let ca_data = given.filled("concierge-ca-bundle-data");
    if let Some(Err(error)) = ca_data.as_ref().map(|data| BASE64_STANDARD.decode(data)) {
        return Err(format!("invalid CA bundle data: {error}"));
    }
    let kind = given.text("concierge-authenticator-type").unwrap_or_default();
    let authenticator_kind = match kind.to_lowercase().as_str() {
        "jwt" => "JWTAuthenticator",
        "webhook" => "WebhookAuthenticator",
        _ => return Err(format!("invalid authenticator type: {kind:?}, supported values are \"webhook\" and \"jwt\"")),
    };
    Ok(Concierge {
        authenticator_kind,
        authenticator_name: given
            .filled("concierge-authenticator-name")
            .ok_or("authenticator name must not be empty")?,
        ca_data,
        endpoint,
        suffix: suffix(given, "concierge-api-group-suffix").map_err(|error| error.to_string())?,
    })
}

fn suffix(given: &Given, name: &str) -> Result<GroupSuffix, FlagError> {
    let text = given.text(name).unwrap_or(SUFFIX);
    text.parse().map_err(|error| FlagError::Value(format!("invalid API group suffix: {error}")))
}

fn whoami(words: impl Iterator<Item = String>, environment: &Environment) -> Result<Command, FlagError> {
    let given = flags::parse(words, "pinniped whoami", &WHOAMI)?;
    if given.help {
        return Ok(Command::Help);
    }
    let kubeconfig = given.filled("kubeconfig").or_else(|| environment.text("KUBECONFIG"));
    Ok(Command::Whoami(Whoami {
        // A list of files is kubectl's own to read.
        kubeconfig: kubeconfig.filter(|paths| !paths.contains(':')).map(PathBuf::from),
        context: given.filled("kubeconfig-context"),
        output: output(&given, "text", |text| format!("unknown output format: {text:?}"))?,
        suffix: suffix(&given, "api-group-suffix")?,
        timeout: given.text("timeout").and_then(flags::seconds).filter(|seconds| *seconds > 0),
    }))
}

fn output(given: &Given, for_people: &str, refusal: impl Fn(&str) -> String) -> Result<Output, FlagError> {
    match given.text("output") {
        None => Ok(Output::Text),
        Some("json") => Ok(Output::Json),
        Some("yaml") => Ok(Output::Yaml),
        Some(text) if text == for_people => Ok(Output::Text),
        Some(text) => Err(FlagError::Value(refusal(text))),
    }
}

/// `$XDG_CONFIG_HOME/pinniped`, else `~/.config/pinniped`, on every system.
fn place(environment: &Environment, file: &str) -> Option<PathBuf> {
    let base = environment.text("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || environment.text("HOME").or_else(|| environment.text("USERPROFILE"));
    let home = || home().map(|home| PathBuf::from(home).join(".config"));
    Some(base.or_else(home)?.join("pinniped").join(file))
}

#[cfg(test)]
mod tests;

//! The settings of `credential` as meant: typed, complete, nothing left to look up.

mod concierge;
mod login;
mod places;
mod provider;
mod workload;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;
use serde_json::Value;
use thiserror::Error;

pub(crate) use self::concierge::{ConciergeConfig, Destination, Server, read_roots};
use self::login::LOGIN_TIMEOUT_MAX_SECONDS;
pub(crate) use self::login::{LoginConfig, SupervisorFlow, SupervisorLogin, SupervisorUpstream};
pub(crate) use self::places::Places;
pub(crate) use self::provider::{ClientSecret, OFFLINE_ACCESS, ProviderConfig, is_own_parameter};
pub(crate) use self::workload::{TokenSource, WorkloadConfig};
use crate::args::{CredentialArgs, Store};
use crate::environment::Environment;
use crate::exec_credential::{ApiVersion, ExecInfo};
use crate::output::Printable;

/// Who is to get a credential.
#[derive(Debug)]
pub(crate) enum Settings {
    /// Somebody who logs in at a provider.
    Person(Box<CredentialConfig>),
    /// A job or a pod with a token of its own.
    Workload(Box<WorkloadConfig>),
}

/// How to answer, and whom for.
#[derive(Clone, Debug)]
pub(crate) struct Answering {
    /// Version of the answer.
    pub(crate) api_version: ApiVersion,
    /// Whether the client says that standard input belongs to the person.
    pub(crate) interactive: bool,
    /// Whether the client said anything at all: some never set the variable for it.
    pub(crate) client_speaks: bool,
    /// What people call the cluster.
    pub(crate) cluster_name: String,
}

/// Everything that one run of `credential` has to know where a person logs in.
#[derive(Debug)]
pub(crate) struct CredentialConfig {
    /// How to answer, and whom for.
    pub(crate) answering: Answering,
    /// Whom to log in with.
    pub(crate) provider: ProviderConfig,
    /// Who takes the token.
    pub(crate) destination: Destination,
    /// How to log in.
    pub(crate) login: LoginConfig,
    /// Where to keep what we have.
    pub(crate) places: Places,
    /// How to keep the login: `LATCHKEY_STORE`, else the setting.
    pub(crate) store: Store,
}

/// Why the settings make no sense.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ConfigError {
    /// Certificates that are not base64 of PEM.
    #[error("{0} is not base64 of PEM certificates")]
    Certificates(&'static str),
    /// A file of certificates that cannot be read.
    #[error("the cluster's certificate-authority {path}: {what}")]
    CertificatesFile {
        /// The file.
        path: String,
        /// What happened.
        what: String,
    },
    /// TLS checks switched off.
    #[error(
        "the kubeconfig switches off TLS verification for cluster {0:?}, and a login token goes only to a server that has proved itself"
    )]
    Insecure(String),
    /// An option that has no default.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A parameter that would take a safeguard away.
    #[error("--extra-params: {0:?} is set by this plugin itself")]
    OwnParameter(String),
    /// No such profile.
    #[error("--provider: {0:?} is no profile; `kubectl latchkey help credential` lists them")]
    Provider(String),
    /// A redirect path that cannot stand in a URL.
    #[error("--redirect-path: expected a path that begins with a slash, found {0:?}")]
    RedirectPath(String),
    /// Settings that exclude each other.
    #[error("only one of {0} can be meant")]
    Several(&'static str),
    /// A command line that cannot be meant.
    #[error("--token-command: {0}")]
    TokenCommand(&'static str),
    /// A number out of its range.
    #[error("--login-timeout must be between 1 and {LOGIN_TIMEOUT_MAX_SECONDS} seconds, found {0}")]
    Timeout(u32),
    /// The cluster's own settings are not ours.
    #[error(
        "the kubeconfig's settings for this plugin (extension client.authentication.k8s.io/exec of the cluster): {0}"
    )]
    Settings(String),
    /// A URL that is none, or not of the scheme we need.
    #[error("{what}: expected a URL that begins with https://, found {found:?}")]
    Url {
        /// Where it stands.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// A variable of ours with a value that means nothing.
    #[error("{name}: expected {expected}, found {found:?}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
}

impl Settings {
    /// Puts arguments, the client's question and the environment together. Where an argument says nothing, the cluster's
    /// extension in the kubeconfig may.
    ///
    /// # Errors
    /// When something required is missing, or has a value that cannot be meant.
    pub(crate) fn new(args: CredentialArgs, exec: ExecInfo, environment: &Environment) -> Result<Self, ConfigError> {
        let ExecInfo { version, interactive, cluster } = exec;
        let cluster = cluster.unwrap_or_default();
        let args = match cluster.settings().and_then(own_settings) {
            None => args,
            Some(settings) => {
                let settings: CredentialArgs =
                    serde_json::from_value(settings).map_err(|error| ConfigError::Settings(unlisted(&error)))?;
                args.or(settings)
            }
        };
        let source = TokenSource::new(&args, environment)?;
        let destination = Destination::new(&args, cluster)?;
        let host = destination.server().and_then(|server| server.endpoint.host_str());
        let answering = Answering {
            api_version: version.or(args.api_version).unwrap_or_default(),
            interactive,
            client_speaks: version.is_some(),
            // Shown in every second line; whoever wrote the kubeconfig chose it.
            cluster_name: Printable(args.cluster_name.as_deref().or(host).unwrap_or("the cluster")).to_string(),
        };
        let (places, store) = (Places::new(environment), store(&args, environment)?);
        if let Some(source) = source {
            let config = WorkloadConfig::new(&args, answering, source, destination, (places, store))?;
            return Ok(Self::Workload(Box::new(config)));
        }
        let provider = ProviderConfig::new(&args, environment)?;
        let login = LoginConfig::new(&args, provider.profile, environment)?;
        Ok(Self::Person(Box::new(CredentialConfig { answering, provider, destination, login, places, store })))
    }
}

/// What is wrong, without the list of everything that would be right: that is on the page of help.
fn unlisted(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split_once(", expected one of").map_or(words.as_str(), |(words, _)| words).to_owned()
}

/// Our part of the extension, which other plugins may use as well: its member `latchkey`, or all of it if it names an
/// issuer or anything else of ours. Once it is ours, nothing unknown in it is ignored: it might have been a safeguard.
fn own_settings(extension: Value) -> Option<Value> {
    let Value::Object(mut members) = extension else { return None };
    if let Some(own) = members.remove("latchkey") {
        return Some(own);
    }
    let is_ours = |name: &String| {
        let alone = serde_json::json!({ name: null });
        serde_json::from_value::<CredentialArgs>(alone).is_ok()
    };
    members.keys().any(is_ours).then_some(Value::Object(members))
}

fn store(args: &CredentialArgs, environment: &Environment) -> Result<Store, ConfigError> {
    let from_environment = environment.text("LATCHKEY_STORE").map(|found| {
        found.parse().map_err(|_| ConfigError::Variable { name: "LATCHKEY_STORE", expected: Store::EXPECTED, found })
    });
    Ok(from_environment.transpose()?.or(args.store).unwrap_or_default())
}

/// Servers take no longer address (RFC 9110 section 4.1 asks for 8000 bytes at least), and no request can be made for one of
/// 64 KiB.
const URL_MAX_BYTES: usize = 8 * 1024;

/// Only https: a token, a code or a key set that came over anything else could be anybody's.
fn https_url(what: &'static str, text: &str) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|_| text.len() <= URL_MAX_BYTES)
        .filter(|url| url.scheme() == "https" && url.host_str().is_some() && url.username().is_empty())
        .ok_or_else(|| ConfigError::Url { what, found: Printable(text).to_string() })
}

fn certificates(what: &'static str, data: &str) -> Result<Vec<u8>, ConfigError> {
    let data: String = data.split_ascii_whitespace().collect();
    BASE64_STANDARD
        .decode(data)
        .ok()
        .filter(|pem| pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----"))
        .ok_or(ConfigError::Certificates(what))
}

fn canonical(scopes: impl Iterator<Item = String>) -> Vec<String> {
    let mut scopes: Vec<String> = scopes.collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::exec_credential::Cluster;

    fn args() -> CredentialArgs {
        CredentialArgs {
            issuer: Some("https://idp.example/".to_owned()),
            client_id: Some("staging".to_owned()),
            authenticator: Some("people".to_owned()),
            concierge_endpoint: Some("https://cluster:6443".to_owned()),
            ..CredentialArgs::default()
        }
    }

    fn exec(cluster: Cluster) -> ExecInfo {
        ExecInfo { version: Some(ApiVersion::V1), interactive: true, cluster: Some(cluster) }
    }

    fn config(args: CredentialArgs, exec: ExecInfo) -> Result<CredentialConfig, ConfigError> {
        match Settings::new(args, exec, &Environment::Table(BTreeMap::new()))? {
            Settings::Person(config) => Ok(*config),
            Settings::Workload(config) => panic!("nobody gave a token: {config:?}"),
        }
    }

    #[test]
    fn audience_is_the_client_id_unless_said_otherwise() {
        assert_eq!(config(args(), ExecInfo::default()).unwrap().provider.audience, "staging");
        let other = CredentialArgs { audience: Some("cluster-a".to_owned()), ..args() };
        assert_eq!(config(other, ExecInfo::default()).unwrap().provider.audience, "cluster-a");
    }

    #[test]
    fn scopes_are_canonical_and_hold_openid() {
        let scopes = Some(vec!["groups".to_owned(), "email".to_owned(), "groups".to_owned()]);
        let config = config(CredentialArgs { scopes, ..args() }, ExecInfo::default()).unwrap();
        assert_eq!(config.provider.scopes, ["email", "groups", "openid"]);
        assert_eq!(config.provider.optional_scopes, ["offline_access"]);
    }

    #[test]
    fn cluster_block_serves_where_no_endpoint_is_given() {
        let cluster = || Cluster {
            server: "https://c.example/k8s".to_owned(),
            certificate_authority_data: Some(BASE64_STANDARD.encode("-----BEGIN CERTIFICATE-----\n")),
            tls_server_name: Some("inner".to_owned()),
            ..Cluster::default()
        };
        let from_block = config(CredentialArgs { concierge_endpoint: None, ..args() }, exec(cluster())).unwrap();
        assert_eq!(from_block.destination.server().unwrap().endpoint.as_str(), "https://c.example/k8s");
        assert!(from_block.destination.server().unwrap().roots.is_some());
        assert_eq!(from_block.destination.server().unwrap().tls_server_name.as_deref(), Some("inner"));
        let elsewhere = config(args(), exec(cluster())).unwrap();
        assert!(
            elsewhere.destination.server().unwrap().roots.is_none(),
            "roots of one server say nothing about another"
        );
        assert!(elsewhere.destination.server().unwrap().tls_server_name.is_none());
    }

    #[test]
    fn settings_can_stand_with_the_cluster_and_what_is_typed_wins() {
        let with = |config: serde_json::Value| {
            let cluster =
                Cluster { server: "https://cluster:6443".to_owned(), config: Some(config), ..Cluster::default() };
            super::tests::config(CredentialArgs::default(), exec(cluster))
        };
        let config_of_cluster =
            || serde_json::json!({"issuer": "https://idp.example", "clientId": "eu", "authenticator": "people"});
        assert_eq!(with(config_of_cluster()).unwrap().provider.client_id, "eu");
        assert_eq!(
            with(serde_json::json!({"latchkey": config_of_cluster(), "other": 1})).unwrap().provider.client_id,
            "eu"
        );
        let mixed = serde_json::json!({"issuer": "https://idp.example", "other": 1});
        assert!(matches!(with(mixed), Err(ConfigError::Settings(_))), "it might have been a safeguard");
        assert_eq!(with(serde_json::json!({"other": 1})).unwrap_err(), ConfigError::Missing("--authenticator"));
        let typed = Cluster { config: Some(config_of_cluster()), ..Cluster::default() };
        assert_eq!(config(args(), exec(typed)).unwrap().provider.client_id, "staging");
    }

    #[test]
    fn the_question_decides_the_version_and_the_argument_only_without_one() {
        let asked = ExecInfo { version: Some(ApiVersion::V1), ..ExecInfo::default() };
        let beta = || CredentialArgs { api_version: Some(ApiVersion::V1Beta1), ..args() };
        assert_eq!(config(beta(), asked).unwrap().answering.api_version, ApiVersion::V1);
        assert_eq!(config(beta(), ExecInfo::default()).unwrap().answering.api_version, ApiVersion::V1Beta1);
        assert_eq!(config(args(), ExecInfo::default()).unwrap().answering.api_version, ApiVersion::V1);
    }

    #[test]
    fn refuses_what_cannot_be_meant() {
        let insecure =
            Cluster { server: "https://cluster:6443".to_owned(), insecure_skip_tls_verify: true, ..Cluster::default() };
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (CredentialArgs { issuer: None, ..args() }, ConfigError::Missing("--issuer")),
            (CredentialArgs { client_id: None, ..args() }, ConfigError::Missing("--client-id")),
            (CredentialArgs { authenticator: None, ..args() }, ConfigError::Missing("--authenticator")),
            (
                CredentialArgs { issuer: some("http://idp"), ..args() },
                ConfigError::Url { what: "--issuer", found: "http://idp".to_owned() },
            ),
            (
                CredentialArgs { concierge_endpoint: some("http://c"), ..args() },
                ConfigError::Url { what: "--concierge-endpoint", found: "http://c".to_owned() },
            ),
            (
                CredentialArgs { concierge_endpoint: Some(format!("https://c/{}", "x".repeat(9000))), ..args() },
                ConfigError::Url { what: "--concierge-endpoint", found: format!("https://c/{}…", "x".repeat(190)) },
            ),
            (CredentialArgs { ca_data: some("!"), ..args() }, ConfigError::Certificates("--ca-data")),
            (CredentialArgs { ca_data: some("QUJD"), ..args() }, ConfigError::Certificates("--ca-data")),
            (CredentialArgs { login_timeout: Some(0), ..args() }, ConfigError::Timeout(0)),
        ];
        for (args, expected) in cases {
            assert_eq!(config(args, ExecInfo::default()).unwrap_err(), expected);
        }
        assert!(matches!(config(args(), exec(insecure)), Err(ConfigError::Insecure(_))));
    }
}

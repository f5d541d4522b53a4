//! The settings of `credential` as meant: typed, complete, nothing left to look up.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use latchkey_crds::groups::GroupSuffix;
use reqwest::Url;
use thiserror::Error;

use crate::args::{CredentialArgs, RedirectHost};
use crate::environment::Environment;
use crate::exec_credential::{ApiVersion, ExecInfo};

/// The longest time a login may be waited for: client-go holds a lock meanwhile.
const LOGIN_TIMEOUT_MAX_SECONDS: u32 = 1800;

/// Everything that one run of `credential` has to know.
#[derive(Debug)]
pub(crate) struct CredentialConfig {
    /// Version of the answer.
    pub(crate) api_version: ApiVersion,
    /// Whether the client says that standard input belongs to the person.
    pub(crate) interactive: bool,
    /// What people call the cluster.
    pub(crate) cluster_name: String,
    /// Whom to log in with.
    pub(crate) provider: ProviderConfig,
    /// Where to take the token.
    pub(crate) concierge: ConciergeConfig,
    /// How to log in.
    pub(crate) login: LoginConfig,
    /// Where to keep what we have.
    pub(crate) places: Places,
}

/// The identity provider and what we want from it.
#[derive(Debug)]
pub(crate) struct ProviderConfig {
    /// Compared byte for byte with what the provider says.
    pub(crate) issuer: String,
    /// Our client there, one per cluster.
    pub(crate) client_id: String,
    /// The one audience that the cluster takes. A token for anything else, or for more, never leaves this computer.
    pub(crate) audience: String,
    /// Asked for always; sorted, without duplicates, with `openid`.
    pub(crate) scopes: Vec<String>,
    /// Asked for where the provider lists them; sorted, without duplicates.
    pub(crate) optional_scopes: Vec<String>,
    /// PEM. In place of the system's roots.
    pub(crate) roots: Option<Vec<u8>>,
}

/// The endpoint that exchanges the token and what it has to be told.
#[derive(Debug)]
pub(crate) struct ConciergeConfig {
    /// API server or impersonation proxy; a path prefix is kept.
    pub(crate) endpoint: Url,
    /// PEM. In place of the system's roots.
    pub(crate) roots: Option<Vec<u8>>,
    /// Name to expect in the server's certificate in place of the URL's host.
    pub(crate) tls_server_name: Option<String>,
    /// A proxy to reach it by, in place of those of the environment.
    pub(crate) proxy: Option<Url>,
    /// Suffix of the API groups.
    pub(crate) suffix: GroupSuffix,
    /// `JWTAuthenticator` or `WebhookAuthenticator`.
    pub(crate) authenticator_kind: String,
    /// Its name.
    pub(crate) authenticator_name: String,
}

/// How a person may log in.
#[derive(Debug)]
pub(crate) struct LoginConfig {
    /// Host in the redirect URL.
    pub(crate) redirect_host: RedirectHost,
    /// Ports to try, in order.
    pub(crate) redirect_ports: Vec<u16>,
    /// Never start a browser.
    pub(crate) skip_browser: bool,
    /// Given by argument; otherwise it depends on who can see us.
    pub(crate) timeout: Option<Duration>,
}

/// The two directories.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Sessions: refresh tokens, worth keeping.
    pub(crate) state: Option<PathBuf>,
    /// Credentials and discovery documents: may be lost at any time.
    pub(crate) cache: Option<PathBuf>,
}

/// Why the settings make no sense.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ConfigError {
    /// Certificates that are not base64 of PEM.
    #[error("{0} is not base64 of PEM certificates")]
    Certificates(&'static str),
    /// TLS checks switched off.
    #[error(
        "the kubeconfig switches off TLS verification for cluster {0:?}, and a login token goes only to a server that has proved itself"
    )]
    Insecure(String),
    /// An option that has no default.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A number out of its range.
    #[error("--login-timeout must be between 1 and {LOGIN_TIMEOUT_MAX_SECONDS} seconds, found {0}")]
    Timeout(u32),
    /// A URL that is none, or not of the scheme we need.
    #[error("{what}: expected a URL that begins with https://, found {found:?}")]
    Url {
        /// Where it stands.
        what: &'static str,
        /// What stands there.
        found: String,
    },
}

impl CredentialConfig {
    /// Puts arguments, the client's question and the environment together.
    ///
    /// # Errors
    /// When something required is missing, or has a value that cannot be meant.
    pub(crate) fn new(args: CredentialArgs, exec: ExecInfo, environment: &Environment) -> Result<Self, ConfigError> {
        let CredentialArgs {
            api_version,
            api_group_suffix,
            audience,
            authenticator,
            authenticator_kind,
            ca_data,
            client_id,
            cluster_name,
            concierge_ca_data,
            concierge_endpoint,
            issuer,
            login_timeout,
            optional_scopes,
            redirect_host,
            redirect_ports,
            scopes,
            skip_browser,
        } = args;
        let issuer = issuer.ok_or(ConfigError::Missing("--issuer"))?;
        https_url("--issuer", &issuer)?;
        let client_id = client_id.ok_or(ConfigError::Missing("--client-id"))?;
        let cluster = exec.cluster.unwrap_or_default();
        // The block tells how to reach *its* server; to another endpoint none of it applies.
        let same_server = concierge_endpoint.as_ref().is_none_or(|endpoint| *endpoint == cluster.server);
        if same_server && cluster.insecure_skip_tls_verify {
            return Err(ConfigError::Insecure(cluster.server));
        }
        let endpoint = match (concierge_endpoint, cluster.server) {
            (Some(endpoint), _) => https_url("--concierge-endpoint", &endpoint)?,
            (None, server) if server.is_empty() => {
                return Err(ConfigError::Missing("--concierge-endpoint, or a stanza with provideClusterInfo: true,"));
            }
            (None, server) => https_url("the cluster's server", &server)?,
        };
        let own_roots = concierge_ca_data.map(|data| certificates("--concierge-ca-data", &data)).transpose()?;
        let block_roots = cluster
            .certificate_authority_data
            .filter(|data| same_server && !data.is_empty())
            .map(|data| certificates("the cluster's certificate-authority-data", &data))
            .transpose()?;
        let timeout = login_timeout
            .map(|seconds| match seconds {
                1..=LOGIN_TIMEOUT_MAX_SECONDS => Ok(Duration::from_secs(seconds.into())),
                _ => Err(ConfigError::Timeout(seconds)),
            })
            .transpose()?;
        Ok(Self {
            api_version: exec.version.or(api_version).unwrap_or_default(),
            interactive: exec.interactive,
            cluster_name: cluster_name.unwrap_or_else(|| endpoint.host_str().unwrap_or("the cluster").to_owned()),
            provider: ProviderConfig {
                audience: audience.unwrap_or_else(|| client_id.clone()),
                issuer,
                client_id,
                scopes: canonical(scopes.into_iter().chain(["openid".to_owned()])),
                optional_scopes: canonical(
                    optional_scopes.unwrap_or_else(|| vec!["offline_access".to_owned()]).into_iter(),
                ),
                roots: ca_data.map(|data| certificates("--ca-data", &data)).transpose()?,
            },
            concierge: ConciergeConfig {
                endpoint,
                roots: own_roots.or(block_roots),
                tls_server_name: cluster.tls_server_name.filter(|name| same_server && !name.is_empty()),
                proxy: cluster
                    .proxy_url
                    .filter(|url| same_server && !url.is_empty())
                    .map(|url| {
                        Url::parse(&url).map_err(|_| ConfigError::Url { what: "the cluster's proxy-url", found: url })
                    })
                    .transpose()?,
                suffix: api_group_suffix,
                authenticator_kind: authenticator_kind.unwrap_or_else(|| "JWTAuthenticator".to_owned()),
                authenticator_name: authenticator.ok_or(ConfigError::Missing("--authenticator"))?,
            },
            login: LoginConfig {
                redirect_host,
                redirect_ports: redirect_ports.unwrap_or_else(|| vec![0]),
                skip_browser,
                timeout,
            },
            places: Places::new(environment),
        })
    }
}

impl Places {
    /// `LATCHKEY_CACHE_DIR`, else what the XDG base directory specification says, on macOS what Apple says.
    pub(crate) fn new(environment: &Environment) -> Self {
        if let Some(base) = environment.absolute_path("LATCHKEY_CACHE_DIR") {
            return Self { state: Some(base.join("sessions")), cache: Some(base.join("credentials")) };
        }
        let home = environment.absolute_path("HOME");
        let place = |variable: &str, unix: &str, macos: &str| {
            if cfg!(target_os = "macos") {
                return home.as_ref().map(|home| home.join(macos).join("latchkey"));
            }
            environment
                .absolute_path(variable)
                .or_else(|| home.as_ref().map(|home| home.join(unix)))
                .map(|base| base.join("latchkey"))
        };
        Self {
            state: place("XDG_STATE_HOME", ".local/state", "Library/Application Support"),
            cache: place("XDG_CACHE_HOME", ".cache", "Library/Caches"),
        }
    }
}

/// Only https: a token, a code or a key set that came over anything else could be anybody's.
fn https_url(what: &'static str, text: &str) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "https" && url.host_str().is_some() && url.username().is_empty())
        .ok_or_else(|| ConfigError::Url { what, found: text.to_owned() })
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
        CredentialConfig::new(args, exec, &Environment::Table(BTreeMap::new()))
    }

    #[test]
    fn audience_is_the_client_id_unless_said_otherwise() {
        assert_eq!(config(args(), ExecInfo::default()).unwrap().provider.audience, "staging");
        let other = CredentialArgs { audience: Some("cluster-a".to_owned()), ..args() };
        assert_eq!(config(other, ExecInfo::default()).unwrap().provider.audience, "cluster-a");
    }

    #[test]
    fn scopes_are_canonical_and_hold_openid() {
        let scopes = vec!["groups".to_owned(), "email".to_owned(), "groups".to_owned()];
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
        assert_eq!(from_block.concierge.endpoint.as_str(), "https://c.example/k8s");
        assert!(from_block.concierge.roots.is_some());
        assert_eq!(from_block.concierge.tls_server_name.as_deref(), Some("inner"));
        let elsewhere = config(args(), exec(cluster())).unwrap();
        assert!(elsewhere.concierge.roots.is_none(), "roots of one server say nothing about another");
        assert!(elsewhere.concierge.tls_server_name.is_none());
    }

    #[test]
    fn the_question_decides_the_version_and_the_argument_only_without_one() {
        let asked = ExecInfo { version: Some(ApiVersion::V1), ..ExecInfo::default() };
        let beta = || CredentialArgs { api_version: Some(ApiVersion::V1Beta1), ..args() };
        assert_eq!(config(beta(), asked).unwrap().api_version, ApiVersion::V1);
        assert_eq!(config(beta(), ExecInfo::default()).unwrap().api_version, ApiVersion::V1Beta1);
        assert_eq!(config(args(), ExecInfo::default()).unwrap().api_version, ApiVersion::V1);
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
            (CredentialArgs { ca_data: some("!"), ..args() }, ConfigError::Certificates("--ca-data")),
            (CredentialArgs { ca_data: some("QUJD"), ..args() }, ConfigError::Certificates("--ca-data")),
            (CredentialArgs { login_timeout: Some(0), ..args() }, ConfigError::Timeout(0)),
        ];
        for (args, expected) in cases {
            assert_eq!(config(args, ExecInfo::default()).unwrap_err(), expected);
        }
        assert!(matches!(config(args(), exec(insecure)), Err(ConfigError::Insecure(_))));
    }

    #[test]
    fn places_follow_our_variable_then_xdg_then_home() {
        let places = |table: &[(&'static str, &'static str)]| {
            Places::new(&Environment::Table(table.iter().copied().collect::<BTreeMap<_, _>>()))
        };
        let ours = places(&[("LATCHKEY_CACHE_DIR", "/l"), ("HOME", "/h")]);
        assert_eq!(ours, Places { state: Some("/l/sessions".into()), cache: Some("/l/credentials".into()) });
        assert_eq!(places(&[]), Places { state: None, cache: None });
        if !cfg!(target_os = "macos") {
            let mixed = places(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("XDG_STATE_HOME", "relative")]);
            assert_eq!(
                mixed,
                Places { state: Some("/h/.local/state/latchkey".into()), cache: Some("/c/latchkey".into()) }
            );
        }
    }
}

//! The options of `credential` as typed, or as they stand in the cluster's `client.authentication.k8s.io/exec` extension.

use std::collections::BTreeMap;
use std::path::PathBuf;

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};
use serde::{Deserialize, Deserializer};

use super::{Command, Topic, UsageError, list, parsed, ports, redirect_hosts, suffix};
use crate::exec_credential::ApiVersion;

/// Options of `credential`. All of them can also stand in `spec.cluster.config` of the client's question, under their names
/// in camel case; what is typed wins.
///
/// None of them holds a secret: arguments are seen by everybody on the machine, and kubeconfigs are shared.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct CredentialArgs {
    /// `--account`: which of several accounts at one provider; a login hint unless `--login-hint` says another.
    pub(crate) account: Option<String>,
    /// `--additional-audiences`: whom else a token may be for, by name; by default nobody.
    pub(crate) additional_audiences: Option<Vec<String>>,
    /// `--api-version`: version to answer in when the client does not say.
    #[serde(deserialize_with = "from_text")]
    pub(crate) api_version: Option<ApiVersion>,
    /// `--api-group-suffix`.
    #[serde(deserialize_with = "from_text")]
    pub(crate) api_group_suffix: Option<GroupSuffix>,
    /// `--audience`: the one audience the cluster takes; the client id by default.
    pub(crate) audience: Option<String>,
    /// `--authenticator`: name of the authenticator in the cluster.
    pub(crate) authenticator: Option<String>,
    /// `--authenticator-kind`.
    pub(crate) authenticator_kind: Option<String>,
    /// `--ca-data`: base64 of PEM, the issuer's roots.
    pub(crate) ca_data: Option<String>,
    /// `--client-id`.
    pub(crate) client_id: Option<String>,
    /// `--client-secret-env`: the variable with the client's secret.
    pub(crate) client_secret_env: Option<String>,
    /// `--client-secret-file`: the file with the client's secret.
    pub(crate) client_secret_file: Option<PathBuf>,
    /// `--client-secret-keyring`: whether the client's secret is in the platform's keyring.
    pub(crate) client_secret_keyring: Option<bool>,
    /// `--cluster-name`: what people call the cluster.
    pub(crate) cluster_name: Option<String>,
    /// `--concierge-ca-data`: base64 of PEM, the endpoint's roots.
    pub(crate) concierge_ca_data: Option<String>,
    /// `--concierge-endpoint`: where to exchange the token.
    pub(crate) concierge_endpoint: Option<String>,
    /// `--exchange-audience`: an audience to trade each login's access token for (RFC 8693), as a Pinniped Supervisor wants it.
    pub(crate) exchange_audience: Option<String>,
    /// `--extra-params`: further parameters of the authorization request (and of the device request).
    pub(crate) extra_params: Option<BTreeMap<String, String>>,
    /// `--flow`: how to log in; `LATCHKEY_FLOW` wins.
    #[serde(deserialize_with = "from_text")]
    pub(crate) flow: Option<Flow>,
    /// `--forbid-flows`: ways in that must not be taken for this cluster, whatever else is said.
    pub(crate) forbid_flows: Option<Vec<Flow>>,
    /// `--issuer`.
    pub(crate) issuer: Option<String>,
    /// `--login-hint`: whom the provider should offer to log in.
    pub(crate) login_hint: Option<String>,
    /// `--login-timeout`, seconds.
    pub(crate) login_timeout: Option<u32>,
    /// `--no-exchange`: the API server (or the proxy) takes the token itself.
    pub(crate) no_exchange: Option<bool>,
    /// `--optional-scopes`: asked for where the provider lists them.
    pub(crate) optional_scopes: Option<Vec<String>>,
    /// `--prompt`: `login`, `consent`, `select_account` or several of them, separated by blanks.
    pub(crate) prompt: Option<String>,
    /// `--provider`: a profile by name, in place of the one that the issuer's host tells.
    pub(crate) provider: Option<String>,
    /// `--redirect-host`: in the order to try them.
    pub(crate) redirect_host: Option<Vec<RedirectHost>>,
    /// `--redirect-path`.
    pub(crate) redirect_path: Option<String>,
    /// `--redirect-ports`: tried in order; 0 is any free one.
    pub(crate) redirect_ports: Option<Vec<u16>>,
    /// `--request-audience`: the `audience` parameter that some providers take.
    pub(crate) request_audience: Option<String>,
    /// `--resource`: RFC 8707; may be given several times.
    pub(crate) resource: Option<Vec<String>>,
    /// `--scopes`: always asked for.
    pub(crate) scopes: Option<Vec<String>>,
    /// `--skip-browser`: show the URL, start nothing.
    pub(crate) skip_browser: Option<bool>,
    /// `--store`: where the login is kept; `LATCHKEY_STORE` wins.
    #[serde(deserialize_with = "from_text")]
    pub(crate) store: Option<Store>,
    /// `--token-command`: a program, with arguments after blanks, that prints a token.
    pub(crate) token_command: Option<String>,
    /// `--token-env`: a variable that holds a token.
    pub(crate) token_env: Option<String>,
    /// `--token-file`: a file that holds a token.
    pub(crate) token_file: Option<PathBuf>,
    /// `--token-from-github`: ask GitHub Actions for a token.
    pub(crate) token_from_github: Option<bool>,
    /// `--token-kind`: which of the provider's tokens the cluster takes.
    #[serde(deserialize_with = "from_text")]
    pub(crate) token_kind: Option<TokenKind>,
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// A browser on this machine and a listener on the loopback.
    Browser,
    /// RFC 8628: any browser anywhere, and a code to type there.
    Device,
    /// Nobody may log in here.
    None,
    /// Any browser, and its last address pasted into the terminal.
    Paste,
}

/// The host in the redirect URL, which must be one that the provider accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RedirectHost {
    /// `127.0.0.1`, which RFC 8252 section 7.3 wants.
    #[default]
    Ipv4,
    /// `[::1]`.
    Ipv6,
    /// `localhost`, which some providers insist on (RFC 8252 section 8.3 advises against it).
    Localhost,
}

/// Where a login is kept between runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Store {
    /// As `Keyring` where one answers quickly, else as `File`; what was found is remembered.
    #[default]
    Auto,
    /// A plain file that only its owner can read.
    File,
    /// A sealed file; the key is in the platform's keyring.
    Keyring,
    /// Nowhere.
    None,
}

/// Which of the provider's tokens is for the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// The access token, where it is a JWT (RFC 9068).
    Access,
    /// The ID token.
    #[default]
    Id,
}

/// A text that names nothing; says what would have been right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct UnknownName(pub(crate) &'static str);

macro_rules! names {
    ($type:ty, $expected:literal, $($text:pat => $value:expr),+ $(,)?) => {
        impl $type {
            /// What may be typed, for messages.
            pub(crate) const EXPECTED: &'static str = $expected;
        }

        impl std::str::FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok($value),)+
                    _ => Err(UnknownName($expected)),
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

names!(Flow, "\"browser\", \"device\", \"paste\" or \"none\"",
    "browser" => Self::Browser, "device" => Self::Device, "none" => Self::None, "paste" => Self::Paste);
names!(RedirectHost, "\"127.0.0.1\", \"[::1]\" or \"localhost\"",
    "127.0.0.1" => Self::Ipv4, "::1" | "[::1]" => Self::Ipv6, "localhost" => Self::Localhost);
names!(Store, "\"auto\", \"keyring\", \"file\" or \"none\"",
    "auto" => Self::Auto, "file" => Self::File, "keyring" => Self::Keyring, "none" => Self::None);
names!(TokenKind, "\"id\" or \"access\"", "access" => Self::Access, "id" => Self::Id);

impl Flow {
    /// As it is typed.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Device => "device",
            Self::None => "none",
            Self::Paste => "paste",
        }
    }
}

impl RedirectHost {
    /// As it stands in a URL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "127.0.0.1",
            Self::Ipv6 => "[::1]",
            Self::Localhost => "localhost",
        }
    }
}

impl CredentialArgs {
    /// These settings, and where they say nothing, those of `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            account: self.account.or(other.account),
            additional_audiences: self.additional_audiences.or(other.additional_audiences),
            api_version: self.api_version.or(other.api_version),
            api_group_suffix: self.api_group_suffix.or(other.api_group_suffix),
            audience: self.audience.or(other.audience),
            authenticator: self.authenticator.or(other.authenticator),
            authenticator_kind: self.authenticator_kind.or(other.authenticator_kind),
            ca_data: self.ca_data.or(other.ca_data),
            client_id: self.client_id.or(other.client_id),
            client_secret_env: self.client_secret_env.or(other.client_secret_env),
            client_secret_file: self.client_secret_file.or(other.client_secret_file),
            client_secret_keyring: self.client_secret_keyring.or(other.client_secret_keyring),
            cluster_name: self.cluster_name.or(other.cluster_name),
            concierge_ca_data: self.concierge_ca_data.or(other.concierge_ca_data),
            concierge_endpoint: self.concierge_endpoint.or(other.concierge_endpoint),
            exchange_audience: self.exchange_audience.or(other.exchange_audience),
            extra_params: self.extra_params.or(other.extra_params),
            flow: self.flow.or(other.flow),
            // What either forbids is forbidden.
            forbid_flows: match (self.forbid_flows, other.forbid_flows) {
                (Some(ours), Some(theirs)) => Some(ours.into_iter().chain(theirs).collect()),
                (ours, theirs) => ours.or(theirs),
            },
            issuer: self.issuer.or(other.issuer),
            login_hint: self.login_hint.or(other.login_hint),
            login_timeout: self.login_timeout.or(other.login_timeout),
            no_exchange: self.no_exchange.or(other.no_exchange),
            optional_scopes: self.optional_scopes.or(other.optional_scopes),
            prompt: self.prompt.or(other.prompt),
            provider: self.provider.or(other.provider),
            redirect_host: self.redirect_host.or(other.redirect_host),
            redirect_path: self.redirect_path.or(other.redirect_path),
            redirect_ports: self.redirect_ports.or(other.redirect_ports),
            request_audience: self.request_audience.or(other.request_audience),
            resource: self.resource.or(other.resource),
            scopes: self.scopes.or(other.scopes),
            skip_browser: self.skip_browser.or(other.skip_browser),
            store: self.store.or(other.store),
            token_command: self.token_command.or(other.token_command),
            token_env: self.token_env.or(other.token_env),
            token_file: self.token_file.or(other.token_file),
            token_from_github: self.token_from_github.or(other.token_from_github),
            token_kind: self.token_kind.or(other.token_kind),
        }
    }
}

pub(super) fn credential(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = CredentialArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Credential)),
            Arg::Long(name) => {
                // The name is borrowed from the parser, which has to give the value as well.
                let name = name.to_owned();
                option(&mut args, &name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Credential(Box::new(args)))
}

/// Takes one option of `credential`; other verbs that log in take the same ones.
pub(super) fn option(args: &mut CredentialArgs, name: &str, parser: &mut Parser) -> Result<(), UsageError> {
    match name {
        "account" => args.account = Some(text(parser)?),
        "additional-audiences" => args.additional_audiences = Some(list(parser)?),
        "api-version" => args.api_version = Some(parsed(parser, "api-version", "\"v1\" or \"v1beta1\"")?),
        "api-group-suffix" => args.api_group_suffix = Some(suffix(parser)?),
        "audience" => args.audience = Some(text(parser)?),
        "authenticator" => args.authenticator = Some(text(parser)?),
        "authenticator-kind" => args.authenticator_kind = Some(text(parser)?),
        "ca-data" => args.ca_data = Some(text(parser)?),
        "client-id" => args.client_id = Some(text(parser)?),
        "client-secret-env" => args.client_secret_env = Some(text(parser)?),
        "client-secret-file" => args.client_secret_file = Some(parser.value()?.into()),
        "client-secret-keyring" => args.client_secret_keyring = Some(true),
        "cluster-name" => args.cluster_name = Some(text(parser)?),
        "concierge-ca-data" => args.concierge_ca_data = Some(text(parser)?),
        "concierge-endpoint" => args.concierge_endpoint = Some(text(parser)?),
        "exchange-audience" => args.exchange_audience = Some(text(parser)?),
        "extra-params" => args.extra_params.get_or_insert_default().extend(parameters(parser)?),
        "flow" => args.flow = Some(parsed(parser, "flow", Flow::EXPECTED)?),
        "forbid-flows" => args.forbid_flows.get_or_insert_default().extend(flows(parser)?),
        "issuer" => args.issuer = Some(text(parser)?),
        "login-hint" => args.login_hint = Some(text(parser)?),
        "login-timeout" => args.login_timeout = Some(parsed(parser, "login-timeout", "whole seconds")?),
        "no-exchange" => args.no_exchange = Some(true),
        "optional-scopes" => args.optional_scopes = Some(list(parser)?),
        "prompt" => args.prompt = Some(text(parser)?),
        "provider" => args.provider = Some(text(parser)?),
        "redirect-host" => args.redirect_host = Some(redirect_hosts(parser)?),
        "redirect-path" => args.redirect_path = Some(text(parser)?),
        "redirect-ports" => args.redirect_ports = Some(ports(parser)?),
        "request-audience" => args.request_audience = Some(text(parser)?),
        "resource" => args.resource.get_or_insert_default().push(text(parser)?),
        "scopes" => args.scopes = Some(list(parser)?),
        "skip-browser" => args.skip_browser = Some(true),
        "store" => args.store = Some(parsed(parser, "store", Store::EXPECTED)?),
        "token-command" => args.token_command = Some(text(parser)?),
        "token-env" => args.token_env = Some(text(parser)?),
        "token-file" => args.token_file = Some(parser.value()?.into()),
        "token-from-github" => args.token_from_github = Some(true),
        "token-kind" => args.token_kind = Some(parsed(parser, "token-kind", TokenKind::EXPECTED)?),
        other => return Err(lexopt::Error::UnexpectedOption(format!("--{other}")).into()),
    }
    Ok(())
}

fn text(parser: &mut Parser) -> Result<String, UsageError> {
    Ok(parser.value()?.string()?)
}

fn flows(parser: &mut Parser) -> Result<Vec<Flow>, UsageError> {
    list(parser)?
        .into_iter()
        .map(|found| {
            found.parse().map_err(|_| UsageError::Value { option: "forbid-flows", expected: Flow::EXPECTED, found })
        })
        .collect()
}

/// `name=value`; the value may hold anything, so there is one in each option.
fn parameters(parser: &mut Parser) -> Result<Option<(String, String)>, UsageError> {
    let found = parser.value()?.string()?;
    match found.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Some((name.to_owned(), value.to_owned()))),
        _ => Err(UsageError::Value { option: "extra-params", expected: "name=value", found }),
    }
}

fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_wins_and_what_is_forbidden_adds_up() {
        let config: CredentialArgs = serde_json::from_value(serde_json::json!({
            "issuer": "https://idp", "clientId": "staging", "redirectHost": ["localhost", "127.0.0.1"],
            "redirectPorts": [18000], "forbidFlows": ["device"], "extraParams": {"domain_hint": "example.com"},
            "store": "file", "apiGroupSuffix": "pinniped.dev", "skipBrowser": true, "tokenKind": "access",
        }))
        .unwrap();
        let typed = CredentialArgs {
            client_id: Some("production".to_owned()),
            forbid_flows: Some(vec![Flow::Paste]),
            ..CredentialArgs::default()
        };
        let both = typed.or(config);
        assert_eq!(both.client_id.as_deref(), Some("production"));
        assert_eq!(both.issuer.as_deref(), Some("https://idp"));
        assert_eq!(both.forbid_flows, Some(vec![Flow::Paste, Flow::Device]));
        assert_eq!(both.redirect_host, Some(vec![RedirectHost::Localhost, RedirectHost::Ipv4]));
        assert_eq!(both.store, Some(Store::File));
        assert_eq!(both.api_group_suffix.unwrap().to_string(), "pinniped.dev");
    }

    #[test]
    fn a_setting_that_nobody_knows_is_refused_wherever_it_stands() {
        for config in [r#"{"insecure":true}"#, r#"{"flow":"carrier-pigeon"}"#, r#"{"redirectPorts":["http"]}"#] {
            assert!(serde_json::from_str::<CredentialArgs>(config).is_err(), "{config}");
        }
    }
}

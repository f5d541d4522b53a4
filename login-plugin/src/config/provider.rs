//! The identity provider, and what is asked of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{ConfigError, canonical, certificates, https_url};
use crate::args::{CredentialArgs, TokenKind};
use crate::environment::Environment;
use crate::output::Printable;
use crate::platform::keyring::Keyring;
use crate::providers::{self, Profile};
use crate::secret::Secret;

/// Asks for a refresh token (OIDC Core 1.0 section 11).
pub(crate) const OFFLINE_ACCESS: &str = "offline_access";

/// Parameters of the authorization request that are ours: another value would take a safeguard away.
const OWN_PARAMETERS: [&str; 16] = [
    "audience",
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
    "nonce",
    "prompt",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// The identity provider and what we want from it.
#[derive(Clone, Debug)]
pub(crate) struct ProviderConfig {
    /// Compared byte for byte with what the provider says.
    pub(crate) issuer: String,
    /// Our client there, one per cluster.
    pub(crate) client_id: String,
    /// Where the client's secret is, if it has one.
    pub(crate) client_secret: Option<ClientSecret>,
    /// The one audience that the cluster takes. A token for anything else, or for more than is named here, never leaves this
    /// computer.
    pub(crate) audience: String,
    /// Whom else a token may be for, where the provider cannot do otherwise: Zitadel writes the project into each. Never
    /// another cluster. Sorted, without duplicates.
    pub(crate) additional_audiences: Vec<String>,
    /// Which of the provider's tokens the cluster takes.
    pub(crate) token_kind: TokenKind,
    /// Asked for always; sorted, without duplicates, with `openid`.
    pub(crate) scopes: Vec<String>,
    /// Asked for where the provider lists them and does not refuse them; sorted, without duplicates.
    pub(crate) optional_scopes: Vec<String>,
    /// RFC 8707; sorted, without duplicates.
    pub(crate) resources: Vec<String>,
    /// The `audience` parameter that some providers take.
    pub(crate) request_audience: Option<String>,
    /// RFC 8693: an audience to trade the access token for after each login and refresh, as the Pinniped Supervisor wants it.
    pub(crate) exchange_audience: Option<String>,
    /// Which of several accounts; keeps their logins apart.
    pub(crate) account: Option<String>,
    /// Whom the provider should offer to log in.
    pub(crate) login_hint: Option<String>,
    /// OIDC Core 1.0 section 3.1.2.1.
    pub(crate) prompt: Option<String>,
    /// Further parameters of the authorization request, the profile's among them.
    pub(crate) parameters: BTreeMap<String, String>,
    /// PEM. In place of the system's roots.
    pub(crate) roots: Option<Vec<u8>>,
    /// What this provider needs.
    pub(crate) profile: &'static Profile,
}

/// Where a confidential client's secret is. Never in an argument: everybody on the machine sees those.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientSecret {
    /// In a variable of the environment.
    Environment {
        /// Its name, for messages.
        name: String,
        /// What it holds; none if it is not set, which matters only when the secret is needed.
        value: Option<Secret>,
    },
    /// In a file; white space around it does not count.
    File(PathBuf),
    /// In the platform's keyring, put there by `kubectl latchkey login --set-client-secret`.
    Keyring(Keyring),
}

/// Whether a parameter of the authorization request is set by this plugin alone.
pub(crate) fn is_own_parameter(name: &str) -> bool {
    OWN_PARAMETERS.contains(&name)
}

impl ProviderConfig {
    /// Where the client's secret is, if nothing but the kubeconfig says that it is this client's: in a keyring it stands
    /// under the client's name.
    pub(crate) fn loose_secret(&self) -> Option<String> {
        match self.client_secret.as_ref()? {
            ClientSecret::Environment { name, .. } => Some(format!("the variable {}", Printable(name))),
            ClientSecret::File(path) => Some(Printable(&path.display().to_string()).to_string()),
            ClientSecret::Keyring(_) => None,
        }
    }

    pub(super) fn new(args: &CredentialArgs, environment: &Environment) -> Result<Self, ConfigError> {
        let issuer = args.issuer.clone().ok_or(ConfigError::Missing("--issuer"))?;
        let url = https_url("--issuer", &issuer)?;
        let client_id = args.client_id.clone().ok_or(ConfigError::Missing("--client-id"))?;
        let profile = match &args.provider {
            None => providers::of_issuer(&url),
            Some(name) => providers::by_name(name).ok_or_else(|| ConfigError::Provider(name.clone()))?,
        };
        let mut parameters: BTreeMap<String, String> =
            profile.parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in args.extra_params.iter().flatten() {
            if is_own_parameter(name) {
                return Err(ConfigError::OwnParameter(name.clone()));
            }
            parameters.insert(name.clone(), value.clone());
        }
        // In the names of what is kept, so it is the same for all; not asked for where it would be refused.
        let optional_scopes = args.optional_scopes.clone().unwrap_or_else(|| vec![OFFLINE_ACCESS.to_owned()]);
        let scopes = args.scopes.clone().unwrap_or_default();
        Ok(Self {
            // What is traded for it is the token that leaves: the server it goes to is known by that audience.
            audience: args
                .exchange_audience
                .clone()
                .or_else(|| args.audience.clone())
                .unwrap_or_else(|| client_id.clone()),
            issuer,
            client_id,
            client_secret: client_secret(args, environment)?,
            additional_audiences: canonical(args.additional_audiences.clone().unwrap_or_default().into_iter()),
            token_kind: args.token_kind.unwrap_or_default(),
            scopes: canonical(scopes.into_iter().chain(["openid".to_owned()])),
            optional_scopes: canonical(optional_scopes.into_iter()),
            resources: canonical(args.resource.clone().unwrap_or_default().into_iter()),
            request_audience: args.request_audience.clone(),
            exchange_audience: args.exchange_audience.clone(),
            account: args.account.clone(),
            login_hint: args.login_hint.clone().or_else(|| args.account.clone()),
            prompt: args.prompt.clone().or_else(|| profile.prompt.map(ToOwned::to_owned)),
            parameters,
            roots: args.ca_data.as_deref().map(|data| certificates("--ca-data", data)).transpose()?,
            profile,
        })
    }
}

fn client_secret(args: &CredentialArgs, environment: &Environment) -> Result<Option<ClientSecret>, ConfigError> {
    let variable = |name: String| ClientSecret::Environment { value: environment.text(&name).map(Secret::from), name };
    let keyring =
        args.client_secret_keyring.unwrap_or_default().then(|| ClientSecret::Keyring(Keyring::new(environment)));
    let given = [
        args.client_secret_env.clone().map(variable),
        args.client_secret_file.clone().map(ClientSecret::File),
        keyring,
    ];
    let mut given = given.into_iter().flatten();
    let secret = given.next();
    match given.next() {
        None => Ok(secret),
        Some(_) => Err(ConfigError::Several("--client-secret-env, --client-secret-file and --client-secret-keyring")),
    }
}

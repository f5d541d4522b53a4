//! How a person may log in: which ways, which redirect addresses, how long to wait.

use std::time::Duration;

use super::ConfigError;
use crate::args::{CredentialArgs, Flow, RedirectHost};
use crate::environment::Environment;
use crate::providers::Profile;

/// The longest time a login may be waited for: client-go holds a lock meanwhile.
pub(super) const LOGIN_TIMEOUT_MAX_SECONDS: u32 = 1800;

/// Path of the redirect URL unless the client is registered with another.
const REDIRECT_PATH: &str = "/callback";

/// How a person may log in.
#[derive(Clone, Debug)]
pub(crate) struct LoginConfig {
    /// `LATCHKEY_FLOW`, which wins over everything (one kubeconfig, written by somebody else, serves laptop and bastion),
    /// else the setting; none: whatever fits the place.
    pub(crate) flow: Option<Flow>,
    /// Ways in that must not be taken, whoever asks for them.
    pub(crate) forbidden: Vec<Flow>,
    /// Hosts for the redirect URL, in the order to try them.
    pub(crate) redirect_hosts: Vec<RedirectHost>,
    /// Ports to try on each, in order.
    pub(crate) redirect_ports: Vec<u16>,
    /// Path of the redirect URL; begins with a slash, or is empty where the client is registered without any.
    pub(crate) redirect_path: String,
    /// Never start a browser.
    pub(crate) skip_browser: bool,
    /// Given by argument; otherwise it depends on who can see us.
    pub(crate) timeout: Option<Duration>,
    /// Where the provider is a Pinniped Supervisor: which of the providers behind it, and how.
    pub(crate) supervisor: Option<SupervisorLogin>,
    /// Say nothing of the address when a browser was started.
    pub(crate) hide_url: bool,
}

/// A login at a Pinniped Supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SupervisorLogin {
    /// The provider behind it, where there are several.
    pub(crate) upstream: Option<SupervisorUpstream>,
    /// How to log in; none if the Supervisor decides.
    pub(crate) flow: Option<SupervisorFlow>,
}

/// A provider behind a Pinniped Supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SupervisorUpstream {
    /// Its name.
    pub(crate) name: String,
    /// `oidc`, `ldap`, `activedirectory` or `github`.
    pub(crate) kind: String,
}

/// How a Supervisor lets people log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SupervisorFlow {
    /// `browser_authcode`.
    Browser,
    /// `cli_password`.
    Password,
}

impl LoginConfig {
    pub(super) fn new(
        args: &CredentialArgs,
        profile: &Profile,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let from_environment = match environment.text("LATCHKEY_FLOW").as_deref() {
            None | Some("auto") => None,
            Some(text) => Some(text.parse().map_err(|_| ConfigError::Variable {
                name: "LATCHKEY_FLOW",
                expected: "\"auto\", \"browser\", \"device\", \"paste\" or \"none\"",
                found: text.to_owned(),
            })?),
        };
        let redirect_path = args.redirect_path.clone().unwrap_or_else(|| REDIRECT_PATH.to_owned());
        if !(redirect_path.is_empty() || redirect_path.starts_with('/')) || redirect_path.contains(['?', '#', ' ']) {
            return Err(ConfigError::RedirectPath(redirect_path));
        }
        Ok(Self {
            flow: from_environment.or(args.flow),
            forbidden: args.forbid_flows.clone().unwrap_or_default(),
            redirect_hosts: args.redirect_host.clone().unwrap_or_else(|| profile.redirect_hosts.to_vec()),
            redirect_ports: args.redirect_ports.clone().unwrap_or_else(|| profile.redirect_ports.to_vec()),
            redirect_path,
            skip_browser: args.skip_browser.unwrap_or_default(),
            timeout: timeout(args)?,
            supervisor: None,
            hide_url: false,
        })
    }
}

/// `--login-timeout`, in its range.
pub(super) fn timeout(args: &CredentialArgs) -> Result<Option<Duration>, ConfigError> {
    let timeout = args.login_timeout.map(|seconds| match seconds {
        1..=LOGIN_TIMEOUT_MAX_SECONDS => Ok(Duration::from_secs(seconds.into())),
        _ => Err(ConfigError::Timeout(seconds)),
    });
    timeout.transpose()
}

//! The flags of `check`.

use std::path::PathBuf;

use crate::{
    check::{Check, Tokens},
    config::{ClusterName, HttpsProxy, Proxies},
    time::UnixTime,
};

/// Judge tokens by an authenticator's YAML, step by step, without a cluster.
///
/// With --token it judges one; without, it reads many from standard input, one JSON object a line:
/// {"id": "any name", "token": "eyJ..."}. For each it prints one JSON object on a line: whether it is allowed, the reason
/// code if not, the user if so, and every step of the judging with its outcome.
///
/// Exit code: 0 when the token is allowed (of many: when each line was judged), 1 when it is refused (of many: when a line
/// was unreadable), 2 when the authenticator or its keys are of no use, 64 for a mistake in the command.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples:
  # Why was I refused? The token comes from the plugin's cache, the keys from the issuer.
  kubectl get jwtauthenticator corp -o yaml > corp.yaml
  latchkey-concierge check --authenticator corp.yaml --token token.jwt

  # Would this change have admitted everybody who logged in yesterday? No network is needed.
  latchkey-concierge check --authenticator new.yaml --jwks keys.json --now 2026-11-20T12:00:00Z < tokens.jsonl

  # Whose token is this? The fleet list knows every cluster by its audience.
  kubectl get fleetclusters -o yaml > fleet.yaml
  latchkey-concierge check --authenticator corp.yaml --fleet fleet.yaml --cluster-name staging --token token.jwt")]
pub(super) struct CheckArgs {
    /// A YAML or JSON file with one or more `JWTAuthenticator` objects, as in Git or as kubectl prints them. A token is
    /// allowed if one of them allows it.
    #[arg(long, value_name = "FILE")]
    authenticator: PathBuf,

    /// The fleet list: a YAML or JSON file of `FleetCluster` objects. A token of another cluster is then told by name, and
    /// an authenticator whose audience another cluster has too is of no use. They may also stand beside the authenticators.
    #[arg(long, value_name = "FILE", requires = "cluster_name")]
    fleet: Option<PathBuf>,

    /// Which cluster of the fleet list this is, as the server's flag of the same name says.
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<ClusterName>,

    /// A key set (JSON, as an issuer serves it at its `jwks_uri`) to use in place of the authenticator's own source of
    /// keys. Without it, keys that the spec does not hold are fetched from the issuer.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,

    /// Judge as if it were this time, in RFC 3339: 2026-11-21T08:00:00Z. Default: now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<UnixTime>,

    /// A file with one token, or - for standard input. There is no flag for the token itself: everybody on the machine
    /// could read it.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,

    /// The proxy through which issuers are asked for their keys, as the server has it.
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL", default_value = "", hide_env_values = true)]
    https_proxy: HttpsProxy,

    /// The hosts that are asked without the proxy, separated by commas, as the server has it.
    #[arg(long, env = "NO_PROXY", value_name = "HOSTS", default_value = "")]
    no_proxy: String,
}

impl From<CheckArgs> for Check {
    fn from(args: CheckArgs) -> Self {
        let CheckArgs { authenticator, cluster_name, fleet, jwks, now, token, https_proxy, no_proxy } = args;
        let tokens = match token {
            None => Tokens::Lines,
            Some(path) if path.as_os_str() == "-" => Tokens::Stdin,
            Some(path) => Tokens::File(path),
        };
        let cluster_name = cluster_name.map(|name| name.to_string());
        Self { authenticator, cluster_name, fleet, jwks, now, tokens, proxies: Proxies::new(https_proxy, no_proxy) }
    }
}

fn time(text: &str) -> Result<UnixTime, String> {
    let time: jiff::Timestamp = text.parse().map_err(|_| "expected a time such as 2026-11-21T08:00:00Z".to_owned())?;
    Ok(UnixTime::from_micros(time.as_microsecond()))
}

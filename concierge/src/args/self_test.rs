//! The flags of `self-test`.

use std::path::PathBuf;

use latchkey_crds::groups::GroupSuffix;

use super::span::Span;
use crate::self_test::SelfTest;

/// Ask the API server whether it reaches the concierge, and whether that refuses a token that is none.
///
/// `helm test` runs it in a pod; by hand it works from everywhere with a kubeconfig. It needs no rights but those that
/// everybody has who may log in, and leaves one refusal in the audit log. One line is printed for each check.
///
/// Exit code: 0 when every check passed, 1 when one failed, 2 when the API server could not be asked at all, 64 for a
/// mistake in the command.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "Examples:
  # In the cluster, as the chart's test does.
  latchkey-concierge self-test

  # From a laptop, after an upgrade.
  latchkey-concierge self-test --kubeconfig ~/.kube/config --timeout 2m")]
pub(super) struct SelfTestArgs {
    /// The ending of the API groups, as the server's flag of the same name says.
    #[arg(long, env = "LATCHKEY_API_GROUP_SUFFIX", value_name = "DOMAIN", default_value_t)]
    api_group_suffix: GroupSuffix,

    /// A kubeconfig whose current context is the cluster. Default: the pod's service account.
    #[arg(long, env = "LATCHKEY_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// How long checks that fail are made again, for an installation that is still starting. A number with a unit: `30s`,
    /// `2m`.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: Span,
}

impl From<SelfTestArgs> for SelfTest {
    fn from(args: SelfTestArgs) -> Self {
        let SelfTestArgs { api_group_suffix, kubeconfig, timeout } = args;
        Self { kubeconfig, suffix: api_group_suffix, timeout: timeout.0 }
    }
}

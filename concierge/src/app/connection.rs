//! Whether there is an API server, and how it is reached.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::config::Config;

/// Longest wait for a connection to the API server.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Where the kubelet mounts the token of a pod's service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How the API server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As this file says.
    Kubeconfig(PathBuf),
    /// By the pod's service account.
    ServiceAccount,
}

/// The way to the API server; `None`: there is none, and none is needed, for the authenticators come from files.
///
/// Whether there is one is told by the service account's token and not by `KUBERNETES_SERVICE_HOST`: the kubelet gives a
/// static pod that variable as soon as it knows the service, but never a service account.
pub(super) fn way(config: &Config) -> Option<Way> {
    chosen(config.kubeconfig.as_deref(), config.authenticators.is_some(), Path::new(SERVICE_ACCOUNT_TOKEN).exists())
}

fn chosen(kubeconfig: Option<&Path>, from_files: bool, has_account: bool) -> Option<Way> {
    match kubeconfig {
        Some(file) => Some(Way::Kubeconfig(file.to_owned())),
        None if from_files && !has_account => None,
        None => Some(Way::ServiceAccount),
    }
}

impl Way {
    /// The configuration of clients.
    ///
    /// # Errors
    /// When the kubeconfig, or what the kubelet mounts, is not what it should be.
    pub(super) async fn config(self, namespace: &str) -> Result<kube::Config, anyhow::Error> {
        let mut config = match self {
            Self::Kubeconfig(file) => {
                let kubeconfig = Kubeconfig::read_from(&file)
                    .with_context(|| format!("reading the kubeconfig {}", file.display()))?;
                kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                    .await
                    .with_context(|| format!("using the kubeconfig {}", file.display()))?
            }
            Self::ServiceAccount => kube::Config::incluster().context(
                "reading the pod's service account; outside of a pod give --kubeconfig, or without any API server \
                 --authenticators",
            )?,
        };
        config.connect_timeout = Some(CONNECT_LIMIT);
        namespace.clone_into(&mut config.default_namespace);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_do_without_an_api_server_and_only_where_there_is_no_way_to_one() {
        let file = Path::new("admin.conf");
        for (kubeconfig, from_files, has_account, expected) in [
            (Some(file), true, false, Some(Way::Kubeconfig(file.to_owned()))),
            (Some(file), false, true, Some(Way::Kubeconfig(file.to_owned()))),
            (None, true, true, Some(Way::ServiceAccount)),
            (None, true, false, None),
            (None, false, true, Some(Way::ServiceAccount)),
            (None, false, false, Some(Way::ServiceAccount)),
        ] {
            assert_eq!(
                chosen(kubeconfig, from_files, has_account),
                expected,
                "{kubeconfig:?} {from_files} {has_account}"
            );
        }
    }
}

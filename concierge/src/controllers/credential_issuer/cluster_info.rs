//! Where clients find the API server: `kube-public/cluster-info`, else where we find it ourselves.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Config, config::Kubeconfig};
use tokio::time::timeout;

use crate::credential::pem;

const NAMESPACE: &str = "kube-public";
/// kubeadm and kind make it; managed clusters seldom do.
const NAME: &str = "cluster-info";
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// A server and its authorities, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClusterInfo {
    pub(super) server: String,
    /// Base64 of PEM.
    pub(super) certificate_authority_data: String,
}

/// The cluster's own word if it has one, else ours.
pub(super) async fn find(client: &Client, config: &Config) -> Option<ClusterInfo> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let published = match timeout(REQUEST_LIMIT, maps.get_opt(NAME)).await {
        Ok(Ok(map)) => map.and_then(|map| parse(map.data?.get("kubeconfig")?)),
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "cluster-info not read");
            None
        }
        Err(_) => None,
    };
    match published {
        Some(info) => Some(info),
        None => ours(config).await,
    }
}

/// Reads the kubeconfig inside `cluster-info`: one cluster without users (kubeadm's bootstrap discovery).
fn parse(kubeconfig: &str) -> Option<ClusterInfo> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).ok()?;
    let cluster = kubeconfig.clusters.into_iter().next()?.cluster?;
    checked(cluster.server?, cluster.certificate_authority_data?)
}

async fn ours(config: &Config) -> Option<ClusterInfo> {
    let authorities = match (&config.root_cert, &config.root_cert_file) {
        (Some(certificates), _) => certificates.iter().map(|der| pem::encode("CERTIFICATE", der)).collect(),
        (None, Some(file)) => tokio::fs::read_to_string(file).await.ok()?,
        (None, None) => return None,
    };
    let server = config.cluster_url.to_string();
    checked(server.trim_end_matches('/').to_owned(), STANDARD.encode(authorities))
}

/// The schema demands a URL and a non-empty authority; a status that the API server refuses helps nobody.
fn checked(server: String, certificate_authority_data: String) -> Option<ClusterInfo> {
    let is_url = server.starts_with("https://") || server.starts_with("http://");
    (is_url && !certificate_authority_data.is_empty()).then_some(ClusterInfo { server, certificate_authority_data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubeadm_publishes() {
        let kubeconfig = "apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster:\n    \
                          certificate-authority-data: Q0E=\n    server: https://api.example:6443\ncontexts: null\n\
                          users: null\npreferences: {}\ncurrent-context: \"\"\n";
        let expected =
            ClusterInfo { server: "https://api.example:6443".into(), certificate_authority_data: "Q0E=".into() };
        assert_eq!(parse(kubeconfig), Some(expected));
    }

    #[test]
    fn what_is_incomplete_counts_as_absent() {
        for kubeconfig in [
            "",
            "not: [yaml",
            "clusters: []",
            "clusters: [{name: a}]",
            "clusters: [{name: a, cluster: {server: 'https://a'}}]",
            "clusters: [{name: a, cluster: {server: 'a', certificate-authority-data: Q0E=}}]",
            "clusters: [{name: a, cluster: {server: 'https://a', certificate-authority-data: ''}}]",
        ] {
            assert_eq!(parse(kubeconfig), None, "{kubeconfig}");
        }
    }

    #[tokio::test]
    async fn our_own_way_is_the_second_best() {
        let mut config = Config::new("https://10.0.0.1:443/".parse().unwrap());
        assert_eq!(ours(&config).await, None, "no authority, no word");
        config.root_cert = Some(vec![b"der".to_vec()]);
        let info = ours(&config).await.unwrap();
        assert_eq!(info.server, "https://10.0.0.1:443");
        assert_eq!(
            STANDARD.decode(info.certificate_authority_data).unwrap(),
            pem::encode("CERTIFICATE", b"der").as_bytes()
        );
    }
}

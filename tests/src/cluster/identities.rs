//! Whom the cluster knows: kubeconfigs for people, parts of the cluster and service accounts, and certificates to serve with.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::Api;

use super::{
    Cluster,
    kubeconfig::{Identity, Kubeconfig},
};

/// The longest life that a test's service account token asks for, in seconds.
const SERVICE_ACCOUNT_TOKEN_SECONDS: i64 = 24 * 60 * 60;

impl Cluster {
    /// Writes a kubeconfig for this cluster with any identity; `name` names the file and its user.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_kubeconfig(&self, name: &str, identity: &Identity) -> Result<PathBuf> {
        let kubeconfig =
            Kubeconfig { cluster: &self.name, server: &self.server_url(), certificate_authority: self.ca_pem() };
        kubeconfig.write(&self.folder, name, identity)
    }

    /// A kubeconfig for a person with a certificate of the cluster's own CA: what RBAC says to a plain user can be asked with it.
    /// (One group at most: rcgen writes one value of each kind into a subject.)
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn user_kubeconfig(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let identity = self.certificates.client(user, group)?;
        self.write_kubeconfig(&format!("user-{}", uuid::Uuid::new_v4().simple()), &identity)
    }

    /// A kubeconfig for a part of the cluster itself, named after it.
    pub(crate) fn part_kubeconfig(&self, file: &str, user: &str, group: Option<&str>) -> Result<PathBuf> {
        self.write_kubeconfig(file, &self.certificates.client(user, group)?)
    }

    /// The files of a serving certificate of the cluster's CA and of its key, and of the CA.
    pub(crate) fn serving_files(&self, name: &str, names: &[&str]) -> Result<[PathBuf; 3]> {
        let (certificate, key) = self.certificates.serving(name, names)?;
        Ok([
            self.folder.write(&format!("{name}.crt"), certificate)?,
            self.folder.write(&format!("{name}.key"), key)?,
            self.certificates.ca.clone(),
        ])
    }

    /// A kubeconfig with a fresh token (24 h) of a service account, which must exist.
    ///
    /// # Errors
    /// If the API server does not give a token.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(SERVICE_ACCOUNT_TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let answer = accounts
            .create_token_request(name, &kube::api::PostParams::default(), &request)
            .await
            .with_context(|| format!("asking for a token of service account {namespace}/{name}"))?;
        let token = answer.status.and_then(|status| status.token).context("the API server answered without a token")?;
        self.write_kubeconfig(&format!("sa-{namespace}-{name}"), &Identity::Token(token))
    }
}

//! Writes kubeconfig files of a test cluster.

use std::path::PathBuf;

use anyhow::Result;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::folder::TempFolder;

/// Who a kubeconfig speaks as.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// A client certificate and its private key, both PEM.
    Certificate {
        /// The certificate, and its chain if it has one.
        certificate: String,
        /// The private key.
        key: String,
    },
    /// A bearer token.
    Token(String),
}

/// Says which kind, never the secret.
impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Certificate { .. } => "Identity::Certificate(..)",
            Self::Token(_) => "Identity::Token(..)",
        })
    }
}

/// Which cluster a kubeconfig speaks to.
pub(super) struct Kubeconfig<'a> {
    pub(super) cluster: &'a str,
    pub(super) server: &'a str,
    pub(super) certificate_authority: &'a str,
}

impl Kubeconfig<'_> {
    /// Writes `<name>.kubeconfig` (JSON, which is YAML too) in a folder that only we can enter.
    pub(super) fn write(&self, folder: &TempFolder, name: &str, identity: &Identity) -> Result<PathBuf> {
        let user = match identity {
            Identity::Certificate { certificate, key } => json!({
                "client-certificate-data": STANDARD.encode(certificate),
                "client-key-data": STANDARD.encode(key),
            }),
            Identity::Token(token) => json!({ "token": token }),
        };
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": self.cluster,
                "cluster": {
                    "server": self.server,
                    "certificate-authority-data": STANDARD.encode(self.certificate_authority),
                },
            }],
            "users": [{ "name": name, "user": user }],
            "contexts": [{
                "name": self.cluster,
                "context": { "cluster": self.cluster, "user": name, "namespace": "default" },
            }],
            "current-context": self.cluster,
        });
        folder.write(&format!("{name}.kubeconfig"), serde_json::to_vec_pretty(&kubeconfig)?)
    }
}

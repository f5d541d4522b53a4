//! What the `TokenReview` webhook needs between an API server and a concierge: certificates of their own, and the flags.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::Value;

use crate::{
    cluster::{Cluster, Identity},
    folder::TempFolder,
    ports,
};

/// Whom the listener lets ask.
pub const CALLER: &str = "kube-apiserver";

/// The name in the listener's certificate.
pub const SERVER: &str = "latchkey-concierge";

/// A free port, and in one folder `server-ca.crt`, `client-ca.crt`, and a pair each of `tls` and `client`.
#[derive(Debug)]
pub struct ReviewDoor {
    /// Where the concierge is to listen.
    pub port: u16,
    folder: PathBuf,
}

impl ReviewDoor {
    /// Makes the certificates in `work`.
    ///
    /// # Errors
    /// If a file cannot be written, or no port is free.
    pub fn new(work: &TempFolder) -> Result<Self> {
        let (server, client) = (authority("server-ca")?, authority("client-ca")?);
        work.write("server-ca.crt", server.pem())?;
        work.write("client-ca.crt", client.pem())?;
        write_leaf(work, "tls", &server, SERVER, ExtendedKeyUsagePurpose::ServerAuth)?;
        write_leaf(work, "client", &client, CALLER, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Self { port: ports::free()?, folder: work.path().to_owned() })
    }

    /// The folder with all files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The flags that open the listener.
    #[must_use]
    pub fn concierge_args(&self) -> Vec<String> {
        let folder = self.folder.display();
        vec![
            format!("--review-address=127.0.0.1:{}", self.port),
            format!("--review-client-ca-file={folder}/client-ca.crt"),
            format!("--review-client-name={CALLER}"),
            format!("--review-tls-cert-file={folder}/tls.crt"),
            format!("--review-tls-key-file={folder}/tls.key"),
        ]
    }
}

/// Who kube-apiserver takes the bearer of this token for, by kubectl; nobody, if it answers 401.
///
/// # Errors
/// If it answers anything else.
pub async fn who(cluster: &Cluster, token: &str) -> Result<Option<Value>> {
    let kubeconfig = cluster.write_kubeconfig("bearer", &Identity::Token(token.to_owned()))?;
    let output = cluster.kubectl_as(&kubeconfig, &["auth", "whoami", "-o", "json"]).await?;
    if output.status.success() {
        let review: Value = serde_json::from_slice(&output.stdout)?;
        return Ok(Some(review["status"]["userInfo"].clone()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("Unauthorized") || said.contains("must be logged in"), "{said}");
    Ok(None)
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn write_leaf(
    work: &TempFolder,
    file: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
) -> Result<()> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate()?;
    work.write(&format!("{file}.crt"), params.signed_by(&key, authority)?.pem())?;
    work.write(&format!("{file}.key"), key.serialize_pem())?;
    Ok(())
}

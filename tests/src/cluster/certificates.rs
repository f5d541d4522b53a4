//! The certificates of a test cluster, one file each, made fresh at every start.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::kubeconfig::Identity;
use crate::folder::TempFolder;

/// The first address of the service range, which `kubernetes.default.svc` gets.
const SERVICE_ADDRESS: &str = "10.96.0.1";

/// Certificates by their files' paths where a flag wants a path, as PEM where a kubeconfig wants content.
pub(super) struct Certificates {
    pub(super) ca_pem: String,
    pub(super) ca: PathBuf,
    pub(super) ca_key: PathBuf,
    /// `--client-ca-file`: the CA and whatever a test appends.
    pub(super) client_ca: PathBuf,
    pub(super) api_server: PathBuf,
    pub(super) api_server_key: PathBuf,
    /// Separate from the CA: otherwise only `--requestheader-allowed-names` would stand between any client certificate and
    /// impersonating anyone.
    pub(super) front_proxy_ca: PathBuf,
    pub(super) front_proxy_ca_pem: String,
    pub(super) front_proxy: Identity,
    pub(super) front_proxy_file: PathBuf,
    pub(super) front_proxy_key_file: PathBuf,
    pub(super) service_account_key: PathBuf,
    pub(super) service_account_public_key: PathBuf,
    pub(super) admin: Identity,
    pub(super) controller_manager: Identity,
    /// As whom kube-apiserver speaks to kubelets.
    pub(super) kubelet_client: PathBuf,
    pub(super) kubelet_client_key: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// Makes them all; kube-apiserver serves at `address`.
    pub(super) fn make(folder: &TempFolder, address: Ipv4Addr) -> Result<Self> {
        let (ca_pem, ca_key_pem, issuer) = authority("kube-ca")?;
        let (front_proxy_ca_pem, _, front_proxy_issuer) = authority("front-proxy-ca")?;

        let address = address.to_string();
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "127.0.0.1",
            SERVICE_ADDRESS,
            &address,
        ];
        let (api_server, api_server_key) = serving_certificate(&issuer, "kube-apiserver", &names)?;
        let kubelet_client = client_certificate(&issuer, "kube-apiserver-kubelet-client", Some("system:masters"))?;
        let Identity::Certificate { certificate: kubelet_client, key: kubelet_client_key } = kubelet_client else {
            unreachable!("client_certificate makes certificates")
        };

        let front_proxy = client_certificate(&front_proxy_issuer, "front-proxy-client", None)?;
        let Identity::Certificate { certificate, key } = &front_proxy else {
            unreachable!("client_certificate makes certificates")
        };
        let front_proxy_file = folder.write("front-proxy.crt", certificate)?;
        let front_proxy_key_file = folder.write("front-proxy.key", key)?;
        let service_account = KeyPair::generate()?;
        Ok(Self {
            ca: folder.write("ca.crt", &ca_pem)?,
            ca_key: folder.write("ca.key", &ca_key_pem)?,
            client_ca: folder.write("client-ca.crt", &ca_pem)?,
            ca_pem,
            api_server: folder.write("apiserver.crt", api_server)?,
            api_server_key: folder.write("apiserver.key", api_server_key)?,
            front_proxy_ca: folder.write("front-proxy-ca.crt", &front_proxy_ca_pem)?,
            front_proxy_ca_pem,
            front_proxy,
            front_proxy_file,
            front_proxy_key_file,
            service_account_key: folder.write("sa.key", service_account.serialize_pem())?,
            service_account_public_key: folder.write("sa.pub", service_account.public_key_pem())?,
            admin: client_certificate(&issuer, "admin", Some("system:masters"))?,
            controller_manager: client_certificate(&issuer, "system:kube-controller-manager", None)?,
            kubelet_client: folder.write("kubelet-client.crt", kubelet_client)?,
            kubelet_client_key: folder.write("kubelet-client.key", kubelet_client_key)?,
            issuer,
        })
    }

    /// A client certificate of the cluster's CA.
    pub(super) fn client(&self, user: &str, group: Option<&str>) -> Result<Identity> {
        client_certificate(&self.issuer, user, group)
    }

    /// A serving certificate of the cluster's CA and its key, both PEM.
    pub(super) fn serving(&self, common_name: &str, names: &[&str]) -> Result<(String, String)> {
        serving_certificate(&self.issuer, common_name, names)
    }

    /// Writes `--client-ca-file`: the cluster's CA, then `extra`.
    pub(super) fn write_client_ca(&self, folder: &TempFolder, extra: &str) -> Result<()> {
        folder.write("client-ca.crt", format!("{}\n{extra}", self.ca_pem.trim_end()))?;
        Ok(())
    }
}

fn authority(name: &str) -> Result<(String, String, Issuer<'static, KeyPair>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(name, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    let key_pem = key.serialize_pem();
    Ok((certificate.pem(), key_pem, Issuer::new(params, key)))
}

fn client_certificate(issuer: &Issuer<'_, KeyPair>, user: &str, group: Option<&str>) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(user, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, issuer)?;
    Ok(Identity::Certificate { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn serving_certificate(issuer: &Issuer<'_, KeyPair>, common_name: &str, names: &[&str]) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = subject(common_name, None);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Kubernetes reads the user from CN and the group from O.
fn subject(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

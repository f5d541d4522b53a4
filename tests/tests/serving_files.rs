//! The aggregated API under a certificate that somebody else makes, cert-manager or a sealed Secret: shown to the API server,
//! with its authority in `caBundle`, and taken up again when it changes, as a kubelet changes a mounted Secret.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use anyhow::{Result, ensure};
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    concierge::{Concierge, ConciergeOptions},
    folder::TempFolder,
    wait::eventually,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// The concierge looks every ten seconds; the API server takes up a bundle within seconds.
const LIMIT: Duration = Duration::from_secs(90);

/// What the API server asks for.
const NAME: &str = "latchkey-concierge-api.latchkey.svc";

#[tokio::test]
async fn a_certificate_of_somebody_elses_is_served_and_renewed() -> Result<()> {
    let mut options = ClusterOptions::named("serving-files");
    options.controllers_running = false;
    let cluster = Cluster::start(options).await?;
    let mounted = TempFolder::new("mounted")?;
    let first = renew(mounted.path(), "first")?;
    let flag = |flag: &str, file: &str| format!("--aggregated-api-tls-{flag}={}/{file}", mounted.path().display());
    let extra_args = vec![flag("cert-file", "tls.crt"), flag("key-file", "tls.key"), flag("ca-file", "ca.crt")];
    // It ends with both APIs available: the API server has the authority and found the name in the certificate.
    let concierge =
        Concierge::install(&cluster, ConciergeOptions { extra_args, ..ConciergeOptions::default() }).await?;
    trusted(&cluster, &first).await?;
    let secrets = cluster.kubectl_ok(&["get", "secrets", "-n", "latchkey", "-o", "name"]).await?;
    ensure!(!secrets.contains("serving-certificate"), "nobody asked for another certificate: {secrets}");

    let second = renew(mounted.path(), "second")?;
    trusted(&cluster, &second).await?;
    concierge.available(&cluster).await?;
    eventually("the new certificate to be taken by the API server", LIMIT, async || {
        cluster.kubectl_ok(&["get", "--raw", "/apis/login.concierge.latchkey.dev/v1alpha1"]).await
    })
    .await?;
    let metrics = concierge.metrics().await?;
    for certificate in ["serving", "serving-ca"] {
        let series = format!("latchkey_certificate_expiry_timestamp_seconds{{certificate=\"{certificate}\"}}");
        ensure!(metrics.contains(&series), "{series} in {metrics}");
    }
    Ok(())
}

/// Makes an authority and a certificate, in a folder of their own to which the names lead by one link that is replaced
/// whole. Returns the authority.
fn renew(mounted: &Path, version: &str) -> Result<String> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, version);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &authority)?;
    let folder = mounted.join(format!("..{version}"));
    fs::create_dir(&folder)?;
    fs::write(folder.join("tls.crt"), certificate.pem())?;
    fs::write(folder.join("tls.key"), key.serialize_pem())?;
    fs::write(folder.join("ca.crt"), authority.pem())?;
    symlink(format!("..{version}"), mounted.join("..half"))?;
    fs::rename(mounted.join("..half"), mounted.join("..data"))?;
    for file in ["tls.crt", "tls.key", "ca.crt"].iter().filter(|file| !mounted.join(file).is_symlink()) {
        symlink(Path::new("..data").join(file), mounted.join(file))?;
    }
    Ok(authority.pem())
}

/// Both API services trust this authority and no other.
async fn trusted(cluster: &Cluster, authority: &str) -> Result<()> {
    for group in ["login", "identity"] {
        let name = format!("v1alpha1.{group}.concierge.latchkey.dev");
        let bundle = ["get", "apiservice", &name, "-o", "go-template={{.spec.caBundle | base64decode}}"];
        eventually(&format!("{name} to trust the authority"), LIMIT, async || {
            let bundle = cluster.kubectl_ok(&bundle).await?;
            ensure!(bundle.trim() == authority.trim(), "{bundle}");
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}

//! The aggregated API under a certificate that somebody else makes, cert-manager or a sealed Secret: shown to the API server,
//! with its authority in `caBundle`, and taken up again when it changes, as a kubelet changes a mounted Secret: by the same
//! authority at once, by another one when everybody had time to trust it.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use anyhow::{Result, ensure};
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    concierge::{Concierge, ConciergeOptions},
    folder::TempFolder,
    wait::eventually,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, date_time_ymd,
};

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
    let (first, second) = (authority("first")?, authority("second")?);
    fill(mounted.path(), "a", &first, 2050)?;
    let flag = |flag: &str, file: &str| format!("--aggregated-api-tls-{flag}={}/{file}", mounted.path().display());
    let extra_args = vec![flag("cert-file", "tls.crt"), flag("key-file", "tls.key"), flag("ca-file", "ca.crt")];
    // It ends with both APIs available: the API server has the authority and found the name in the certificate.
    let concierge =
        Concierge::install(&cluster, ConciergeOptions { extra_args, ..ConciergeOptions::default() }).await?;
    trusted(&cluster, &first.pem()).await?;
    let secrets = cluster.kubectl_ok(&["get", "secrets", "-n", "latchkey", "-o", "name"]).await?;
    ensure!(!secrets.contains("serving-certificate"), "nobody asked for another certificate: {secrets}");

    fill(mounted.path(), "b", &first, 2060)?;
    shown_until(&concierge, 2060).await?;
    trusted(&cluster, &first.pem()).await?;
    concierge.available(&cluster).await?;

    fill(mounted.path(), "c", &second, 2070)?;
    trusted(&cluster, &format!("{}{}", second.pem(), first.pem())).await?;
    // What the API server was told a moment ago it may not use yet, and it need not.
    shown_until(&concierge, 2060).await?;
    cluster.kubectl_ok(&["get", "--raw", "/apis/login.concierge.latchkey.dev/v1alpha1"]).await?;
    let series = "latchkey_certificate_expiry_timestamp_seconds{certificate=\"serving-ca\"}";
    let metrics = concierge.metrics().await?;
    ensure!(metrics.contains(series), "{series} in {metrics}");
    Ok(())
}

/// An authority that signs serving certificates.
fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// Makes a certificate that ends in `year`, in a folder of its own to which the names lead by one link that is replaced
/// whole.
fn fill(mounted: &Path, version: &str, authority: &CertifiedIssuer<'static, KeyPair>, year: i32) -> Result<()> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
    params.not_after = date_time_ymd(year, 1, 1);
    let certificate = params.signed_by(&key, authority)?;
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
    Ok(())
}

/// The certificate that is shown ends in `year`.
async fn shown_until(concierge: &Concierge, year: i32) -> Result<()> {
    let end = date_time_ymd(year, 1, 1).unix_timestamp();
    let series = format!("latchkey_certificate_expiry_timestamp_seconds{{certificate=\"serving\"}} {end}");
    eventually(&format!("the certificate that ends in {year}"), LIMIT, async || {
        let metrics = concierge.metrics().await?;
        ensure!(metrics.contains(&series), "{series} in {metrics}");
        anyhow::Ok(())
    })
    .await
}

/// Both API services trust these authorities and no other.
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

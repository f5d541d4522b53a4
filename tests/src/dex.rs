//! Dex, the real one, with its own password database in place of the connectors that people have.

use std::time::Duration;

use anyhow::Result;

use crate::{
    child::Child, folder::TempFolder, install_crypto, issuer::serving_certificate_at, place::Place, ports, tools::Tool,
};

/// It makes one RSA key before it listens.
const START_LIMIT: Duration = Duration::from_mins(1);

/// The one person of its database, under the address that Dex asks for.
pub const PERSON: &str = "ann@example.com";

/// That person's password, of this machine alone.
pub const PASSWORD: &str = "ann-password";

/// bcrypt of [`PASSWORD`], at the least cost that Dex takes.
const HASH: &str = "$2a$10$abcdefghijklmnopqrstuubrTNAbjAEPHxLKapLkx1MsD8zcv7YXW";

/// A running Dex; it is killed when dropped.
pub struct Dex {
    _child: Child,
    base: String,
    ca_pem: String,
    // Dropped last: its log is in there.
    _folder: TempFolder,
}

impl Dex {
    /// Starts it with these settings, in which `placeholder` stands for its own address, and with what every installation
    /// adds to them: a storage, where it listens, and whom it knows (`developers` is the group of [`PERSON`]).
    ///
    /// # Errors
    /// If it cannot be built or does not start: with its log.
    pub async fn start(settings: &str, placeholder: &str) -> Result<Self> {
        Self::start_in(settings, placeholder, &Place::here()).await
    }

    /// The same in another place: in a node's network its pods reach it, and this machine too.
    ///
    /// # Errors
    /// If it cannot be built or does not start: with its log.
    pub async fn start_in(settings: &str, placeholder: &str, place: &Place) -> Result<Self> {
        install_crypto();
        let program = Tool::Dex.find().await?;
        let folder = TempFolder::new("dex")?;
        let (ca_pem, certificate, key) = serving_certificate_at("Dex CA", place)?;
        let (address, port) = (place.address(), ports::free()?);
        let base = format!("https://{address}:{port}");
        let certificate = folder.write("tls.crt", certificate)?;
        let key = folder.write("tls.key", key)?;
        let added = format!(
            "storage: {{type: memory}}\n\
             web: {{https: '{address}:{port}', tlsCert: '{}', tlsKey: '{}'}}\n\
             enablePasswordDB: true\n\
             staticPasswords:\n\
             - {{email: {PERSON}, hash: '{HASH}', username: ann, userID: 08a8684b-db88-4b73-90a9-3cd1661f5466, groups: [developers]}}\n",
            certificate.display(),
            key.display(),
        );
        let file = folder.write("dex.yaml", settings.replace(placeholder, &base) + &added)?;
        let mut command = place.networked(&program);
        command.arg("serve").arg(file);
        let mut child = Child::spawn("dex", command, folder.path())?;
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(ca_pem.as_bytes())?)
            .no_proxy()
            .build()?;
        child.answers(&http, &format!("{base}/.well-known/openid-configuration"), START_LIMIT).await?;
        Ok(Self { _child: child, base, ca_pem, _folder: folder })
    }

    /// Its address, which is its issuer.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The CA of its TLS certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }
}

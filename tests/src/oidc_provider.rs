//! npm's `oidc-provider` as a second, real identity provider: what works with ours alone does not count.

mod install;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::{Map, Value, json};

use crate::{
    child::{self, Child},
    folder::TempFolder,
    install_crypto,
    issuer::{Algorithm, User, serving_certificate},
    npm,
    wait::{self, Observation},
};

/// It makes two RSA keys before it listens.
const START_LIMIT: Duration = Duration::from_mins(1);

/// What the provider starts with.
#[derive(Debug, Clone)]
pub struct OidcProviderOptions {
    /// Public native clients and the algorithm of their ID tokens (RS256, PS256, ES256 or `EdDSA`).
    pub clients: Vec<(String, Algorithm)>,
    /// People.
    pub users: Vec<User>,
    /// How long ID tokens live.
    pub token_lifetime: Duration,
    /// Whether only scope `offline_access` together with `prompt=consent` brings a refresh token (OIDC Core section 11), as
    /// `oidc-provider` has it when left to itself; otherwise every login does.
    pub refresh_needs_consent: bool,
    /// What follows host and port in the issuer, a slash at the end included.
    pub issuer_path: String,
    /// The clients' redirect addresses, compared to the letter; if there are none, any port of the loopback is good.
    pub redirects: Vec<String>,
    /// Claims that stand in everybody's ID token, besides their own.
    pub claims: Map<String, Value>,
}

impl Default for OidcProviderOptions {
    /// The clients and people of [`crate::issuer::IssuerOptions::default`]; one client with RSA keys, one with elliptic ones.
    fn default() -> Self {
        Self {
            clients: [("staging", Algorithm::RS256), ("production", Algorithm::ES256)]
                .map(|(id, algorithm)| (id.to_owned(), algorithm))
                .to_vec(),
            users: crate::issuer::IssuerOptions::default().users,
            token_lifetime: Duration::from_mins(5),
            refresh_needs_consent: false,
            issuer_path: String::new(),
            redirects: Vec::new(),
            claims: Map::new(),
        }
    }
}

/// A running `oidc-provider` under Node; it is killed when dropped.
pub struct OidcProvider {
    child: Child,
    url: String,
    ca_pem: String,
    // Dropped last: the process reads its files at the start only, but its logs are written there.
    _folder: TempFolder,
}

impl OidcProvider {
    /// Installs it once per machine and version, starts it, and waits until it listens.
    ///
    /// # Errors
    /// If Node or npm is missing (20 or later), or the provider does not start: with its log.
    pub async fn start(options: OidcProviderOptions) -> Result<Self> {
        install_crypto();
        let folder = TempFolder::new("oidc-provider")?;
        let program = install::program_in(&folder).await?;
        let (ca_pem, certificate, key) = serving_certificate("oidc-provider CA")?;
        let users: Vec<Value> = options.users.iter().map(user).collect();
        let clients: Vec<Value> =
            options.clients.iter().map(|(id, algorithm)| json!({ "id": id, "algorithm": algorithm.name() })).collect();
        let settings = json!({
            "certificate": folder.write("tls.crt", certificate)?,
            "key": folder.write("tls.key", key)?,
            "refreshNeedsConsent": options.refresh_needs_consent,
            "issuerPath": options.issuer_path,
            "redirects": options.redirects,
            "claims": options.claims,
            "tokenSeconds": options.token_lifetime.as_secs(),
            "clients": clients,
            "users": users,
        });
        let settings = folder.write("settings.json", settings.to_string())?;
        let mut command = Command::new("node");
        command.arg(program).arg(settings);
        let mut child = Child::spawn("oidc-provider", command, folder.path())
            .map_err(|error| child::name_what_is_missing(error, npm::NEEDED))?;
        let url = wait::eventually("oidc-provider to listen", START_LIMIT, async || match child.check_alive() {
            Ok(()) => issuer(child.stdout()).into(),
            Err(error) => Observation::Hopeless(error),
        })
        .await?;
        Ok(Self { child, url, ca_pem, _folder: folder })
    }

    /// The issuer, as in `iss`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The CA of its TLS certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Makes a new key of each family; those before stay published, those before them are withdrawn.
    ///
    /// # Errors
    /// If it does not say so in time.
    pub async fn rotate(&mut self) -> Result<()> {
        let said = self.lines()?.len();
        self.child.signal(Signal::HUP)?;
        wait::eventually("oidc-provider to have new keys", START_LIMIT, async || {
            if let Err(error) = self.child.check_alive() {
                return Observation::Hopeless(error);
            }
            match self.lines() {
                Ok(lines) if lines.len() > said => Observation::Holds(()),
                Ok(_) => Observation::NotYet("it says nothing".to_owned()),
                Err(error) => Observation::Hopeless(error),
            }
        })
        .await
    }

    fn lines(&self) -> Result<Vec<String>> {
        Ok(fs::read_to_string(self.child.stdout())?.lines().map(str::to_owned).collect())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

/// As the server wants it: [`User`] itself does not serialise, for its password's sake.
fn user(user: &User) -> Value {
    json!({
        "name": user.name,
        "password": user.password,
        "subject": user.subject,
        "email": user.email,
        "groups": user.groups,
    })
}

/// The first line that the server prints, once it listens.
fn issuer(stdout: &Path) -> Result<String> {
    let text = fs::read_to_string(stdout)?;
    let (line, _) = text.split_once('\n').context("it has not printed its address")?;
    let line: Value = serde_json::from_str(line)?;
    Ok(line["issuer"].as_str().context("an issuer")?.to_owned())
}

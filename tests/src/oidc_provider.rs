//! npm's `oidc-provider` as a second, real identity provider: what works with ours alone does not count.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::{
    cache,
    child::Child,
    folder::TempFolder,
    install_crypto,
    issuer::{Algorithm, User, serving_certificate},
    wait::{self, Observation},
};

/// Its sources in the repository: two for npm, one of ours.
const FILES: [&str; 3] = ["package.json", "package-lock.json", "server.mjs"];

/// `npm ci` fetches forty small packages.
const INSTALL_LIMIT: Duration = Duration::from_mins(5);

/// It makes two RSA keys before it listens.
const START_LIMIT: Duration = Duration::from_mins(1);

/// What the provider starts with.
#[derive(Debug, Clone)]
pub struct OidcProviderOptions {
    /// Public native clients and the algorithm of their ID tokens (RS256, PS256, ES256 or `EdDSA`).
    pub clients: Vec<(String, Algorithm)>,
    /// People; their subject is their name.
    pub users: Vec<User>,
    /// How long ID tokens live.
    pub token_lifetime: Duration,
}

impl Default for OidcProviderOptions {
    /// The clients and people of [`crate::issuer::IssuerOptions::default`].
    fn default() -> Self {
        Self {
            clients: ["staging", "production"].map(|id| (id.to_owned(), Algorithm::RS256)).to_vec(),
            users: crate::issuer::IssuerOptions::default().users,
            token_lifetime: Duration::from_mins(5),
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
        let program = install().await?;
        let folder = TempFolder::new("oidc-provider")?;
        let (ca_pem, certificate, key) = serving_certificate("oidc-provider CA")?;
        let users: Vec<Value> = options.users.iter().map(user).collect();
        let clients: Vec<Value> =
            options.clients.iter().map(|(id, algorithm)| json!({ "id": id, "algorithm": algorithm.name() })).collect();
        let settings = json!({
            "certificate": folder.write("tls.crt", certificate)?,
            "key": folder.write("tls.key", key)?,
            "tokenSeconds": options.token_lifetime.as_secs(),
            "clients": clients,
            "users": users,
        });
        let settings = folder.write("settings.json", settings.to_string())?;
        let mut command = Command::new("node");
        command.arg(program).arg(settings);
        let mut child = Child::spawn("oidc-provider", command, folder.path())?;
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

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

fn user(user: &User) -> Value {
    json!({ "name": user.name, "password": user.password, "email": user.email, "groups": user.groups })
}

/// The one line that the server prints once it listens.
fn issuer(stdout: &Path) -> Result<String> {
    let text = fs::read_to_string(stdout)?;
    ensure!(text.ends_with('\n'), "it has not printed its address");
    let line: Value = serde_json::from_str(text.trim())?;
    Ok(line["issuer"].as_str().context("an issuer")?.to_owned())
}

/// `npm ci` into the user's cache, once for each version of our three files; returns the path of the server's script.
async fn install() -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("idp");
    let mut content = Vec::new();
    for file in FILES {
        content.extend(fs::read(sources.join(file)).with_context(|| format!("reading tests/idp/{file}"))?);
    }
    let hash = hex::encode(digest(&SHA256, &content));
    let folder = cache::user_cache()?.join("latchkey/idp").join(&hash[..16]);
    let (server, done) = (folder.join("server.mjs"), folder.join(".installed"));
    if done.is_file() {
        return Ok(server);
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let _lock = cache::lock(&folder).await?;
    if done.is_file() {
        return Ok(server);
    }
    for file in FILES {
        fs::copy(sources.join(file), folder.join(file)).with_context(|| format!("copying {file}"))?;
    }
    eprintln!("oidc-provider: npm ci, once per machine");
    let start = Instant::now();
    let logs = TempFolder::new("npm")?;
    let mut command = Command::new("npm");
    command.current_dir(&folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let mut npm = Child::spawn("npm", command, logs.path()).map_err(|error| {
        match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(ErrorKind::NotFound) => anyhow!("npm is missing: install Node.js 20 or later (https://nodejs.org)"),
            _ => error,
        }
    })?;
    let status = npm.ended(INSTALL_LIMIT).await?;
    ensure!(status.success(), "npm ci failed: {status}\n{}", npm.last_words());
    fs::write(&done, "")?;
    eprintln!("oidc-provider: installed in {:.1} s", start.elapsed().as_secs_f32());
    Ok(server)
}

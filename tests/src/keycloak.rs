//! Keycloak as a third, real identity provider: the one that most platform teams run themselves.

mod install;

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    child::Child,
    folder::TempFolder,
    install_crypto,
    issuer::{User, serving_certificate},
    ports,
};

/// A Java program with a database: twelve seconds on two idle cores.
const START_LIMIT: Duration = Duration::from_mins(3);

/// The realm that is ours.
const REALM: &str = "corp";

/// The bootstrap administrator, of this process alone.
const ADMIN: &str = "admin";

/// Enough for a realm or two; by itself it would take a quarter of the machine.
const HEAP: &str = "-Xms64m -Xmx384m";

/// A realm's key pair as Keycloak makes it: its provider, and the settings that say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The algorithm that such a key signs by (JWA's name).
    pub algorithm: &'static str,
    provider: &'static str,
    setting: (&'static str, &'static str),
}

/// A key pair for each family and curve.
pub const FAMILIES: [Keys; 6] = [
    Keys { algorithm: "RS256", provider: "rsa-generated", setting: ("algorithm", "RS256") },
    Keys { algorithm: "PS256", provider: "rsa-generated", setting: ("algorithm", "PS256") },
    Keys { algorithm: "ES256", provider: "ecdsa-generated", setting: ("ecdsaEllipticCurveKey", "P-256") },
    Keys { algorithm: "ES384", provider: "ecdsa-generated", setting: ("ecdsaEllipticCurveKey", "P-384") },
    Keys { algorithm: "ES512", provider: "ecdsa-generated", setting: ("ecdsaEllipticCurveKey", "P-521") },
    Keys { algorithm: "EdDSA", provider: "eddsa-generated", setting: ("eddsaEllipticCurveKey", "Ed25519") },
];

/// A running Keycloak with the realm `corp`; it is killed when dropped.
pub struct Keycloak {
    _child: Child,
    base: String,
    ca_pem: String,
    password: String,
    http: reqwest::Client,
    // Dropped last: it works in there.
    _folder: TempFolder,
}

impl Keycloak {
    /// Installs it once per machine and version, starts it, and makes a realm with public clients, people and a key for each
    /// of [`FAMILIES`].
    ///
    /// # Errors
    /// If Java (17 or later) or Maven is missing, or it does not start: with its log.
    pub async fn start(clients: &[&str], users: &[User]) -> Result<Self> {
        install_crypto();
        let folder = TempFolder::new("keycloak")?;
        let script = install::home_in(&folder).await?;
        let (ca_pem, certificate, key) = serving_certificate("Keycloak CA")?;
        let port = ports::free()?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        let base = format!("https://127.0.0.1:{port}");
        let mut command = Command::new(script);
        command
            .args(["start", "--optimized", "--http-enabled=false", "--http-host=127.0.0.1"])
            .arg(format!("--hostname={base}"))
            .arg(format!("--https-port={port}"))
            .arg(format!("--https-certificate-file={}", folder.write("tls.crt", certificate)?.display()))
            .arg(format!("--https-certificate-key-file={}", folder.write("tls.key", key)?.display()))
            .env("JAVA_OPTS_KC_HEAP", HEAP)
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", &password);
        let mut child = Child::spawn("keycloak", command, folder.path())?;
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(ca_pem.as_bytes())?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        child.answers(&http, &format!("{base}/realms/master"), START_LIMIT).await?;
        let this = Self { _child: child, base, ca_pem, password, http, _folder: folder };
        this.admin(Method::POST, "", Some(&realm(clients, users))).await?;
        Ok(this)
    }

    /// The issuer, as in `iss`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/realms/{REALM}", self.base)
    }

    /// Where all realms are.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The CA of its TLS certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The password of `admin` in the realm `master`.
    #[must_use]
    pub fn admin_password(&self) -> &str {
        &self.password
    }

    /// The folder of `kcadm.sh`, Keycloak's own command line.
    ///
    /// # Errors
    /// If Keycloak cannot be installed.
    pub async fn programs() -> Result<PathBuf> {
        install::programs().await
    }

    /// Has a client's ID tokens signed by another algorithm from now on.
    ///
    /// # Errors
    /// If there is no such client.
    pub async fn sign_by(&self, client: &str, algorithm: &str) -> Result<()> {
        let found = self.admin(Method::GET, &format!("/{REALM}/clients?clientId={client}"), None).await?;
        let mut object = found.get(0).cloned().with_context(|| format!("no client {client}"))?;
        object["attributes"]["id.token.signed.response.alg"] = algorithm.into();
        let path = format!("/{REALM}/clients/{}", object["id"].as_str().context("an id")?);
        self.admin(Method::PUT, &path, Some(&object)).await?;
        Ok(())
    }

    /// Asks people from now on, before a client gets anything of theirs.
    ///
    /// # Errors
    /// If there is no such client.
    pub async fn ask_consent(&self, client: &str) -> Result<()> {
        let found = self.admin(Method::GET, &format!("/{REALM}/clients?clientId={client}"), None).await?;
        let mut object = found.get(0).cloned().with_context(|| format!("no client {client}"))?;
        object["consentRequired"] = true.into();
        let path = format!("/{REALM}/clients/{}", object["id"].as_str().context("an id")?);
        self.admin(Method::PUT, &path, Some(&object)).await?;
        Ok(())
    }

    /// Makes a key pair that signs from now on; those before stay published.
    ///
    /// # Errors
    /// If Keycloak refuses.
    pub async fn add_keys(&self, keys: Keys, name: &str, priority: u32) -> Result<()> {
        let mut component = keys.component(name, priority);
        component["providerType"] = KEY_PROVIDER.into();
        self.admin(Method::POST, &format!("/{REALM}/components"), Some(&component)).await?;
        Ok(())
    }

    /// Withdraws the key pair of that name.
    ///
    /// # Errors
    /// If there is none.
    pub async fn withdraw_keys(&self, name: &str) -> Result<()> {
        let found =
            self.admin(Method::GET, &format!("/{REALM}/components?name={name}&type={KEY_PROVIDER}"), None).await?;
        let id = found[0]["id"].as_str().with_context(|| format!("no keys {name}: {found}"))?;
        self.admin(Method::DELETE, &format!("/{REALM}/components/{id}"), None).await?;
        Ok(())
    }

    /// All tokens of a login by password, with scope `openid` (OAuth 2.0's password grant: a test's short cut; how people
    /// log in is tested elsewhere).
    ///
    /// # Errors
    /// If Keycloak refuses.
    pub async fn tokens(&self, client: &str, user: &str, password: &str) -> Result<Value> {
        let form = [
            ("grant_type", "password"),
            ("client_id", client),
            ("username", user),
            ("password", password),
            ("scope", "openid"),
        ];
        self.post_form(REALM, &form).await
    }

    /// Asks Keycloak's admin API, `path` being below `/admin/realms`.
    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        // Its access tokens live a minute: each request brings its own.
        let form =
            [("grant_type", "password"), ("client_id", "admin-cli"), ("username", ADMIN), ("password", &self.password)];
        let tokens = self.post_form("master", &form).await?;
        let token = tokens["access_token"].as_str().context("no access token")?;
        let mut request = self.http.request(method, format!("{}/admin/realms{path}", self.base)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "Keycloak's admin API at {path}: {status}: {text}");
        if text.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&text)?) }
    }

    async fn post_form(&self, realm: &str, form: &[(&str, &str)]) -> Result<Value> {
        let url = format!("{}/realms/{realm}/protocol/openid-connect/token", self.base);
        let answer = self.http.post(url).form(form).send().await?;
        let status = answer.status();
        let tokens: Value = answer.json().await?;
        if !status.is_success() {
            bail!("{status}: {tokens}");
        }
        Ok(tokens)
    }
}

const KEY_PROVIDER: &str = "org.keycloak.keys.KeyProvider";

// === impl Keys ===

impl Keys {
    /// The name that a realm's first key pair of this kind has.
    #[must_use]
    pub fn first_name(self) -> String {
        format!("{}-1", self.algorithm)
    }

    fn component(self, name: &str, priority: u32) -> Value {
        let (setting, value) = self.setting;
        json!({
            "name": name,
            "providerId": self.provider,
            "config": {"priority": [priority.to_string()], setting: [value]},
        })
    }
}

/// The realm as an administrator would set it up: groups in the ID token under `groups`, and not one key more than needed,
/// apart from those that Keycloak itself cannot do without (an HMAC key for its own refresh tokens, one for encryption).
fn realm(clients: &[&str], users: &[User]) -> Value {
    let groups_in_the_token = json!({
        "name": "groups",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-group-membership-mapper",
        "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true", "access.token.claim": "false"},
    });
    let clients: Vec<Value> = clients
        .iter()
        .map(|id| {
            json!({
                "clientId": id,
                "publicClient": true,
                "directAccessGrantsEnabled": true,
                "redirectUris": ["http://127.0.0.1:*", "http://localhost:*"],
                "protocolMappers": [groups_in_the_token],
            })
        })
        .collect();
    let mut groups: Vec<&String> = users.iter().flat_map(|user| &user.groups).collect();
    groups.sort();
    groups.dedup();
    let people: Vec<Value> = users
        .iter()
        .map(|user| {
            json!({
                "username": user.name,
                "enabled": true,
                "email": user.email,
                "emailVerified": true,
                "firstName": user.name,
                "lastName": "Example",
                "credentials": [{"type": "password", "value": user.password, "temporary": false}],
                // As people have by themselves whom an administrator makes by hand: scope `offline_access` is theirs to ask for.
                "realmRoles": ["offline_access"],
                "groups": user.groups.iter().map(|group| format!("/{group}")).collect::<Vec<_>>(),
            })
        })
        .collect();
    let mut keys: Vec<Value> = FAMILIES.iter().map(|keys| keys.component(&keys.first_name(), 100)).collect();
    keys.push(json!({"name": "hmac", "providerId": "hmac-generated", "config": {"algorithm": ["HS512"]}}));
    keys.push(json!({"name": "enc", "providerId": "rsa-enc-generated", "config": {"algorithm": ["RSA-OAEP"]}}));
    json!({
        "realm": REALM,
        "enabled": true,
        "groups": groups.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "users": people,
        "clients": clients,
        "components": {KEY_PROVIDER: keys},
    })
}

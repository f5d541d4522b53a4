//! An OIDC client of a provider that is not ours: authorization code with PKCE, and what comes back for it.

use anyhow::{Context as _, Result, ensure};
use reqwest::Url;
use serde_json::Value;

use crate::{install_crypto, login::Login};

/// Where the provider sends people back to. Nobody listens there: what counts is the address.
pub const REDIRECT: &str = "http://127.0.0.1:43118/callback";
/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What a client knows of its provider.
pub struct RelyingParty {
    /// Trusts the provider's CA and no other, follows no redirect.
    pub http: reqwest::Client,
    discovery: Value,
    ca_pem: String,
}

impl RelyingParty {
    /// Reads the discovery document of `issuer`.
    ///
    /// # Errors
    /// If there is none, or it names another issuer.
    pub async fn of(issuer: &str, ca_pem: &str) -> Result<Self> {
        install_crypto();
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(ca_pem.as_bytes())?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let discovery = http.get(format!("{issuer}/.well-known/openid-configuration")).send().await?;
        let discovery: Value = discovery.error_for_status()?.json().await?;
        ensure!(discovery["issuer"] == issuer, "{discovery}");
        Ok(Self { http, discovery, ca_pem: ca_pem.to_owned() })
    }

    /// A URL of the discovery document.
    ///
    /// # Errors
    /// If it does not name it.
    pub fn endpoint(&self, name: &str) -> Result<&str> {
        self.discovery[name].as_str().with_context(|| format!("no {name}"))
    }

    /// Where a person's browser is sent to.
    ///
    /// # Errors
    /// If the provider announces no such place.
    pub fn authorize(&self, client: &str, extra: &[(&str, &str)]) -> Result<Url> {
        authorize_url(self.endpoint("authorization_endpoint")?, client, extra)
    }

    /// A walk over its pages by somebody whom it does not know yet; the code that comes back.
    ///
    /// # Errors
    /// If the password is refused, or no code comes back.
    pub async fn code(&self, client: &str, user: &str, password: &str, extra: &[(&str, &str)]) -> Result<String> {
        let person = Login::new(&self.ca_pem)?;
        let back = person.code_for(self.authorize(client, extra)?.as_str(), user, password).await?;
        ensure!(query(&back, "state").as_deref() == Some("state-1"), "{back}");
        query(&back, "code").with_context(|| format!("no code: {back}"))
    }

    /// All tokens of a login by a person whose password is `<user>-password`.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn log_in(&self, client: &str, user: &str, extra: &[(&str, &str)]) -> Result<Value> {
        let code = self.code(client, user, &format!("{user}-password"), extra).await?;
        self.token(&code_form(client, &code)).await
    }

    /// Asks the token endpoint.
    ///
    /// # Errors
    /// If it refuses: with its answer.
    pub async fn token(&self, form: &[(&str, String)]) -> Result<Value> {
        let answer = self.http.post(self.endpoint("token_endpoint")?).form(form).send().await?;
        let status = answer.status();
        let tokens: Value = answer.json().await?;
        ensure!(status.is_success(), "{status}: {tokens}");
        Ok(tokens)
    }
}

/// An authorization request at an endpoint; `extra` takes the place of the usual parameters.
///
/// # Errors
/// If the endpoint is no URL.
pub fn authorize_url(endpoint: &str, client: &str, extra: &[(&str, &str)]) -> Result<Url> {
    let usual = [
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("scope", "openid offline_access"),
        ("state", "state-1"),
        ("nonce", "nonce-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let usual = usual.into_iter().filter(|(name, _)| extra.iter().all(|(other, _)| other != name));
    Ok(Url::parse_with_params(endpoint, usual.chain(extra.iter().copied()))?)
}

/// What the token endpoint wants for a code.
#[must_use]
pub fn code_form(client: &str, code: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", client.to_owned()),
        ("code", code.to_owned()),
        ("redirect_uri", REDIRECT.to_owned()),
        ("code_verifier", VERIFIER.to_owned()),
    ]
}

/// What the token endpoint wants for a refresh token.
///
/// # Errors
/// If there is none among the tokens.
pub fn refresh_form(client: &str, tokens: &Value) -> Result<Vec<(&'static str, String)>> {
    let token = tokens["refresh_token"].as_str().context("a refresh token")?;
    Ok(vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", client.to_owned()),
        ("refresh_token", token.to_owned()),
    ])
}

/// A parameter of an address.
#[must_use]
pub fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

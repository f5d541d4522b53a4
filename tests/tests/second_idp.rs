//! npm's oidc-provider and Chromium: what the harness' own issuer and client do, by others.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_e2e::{
    browser::Browser,
    issuer::{AUTHORIZE, Issuer, IssuerOptions, LOGIN},
    login::Login,
    oidc_provider::{OidcProvider, OidcProviderOptions},
};
use reqwest::Url;
use serde_json::Value;

const REDIRECT: &str = "http://127.0.0.1:43118/callback";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test]
async fn oidc_provider_logs_a_person_in_and_refreshes() -> Result<()> {
    let start = Instant::now();
    let provider = OidcProvider::start(OidcProviderOptions::default()).await?;
    eprintln!("oidc-provider up after {:?}", start.elapsed());
    let http = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(provider.ca_pem().as_bytes())?)
        .no_proxy()
        .build()?;
    let discovery = http.get(format!("{}/.well-known/openid-configuration", provider.url())).send().await?;
    let discovery: Value = discovery.error_for_status()?.json().await?;
    ensure!(discovery["issuer"] == provider.url(), "{discovery}");
    let endpoint = |name: &str| discovery[name].as_str().map(str::to_owned).context("an endpoint");
    let authorize = authorize_url(&endpoint("authorization_endpoint")?)?;

    let person = Login::new(provider.ca_pem())?;
    let wrong = person.code_for(authorize.as_str(), "ann", "wrong").await.expect_err("a wrong password");
    ensure!(format!("{wrong:#}").contains("was refused"), "{wrong:#}");
    let start = Instant::now();
    let person = Login::new(provider.ca_pem())?;
    let back = person.code_for(authorize.as_str(), "ann", "ann-password").await?;
    eprintln!("login walked in {:?}", start.elapsed());
    let code = query(&back, "code").with_context(|| format!("no code: {back}"))?;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "staging"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let tokens = http.post(endpoint("token_endpoint")?).form(&form).send().await?;
    let tokens: Value = tokens.error_for_status()?.json().await?;
    let claims = claims(&tokens)?;
    ensure!(claims["iss"] == provider.url() && claims["aud"] == "staging" && claims["sub"] == "ann", "{claims}");
    ensure!(claims["groups"] == serde_json::json!(["developers", "on-call"]), "{claims}");
    ensure!(claims["email"] == "ann@example.com", "{claims}");

    let refresh = tokens["refresh_token"].as_str().context("a refresh token")?;
    let form = [("grant_type", "refresh_token"), ("client_id", "staging"), ("refresh_token", refresh)];
    let again = http.post(endpoint("token_endpoint")?).form(&form).send().await?;
    let again: Value = again.error_for_status()?.json().await?;
    ensure!(again["refresh_token"] != tokens["refresh_token"] && again["id_token"].is_string(), "{again}");
    Ok(())
}

#[tokio::test]
async fn chromium_signs_in_at_both() -> Result<()> {
    let start = Instant::now();
    let browser = Browser::start().await?;
    eprintln!("Chromium up after {:?}", start.elapsed());

    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let page = authorize_url(&format!("{}{AUTHORIZE}", issuer.url()))?;
    browser.go(page.as_str()).await?;
    ensure!(browser.title().await? == "Sign in");
    ensure!(browser.text(&browser.find("main").await?).await?.contains("to continue to staging"));
    keep(&browser, "sign-in.png").await?;
    browser.sign_in("ann", "wrong").await?;
    ensure!(browser.text(&browser.find("[role=alert]").await?).await?.contains("wrong"));
    keep(&browser, "sign-in-refused.png").await?;
    ensure!(issuer.requests(LOGIN) == 1);
    // Nobody listens at the redirect address; what counts is where the browser was sent.
    browser.go(page.as_str()).await?;
    let _nobody_listens = browser.sign_in("ann", "ann-password").await;
    let back = Url::parse(&browser.address_starting_with(REDIRECT).await?)?;
    ensure!(query(&back, "code").is_some(), "{back}");

    let provider = OidcProvider::start(OidcProviderOptions::default()).await?;
    let page = authorize_url(&format!("{}/auth", provider.url()))?;
    browser.go(page.as_str()).await?;
    ensure!(browser.source().await?.contains("to continue to <strong>staging</strong>"));
    let _nobody_listens = browser.sign_in("bob", "bob-password").await;
    let back = Url::parse(&browser.address_starting_with(REDIRECT).await?)?;
    ensure!(query(&back, "code").is_some(), "{back}");
    browser.quit().await?;
    Ok(())
}

fn authorize_url(endpoint: &str) -> Result<Url> {
    Ok(Url::parse_with_params(
        endpoint,
        [
            ("response_type", "code"),
            ("client_id", "staging"),
            ("redirect_uri", REDIRECT),
            ("scope", "openid email profile groups offline_access"),
            ("state", "state-1"),
            ("nonce", "nonce-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ],
    )?)
}

/// Saves a picture where `LATCHKEY_SCREENSHOTS` says.
async fn keep(browser: &Browser, name: &str) -> Result<()> {
    let picture = browser.screenshot().await?;
    ensure!(picture.starts_with(b"\x89PNG"), "a picture");
    if let Some(folder) = std::env::var_os("LATCHKEY_SCREENSHOTS") {
        std::fs::write(std::path::Path::new(&folder).join(name), picture)?;
    }
    Ok(())
}

fn claims(tokens: &Value) -> Result<Value> {
    let token = tokens["id_token"].as_str().context("an ID token")?;
    let payload = token.split('.').nth(1).context("a payload")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

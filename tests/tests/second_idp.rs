//! npm's oidc-provider and Chromium: what the harness' own issuer and client do, by others.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_concierge::{
    authn,
    index::{self, Authenticator, AuthenticatorName, AuthenticatorRef, Entry},
    jwt::{self, AlgorithmSet, Audience, KeySet, Verifier},
    mapping::{GroupName, Rules},
    secret::BearerToken,
    time::UnixTime,
};
use latchkey_e2e::{
    browser::Browser,
    issuer::{AUTHORIZE, Issuer, IssuerOptions, LOGIN},
    login::Login,
    oidc_provider::{OidcProvider, OidcProviderOptions},
};
use reqwest::Url;
use serde_json::{Value, json};

const REDIRECT: &str = "http://127.0.0.1:43118/callback";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test]
async fn a_login_at_oidc_provider_passes_the_judge_and_can_be_refreshed() -> Result<()> {
    let start = Instant::now();
    let site = Site::start(OidcProviderOptions::default()).await?;
    eprintln!("oidc-provider up after {:?}", start.elapsed());
    let wrong = site.code("staging", "ann", "wrong", &[]).await.expect_err("a wrong password");
    ensure!(format!("{wrong:#}").contains("was refused"), "{wrong:#}");

    for (client, algorithm) in [("staging", "RS256"), ("production", "ES256")] {
        let tokens = site.log_in(client, "ann", &[]).await?;
        let claims = site.judged(&tokens, client).await?;
        ensure!(part(&tokens, 0)?["alg"] == algorithm, "{}", part(&tokens, 0)?);
        ensure!(claims["sub"] == "subject-ann" && claims["username"] == "ann", "{claims}");
        ensure!(claims["email"] == "ann@example.com" && claims["nonce"] == "nonce-1", "{claims}");
        let lifetime = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(end, start)| end - start);
        ensure!(lifetime == Some(300), "{claims}");

        let again = site.token(&refresh_form(client, &tokens)?).await?;
        site.judged(&again, client).await?;
        ensure!(again["refresh_token"].is_string() && again["refresh_token"] != tokens["refresh_token"]);
        let reused = site.token(&refresh_form(client, &tokens)?).await.expect_err("it was used before");
        ensure!(format!("{reused:#}").contains("invalid_grant"), "{reused:#}");
        let family = site.token(&refresh_form(client, &again)?).await.expect_err("a reuse ends the whole family");
        ensure!(format!("{family:#}").contains("invalid_grant"), "{family:#}");
    }
    Ok(())
}

#[tokio::test]
async fn oidc_provider_refuses_what_it_must() -> Result<()> {
    let site =
        Site::start(OidcProviderOptions { refresh_needs_consent: true, ..OidcProviderOptions::default() }).await?;

    let code = site.code("staging", "ann", "ann-password", &[]).await?;
    let mut form = code_form("staging", &code);
    form.retain(|(name, _)| *name != "code_verifier");
    form.push(("code_verifier", VERIFIER.replace('d', "e")));
    let error = site.token(&form).await.expect_err("somebody else's verifier (RFC 7636 4.6)");
    ensure!(format!("{error:#}").contains("invalid_grant"), "{error:#}");

    let foreign = site.authorize("staging", &[("redirect_uri", "http://127.0.0.1:43118/elsewhere")])?;
    let answer = site.http.get(foreign).send().await?;
    ensure!(answer.status() == 400, "{answer:?}");
    ensure!(answer.headers()["content-security-policy"].to_str()?.contains("default-src 'none'"), "{answer:?}");
    let page = answer.text().await?;
    ensure!(page.contains("invalid_redirect_uri") && !page.contains("https://"), "{page}");

    let tokens = site.log_in("staging", "ann", &[]).await?;
    ensure!(tokens["id_token"].is_string() && tokens["refresh_token"].is_null(), "no consent was asked for");
    let tokens = site.log_in("staging", "ann", &[("prompt", "consent")]).await?;
    let again = site.token(&refresh_form("staging", &tokens)?).await?;
    site.judged(&again, "staging").await?;
    Ok(())
}

#[tokio::test]
async fn chromium_signs_in_at_both() -> Result<()> {
    let start = Instant::now();
    let browser = Browser::start().await?;
    eprintln!("Chromium up after {:?}", start.elapsed());

    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let page = authorize_url(&format!("{}{AUTHORIZE}", issuer.url()), "staging", &[])?;
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

    let site = Site::start(OidcProviderOptions::default()).await?;
    browser.go(site.authorize("staging", &[])?.as_str()).await?;
    ensure!(browser.text(&browser.find("main").await?).await?.contains("to continue to staging"));
    keep(&browser, "oidc-provider.png").await?;
    browser.sign_in("<b>bob", "wrong").await?;
    ensure!(browser.text(&browser.find("[role=alert]").await?).await?.contains("wrong"));
    let name = browser.run("return document.querySelector('#login').value").await?;
    ensure!(name == "<b>bob", "the name is shown again, as text: {name}");
    keep(&browser, "oidc-provider-refused.png").await?;
    browser.go(site.authorize("staging", &[])?.as_str()).await?;
    let _nobody_listens = browser.sign_in("bob", "bob-password").await;
    let back = Url::parse(&browser.address_starting_with(REDIRECT).await?)?;
    let code = query(&back, "code").with_context(|| format!("no code: {back}"))?;
    let claims = site.judged(&site.token(&code_form("staging", &code)).await?, "staging").await?;
    ensure!(claims["username"] == "bob", "{claims}");
    browser.quit().await?;
    Ok(())
}

/// A running provider and what a client knows of it.
struct Site {
    provider: OidcProvider,
    http: reqwest::Client,
    discovery: Value,
}

impl Site {
    async fn start(options: OidcProviderOptions) -> Result<Self> {
        let provider = OidcProvider::start(options).await?;
        let http = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(provider.ca_pem().as_bytes())?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let discovery = http.get(format!("{}/.well-known/openid-configuration", provider.url())).send().await?;
        let discovery: Value = discovery.error_for_status()?.json().await?;
        ensure!(discovery["issuer"] == provider.url(), "{discovery}");
        Ok(Self { provider, http, discovery })
    }

    fn endpoint(&self, name: &str) -> Result<&str> {
        self.discovery[name].as_str().with_context(|| format!("no {name}"))
    }

    fn authorize(&self, client: &str, extra: &[(&str, &str)]) -> Result<Url> {
        authorize_url(self.endpoint("authorization_endpoint")?, client, extra)
    }

    /// A walk over its pages by somebody whom it does not know yet.
    async fn code(&self, client: &str, user: &str, password: &str, extra: &[(&str, &str)]) -> Result<String> {
        let person = Login::new(self.provider.ca_pem())?;
        let back = person.code_for(self.authorize(client, extra)?.as_str(), user, password).await?;
        ensure!(query(&back, "state").as_deref() == Some("state-1"), "{back}");
        query(&back, "code").with_context(|| format!("no code: {back}"))
    }

    async fn log_in(&self, client: &str, user: &str, extra: &[(&str, &str)]) -> Result<Value> {
        let code = self.code(client, user, &format!("{user}-password"), extra).await?;
        self.token(&code_form(client, &code)).await
    }

    async fn token(&self, form: &[(&str, String)]) -> Result<Value> {
        let answer = self.http.post(self.endpoint("token_endpoint")?).form(form).send().await?;
        let status = answer.status();
        let tokens: Value = answer.json().await?;
        ensure!(status.is_success(), "{status}: {tokens}");
        Ok(tokens)
    }

    /// The claims of an ID token that the concierge's judge admits for this audience.
    async fn judged(&self, tokens: &Value, audience: &str) -> Result<Value> {
        let keys = self.http.get(self.endpoint("jwks_uri")?).send().await?.bytes().await?;
        let (keys, dropped) = KeySet::parse(&keys)?;
        ensure!(dropped.is_empty() && keys.len() == 4, "{dropped:?}");
        let claims = part(tokens, 1)?;
        let now = UnixTime::from_secs(claims["iat"].as_i64().context("iat")?);
        let authenticator = Authenticator {
            name: AuthenticatorName::new("second"),
            uid: "1".to_owned(),
            generation: 1,
            verifier: Verifier::new(
                jwt::Issuer::new(self.provider.url().to_owned()),
                Audience::new(audience.to_owned()),
                AlgorithmSet::default(),
                Arc::new(keys),
            ),
            rules: Rules::new("username".to_owned(), "groups".to_owned(), Vec::new()),
            credential_lifetime: None,
            keys_fetched_at: now,
        };
        let (mut writer, index) = index::channel();
        let reference = AuthenticatorRef::jwt("second");
        writer.set(reference.clone(), Entry::Ready(Arc::new(authenticator)));
        let token = BearerToken::new(tokens["id_token"].as_str().context("an ID token")?.to_owned());
        let verdict = authn::authenticate(&token, &reference, &index.snapshot(), now);
        let admitted = verdict.outcome.map_err(|rejection| anyhow!("{rejection}"))?;
        let groups: Vec<&str> = admitted.user.groups().iter().map(GroupName::as_str).collect();
        ensure!(json!(admitted.user.username().as_str()) == claims["username"], "{claims}");
        ensure!(json!(groups) == claims["groups"], "{groups:?} from {claims}");
        Ok(claims)
    }
}

fn authorize_url(endpoint: &str, client: &str, extra: &[(&str, &str)]) -> Result<Url> {
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

fn code_form(client: &str, code: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", client.to_owned()),
        ("code", code.to_owned()),
        ("redirect_uri", REDIRECT.to_owned()),
        ("code_verifier", VERIFIER.to_owned()),
    ]
}

fn refresh_form(client: &str, tokens: &Value) -> Result<Vec<(&'static str, String)>> {
    let token = tokens["refresh_token"].as_str().context("a refresh token")?;
    Ok(vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", client.to_owned()),
        ("refresh_token", token.to_owned()),
    ])
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

/// A part of the ID token: 0 is the header, 1 the claims.
fn part(tokens: &Value, index: usize) -> Result<Value> {
    let token = tokens["id_token"].as_str().context("an ID token")?;
    let part = token.split('.').nth(index).context("a part")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

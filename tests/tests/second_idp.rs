//! npm's oidc-provider and Chromium: what the harness' own issuer and client do, by others.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_concierge::{
    authn,
    index::{self, Authenticator, AuthenticatorName, AuthenticatorRef, Entry},
    jwt::{self, AlgorithmSet, Audience, Audiences, KeySet, Profile, Verifier},
    mapping::{GroupName, Rules},
    secret::BearerToken,
    time::UnixTime,
};
use latchkey_e2e::{
    browser::Browser,
    issuer::{AUTHORIZE, Issuer, IssuerOptions, LOGIN},
    oidc_provider::{OidcProvider, OidcProviderOptions},
    relying_party::{REDIRECT, RelyingParty, VERIFIER, authorize_url, code_form, query, refresh_form},
};
use reqwest::Url;
use serde_json::{Value, json};

#[tokio::test]
async fn a_login_at_oidc_provider_passes_the_judge_and_can_be_refreshed() -> Result<()> {
    let start = Instant::now();
    let site = Site::start(OidcProviderOptions::default()).await?;
    eprintln!("oidc-provider up after {:?}", start.elapsed());
    let wrong = site.client.code("staging", "ann", "wrong", &[]).await.expect_err("a wrong password");
    ensure!(format!("{wrong:#}").contains("was refused"), "{wrong:#}");

    for (client, algorithm) in [("staging", "RS256"), ("production", "ES256")] {
        let tokens = site.client.log_in(client, "ann", &[]).await?;
        let claims = site.judged(&tokens, client).await?;
        ensure!(part(&tokens, 0)?["alg"] == algorithm, "{}", part(&tokens, 0)?);
        ensure!(claims["sub"] == "subject-ann" && claims["username"] == "ann", "{claims}");
        ensure!(claims["email"] == "ann@example.com" && claims["nonce"] == "nonce-1", "{claims}");
        let lifetime = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(end, start)| end - start);
        ensure!(lifetime == Some(300), "{claims}");

        let again = site.client.token(&refresh_form(client, &tokens)?).await?;
        site.judged(&again, client).await?;
        ensure!(again["refresh_token"].is_string() && again["refresh_token"] != tokens["refresh_token"]);
        let reused = site.client.token(&refresh_form(client, &tokens)?).await.expect_err("it was used before");
        ensure!(format!("{reused:#}").contains("invalid_grant"), "{reused:#}");
        let family =
            site.client.token(&refresh_form(client, &again)?).await.expect_err("a reuse ends the whole family");
        ensure!(format!("{family:#}").contains("invalid_grant"), "{family:#}");
    }
    Ok(())
}

#[tokio::test]
async fn oidc_provider_refuses_what_it_must() -> Result<()> {
    let site =
        Site::start(OidcProviderOptions { refresh_needs_consent: true, ..OidcProviderOptions::default() }).await?;

    let code = site.client.code("staging", "ann", "ann-password", &[]).await?;
    let mut form = code_form("staging", &code);
    form.retain(|(name, _)| *name != "code_verifier");
    form.push(("code_verifier", VERIFIER.replace('d', "e")));
    let error = site.client.token(&form).await.expect_err("somebody else's verifier (RFC 7636 4.6)");
    ensure!(format!("{error:#}").contains("invalid_grant"), "{error:#}");

    let foreign = site.client.authorize("staging", &[("redirect_uri", "http://127.0.0.1:43118/elsewhere")])?;
    let answer = site.client.http.get(foreign).send().await?;
    ensure!(answer.status() == 400, "{answer:?}");
    ensure!(answer.headers()["content-security-policy"].to_str()?.contains("default-src 'none'"), "{answer:?}");
    let page = answer.text().await?;
    ensure!(page.contains("invalid_redirect_uri") && !page.contains("https://"), "{page}");

    let tokens = site.client.log_in("staging", "ann", &[]).await?;
    ensure!(tokens["id_token"].is_string() && tokens["refresh_token"].is_null(), "no consent was asked for");
    let tokens = site.client.log_in("staging", "ann", &[("prompt", "consent")]).await?;
    let again = site.client.token(&refresh_form("staging", &tokens)?).await?;
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
    browser.go(site.client.authorize("staging", &[])?.as_str()).await?;
    ensure!(browser.text(&browser.find("main").await?).await?.contains("to continue to staging"));
    keep(&browser, "oidc-provider.png").await?;
    browser.sign_in("<b>bob", "wrong").await?;
    ensure!(browser.text(&browser.find("[role=alert]").await?).await?.contains("wrong"));
    let name = browser.run("return document.querySelector('#login').value").await?;
    ensure!(name == "<b>bob", "the name is shown again, as text: {name}");
    keep(&browser, "oidc-provider-refused.png").await?;
    browser.go(site.client.authorize("staging", &[])?.as_str()).await?;
    let _nobody_listens = browser.sign_in("bob", "bob-password").await;
    let back = Url::parse(&browser.address_starting_with(REDIRECT).await?)?;
    let code = query(&back, "code").with_context(|| format!("no code: {back}"))?;
    let claims = site.judged(&site.client.token(&code_form("staging", &code)).await?, "staging").await?;
    ensure!(claims["username"] == "bob", "{claims}");
    browser.quit().await?;
    Ok(())
}

/// A running provider and what a client knows of it.
struct Site {
    provider: OidcProvider,
    client: RelyingParty,
}

impl Site {
    async fn start(options: OidcProviderOptions) -> Result<Self> {
        let provider = OidcProvider::start(options).await?;
        let client = RelyingParty::of(provider.url(), provider.ca_pem()).await?;
        Ok(Self { provider, client })
    }

    /// The claims of an ID token that the concierge's judge admits for this audience.
    async fn judged(&self, tokens: &Value, audience: &str) -> Result<Value> {
        let keys = self.client.http.get(self.client.endpoint("jwks_uri")?).send().await?.bytes().await?;
        let (keys, dropped) = KeySet::parse(&keys)?;
        ensure!(dropped.is_empty() && keys.len() == 4, "{dropped:?}");
        let claims = part(tokens, 1)?;
        let now = UnixTime::from_secs(claims["iat"].as_i64().context("iat")?);
        let audiences = Audiences::new(vec![Audience::new(audience.to_owned())]).context("an audience")?;
        let profile = Profile::new(jwt::Issuer::new(self.provider.url().to_owned()), audiences);
        let authenticator = Authenticator {
            name: AuthenticatorName::new("second"),
            uid: "1".to_owned(),
            generation: 1,
            verifier: Verifier::new(Arc::new(profile), AlgorithmSet::default(), Arc::new(keys)),
            rules: Arc::new(Rules::of_claims("username", "groups")),
            credential_lifetime: None,
            claims: None,
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

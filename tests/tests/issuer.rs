//! The issuer of our own: a login walked over HTTP, refresh tokens, and every switch for misbehaviour.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use latchkey_e2e::{
    issuer::{
        Algorithm, Certificate, Client, DISCOVERY, Endpoint, Fault, Issuer, IssuerOptions, KEYS, Rotation, TOKEN,
    },
    login::Login,
};
use openidconnect::{
    AuthorizationCode, ClientId, CsrfToken, HttpClientError, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, RefreshToken, Scope, TokenResponse as _,
    core::{CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreProviderMetadata, CoreTokenResponse},
};
use reqwest::{Url, redirect};
use serde_json::{Value, json};

const REDIRECT: &str = "http://127.0.0.1:43117/callback";

type OidcClient = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

#[tokio::test]
async fn a_person_logs_in_by_code_and_pkce_through_the_form() -> Result<()> {
    let start = Instant::now();
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    eprintln!("issuer up after {:?}", start.elapsed());
    let (client, http) = client(&issuer, "staging").await?;
    let (tokens, nonce) = log_in(&issuer, &client, &http, "ann", "ann-password").await?;

    // The verification is the openidconnect crate's: signature, issuer, audience, times, nonce, at_hash.
    let id_token = tokens.id_token().context("an ID token")?;
    let verifier = client.id_token_verifier();
    let claims: &CoreIdTokenClaims = id_token.claims(&verifier, &nonce)?;
    ensure!(claims.subject().as_str() == "subject-ann");
    let expected = openidconnect::AccessTokenHash::from_token(
        tokens.access_token(),
        id_token.signing_alg()?,
        id_token.signing_key(&verifier)?,
    )?;
    ensure!(claims.access_token_hash() == Some(&expected), "at_hash");
    let payload = payload(&id_token.to_string())?;
    ensure!(payload["groups"] == json!(["developers", "on-call"]), "{payload}");
    ensure!(payload["aud"] == json!(["staging"]) || payload["aud"] == "staging", "{payload}");
    ensure!(tokens.refresh_token().is_some());
    ensure!(issuer.requests(TOKEN) == 1 && issuer.requests(DISCOVERY) == 1 && issuer.requests(KEYS) == 1);
    ensure!(issuer.last_headers(TOKEN).is_some_and(|headers| !headers.contains_key("cookie")));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_login_is_said_to_the_right_one() -> Result<()> {
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let person = Login::new(&issuer.ca_pem())?;
    let authorize = |changes: &[(&str, &str)]| -> Result<String> {
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", "staging"),
            ("redirect_uri", REDIRECT),
            ("scope", "openid"),
            ("state", "s-1"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        parameters.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        parameters.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        Ok(Url::parse_with_params(&format!("{}/authorize", issuer.url()), parameters)?.into())
    };

    let error = person.code_for(&authorize(&[])?, "ann", "wrong").await.expect_err("a wrong password");
    ensure!(format!("{error:#}").contains("refused (401"), "{error:#}");
    for page in [
        authorize(&[("client_id", "nobody")])?,
        authorize(&[("redirect_uri", "http://127.0.0.1.evil.example/callback")])?,
        authorize(&[])? + "&client_id=production",
    ] {
        let error = person.code_for(&page, "ann", "ann-password").await.expect_err("a page, no redirect");
        ensure!(format!("{error:#}").contains("400 Bad Request without a form"), "{error:#}");
    }
    for (change, expected) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "email"), "invalid_scope"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("prompt", "none"), "login_required"),
    ] {
        let back = person.code_for(&authorize(&[change])?, "ann", "ann-password").await?;
        ensure!(query(&back, "error").as_deref() == Some(expected), "{change:?}: {back}");
        ensure!(query(&back, "state").as_deref() == Some("s-1"), "{back}");
        ensure!(query(&back, "iss").as_deref() == Some(issuer.url()), "{back}");
    }
    issuer.settings(|settings| settings.authorize_error = Some("access_denied".to_owned()));
    let back = person.code_for(&authorize(&[])?, "ann", "ann-password").await?;
    ensure!(query(&back, "error").as_deref() == Some("access_denied"), "{back}");
    issuer.settings(|settings| settings.authorize_error = None);

    // A wrong verifier, and a code's second use.
    let back = person.code_for(&authorize(&[])?, "ann", "ann-password").await?;
    let code = query(&back, "code").context("a code")?;
    let http = http(&issuer)?;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "staging"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", "not-the-verifier-not-the-verifier-not-the-verifier"),
    ];
    for reason in ["code_verifier does not fit", "unknown, used or too old"] {
        let answer = http.post(format!("{}{TOKEN}", issuer.url())).form(&form).send().await?;
        ensure!(answer.status() == StatusCode::BAD_REQUEST);
        let text = answer.text().await?;
        ensure!(text.contains("invalid_grant") && text.contains(reason), "{text}");
    }

    // The browser session: no form the second time, unless asked for or revoked.
    let again = person.code_for(&authorize(&[])?, "ann", "not even asked").await?;
    ensure!(query(&again, "code").is_some(), "{again}");
    let forced = authorize(&[("prompt", "login")])?;
    person.code_for(&forced, "ann", "not the password").await.expect_err("asked again");
    issuer.revoke("ann");
    person.code_for(&authorize(&[])?, "ann", "not the password").await.expect_err("asked again");
    Ok(())
}

#[tokio::test]
async fn refresh_tokens_rotate_without_grace_and_a_reuse_ends_the_family() -> Result<()> {
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    issuer.set_client(Client { secret: Some("s3cret".to_owned()), ..Client::native("confidential") });
    let (client, http) = client(&issuer, "staging").await?;
    let (tokens, _) = log_in(&issuer, &client, &http, "ann", "ann-password").await?;
    let first = tokens.refresh_token().context("a refresh token")?.clone();
    let refresh = async |token: &RefreshToken| {
        client.exchange_refresh_token(token)?.request_async(&http).await.map_err(anyhow::Error::from)
    };

    let tokens = refresh(&first).await?;
    let second = tokens.refresh_token().context("the next refresh token")?.clone();
    ensure!(second.secret() != first.secret());
    let claims = payload(&tokens.id_token().context("an ID token")?.to_string())?;
    ensure!(claims.get("nonce").is_none() && claims["sub"] == "subject-ann", "{claims}");
    refresh(&first).await.expect_err("used before");
    refresh(&second).await.expect_err("the family is revoked");

    issuer.settings(|settings| settings.rotation = Rotation::After { grace: Duration::from_mins(1) });
    let (tokens, _) = log_in(&issuer, &client, &http, "ann", "ann-password").await?;
    let first = tokens.refresh_token().context("a refresh token")?.clone();
    refresh(&first).await?;
    refresh(&first).await.context("within the grace")?;
    issuer.settings(|settings| {
        settings.rotation = Rotation::Never;
        settings.id_token_on_refresh = false;
    });
    let (tokens, _) = log_in(&issuer, &client, &http, "ann", "ann-password").await?;
    let first = tokens.refresh_token().context("a refresh token")?.clone();
    let tokens = refresh(&first).await?;
    ensure!(tokens.id_token().is_none() && tokens.refresh_token().is_some_and(|next| next.secret() == first.secret()));
    issuer.edit_claims(|claims| claims["sub"] = "somebody else".into());
    issuer.settings(|settings| {
        settings.id_token_on_refresh = true;
        settings.clock_offset_seconds = 3600;
    });
    let claims = payload(&refresh(&first).await?.id_token().context("an ID token")?.to_string())?;
    ensure!(claims["sub"] == "somebody else" && claims["iat"].as_u64() > Some(issuer.now() - 60), "{claims}");
    issuer.revoke("ann");
    refresh(&first).await.expect_err("revoked");
    Ok(())
}

#[tokio::test]
async fn signs_with_every_algorithm_and_whatever_a_test_wants() -> Result<()> {
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let http = http(&issuer)?;
    for algorithm in Algorithm::ALL {
        let start = Instant::now();
        let key = issuer.add_key(algorithm)?;
        issuer.activate(key.kid())?;
        let token = issuer.id_token("ann", "staging")?;
        eprintln!("{} key and token in {:?}", algorithm.name(), start.elapsed());
        verify_as_published(&http, &issuer, &token, algorithm).await?;
    }
    let claims = issuer.claims("ann", "staging")?;
    let bent =
        issuer.draft(&claims).header("typ", "at+jwt").without_header("kid").header("crit", json!(["b64"])).sign()?;
    ensure!(header(&bent)? == json!({ "alg": "EdDSA", "typ": "at+jwt", "crit": ["b64"] }));
    let twice = br#"{"aud":"staging","aud":"production"}"#;
    let token = issuer.draft(&claims).payload(twice.to_vec()).header_text(r#"{"alg":"EdDSA","alg":"none"}"#).sign()?;
    ensure!(URL_SAFE_NO_PAD.decode(token.split('.').nth(1).context("a payload")?)? == twice);
    let rsa = issuer.key("key-1")?;
    ensure!(header(&issuer.draft(&claims).sign_hs256(&rsa.public_der()?))?["alg"] == "HS256");
    ensure!(issuer.draft(&claims).unsigned().ends_with('.'));
    latchkey_e2e::issuer::Draft::new(rsa, &claims).algorithm(Algorithm::PS512).sign()?;

    let kids = async || -> Result<Vec<String>> {
        let set: Value = http.get(format!("{}{KEYS}", issuer.url())).send().await?.json().await?;
        Ok(set["keys"].as_array().context("keys")?.iter().map(|key| key["kid"].to_string()).collect())
    };
    let before = kids().await?.len();
    let old = issuer.active_key();
    let new = issuer.rotate()?;
    ensure!(new.kid() != old.kid() && kids().await?.len() == before + 1);
    issuer.withdraw_key(old.kid());
    ensure!(!kids().await?.contains(&format!("{:?}", old.kid())));
    latchkey_e2e::issuer::Draft::new(old.clone(), &claims).sign().context("a stolen key still signs")?;
    issuer.publish_key_again(old.kid());
    issuer.publish_stranger(json!({ "kty": "oct", "k": "AAAA", "kid": "strange" }));
    ensure!(kids().await?.len() == before + 2);
    Ok(())
}

#[tokio::test]
async fn misbehaves_on_command_and_stops_when_told() -> Result<()> {
    let mut issuer = Issuer::start(IssuerOptions::default()).await?;
    let http = http(&issuer)?;
    let keys = format!("{}{KEYS}", issuer.url());
    let fetch = async || http.get(&keys).send().await;
    issuer.settings(|settings| settings.keys_cache_control = Some("max-age=120".to_owned()));
    let answer = fetch().await?;
    ensure!(answer.headers()["cache-control"] == "max-age=120");
    let good = answer.text().await?;

    let faults = issuer.faults();
    faults.set(Endpoint::Keys, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    ensure!(fetch().await?.status() == StatusCode::INTERNAL_SERVER_ERROR);
    faults.set(Endpoint::Keys, Fault::Huge(10 * 1024 * 1024));
    let huge = fetch().await?.bytes().await?;
    ensure!(huge.len() == 10 * 1024 * 1024 && huge.starts_with(good.as_bytes()));
    serde_json::from_slice::<Value>(&huge).context("valid, only too big")?;
    faults.set(Endpoint::Keys, Fault::Redirect("http://127.0.0.1:9/keys".to_owned()));
    ensure!(fetch().await?.headers()["location"] == "http://127.0.0.1:9/keys");
    faults.set(Endpoint::Keys, Fault::Drop);
    ensure!(fetch().await.is_err());
    let html = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, "text/html".parse()?)]);
    faults.set(Endpoint::Keys, Fault::Answer { status: StatusCode::OK, headers: html, body: b"<p>Hello".to_vec() });
    ensure!(fetch().await?.text().await? == "<p>Hello");
    faults.set(Endpoint::Keys, Fault::Slow);
    let mut slow = fetch().await?;
    ensure!(slow.chunk().await?.is_some_and(|chunk| chunk.len() == 1));
    faults.set(Endpoint::Keys, Fault::Endless);
    let mut endless = fetch().await?;
    let mut seen = 0;
    while seen < 32 * 1024 * 1024 {
        seen += endless.chunk().await?.context("it has no end")?.len();
    }
    ensure!(issuer.requests(KEYS) == 8, "each of them counted: {}", issuer.requests(KEYS));

    faults.set(Endpoint::Keys, Fault::Stall);
    let mut stalled = Box::pin(fetch());
    tokio::time::timeout(Duration::from_millis(200), &mut stalled).await.expect_err("no answer");
    ensure!(
        http.get(format!("{}{DISCOVERY}", issuer.url())).send().await?.status().is_success(),
        "only the keys stall"
    );
    faults.clear_all();
    ensure!(stalled.await?.text().await? == good, "released");

    issuer.announce_issuer("https://somebody.example");
    issuer.announce_plain_keys();
    let document: Value = http.get(format!("{}{DISCOVERY}", issuer.url())).send().await?.json().await?;
    ensure!(document["issuer"] == "https://somebody.example");
    ensure!(document["jwks_uri"] == format!("{}{KEYS}", issuer.plain_url()));
    ensure!(http.get(format!("{}{KEYS}", issuer.plain_url())).send().await?.text().await? == good);
    issuer.settings(|settings| settings.discovery_edits.clear());

    issuer.go_away().await;
    ensure!(fetch().await.is_err_and(|error| error.is_connect()));
    issuer.come_back().await?;
    ensure!(fetch().await?.text().await? == good, "the same keys at the same address");
    for wrong in [Certificate::Expired, Certificate::OtherHost, Certificate::UnknownAuthority] {
        issuer.present(wrong).await?;
        ensure!(fetch().await.is_err_and(|error| error.is_connect()), "{wrong:?}");
    }
    issuer.present(Certificate::Good).await?;
    fetch().await?;
    Ok(())
}

fn http(issuer: &Issuer) -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(issuer.ca_pem().as_bytes())?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()?)
}

async fn client(issuer: &Issuer, id: &str) -> Result<(OidcClient, Http)> {
    let http = caller(http(issuer)?);
    let metadata = CoreProviderMetadata::discover_async(IssuerUrl::new(issuer.url().to_owned())?, &http).await?;
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(id.to_owned()), None)
        .set_redirect_uri(RedirectUrl::new(REDIRECT.to_owned())?);
    Ok((client, http))
}

async fn log_in(
    issuer: &Issuer,
    client: &OidcClient,
    http: &Http,
    user: &str,
    password: &str,
) -> Result<(CoreTokenResponse, Nonce)> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(["groups", "offline_access"].map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let start = Instant::now();
    let back = Login::new(&issuer.ca_pem())?.code_for(url.as_str(), user, password).await?;
    eprintln!("login walked in {:?}", start.elapsed());
    ensure!(query(&back, "state").as_ref() == Some(state.secret()));
    let code = AuthorizationCode::new(query(&back, "code").with_context(|| format!("no code: {back}"))?);
    let tokens = client.exchange_code(code)?.set_pkce_verifier(verifier).request_async(http).await?;
    Ok((tokens, nonce))
}

/// The openidconnect crate takes a function for an HTTP client.
type Http = Box<dyn Fn(HttpRequest) -> HttpAnswer + Send + Sync>;
type HttpAnswer = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpClientError<reqwest::Error>>> + Send>>;

fn caller(http: reqwest::Client) -> Http {
    Box::new(move |request| {
        let http = http.clone();
        Box::pin(async move {
            let convert = |error: reqwest::Error| HttpClientError::Reqwest(Box::new(error));
            let request = reqwest::Request::try_from(request).map_err(convert)?;
            let answer = http.execute(request).await.map_err(convert)?;
            let mut response = http::Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                response = response.header(name, value);
            }
            let body = answer.bytes().await.map_err(convert)?.to_vec();
            response.body(body).map_err(HttpClientError::Http)
        })
    })
}

/// Another eye than the issuer's own: the published key, by jsonwebtoken (which has no ES512: that one by aws-lc-rs).
async fn verify_as_published(http: &reqwest::Client, issuer: &Issuer, token: &str, algorithm: Algorithm) -> Result<()> {
    ensure!(header(token)?["alg"] == algorithm.name());
    let set: Value = http.get(format!("{}{KEYS}", issuer.url())).send().await?.json().await?;
    let keys = set["keys"].as_array().context("keys")?;
    let jwk = keys.iter().find(|key| Some(&key["kid"]) == header(token).ok().as_ref().map(|header| &header["kid"]));
    let jwk = jwk.context("the signing key is published")?;
    ensure!(jwk["use"] == "sig" && jwk["alg"] == algorithm.name(), "{jwk}");
    let (message, signature) = token.rsplit_once('.').context("a signature")?;
    let fits = if algorithm == Algorithm::ES512 {
        let coordinate = |name: &str| -> Result<Vec<u8>> {
            Ok(URL_SAFE_NO_PAD.decode(jwk[name].as_str().context("a coordinate")?)?)
        };
        let point = [vec![4], coordinate("x")?, coordinate("y")?].concat();
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P521_SHA512_FIXED, point);
        key.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?).is_ok()
    } else {
        let key = jsonwebtoken::DecodingKey::from_jwk(&serde_json::from_value(jwk.clone())?)?;
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm.name().parse()?)?
    };
    ensure!(fits, "the signature of {} fits its published key", algorithm.name());
    Ok(())
}

fn payload(token: &str) -> Result<Value> {
    segment(token, 1)
}

fn header(token: &str) -> Result<Value> {
    segment(token, 0)
}

fn segment(token: &str, number: usize) -> Result<Value> {
    let segment = token.split('.').nth(number).context("a segment")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment)?)?)
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

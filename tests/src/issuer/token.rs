//! The token endpoint: codes and refresh tokens in, ID tokens out.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use openidconnect::{
    AccessToken, Audience, EndUserEmail, EndUserName, EndUserUsername, IdToken, IdTokenClaims, IssuerUrl,
    LocalizedClaim, Nonce, PkceCodeChallenge, PkceCodeVerifier, StandardClaims, SubjectIdentifier,
    core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Client, Draft, Shared,
    authorize::Parameters,
    grants::{Grant, NotHonoured, random},
};

/// Beyond OIDC's standard claims.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Groups {
    groups: Vec<String>,
}

impl openidconnect::AdditionalClaims for Groups {}

type GroupsIdToken = IdToken<Groups, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// `POST /token` (RFC 6749 3.2).
pub(super) async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, form: String) -> Response {
    let form = Parameters::parse(form.as_bytes());
    match answer(&shared, &headers, &form) {
        Ok(tokens) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        Err(Refusal { error: "invalid_client", description }) => {
            let body = Json(json!({ "error": "invalid_client", "error_description": description }));
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic")], body).into_response()
        }
        Err(Refusal { error, description }) => {
            let body = Json(json!({ "error": error, "error_description": description }));
            (StatusCode::BAD_REQUEST, [(header::CACHE_CONTROL, "no-store")], body).into_response()
        }
    }
}

/// RFC 6749 5.2.
struct Refusal {
    error: &'static str,
    description: String,
}

fn refuse<T>(error: &'static str, description: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { error, description: description.into() })
}

fn answer(shared: &Shared, headers: &HeaderMap, form: &Parameters) -> Result<Value, Refusal> {
    if let Some(name) = form.repeated() {
        return refuse("invalid_request", format!("{name} stands there twice"));
    }
    let client = client(shared, headers, form)?;
    let settings = shared.settings().clone();
    let now = shared.now();
    let (grant, refresh_token, fresh) = match form.one("grant_type") {
        Some("authorization_code") => {
            let grant = redeem(shared, &client, form)?;
            let wanted = settings.refresh_tokens
                && (grant.request.scopes.iter().any(|scope| scope == "offline_access")
                    || !settings.offline_access_required);
            let refresh = wanted.then(|| shared.grants().refresh_token(grant.clone()));
            (grant, refresh, true)
        }
        Some("refresh_token") => {
            let token = form.one("refresh_token").unwrap_or_default();
            let refreshed = shared.grants().refresh(token, settings.rotation, settings.revoke_on_reuse, now);
            match refreshed {
                Ok((grant, next)) if grant.request.client == client.id => (grant, Some(next), false),
                Ok(_) => return refuse("invalid_grant", "the refresh token was given to another client"),
                Err(NotHonoured::Reused) => return refuse("invalid_grant", "the refresh token was used before"),
                Err(NotHonoured::Revoked) => return refuse("invalid_grant", "the refresh token was revoked"),
                Err(NotHonoured::Unknown) => return refuse("invalid_grant", "the refresh token is unknown"),
            }
        }
        other => return refuse("unsupported_grant_type", other.unwrap_or("none").to_owned()),
    };
    let access_token = random();
    let mut tokens = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": settings.token_lifetime.as_secs(),
        "scope": grant.request.scopes.join(" "),
    });
    if fresh || settings.id_token_on_refresh {
        let id_token = id_token(shared, &grant, &access_token, fresh, now);
        tokens["id_token"] = id_token.or_else(|error| refuse("server_error", format!("{error:#}")))?.into();
    }
    if let Some(refresh_token) = refresh_token {
        tokens["refresh_token"] = refresh_token.into();
    }
    Ok(tokens)
}

/// Who asks: `client_id` alone for a public client, else its secret in the form or by HTTP Basic (RFC 6749 2.3.1).
fn client(shared: &Shared, headers: &HeaderMap, form: &Parameters) -> Result<Client, Refusal> {
    let basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|value| String::from_utf8(STANDARD.decode(value).ok()?).ok());
    let basic = basic.as_deref().and_then(|pair| pair.split_once(':'));
    let (id, secret) = match basic {
        Some((id, secret)) => (id, Some(secret)),
        None => (form.one("client_id").unwrap_or_default(), form.one("client_secret")),
    };
    match shared.client(id) {
        Some(client) if client.secret.is_none() || client.secret.as_deref() == secret => Ok(client),
        Some(_) => refuse("invalid_client", "the client's secret is wrong"),
        None => refuse("invalid_client", "there is no such client"),
    }
}

fn redeem(shared: &Shared, client: &Client, form: &Parameters) -> Result<Grant, Refusal> {
    let code = form.one("code").unwrap_or_default();
    let Some(grant) = shared.grants().redeem(code, shared.now()) else {
        return refuse("invalid_grant", "the code is unknown, used or too old");
    };
    if grant.request.client != client.id {
        return refuse("invalid_grant", "the code was given to another client");
    }
    if form.one("redirect_uri") != Some(&grant.request.redirect_uri) {
        return refuse("invalid_grant", "redirect_uri is not that of the authorization request");
    }
    let verifier = form.one("code_verifier").unwrap_or_default();
    // RFC 7636 4.1; the crate demands this length too, but by a panic.
    if !(43..=128).contains(&verifier.len()) {
        return refuse("invalid_grant", "code_verifier must have 43 to 128 characters");
    }
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.to_owned()));
    if challenge.as_str() != grant.request.code_challenge {
        return refuse("invalid_grant", "code_verifier does not fit the code_challenge");
    }
    Ok(grant)
}

/// OIDC Core 2 and 3.1.3.6, and for refreshed ones 12.2 (no nonce, same `auth_time`).
fn id_token(shared: &Shared, grant: &Grant, access_token: &str, fresh: bool, now: u64) -> Result<String> {
    let (lifetime, edits) = {
        let settings = shared.settings();
        (settings.token_lifetime, settings.claim_edits.clone())
    };
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    let user = &grant.user;
    let profile = StandardClaims::new(SubjectIdentifier::new(user.subject.clone()))
        .set_name(Some(LocalizedClaim::from(EndUserName::new(user.name.clone()))))
        .set_preferred_username(Some(EndUserUsername::new(user.name.clone())))
        .set_email(user.email.clone().map(EndUserEmail::new))
        .set_email_verified(user.email.is_some().then_some(true));
    let claims = IdTokenClaims::new(
        IssuerUrl::new(shared.url.clone())?,
        vec![Audience::new(grant.request.client.clone())],
        at(now + lifetime.as_secs()).into(),
        at(now).into(),
        profile,
        Groups { groups: user.groups.clone() },
    )
    .set_auth_time(Some(at(grant.authenticated_at).into()))
    .set_nonce(grant.request.nonce.clone().filter(|_| fresh).map(Nonce::new));
    let key = shared.keys().active();
    let access_token = AccessToken::new(access_token.to_owned());
    let token = GroupsIdToken::new(claims, &*key, key.algorithm().core(), Some(&access_token), None)?.to_string();
    if edits.is_empty() {
        return Ok(token);
    }
    let payload = token.split('.').nth(1).context("three segments")?;
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?;
    for edit in edits {
        edit(&mut claims);
    }
    Draft::new(key, &claims).sign()
}

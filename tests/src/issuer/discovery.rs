//! What the issuer gives without a login: discovery document, key set, and claims that its tokens refer to.

use std::sync::Arc;

use anyhow::Result;
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use openidconnect::{
    AuthUrl, IssuerUrl, JsonWebKeySetUrl, ProviderMetadata, ResponseTypes, Scope, TokenUrl,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{AUTHORIZE, KEYS, Shared, TOKEN};

/// Metadata beyond OIDC Discovery 1.0.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct MoreMetadata {
    /// RFC 8414 section 2 (PKCE).
    code_challenge_methods_supported: Vec<String>,
    /// RFC 9207 section 3.
    authorization_response_iss_parameter_supported: bool,
}

impl openidconnect::AdditionalProviderMetadata for MoreMetadata {}

type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// `GET /.well-known/openid-configuration`.
pub(super) async fn discovery(State(shared): State<Arc<Shared>>) -> Response {
    match document(&shared) {
        Ok(document) => Json(document).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

/// `GET /keys`, under the cache headers that the test set.
pub(super) async fn keys(State(shared): State<Arc<Shared>>) -> Response {
    let published = shared.keys().published();
    let cache = shared.settings().keys_cache_control.clone();
    match published {
        Ok(keys) => {
            let mut answer = Json(json!({ "keys": keys })).into_response();
            if let Some(cache) = cache.and_then(|cache| HeaderValue::from_str(&cache).ok()) {
                answer.headers_mut().insert(header::CACHE_CONTROL, cache);
            }
            answer
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

/// `GET /claims`: distributed claims (OIDC Core 5.6.2) for whoever brings the access token.
pub(super) async fn claims(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let given = shared.settings().distributed_claims.clone();
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match given {
        Some((jwt, access_token)) if bearer == Some(&access_token) => {
            ([(header::CONTENT_TYPE, "application/jwt")], jwt).into_response()
        }
        Some(_) => StatusCode::UNAUTHORIZED.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn document(shared: &Shared) -> Result<Value> {
    let url = &shared.url;
    let algorithms = shared.keys().algorithms().into_iter().map(super::Algorithm::core).collect();
    let metadata = Metadata::new(
        IssuerUrl::new(url.clone())?,
        AuthUrl::new(format!("{url}{AUTHORIZE}"))?,
        JsonWebKeySetUrl::new(format!("{url}{KEYS}"))?,
        vec![ResponseTypes::new(vec![CoreResponseType::Code])],
        vec![CoreSubjectIdentifierType::Public],
        algorithms,
        MoreMetadata {
            code_challenge_methods_supported: vec!["S256".to_owned()],
            authorization_response_iss_parameter_supported: true,
        },
    )
    .set_token_endpoint(Some(TokenUrl::new(format!("{url}{TOKEN}"))?))
    .set_scopes_supported(Some(
        ["openid", "email", "profile", "groups", "offline_access"].map(|scope| Scope::new(scope.to_owned())).to_vec(),
    ))
    .set_grant_types_supported(Some(vec![CoreGrantType::AuthorizationCode, CoreGrantType::RefreshToken]))
    .set_response_modes_supported(Some(vec![CoreResponseMode::Query]))
    .set_token_endpoint_auth_methods_supported(Some(vec![
        CoreClientAuthMethod::ClientSecretBasic,
        CoreClientAuthMethod::ClientSecretPost,
        CoreClientAuthMethod::Extension("none".to_owned()),
    ]));
    let mut document = serde_json::to_value(metadata)?;
    for edit in &shared.settings().discovery_edits {
        edit(&mut document);
    }
    Ok(document)
}

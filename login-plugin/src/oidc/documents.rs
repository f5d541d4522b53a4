//! The provider's documents: fetched with limits, checked, kept for an hour, and used longer when the provider is away.

use http::header::ACCEPT;
use http::{Request, StatusCode};
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, ProviderMetadata, TokenUrl};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::OidcError;
use super::supervisor::SupervisorDiscovery;
use crate::cache::{Cache, Documents, EntryName};
use crate::output::Printable;
use crate::time::{Clock, UnixTime};
use crate::transport::Transport;

/// Discovery documents change a few times a year; an hour spares each silent refresh two round trips.
const FRESH_SECONDS: i64 = 3600;

/// The discovery document with the members we need beyond the crate's own.
pub(super) type Metadata = ProviderMetadata<
    Additional,
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

/// What the crate does not know of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Additional {
    /// RFC 9207 section 3.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    /// RFC 8628 section 4.
    pub(super) device_authorization_endpoint: Option<String>,
    /// RFC 8414 section 2.
    pub(super) revocation_endpoint: Option<String>,
    /// OIDC RP-Initiated Logout 1.0 section 2.1.
    pub(super) end_session_endpoint: Option<String>,
    /// Where this is a Pinniped Supervisor.
    #[serde(rename = "discovery.supervisor.pinniped.dev/v1alpha1")]
    pub(super) supervisor: Option<SupervisorDiscovery>,
}

impl AdditionalProviderMetadata for Additional {}

/// Parsed and checked documents.
#[derive(Debug)]
pub(super) struct Discovered {
    pub(super) metadata: Metadata,
    /// Whether the keys came over the network just now; if not, an unknown key is a reason to fetch them.
    pub(super) keys_are_new: bool,
}

/// The documents, from the cache while they are fresh, else from the provider, else from the cache after all.
pub(super) async fn discover(
    issuer: &str,
    transport: &Transport,
    cache: &Cache<'_>,
    name: &EntryName,
    clock: &dyn Clock,
) -> Result<Discovered, OidcError> {
    let now = clock.now();
    let cached = cache.documents(name).and_then(|documents| {
        let fresh = (0..FRESH_SECONDS).contains(&now.since(documents.fetched_at));
        Some((parse(issuer, &documents).ok()?, fresh))
    });
    if let Some((metadata, true)) = cached {
        return Ok(Discovered { metadata, keys_are_new: false });
    }
    match fetch(issuer, transport, now).await {
        Ok((documents, metadata)) => {
            cache.keep_documents(name, &documents);
            Ok(Discovered { metadata, keys_are_new: true })
        }
        // An old copy is better than none: what comes next will tell whether the provider is really away.
        Err(OidcError::Unreachable { .. }) if cached.is_some() => {
            let (metadata, _) = cached.expect("just looked");
            Ok(Discovered { metadata, keys_are_new: false })
        }
        Err(error) => Err(error),
    }
}

/// The documents from the provider, and into the cache.
pub(super) async fn renew(
    issuer: &str,
    transport: &Transport,
    cache: &Cache<'_>,
    name: &EntryName,
    clock: &dyn Clock,
) -> Result<Metadata, OidcError> {
    let (documents, metadata) = fetch(issuer, transport, clock.now()).await?;
    cache.keep_documents(name, &documents);
    Ok(metadata)
}

async fn fetch(issuer: &str, transport: &Transport, now: UnixTime) -> Result<(Documents, Metadata), OidcError> {
    // One trailing slash is dropped for the join only (OIDC Discovery 1.0 section 4.1).
    let address = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
    let metadata_text = get(transport, &address).await?;
    let metadata = parse_metadata(issuer, &metadata_text)?;
    let key_set = get(transport, metadata.jwks_uri().url().as_str()).await?;
    let documents = Documents { fetched_at: now, metadata: metadata_text, key_set };
    let metadata = parse(issuer, &documents)?;
    Ok((documents, metadata))
}

async fn get(transport: &Transport, address: &str) -> Result<String, OidcError> {
    let request = Request::get(address)
        .header(ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|error| OidcError::Metadata(format!("{} is no URL: {error}", Printable(address))))?;
    let answer = transport
        .send(request)
        .await
        .map_err(|error| OidcError::Unreachable { tried: Printable(address).to_string(), what: error.to_string() })?;
    if answer.status != StatusCode::OK {
        return Err(OidcError::Unreachable {
            tried: Printable(address).to_string(),
            what: format!("it answered {}", answer.status),
        });
    }
    String::from_utf8(answer.body).map_err(|_| OidcError::Metadata(format!("{} is not UTF-8", Printable(address))))
}

fn parse(issuer: &str, documents: &Documents) -> Result<Metadata, OidcError> {
    let keys: CoreJsonWebKeySet = serde_json::from_str(&documents.key_set)
        .map_err(|error| OidcError::Metadata(format!("its key set is not readable: {error}")))?;
    Ok(parse_metadata(issuer, &documents.metadata)?.set_jwks(keys))
}

fn parse_metadata(issuer: &str, text: &str) -> Result<Metadata, OidcError> {
    let metadata: Metadata = serde_json::from_str(text)
        .map_err(|error| OidcError::Metadata(format!("its discovery document is not readable: {error}")))?;
    // Byte for byte (OIDC Discovery 1.0 section 4.3): a trailing slash makes another issuer.
    if metadata.issuer().as_str() != issuer {
        return Err(OidcError::Metadata(format!(
            "its discovery document is of issuer {:?}, expected {issuer:?}",
            Printable(metadata.issuer().as_str()).to_string()
        )));
    }
    let endpoints = [
        Some(metadata.authorization_endpoint().url()),
        metadata.token_endpoint().map(TokenUrl::url),
        Some(metadata.jwks_uri().url()),
    ];
    if let Some(plain) = endpoints.into_iter().flatten().find(|url: &&Url| url.scheme() != "https") {
        return Err(OidcError::Metadata(format!("its endpoint {} is not https", Printable(plain.as_str()))));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(issuer: &str, token_endpoint: &str) -> String {
        serde_json::json!({
            "issuer": issuer,
            "authorization_endpoint": "https://idp.example/authorize",
            "token_endpoint": token_endpoint,
            "jwks_uri": "https://idp.example/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": true,
        })
        .to_string()
    }

    #[test]
    fn reads_a_document_of_this_issuer() {
        let metadata = parse_metadata("https://idp.example", &document("https://idp.example", "https://t")).unwrap();
        assert!(metadata.additional_metadata().authorization_response_iss_parameter_supported);
    }

    #[test]
    fn refuses_other_issuers_plain_http_and_nonsense() {
        let issuer = "https://idp.example";
        for text in [
            document("https://idp.example/", "https://t"),
            document("https://other.example", "https://t"),
            document(issuer, "http://t"),
            "{}".to_owned(),
            "not JSON".to_owned(),
        ] {
            assert!(matches!(parse_metadata(issuer, &text), Err(OidcError::Metadata(_))), "{text}");
        }
    }
}

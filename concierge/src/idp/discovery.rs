//! OIDC Discovery 1.0: where an issuer's keys are, and what it says it signs with.

use serde::Deserialize;

use super::http::{FetchError, Fetched, HttpsUrl, IssuerClient, UrlError, cut, shown};

/// Largest discovery document. Real ones have 2 to 10 KiB (threats.md 2.3).
pub const DISCOVERY_LIMIT: usize = 128 * 1024;

/// What follows the issuer in the document's URL (OIDC Discovery 4.1).
pub const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// What we take from a discovery document; its other members are not our business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Where the keys are, or why that cannot be used. Its own result, because it has a condition of its own.
    pub jwks_uri: Result<HttpsUrl, JwksUriError>,
    /// `id_token_signing_alg_values_supported` as it stands there; `None` when it is absent or empty. It narrows what
    /// we accept and never widens it, so `none` and `HS256` in it mean nothing (RFC 8725 3.1).
    pub signing_algorithms: Option<Vec<String>>,
}

/// Why there is no discovery document to go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Not fetched.
    #[error("{url}: {source}")]
    Fetch {
        /// What was asked for.
        url: HttpsUrl,
        /// Why it did not come.
        source: FetchError,
    },
    /// The document speaks for another issuer (OIDC Discovery 4.3: must be identical).
    #[error("the document at {url} is issuer \"{found}\"'s, expected \"{expected}\"")]
    IssuerMismatch {
        /// What was asked for.
        url: HttpsUrl,
        /// The configured issuer.
        expected: String,
        /// The issuer named in the document.
        found: String,
    },
    /// The issuer cannot be made into a URL.
    #[error("issuer \"{issuer}\" {source}")]
    IssuerUrl {
        /// The configured issuer.
        issuer: String,
        /// What is wrong with it.
        source: UrlError,
    },
    /// Not JSON, or not the members a discovery document must have.
    #[error("the document at {url} is no discovery document: {detail}")]
    NotJson {
        /// What was asked for.
        url: HttpsUrl,
        /// What the parser met.
        detail: String,
    },
}

/// Why `jwks_uri` is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksUriError {
    /// The document has none.
    #[error("the discovery document has no jwks_uri")]
    Absent,
    /// It is no URL that we fetch.
    #[error("jwks_uri \"{found}\" {source}")]
    Unusable {
        /// As it stands in the document.
        found: String,
        /// What is wrong with it.
        source: UrlError,
    },
}

/// Only the members we use. A member named twice is refused: two readers of such a document could disagree.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
}

/// Fetches and judges the discovery document of `issuer`.
///
/// # Errors
/// When it cannot be fetched, is no discovery document, or is another issuer's.
pub async fn discover(client: &IssuerClient, issuer: &str) -> Result<Discovered, DiscoveryError> {
    discover_at(client, issuer, &well_known(issuer)?).await
}

/// The same for a document at an address of its own (KEP-3331's `discoveryURL`): it is asked for as it is written, and
/// the document must be `issuer`'s all the same.
///
/// # Errors
/// When it cannot be fetched, is no discovery document, or is another issuer's.
pub async fn discover_at(client: &IssuerClient, issuer: &str, url: &HttpsUrl) -> Result<Discovered, DiscoveryError> {
    match client.get(url, DISCOVERY_LIMIT, None).await {
        Ok(Fetched::Body { bytes, .. }) => judge(&bytes, issuer, url),
        // Not asked for: `get` answers so only to an entity tag.
        Ok(Fetched::NotModified { .. }) => {
            let source = FetchError::Status(http::StatusCode::NOT_MODIFIED);
            Err(DiscoveryError::Fetch { url: url.clone(), source })
        }
        Err(source) => Err(DiscoveryError::Fetch { url: url.clone(), source }),
    }
}

/// The document's URL: the issuer less one trailing slash, and the well-known path (OIDC Discovery 4.1).
///
/// # Errors
/// When the issuer is no https URL.
pub fn well_known(issuer: &str) -> Result<HttpsUrl, DiscoveryError> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{base}{WELL_KNOWN}").parse().map_err(|source| DiscoveryError::IssuerUrl { issuer: shown(issuer), source })
}

/// Judges the bytes of a discovery document.
///
/// # Errors
/// When they are no discovery document, or another issuer's. A byte order mark is no JSON (RFC 8259 8.1).
pub fn judge(bytes: &[u8], issuer: &str, url: &HttpsUrl) -> Result<Discovered, DiscoveryError> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| DiscoveryError::NotJson { url: url.clone(), detail: cut(&error.to_string()) })?;
    // Byte for byte: no slash, case or port is repaired, because `iss` of a token will not be repaired either.
    if document.issuer != issuer {
        let (expected, found) = (issuer.to_owned(), cut(&document.issuer));
        return Err(DiscoveryError::IssuerMismatch { url: url.clone(), expected, found });
    }
    let jwks_uri = match document.jwks_uri.filter(|uri| !uri.is_empty()) {
        None => Err(JwksUriError::Absent),
        Some(uri) => uri.parse().map_err(|source| JwksUriError::Unusable { found: shown(&uri), source }),
    };
    let signing_algorithms = document.id_token_signing_alg_values_supported.filter(|names| !names.is_empty());
    Ok(Discovered { jwks_uri, signing_algorithms })
}

impl DiscoveryError {
    /// [`Self::result`] of a document that is another issuer's.
    pub const ISSUER_MISMATCH: &'static str = "issuer-mismatch";

    /// The stable word for metrics.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::Fetch { source, .. } => source.result(),
            Self::IssuerMismatch { .. } => Self::ISSUER_MISMATCH,
            Self::IssuerUrl { .. } => "issuer-url",
            Self::NotJson { .. } => "not-json",
        }
    }
}

impl JwksUriError {
    /// The stable word for metrics.
    pub const RESULT: &'static str = "jwks-uri";

    /// Whether the scheme is what is wrong: that has a condition reason of its own.
    #[must_use]
    pub const fn is_scheme(&self) -> bool {
        matches!(self, Self::Unusable { source: UrlError::Scheme(_), .. })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://idp.example.com/realms/staging";

    fn judged(document: &serde_json::Value) -> Result<Discovered, DiscoveryError> {
        judge(document.to_string().as_bytes(), ISSUER, &well_known(ISSUER).unwrap())
    }

    #[test]
    fn the_document_is_under_the_issuer_less_one_trailing_slash() {
        for (issuer, expected) in [
            ("https://idp.example.com", "https://idp.example.com/.well-known/openid-configuration"),
            ("https://idp.example.com/", "https://idp.example.com/.well-known/openid-configuration"),
            ("https://idp.example.com//", "https://idp.example.com//.well-known/openid-configuration"),
            ("https://idp.example.com/a/b/", "https://idp.example.com/a/b/.well-known/openid-configuration"),
            ("https://idp.example.com:8443/a", "https://idp.example.com:8443/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(well_known(issuer).unwrap().as_str(), expected);
        }
        assert!(matches!(
            well_known("http://idp.example.com"),
            Err(DiscoveryError::IssuerUrl { source: UrlError::Scheme(_), .. })
        ));
    }

    #[test]
    fn a_plain_document_is_understood() {
        let document = json!({
            "issuer": ISSUER,
            "jwks_uri": "https://keys.example.net/jwks?p=1",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
            "authorization_endpoint": "https://idp.example.com/auth",
        });
        let expected = Discovered {
            jwks_uri: Ok("https://keys.example.net/jwks?p=1".parse().unwrap()),
            signing_algorithms: Some(vec!["RS256".to_owned(), "none".to_owned(), "HS256".to_owned()]),
        };
        assert_eq!(judged(&document), Ok(expected));
    }

    #[test]
    fn another_issuer_is_refused_even_if_it_differs_by_one_byte() {
        for found in [
            "https://idp.example.com/realms/staging/",
            "https://idp.example.com/realms/Staging",
            "https://IDP.example.com/realms/staging",
            "https://idp.example.com:443/realms/staging",
            "http://idp.example.com/realms/staging",
            "https://idp.example.com/realms/production",
            "",
        ] {
            let error = judged(&json!({"issuer": found, "jwks_uri": "https://idp.example.com/k"})).unwrap_err();
            assert_eq!(error.result(), "issuer-mismatch", "{found}");
            assert!(error.to_string().contains(&format!("\"{found}\"")), "{error}");
        }
    }

    #[test]
    fn a_bad_jwks_uri_is_told_apart_from_a_bad_document() {
        let of =
            |uri: serde_json::Value| judged(&json!({"issuer": ISSUER, "jwks_uri": uri})).unwrap().jwks_uri.unwrap_err();
        assert_eq!(of(json!(null)), JwksUriError::Absent);
        assert_eq!(of(json!("")), JwksUriError::Absent);
        assert!(of(json!("http://idp.example.com/keys")).is_scheme());
        assert!(of(json!("file:///etc/keys")).is_scheme());
        for unusable in
            ["/keys", "idp.example.com/keys", "https://u:p@idp.example.com/keys", "https://idp.example.com/#k"]
        {
            let error = of(json!(unusable));
            assert!(!error.is_scheme(), "{unusable}");
            assert!(matches!(error, JwksUriError::Unusable { .. }), "{unusable}");
        }
        for leaky in ["https://u:hunter2@idp.example.com/", "http://u:hunter2@idp.example.com/", "//u:hunter2@idp/"] {
            assert!(!of(json!(leaky)).to_string().contains("hunter2"), "{leaky}");
        }
    }

    #[test]
    fn anything_but_a_discovery_document_is_refused() {
        let url = well_known(ISSUER).unwrap();
        let good = json!({"issuer": ISSUER, "jwks_uri": "https://idp.example.com/k"}).to_string();
        let twice = format!("{{\"issuer\":\"{ISSUER}\",\"issuer\":\"{ISSUER}\"}}");
        let marked = format!("\u{feff}{good}");
        for bytes in ["", "[]", "\"x\"", "{}", "<html></html>", "{\"issuer\": 7}", &good[..20], &twice, &marked] {
            let error = judge(bytes.as_bytes(), ISSUER, &url).unwrap_err();
            assert_eq!(error.result(), "not-json", "{bytes}");
        }
        assert!(judge(&[0xff, 0xfe], ISSUER, &url).is_err());
        let wrong_type = json!({"issuer": ISSUER, "id_token_signing_alg_values_supported": "RS256"});
        assert_eq!(judged(&wrong_type).unwrap_err().result(), "not-json");
    }

    #[test]
    fn an_absent_or_empty_list_of_algorithms_narrows_nothing() {
        for list in [json!(null), json!([])] {
            let document = json!({"issuer": ISSUER, "id_token_signing_alg_values_supported": list});
            assert_eq!(judged(&document).unwrap().signing_algorithms, None);
        }
    }
}

//! `spec.discoveryURL` and `spec.jwks`: the one place that an issuer's keys come from (design 14.14).

use std::{fmt, sync::Arc};

use latchkey_crds::authentication::{JWTAuthenticatorSpec, MAX_INLINE_KEY_SET_CHARS, limits};

use super::url;
use crate::jwt::{DroppedKey, KeySet, KeySetError};

/// Where an issuer's keys come from. URLs are as they were written: they are fetched verbatim.
#[derive(Clone)]
pub enum KeySource {
    /// The discovery document at the issuer itself, and the key set that it names.
    Discovery,
    /// The discovery document at this URL, and the key set that it names. (KEP-3331)
    DiscoveryUrl(String),
    /// The key set at this URL, without discovery.
    JwksUrl(String),
    /// The spec itself. Nothing is fetched.
    Inline {
        /// The keys.
        keys: Arc<KeySet>,
        /// Keys of the set that cannot be used, to be told in the status.
        dropped: Arc<[DroppedKey]>,
    },
}

/// Why there is no key source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySourceProblem {
    /// More than one.
    #[error("{0} exclude each other: keys come from one place, so remove one of them")]
    Several(&'static str),
    /// `spec.jwks` without content.
    #[error("spec.jwks has neither url nor inline: name the key set's address, or remove jwks for discovery")]
    NoneInJwks,
    /// The discovery URL is the issuer.
    #[error(
        "spec.discoveryURL is the issuer again: append \"/.well-known/openid-configuration\", or remove it since that is \
         where discovery looks without it"
    )]
    DiscoveryUrlIsIssuer,
    /// A text that is no URL we would fetch.
    #[error("{field} {problem}")]
    Url {
        /// The field.
        field: &'static str,
        /// What is wrong with it and how to mend it.
        problem: &'static str,
    },
    /// The inline set is of no use.
    #[error("spec.jwks.inline: {0}: paste the JSON that the issuer serves at its jwks_uri")]
    Inline(KeySetError),
    /// The inline set is larger than the schema allows.
    #[error(
        "spec.jwks.inline has {0} bytes, at most {MAX_INLINE_KEY_SET_CHARS} are read: leave old keys out, or use jwks.url"
    )]
    InlineTooLarge(usize),
}

/// Reads the key source.
pub(super) fn parse(spec: &JWTAuthenticatorSpec) -> Result<KeySource, KeySourceProblem> {
    use KeySourceProblem::{DiscoveryUrlIsIssuer, NoneInJwks, Several};
    let (url, inline) = spec.jwks.as_ref().map_or((None, None), |jwks| (jwks.url.as_deref(), jwks.inline.as_deref()));
    match (spec.discovery_url.as_deref(), url, inline) {
        (Some(_), _, _) if spec.jwks.is_some() => Err(Several("spec.discoveryURL and spec.jwks")),
        (None, Some(_), Some(_)) => Err(Several("spec.jwks.url and spec.jwks.inline")),
        (None, None, None) if spec.jwks.is_some() => Err(NoneInJwks),
        (None, None, None) => Ok(KeySource::Discovery),
        (Some(url), _, _) => {
            let url = fetched("spec.discoveryURL", url)?;
            if url.trim_end_matches('/') == spec.issuer.trim_end_matches('/') {
                return Err(DiscoveryUrlIsIssuer);
            }
            Ok(KeySource::DiscoveryUrl(url.to_owned()))
        }
        (None, Some(url), None) => Ok(KeySource::JwksUrl(fetched("spec.jwks.url", url)?.to_owned())),
        (None, None, Some(inline)) if inline.len() > MAX_INLINE_KEY_SET_CHARS as usize => {
            Err(KeySourceProblem::InlineTooLarge(inline.len()))
        }
        (None, None, Some(inline)) => {
            let (keys, dropped) = KeySet::parse(inline.as_bytes()).map_err(KeySourceProblem::Inline)?;
            Ok(KeySource::Inline { keys: Arc::new(keys), dropped: dropped.into() })
        }
    }
}

/// A URL that is fetched as it is written, by the API server's rules for `discoveryURL` (kubernetes-authn 1.1).
fn fetched<'a>(field: &'static str, text: &'a str) -> Result<&'a str, KeySourceProblem> {
    let problem = |problem| Err(KeySourceProblem::Url { field, problem });
    if text.len() > limits::URL_CHARS as usize {
        return problem("is longer than any address that is fetched: 2048 bytes at most");
    }
    let Some(url) = url::parse(text) else {
        return problem("is not a URL: write the whole address, such as https://idp.example.com/keys");
    };
    if url.scheme() != "https" {
        return problem("has another scheme than https: keys fetched without TLS could be anybody's");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return problem("carries user info: remove what stands before \"@\"");
    }
    if url.query().is_some() {
        return problem("has a query: remove \"?\" and what follows it");
    }
    if url.fragment().is_some() {
        return problem("has a fragment: remove \"#\" and what follows it");
    }
    Ok(text)
}

// === impl KeySource ===

/// Inline sources are the same when they hold the same keys and leave out the same.
impl PartialEq for KeySource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Discovery, Self::Discovery) => true,
            (Self::DiscoveryUrl(one), Self::DiscoveryUrl(other)) | (Self::JwksUrl(one), Self::JwksUrl(other)) => {
                one == other
            }
            (Self::Inline { keys, dropped }, Self::Inline { keys: other, dropped: others }) => {
                keys.digest() == other.digest() && dropped == others
            }
            _ => false,
        }
    }
}

impl Eq for KeySource {}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery => f.write_str("Discovery"),
            Self::DiscoveryUrl(url) => write!(f, "DiscoveryUrl({url})"),
            Self::JwksUrl(url) => write!(f, "JwksUrl({url})"),
            Self::Inline { keys, dropped } => write!(f, "Inline({keys:?}, {} dropped)", dropped.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const P256: &str = r#"{"kty":"EC","crv":"P-256","kid":"one","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn source(fields: &Value) -> Result<KeySource, String> {
        let mut spec = json!({"issuer": "https://idp.example.com/", "audience": "a"});
        for (name, value) in fields.as_object().unwrap() {
            spec[name] = value.clone();
        }
        parse(&serde_json::from_value(spec).unwrap()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn each_source_is_read_and_its_url_kept_as_written() {
        assert_eq!(source(&json!({})), Ok(KeySource::Discovery));
        let url = "https://IDP.svc:443/.well-known/openid-configuration";
        assert_eq!(source(&json!({"discoveryURL": url})), Ok(KeySource::DiscoveryUrl(url.to_owned())));
        assert_eq!(source(&json!({"jwks": {"url": url}})), Ok(KeySource::JwksUrl(url.to_owned())));
        let symmetric = r#"{"kty":"oct","kid":"two","k":"AAAA"}"#;
        let inline = |text: &str| source(&json!({"jwks": {"inline": text}})).unwrap();
        let both = inline(&format!(r#" {{"keys": [{P256}, {symmetric}]}}"#));
        let KeySource::Inline { keys, dropped } = &both else { panic!("{both:?}") };
        assert_eq!((keys.len(), dropped.len()), (1, 1));
        assert_eq!(both, inline(&format!(r#"{{"keys":[{symmetric},{P256}]}}"#)));
        assert_ne!(both, inline(&format!(r#"{{"keys":[{P256}]}}"#)), "another warning is another status");
        assert_ne!(both, KeySource::Discovery);
    }

    #[test]
    fn there_is_exactly_one_source_and_each_mistake_names_its_field() {
        let url = "https://idp.example.com/x";
        for (fields, words) in [
            (json!({"discoveryURL": url, "jwks": {"url": url}}), "spec.discoveryURL and spec.jwks exclude each other"),
            (json!({"discoveryURL": url, "jwks": {}}), "spec.discoveryURL and spec.jwks exclude each other"),
            (json!({"jwks": {"url": url, "inline": "{}"}}), "spec.jwks.url and spec.jwks.inline exclude each other"),
            (json!({"jwks": {}}), "spec.jwks has neither url nor inline"),
            (json!({"discoveryURL": "https://idp.example.com"}), "spec.discoveryURL is the issuer again"),
            (json!({"discoveryURL": "https://idp.example.com///"}), "spec.discoveryURL is the issuer again"),
            (json!({"discoveryURL": ""}), "spec.discoveryURL is not a URL"),
            (json!({"discoveryURL": "https://a.example/\n"}), "spec.discoveryURL is not a URL"),
            (json!({"discoveryURL": "https:a.example"}), "spec.discoveryURL is not a URL"),
            (json!({"jwks": {"url": "http://a.example/k"}}), "spec.jwks.url has another scheme than https"),
            (json!({"jwks": {"url": "https://a:b@a.example/k"}}), "spec.jwks.url carries user info"),
            (json!({"jwks": {"url": "https://a.example/k?v=1"}}), "spec.jwks.url has a query"),
            (json!({"jwks": {"url": "https://a.example/k#x"}}), "spec.jwks.url has a fragment"),
            (json!({"discoveryURL": "https:///a.example"}), "spec.discoveryURL is not a URL"),
            (
                json!({"jwks": {"url": format!("https://a.example/{}", "k".repeat(2048))}}),
                "spec.jwks.url is longer than",
            ),
            (json!({"jwks": {"inline": " ".repeat(131_073)}}), "spec.jwks.inline has 131073 bytes, at most 131072"),
            (json!({"jwks": {"inline": ""}}), "spec.jwks.inline: key set is not a JSON object"),
            (json!({"jwks": {"inline": "{\"keys\":[]}"}}), "spec.jwks.inline: key set has no usable key: paste"),
            (
                json!({"jwks": {"inline": "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"AAAA\"}]}"}}),
                "spec.jwks.inline: key set has no usable key; key \"s\": ",
            ),
        ] {
            let problem = source(&fields).unwrap_err();
            assert!(problem.starts_with(words), "{fields}: {problem}");
        }
    }
}

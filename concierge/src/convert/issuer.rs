//! `spec.issuer`: the rules of pinniped-wire 2.3, in its order, each with its reason.

use latchkey_crds::{authentication::limits, conditions::issuer_url_valid as condition};

use super::url;
use crate::jwt::Issuer;

/// Why a text is no issuer. (OIDC Discovery 3: https, a host, no query, no fragment.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerProblem {
    /// Carries a fragment.
    #[error("spec.issuer has a fragment: remove \"#\" and what follows it")]
    Fragment,
    /// No URL with a host.
    #[error("spec.issuer is not a URL: write it as https://host/path, exactly as the issuer writes its \"iss\" claim")]
    NotAUrl,
    /// Carries a query.
    #[error("spec.issuer has a query: remove \"?\" and what follows it")]
    Query,
    /// Not https.
    #[error("spec.issuer has another scheme than https: keys fetched without TLS could be anybody's")]
    Scheme,
    /// Longer than the schema allows.
    #[error("spec.issuer has more than {} bytes: no issuer's \"iss\" is as long", limits::URL_CHARS)]
    TooLong,
    /// Carries a user name or password.
    #[error("spec.issuer carries user info: remove what stands before \"@\"")]
    UserInfo,
    /// Is the URL of the discovery document.
    #[error("spec.issuer is the URL of the discovery document: remove \"/.well-known/openid-configuration\"")]
    WellKnown,
}

/// Parses an issuer. What is kept is the text as written, because `iss` is compared with it byte for byte.
pub(super) fn parse(text: &str) -> Result<Issuer, IssuerProblem> {
    if text.len() > limits::URL_CHARS as usize {
        return Err(IssuerProblem::TooLong);
    }
    let url = url::parse(text).ok_or(IssuerProblem::NotAUrl)?;
    if url.scheme() != "https" {
        return Err(IssuerProblem::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(IssuerProblem::UserInfo);
    }
    if url.path().trim_end_matches('/').ends_with("/.well-known/openid-configuration") {
        return Err(IssuerProblem::WellKnown);
    }
    if url.query().is_some() {
        return Err(IssuerProblem::Query);
    }
    if url.fragment().is_some() {
        return Err(IssuerProblem::Fragment);
    }
    Ok(Issuer::new(text.to_owned()))
}

impl IssuerProblem {
    /// The condition's reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Fragment => condition::INVALID_ISSUER_URL_CONTAINS_FRAGMENT,
            Self::NotAUrl | Self::TooLong | Self::UserInfo => condition::INVALID_ISSUER_URL,
            Self::Query => condition::INVALID_ISSUER_URL_CONTAINS_QUERY_PARAMS,
            Self::Scheme => condition::INVALID_ISSUER_URL_SCHEME,
            Self::WellKnown => condition::INVALID_ISSUER_URL_CONTAINS_WELL_KNOWN_ENDPOINT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_as_it_is_written() {
        for text in [
            "https://idp.example.com",
            "https://idp.example.com/",
            "https://IDP.example.com:443/realms/Main",
            "https://127.0.0.1:8443/staging",
            "https://idp.example.com/.well-known",
        ] {
            assert_eq!(parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_problem_has_the_reason_of_pinniped() {
        for (text, problem, reason) in [
            ("", IssuerProblem::NotAUrl, "InvalidIssuerURL"),
            ("idp.example.com", IssuerProblem::NotAUrl, "InvalidIssuerURL"),
            ("https://", IssuerProblem::NotAUrl, "InvalidIssuerURL"),
            ("https:///idp.example.com", IssuerProblem::NotAUrl, "InvalidIssuerURL"),
            ("https:idp.example.com", IssuerProblem::NotAUrl, "InvalidIssuerURL"),
            ("https://idp.example.com/\n", IssuerProblem::NotAUrl, "InvalidIssuerURL"),
            (" https://idp.example.com", IssuerProblem::NotAUrl, "InvalidIssuerURL"),
            ("https://a:b@idp.example.com", IssuerProblem::UserInfo, "InvalidIssuerURL"),
            ("http://idp.example.com", IssuerProblem::Scheme, "InvalidIssuerURLScheme"),
            ("ftp://idp.example.com", IssuerProblem::Scheme, "InvalidIssuerURLScheme"),
            (
                "https://idp.example.com/a/.well-known/openid-configuration",
                IssuerProblem::WellKnown,
                "InvalidIssuerURLContainsWellKnownEndpoint",
            ),
            ("https://idp.example.com?a=b", IssuerProblem::Query, "InvalidIssuerURLContainsQueryParams"),
            ("https://idp.example.com/?", IssuerProblem::Query, "InvalidIssuerURLContainsQueryParams"),
            ("https://idp.example.com/#a", IssuerProblem::Fragment, "InvalidIssuerURLContainsFragment"),
        ] {
            assert_eq!(parse(text), Err(problem), "{text:?}");
            assert_eq!(problem.reason(), reason);
            assert!(problem.to_string().starts_with("spec.issuer "), "{problem}");
        }
    }
}

//! The end of a login at the provider: the refresh token withdrawn (RFC 7009), and the page that ends the session there.

use reqwest::Url;

use super::requests::{Declined, Form};
use super::{OidcError, Provider, endpoint};
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::unverified_claims::UnverifiedClaims;

/// An ID token that ended this long ago opens nothing any more, even where clocks disagree.
const CLOCKS_DISAGREE_MAX_SECONDS: i64 = 600;

/// What became of a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// The provider has withdrawn the token, or does not know it any more.
    Done,
    /// The provider has no such endpoint: the token stays good there until it ends by itself.
    NotOffered,
}

impl Provider<'_> {
    /// Withdraws a refresh token, and with it what was given for it (RFC 7009 section 2.1).
    ///
    /// # Errors
    /// When the provider refuses, or is away. The token may still be good there.
    pub(crate) async fn revoke(&self, token: &Secret) -> Result<Revoked, OidcError> {
        let Some(url) = self.metadata.additional_metadata().revocation_endpoint.as_deref() else {
            return Ok(Revoked::NotOffered);
        };
        let endpoint = endpoint("revocation_endpoint", Some(url))?;
        let form = Form::default().with("token", token.expose()).with("token_type_hint", "refresh_token");
        match self.post(&endpoint, form).await {
            Ok(_) => Ok(Revoked::Done),
            // Section 2.2 wants success for a token that is not known; some providers find that too generous.
            Err(Declined::Refused { code, .. }) if matches!(code.as_str(), "invalid_grant" | "invalid_token") => {
                Ok(Revoked::Done)
            }
            Err(declined) => Err(declined.into_error(&endpoint)),
        }
    }

    /// The page that ends the session at the provider itself, for a browser (OIDC RP-Initiated Logout 1.0); none where the
    /// provider has no such page. `id_token` is one of that session.
    pub(crate) fn end_session_url(&self, id_token: &Secret) -> Option<Url> {
        let url = self.metadata.additional_metadata().end_session_endpoint.as_deref()?;
        let mut url = endpoint("end_session_endpoint", Some(url)).ok()?;
        url.query_pairs_mut().append_pair("client_id", &self.config.client_id);
        if may_stand_in_a_url(id_token, self.clock.now()) {
            url.query_pairs_mut().append_pair("id_token_hint", id_token.expose());
        }
        Some(url)
    }
}

/// Whether the token is no key to anything any more: URLs are seen in process lists, histories and logs. The provider takes
/// an old one as a hint just as well (section 4), and asks the person where there is none.
fn may_stand_in_a_url(id_token: &Secret, now: UnixTime) -> bool {
    UnverifiedClaims::read(id_token.expose())
        .and_then(|claims| claims.expires())
        .is_some_and(|expires| now.since(expires) > CLOCKS_DISAGREE_MAX_SECONDS)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_token_that_still_opens_doors_is_in_no_url() {
        let token = |payload: &str| Secret::from(format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload)));
        let cases = [(r#"{"exp":1000}"#, 1601, true), (r#"{"exp":1000}"#, 1600, false), ("{}", 1601, false)];
        for (payload, now, expected) in cases {
            assert_eq!(may_stand_in_a_url(&token(payload), UnixTime::from_secs(now)), expected, "{payload} {now}");
        }
        assert!(!may_stand_in_a_url(&Secret::from("opaque"), UnixTime::from_secs(1601)));
    }
}

//! What the token endpoint sent, read but not yet judged (RFC 6749 section 5.1).

use serde::Deserialize;
use serde_json::Value;

use super::OidcError;
use super::requests::Accepted;
use crate::expiry::Clocks;
use crate::secret::Secret;
use crate::time::UnixTime;

/// What the token endpoint sent, not yet judged.
#[derive(Debug)]
pub(crate) struct Grant {
    /// To be kept before anything else can fail: the old one may be dead already.
    pub(crate) refresh_token: Option<Secret>,
    /// What was granted, if the provider said so. It must when that is not what was asked for (RFC 6749 section 5.1).
    pub(super) scopes: Option<Vec<String>>,
    pub(super) id_token: Option<Secret>,
    pub(super) access_token: Secret,
    /// Seconds that the access token lives, if the provider said so.
    pub(super) expires_in: Option<i64>,
    pub(super) clocks: Clocks,
}

impl Grant {
    /// Reads an answer.
    pub(super) fn read(answer: &Accepted) -> Result<Self, OidcError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: Secret,
            refresh_token: Option<Secret>,
            id_token: Option<Secret>,
            // Two members that nothing depends on: whatever a provider makes of them, it still has logged somebody in.
            #[serde(default)]
            scope: Value,
            #[serde(default)]
            expires_in: Value,
        }
        // The body holds tokens, and words about it may quote them: only the place is shown.
        let Answer { access_token, refresh_token, id_token, scope, expires_in } = serde_json::from_slice(&answer.body)
            .map_err(|error| {
                OidcError::Token(format!(
                    "the identity provider's answer holds no tokens that can be read (line {}, column {})",
                    error.line(),
                    error.column()
                ))
            })?;
        let filled = |token: Option<Secret>| token.filter(|token| !token.expose().is_empty());
        Ok(Self {
            refresh_token: filled(refresh_token),
            scopes: scope.as_str().map(|scopes| scopes.split_ascii_whitespace().map(ToOwned::to_owned).collect()),
            id_token: filled(id_token),
            access_token,
            expires_in: seconds(&expires_in),
            clocks: answer.clocks,
        })
    }

    /// The last local second in which to use the access token, if the provider said how long it lives.
    pub(super) fn access_usable_until(&self) -> Option<UnixTime> {
        self.expires_in.map(|seconds| self.clocks.usable_until(self.clocks.server.plus(seconds)))
    }
}

/// A number of seconds; some providers write it as text.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).filter(|seconds| *seconds >= 0)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn grant(body: &str) -> Result<Grant, OidcError> {
        let now = UnixTime::from_secs(1000);
        let clocks = Clocks { local: now, server: now };
        Grant::read(&Accepted { body: Zeroizing::new(body.as_bytes().to_vec()), clocks })
    }

    #[test]
    fn what_providers_really_send_can_be_read() {
        let full = grant(
            r#"{"access_token":"a","token_type":"Bearer","expires_in":"60","refresh_token":"r","id_token":"i","scope":"b  a"}"#,
        )
        .unwrap();
        assert_eq!(full.scopes.unwrap(), ["b", "a"]);
        assert_eq!(full.expires_in, Some(60));
        let bare =
            grant(r#"{"access_token":"a","refresh_token":"","id_token":null,"scope":[],"expires_in":-1}"#).unwrap();
        assert!(bare.refresh_token.is_none() && bare.id_token.is_none() && bare.scopes.is_none());
        assert_eq!(bare.expires_in, None);
    }

    #[test]
    fn an_unreadable_answer_is_not_quoted() {
        for body in ["<html>", "{}", r#"{"access_token":7,"refresh_token":"hunter2"}"#] {
            let error = grant(body).unwrap_err().to_string();
            assert!(error.contains("no tokens that can be read") && !error.contains("hunter2"), "{error}");
        }
    }
}

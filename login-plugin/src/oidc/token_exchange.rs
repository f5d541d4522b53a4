//! RFC 8693: the access token traded for a token of another audience, as the Pinniped Supervisor has it done.

use serde::Deserialize;

use super::requests::{Accepted, Form};
use super::{OidcError, Provider, access_token};
use crate::secret::Secret;
use crate::time::UnixTime;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A token for one audience, judged. Not to be kept: the next one is a request away.
#[derive(Debug)]
pub(crate) struct Traded {
    /// The token.
    pub(crate) token: Secret,
    /// When it came, by this computer's clock.
    pub(crate) received_at: UnixTime,
    /// The last second in which to use it, by this computer's clock.
    pub(crate) usable_until: UnixTime,
}

impl Provider<'_> {
    /// Trades an access token for a JWT of this audience and of no other.
    ///
    /// # Errors
    /// When the provider refuses, is away, or sends a token that must not be used.
    pub(crate) async fn trade(&mut self, access_token: &Secret, audience: &str) -> Result<Traded, OidcError> {
        let endpoint = self.token_endpoint()?;
        let form = Form::default()
            .with("grant_type", GRANT_TYPE)
            .with("audience", audience)
            .with("subject_token", access_token.expose())
            .with("subject_token_type", ACCESS_TOKEN)
            .with("requested_token_type", JWT);
        let answer = self.post(&endpoint, form).await.map_err(|declined| declined.into_error(&endpoint))?;
        let token = read(&answer)?;
        let clocks = answer.clocks;
        let judged =
            self.with_keys(|config, metadata| access_token::verify(&token, audience, config, metadata, clocks)).await?;
        Ok(Traded { token, received_at: clocks.local, usable_until: judged.usable_until })
    }
}

/// RFC 8693 section 2.2.1: what is in `access_token` is of the type that stands beside it, not always an access token.
fn read(answer: &Accepted) -> Result<Secret, OidcError> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Secret,
        issued_token_type: String,
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Answer { access_token, issued_token_type }) if issued_token_type == JWT => Ok(access_token),
        // Neither the token nor words that may quote it.
        _ => Err(OidcError::Token("the identity provider's token exchange did not give a JWT".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::expiry::Clocks;

    #[test]
    fn only_what_calls_itself_a_jwt_is_taken() {
        let now = UnixTime::from_secs(1000);
        let answer = |body: serde_json::Value| {
            let clocks = Clocks { local: now, server: now };
            read(&Accepted { body: Zeroizing::new(body.to_string().into_bytes()), clocks })
        };
        let jwt = serde_json::json!({"access_token": "t", "issued_token_type": JWT, "token_type": "N_A"});
        assert_eq!(answer(jwt).unwrap().expose(), "t");
        let other = serde_json::json!({"access_token": "t", "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"});
        assert!(answer(other).is_err());
        assert!(answer(serde_json::json!({"access_token": "t"})).is_err());
    }
}

//! What the issuer remembers between requests: logins under way, codes, browser sessions, refresh tokens.

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Rotation, User};

/// RFC 6749 4.1.2 recommends ten minutes at most; a test or a person needs far less.
const CODE_LIFETIME: Duration = Duration::from_mins(1);

/// How many of each kind are kept; the oldest are not missed by any test that logs in fewer times than this.
const MOST: usize = 10_000;

/// An authorization request whose client and redirect address are known to be right.
#[derive(Debug, Clone)]
pub(super) struct AuthorizationRequest {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) code_challenge: String,
    pub(super) scopes: Vec<String>,
}

/// A login that succeeded, as tokens are made from it. Times are seconds since 1970 by the issuer's clock.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) request: AuthorizationRequest,
    pub(super) user: User,
    pub(super) authenticated_at: u64,
}

/// Why a refresh token is not honoured.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotHonoured {
    Reused,
    Revoked,
    Unknown,
}

#[derive(Default)]
pub(super) struct Grants {
    logins: HashMap<String, AuthorizationRequest>,
    codes: HashMap<String, (Grant, u64)>,
    sessions: HashMap<String, (String, u64)>,
    refresh: HashMap<String, RefreshToken>,
    families: HashMap<u64, Family>,
    last_family: u64,
}

struct RefreshToken {
    family: u64,
    /// When it was replaced by the next one.
    replaced_at: Option<u64>,
}

struct Family {
    grant: Grant,
    revoked: bool,
}

impl Grants {
    pub(super) fn begin_login(&mut self, request: AuthorizationRequest) -> String {
        remember(&mut self.logins, request)
    }

    pub(super) fn login(&self, transaction: &str) -> Option<&AuthorizationRequest> {
        self.logins.get(transaction)
    }

    pub(super) fn end_login(&mut self, transaction: &str) -> Option<AuthorizationRequest> {
        self.logins.remove(transaction)
    }

    pub(super) fn session(&mut self, user: &str, now: u64) -> String {
        remember(&mut self.sessions, (user.to_owned(), now))
    }

    /// The user name of a browser session and when it began.
    pub(super) fn user_of_session(&self, session: &str) -> Option<(String, u64)> {
        self.sessions.get(session).cloned()
    }

    pub(super) fn code(&mut self, grant: Grant, now: u64) -> String {
        remember(&mut self.codes, (grant, now + CODE_LIFETIME.as_secs()))
    }

    /// A code is good for one use.
    pub(super) fn redeem(&mut self, code: &str, now: u64) -> Option<Grant> {
        self.codes.remove(code).filter(|(_, until)| now <= *until).map(|(grant, _)| grant)
    }

    pub(super) fn refresh_token(&mut self, grant: Grant) -> String {
        self.last_family += 1;
        let family = self.last_family;
        self.families.insert(family, Family { grant, revoked: false });
        remember(&mut self.refresh, RefreshToken { family, replaced_at: None })
    }

    /// The grant behind a refresh token, and the token to use from now on.
    pub(super) fn refresh(
        &mut self,
        token: &str,
        rotation: Rotation,
        revoke_on_reuse: bool,
        now: u64,
    ) -> Result<(Grant, String), NotHonoured> {
        let known = self.refresh.get_mut(token).ok_or(NotHonoured::Unknown)?;
        let number = known.family;
        let family = self.families.get_mut(&number).ok_or(NotHonoured::Unknown)?;
        if family.revoked {
            return Err(NotHonoured::Revoked);
        }
        let grant = family.grant.clone();
        let Rotation::After { grace } = rotation else {
            return Ok((grant, token.to_owned()));
        };
        // With a grace of zero a token has no second use even within the same second.
        if known.replaced_at.is_some_and(|at| grace.is_zero() || now > at + grace.as_secs()) {
            family.revoked = revoke_on_reuse;
            return Err(NotHonoured::Reused);
        }
        known.replaced_at.get_or_insert(now);
        let next = remember(&mut self.refresh, RefreshToken { family: number, replaced_at: None });
        Ok((grant, next))
    }

    /// Ends every session and every refresh token of a user, as an administrator at the identity provider would.
    pub(super) fn revoke(&mut self, user: &str) {
        self.sessions.retain(|_, (name, _)| name != user);
        for family in self.families.values_mut().filter(|family| family.grant.user.name == user) {
            family.revoked = true;
        }
    }
}

/// Files a value under a new random name.
fn remember<T>(map: &mut HashMap<String, T>, value: T) -> String {
    if map.len() >= MOST {
        map.clear();
    }
    let name = random();
    map.insert(name.clone(), value);
    name
}

/// 256 random bits, base64url.
pub(super) fn random() -> String {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).expect("the system's random source works");
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            request: AuthorizationRequest {
                client: "staging".to_owned(),
                redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
                state: None,
                nonce: None,
                code_challenge: String::new(),
                scopes: vec!["openid".to_owned()],
            },
            user: User::new("ann", "secret"),
            authenticated_at: 100,
        }
    }

    #[test]
    fn a_code_is_good_once_and_for_a_minute() {
        let mut grants = Grants::default();
        let code = grants.code(grant(), 100);
        assert!(grants.redeem(&code, 160).is_some());
        assert!(grants.redeem(&code, 160).is_none());
        let code = grants.code(grant(), 100);
        assert!(grants.redeem(&code, 161).is_none());
    }

    #[test]
    fn a_replaced_refresh_token_is_honoured_within_the_grace_only() {
        let rotation = Rotation::After { grace: Duration::from_secs(10) };
        let mut grants = Grants::default();
        let first = grants.refresh_token(grant());
        let (_, second) = grants.refresh(&first, rotation, true, 100).expect("the first use");
        assert_ne!(first, second);
        let (_, _) = grants.refresh(&first, rotation, true, 110).expect("within the grace");
        assert_eq!(grants.refresh(&first, rotation, true, 111).map(drop), Err(NotHonoured::Reused));
        assert_eq!(grants.refresh(&second, rotation, true, 111).map(drop), Err(NotHonoured::Revoked));
    }

    #[test]
    fn without_grace_even_the_same_second_is_too_late() {
        let rotation = Rotation::After { grace: Duration::ZERO };
        let mut grants = Grants::default();
        let first = grants.refresh_token(grant());
        let (_, second) = grants.refresh(&first, rotation, false, 100).expect("the first use");
        assert_eq!(grants.refresh(&first, rotation, false, 100).map(drop), Err(NotHonoured::Reused));
        grants.refresh(&second, rotation, false, 100).expect("the family lives on");
    }
}

//! The sentence: a token, an authenticator, a snapshot and the time go in, a verdict comes out.
//!
//! It is pure because keys were fetched and parsed long before: judging does no I/O.

mod reason;
mod replay;

use std::{sync::Arc, time::Duration};

pub use self::{
    reason::Reason,
    replay::{CrossCluster, ReplayState},
};
use crate::{
    index::{
        AskError, Authenticator, AuthenticatorKind, AuthenticatorName, AuthenticatorRef, Entry, Snapshot, Unready,
        Webhook,
    },
    jwt::{self, SuppliedClaim, TokenFacts, Trace},
    mapping::{self, User},
    secret::{BearerToken, TokenFingerprint},
    time::UnixTime,
    token_review::Word,
};

/// What was decided, and what a record says of it.
#[must_use = "a verdict that nobody records did not happen"]
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is known of the token; shared, as a remembered verdict is given out often.
    pub facts: Arc<TokenFacts>,
    /// The authenticator that judged, if there was one.
    pub authenticator: Option<JudgedBy>,
    /// The user, or the reason.
    pub outcome: Result<Admitted, Reason>,
}

/// Who judged.
#[derive(Clone, Debug)]
pub enum JudgedBy {
    /// A `JWTAuthenticator`.
    Jwt(Arc<Authenticator>),
    /// Nobody: this one was asked, and admits nobody now.
    NotReady(Arc<Unready>),
    /// A `WebhookAuthenticator`: its server.
    Webhook(Arc<Webhook>),
}

/// A user whom this cluster admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Who it is.
    pub user: User,
    /// `exp` of the token; `None`: a webhook does not say when its tokens end.
    pub token_expires_at: Option<UnixTime>,
    /// How long a credential may live, if the authenticator says so.
    pub credential_lifetime: Option<Duration>,
}

/// Judges `token` by `authenticator` as it stands in `snapshot`, at the time `now`.
pub fn authenticate(
    token: &BearerToken,
    authenticator: &AuthenticatorRef,
    snapshot: &Snapshot,
    now: UnixTime,
) -> Verdict {
    let mut facts = TokenFacts { bytes: token.len(), ..TokenFacts::default() };
    let authenticator = match snapshot.entry(authenticator) {
        Some(Entry::Ready(authenticator)) => Arc::clone(authenticator),
        // Its server has to be asked, which is a door's work: see `by_webhook`. Nobody is admitted on the way there.
        Some(Entry::Webhook(_)) => return refused(facts, Reason::AuthenticatorNotReady),
        Some(Entry::NotReady(unready)) => {
            let authenticator = Some(JudgedBy::NotReady(Arc::clone(unready)));
            return Verdict { authenticator, ..refused(facts, Reason::AuthenticatorNotReady) };
        }
        None => return refused(facts, Reason::AuthenticatorUnknown),
    };
    let outcome = judge(token, &authenticator, now, &mut facts, &mut ());
    Verdict { facts: Arc::new(facts), authenticator: Some(JudgedBy::Jwt(authenticator)), outcome }
}

/// Judges `token` by `authenticator` with a claim that was fetched for it: the second half of a verdict of
/// [`mapping::Refusal::ClaimElsewhere`].
pub fn complete(
    token: &BearerToken,
    authenticator: &Arc<Authenticator>,
    supplied: &SuppliedClaim,
    now: UnixTime,
) -> Verdict {
    let mut facts = TokenFacts { bytes: token.len(), ..TokenFacts::default() };
    let outcome = judge_with(token, authenticator, Some(supplied), now, &mut facts, &mut ());
    let authenticator = Some(JudgedBy::Jwt(Arc::clone(authenticator)));
    Verdict { facts: Arc::new(facts), authenticator, outcome }
}

/// Judges `token` by one authenticator; `facts` and `trace` hear what was found on the way. There is no other judge:
/// the server, `check` and the tests all ask this one.
///
/// # Errors
///
/// The first step that the token fails.
pub fn judge(
    token: &BearerToken,
    authenticator: &Authenticator,
    now: UnixTime,
    facts: &mut TokenFacts,
    trace: &mut impl Trace,
) -> Result<Admitted, Reason> {
    judge_with(token, authenticator, None, now, facts, trace)
}

/// The same with a claim that the token itself only refers to ([`mapping::ClaimSource`]), if it was fetched.
///
/// # Errors
///
/// The first step that the token fails.
pub fn judge_with(
    token: &BearerToken,
    authenticator: &Authenticator,
    supplied: Option<&SuppliedClaim>,
    now: UnixTime,
    facts: &mut TokenFacts,
    trace: &mut impl Trace,
) -> Result<Admitted, Reason> {
    let claims = jwt::verify(token, &authenticator.verifier, now, facts, trace)?;
    let claims = match supplied {
        Some(supplied) => claims.with(supplied),
        None => claims,
    };
    let user = mapping::map(&claims, &authenticator.rules, trace)?;
    let token_expires_at = Some(claims.expires_at());
    Ok(Admitted { user, token_expires_at, credential_lifetime: authenticator.credential_lifetime })
}

/// The verdict that follows from what `webhook` said of `token`.
pub fn by_webhook(token: &BearerToken, webhook: &Arc<Webhook>, word: Result<Word, AskError>) -> Verdict {
    let outcome = match word {
        Ok(Word::Authenticated(vouched)) => mapping::vouched(vouched, &webhook.reserved)
            .map_err(Reason::from)
            .map(|user| Admitted { user, token_expires_at: None, credential_lifetime: webhook.credential_lifetime }),
        Ok(Word::Refused { with_error }) => Err(Reason::WebhookRefused { with_error }),
        Err(error) => Err(Reason::Webhook(error)),
    };
    let authenticator = Some(JudgedBy::Webhook(Arc::clone(webhook)));
    Verdict { facts: Arc::new(opaque(token)), authenticator, outcome }
}

/// What may be said of a token that we cannot read. One that looks like a JWT has the fingerprint of a JWT; any other
/// has none: it may be as short as a password, and then a hash would tell it.
fn opaque(token: &BearerToken) -> TokenFacts {
    let looks_like_a_jwt = token.as_str().bytes().filter(|byte| *byte == b'.').count() == 2;
    let signing_input = token.as_str().rsplit_once('.').filter(|_| looks_like_a_jwt).map(|(input, _)| input);
    TokenFacts {
        bytes: token.len(),
        fingerprint: signing_input.map(|input| TokenFingerprint::of(input.as_bytes())),
        ..TokenFacts::default()
    }
}

fn refused(facts: TokenFacts, reason: Reason) -> Verdict {
    Verdict { facts: Arc::new(facts), authenticator: None, outcome: Err(reason) }
}

// === impl JudgedBy ===

impl JudgedBy {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> AuthenticatorKind {
        match self {
            Self::Jwt(_) => AuthenticatorKind::JWTAuthenticator,
            Self::NotReady(unready) => unready.reference.kind,
            Self::Webhook(_) => AuthenticatorKind::WebhookAuthenticator,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &AuthenticatorName {
        match self {
            Self::Jwt(authenticator) => &authenticator.name,
            Self::NotReady(unready) => &unready.reference.name,
            Self::Webhook(webhook) => &webhook.name,
        }
    }

    /// The object's uid.
    #[must_use]
    pub fn uid(&self) -> &str {
        match self {
            Self::Jwt(authenticator) => &authenticator.uid,
            Self::NotReady(unready) => &unready.uid,
            Self::Webhook(webhook) => &webhook.uid,
        }
    }

    /// The generation of its spec.
    #[must_use]
    pub fn generation(&self) -> i64 {
        match self {
            Self::Jwt(authenticator) => authenticator.generation,
            Self::NotReady(unready) => unready.generation,
            Self::Webhook(webhook) => webhook.generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::{FutureExt as _, future::BoxFuture};

    use super::*;
    use crate::{index::AskWebhook, mapping::Refusal, token_review::Vouched};

    #[derive(Debug)]
    struct Nobody;

    impl AskWebhook for Nobody {
        fn ask<'a>(&'a self, _: &'a BearerToken) -> BoxFuture<'a, Result<Word, AskError>> {
            std::future::ready(Err(AskError::Overloaded)).boxed()
        }
    }

    fn judged(token: &str, word: Result<Word, AskError>) -> Verdict {
        let webhook = Webhook {
            name: AuthenticatorName::new("tokens"),
            uid: "u".to_owned(),
            generation: 3,
            reserved: mapping::ReservedIdentities::default(),
            credential_lifetime: Some(Duration::from_mins(10)),
            door: Arc::new(Nobody),
        };
        by_webhook(&BearerToken::new(token.to_owned()), &Arc::new(webhook), word)
    }

    #[test]
    fn a_user_whom_the_webhook_vouches_for_is_admitted() {
        let vouched = Vouched {
            username: "ada".to_owned(),
            uid: "7".to_owned(),
            groups: vec!["a".to_owned(), "system:authenticated".to_owned()],
            extra: BTreeMap::from([("example.com/k".to_owned(), vec!["v".to_owned()])]),
        };
        let verdict = judged("opaque", Ok(Word::Authenticated(vouched)));
        let admitted = verdict.outcome.unwrap();
        assert_eq!((admitted.user.username().as_str(), admitted.user.uid()), ("ada", Some("7")));
        assert_eq!(admitted.user.groups().iter().map(mapping::GroupName::as_str).collect::<Vec<_>>(), ["a"]);
        assert_eq!(admitted.user.extra()["example.com/k"], ["v"]);
        assert_eq!((admitted.token_expires_at, admitted.credential_lifetime), (None, Some(Duration::from_mins(10))));
        let by = verdict.authenticator.unwrap();
        assert_eq!((by.kind(), by.name().as_str()), (AuthenticatorKind::WebhookAuthenticator, "tokens"));
        assert_eq!((by.uid(), by.generation()), ("u", 3));
    }

    #[test]
    fn each_way_of_not_vouching_has_its_code() {
        let masters =
            Vouched { username: "ada".to_owned(), groups: vec!["system:masters".to_owned()], ..Vouched::default() };
        for (word, code) in [
            (Ok(Word::Refused { with_error: false }), "webhook-refused"),
            (Ok(Word::Refused { with_error: true }), "webhook-refused"),
            (Err(AskError::Unavailable("cannot be reached".to_owned())), "webhook-unavailable"),
            (Err(AskError::Overloaded), "overloaded"),
            (Ok(Word::Authenticated(masters)), Refusal::IdentityReserved(String::new()).code()),
            (Ok(Word::Authenticated(Vouched::default())), Refusal::UsernameEmpty.code()),
        ] {
            assert_eq!(judged("opaque", word).outcome.unwrap_err().code(), code);
        }
    }

    #[test]
    fn an_opaque_token_has_no_fingerprint() {
        let facts = |token| judged(token, Err(AskError::Overloaded)).facts;
        assert_eq!(facts("hunter2").fingerprint, None);
        assert_eq!(facts("a.b").fingerprint, None);
        assert_eq!(facts("a.b.c.d").fingerprint, None);
        assert_eq!(facts("a.b.c").fingerprint, Some(TokenFingerprint::of(b"a.b")));
        assert_eq!(facts("hunter2").bytes, 7);
    }
}

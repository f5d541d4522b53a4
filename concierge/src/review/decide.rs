//! Whose a token is, asked of every authenticator of the issuer that it claims.

use std::sync::Arc;

use crate::{
    authn::{JudgedBy, Reason, Verdict},
    distributed,
    index::{AuthenticatorRef, Entry, Reader, RefreshRequester},
    jwt::{Rejection, Step, TokenFacts, peek_issuer},
    secret::BearerToken,
    time::Clock,
    verdicts::Verdicts,
};

/// What came of it.
#[derive(Debug)]
pub(super) enum Decision {
    /// It is not a JWT of any issuer of ours: no business of ours.
    Foreign,
    /// It was judged, and that will not change.
    Judged(Verdict),
    /// Nobody admits it now, but somebody who cannot judge yet might, or its key is one that we could not find.
    Undecided(Verdict),
}

/// What one look at all of them brought.
struct Look {
    verdict: Verdict,
    /// Who judged, or could not.
    by: AuthenticatorRef,
    /// Whether some authenticator of the issuer could not judge.
    waiting: bool,
}

/// Decides about `token`. Where only its key is unknown, it is looked at once more with fresh keys, within the same
/// bounds as for an exchange.
pub(super) async fn decide(
    token: &BearerToken,
    index: &Reader,
    refresh: &RefreshRequester,
    verdicts: &Verdicts,
    clock: &dyn Clock,
) -> Decision {
    let Ok(issuer) = peek_issuer(token) else { return Decision::Foreign };
    let look = || look(token, issuer.as_hint(), index, verdicts, clock);
    let Some(mut seen) = look() else { return Decision::Foreign };
    if let Err(Reason::Token(Rejection::KeyUnknown { key_id })) = &seen.verdict.outcome
        && refresh.request(&seen.by.name, key_id.as_ref()).await
    {
        match look() {
            Some(again) => seen = again,
            None => return Decision::Foreign,
        }
    }
    let completed = distributed::completed(seen.verdict, token, verdicts, clock).await;
    let seen = Look { verdict: completed, ..seen };
    if is_final(&seen) { Decision::Judged(seen.verdict) } else { Decision::Undecided(undecided(seen)) }
}

/// What is recorded of a token that nobody could decide about. A no at the audience is not one while an authenticator that
/// may have just this audience cannot judge: as a mismatch it would be taken for another cluster's token.
fn undecided(Look { verdict, waiting, .. }: Look) -> Verdict {
    let mismatch = matches!(
        verdict.outcome,
        Err(Reason::Token(Rejection::AudienceMismatch { .. } | Rejection::AudienceOtherCluster { .. }))
    );
    if waiting && mismatch { Verdict { outcome: Err(Reason::AuthenticatorNotReady), ..verdict } } else { verdict }
}

/// Asks each authenticator of the issuer, in the order of their names; the first that admits wins. Otherwise the most
/// telling refusal is kept, that of the step furthest on: of two authenticators with one issuer and different audiences
/// it is the one whose audience the token has. `None`: nobody knows the issuer.
fn look(token: &BearerToken, iss: &str, index: &Reader, verdicts: &Verdicts, clock: &dyn Clock) -> Option<Look> {
    let (snapshot, now) = (index.snapshot(), clock.now());
    let mut told: Option<(Verdict, &AuthenticatorRef)> = None;
    let mut waiting = None;
    for (authenticator, entry) in snapshot.by_issuer(iss) {
        match entry {
            Entry::Ready(_) => {}
            Entry::NotReady(unready) => {
                waiting = Some((authenticator, unready));
                continue;
            }
            // No issuer leads to one; see the head of the room.
            Entry::Webhook(_) => continue,
        }
        let verdict = verdicts.authenticate(token, authenticator, &snapshot, now);
        if verdict.outcome.is_ok() {
            return Some(Look { verdict, by: authenticator.clone(), waiting: false });
        }
        if told.as_ref().is_none_or(|(known, _)| step(known) < step(&verdict)) {
            told = Some((verdict, authenticator));
        }
    }
    match (told, waiting) {
        (Some((verdict, by)), waiting) => Some(Look { verdict, by: by.clone(), waiting: waiting.is_some() }),
        (None, Some((by, unready))) => {
            let facts = TokenFacts { bytes: token.len(), ..TokenFacts::default() };
            let outcome = Err(Reason::AuthenticatorNotReady);
            Some(Look {
                verdict: Verdict {
                    facts: facts.into(),
                    authenticator: Some(JudgedBy::NotReady(Arc::clone(unready))),
                    outcome,
                },
                by: by.clone(),
                waiting: true,
            })
        }
        (None, None) => None,
    }
}

fn step(verdict: &Verdict) -> Option<Step> {
    verdict.outcome.as_ref().err().and_then(Reason::step)
}

/// A no that was given for a reason beyond the audience is one of the authenticator that the token is for, and nobody else's
/// opinion matters. Before that, one that could not judge might have said yes. And a key that is unknown may have been
/// published a moment ago: were that no remembered, its owner would be locked out for as long.
fn is_final(seen: &Look) -> bool {
    match &seen.verdict.outcome {
        Ok(_) => true,
        Err(Reason::Token(Rejection::KeyUnknown { .. }) | Reason::ClaimNotFetched(_)) => false,
        Err(_) => !seen.waiting || step(&seen.verdict) > Some(Step::Audience),
    }
}

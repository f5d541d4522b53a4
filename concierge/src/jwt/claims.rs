//! The registered claims (RFC 7519 4.1, OIDC Core 3.1.3.7) of a token whose signature holds.

use super::{
    Json, JsonError, Limits, Object, Rejection, TokenFacts, VerifiedFacts, Verifier, signature::SignedPayload,
};
use crate::time::UnixTime;

/// Claims of a token that its issuer signed, for us, and that is valid now. Only [`super::verify`] makes them.
#[derive(Debug)]
pub struct VerifiedClaims {
    members: Object,
    expires_at: UnixTime,
    token_id: Option<String>,
}

/// Seconds that `nbf` and `iat` may lie ahead: clocks differ. kube-apiserver grants `nbf` the same; `exp` gets none.
const LEEWAY_SECONDS: i64 = 60;

/// Most audiences of one token; each is compared.
const MAX_AUDIENCES: usize = 32;

/// The largest whole number of seconds that every JSON reader agrees on (RFC 8259 6).
const MAX_NUMERIC_DATE: f64 = 9_007_199_254_740_991.0;

impl VerifiedClaims {
    /// Judges the claims in the fixed order: strict JSON, `typ`, issuer, audience, times.
    pub(super) fn judge(
        signed: &SignedPayload,
        verifier: &Verifier,
        now: UnixTime,
        facts: &mut TokenFacts,
    ) -> Result<Self, Rejection> {
        let members = Object::parse(&signed.payload, Limits::TOKEN).map_err(|error| match error {
            JsonError::DuplicateMember => Rejection::DuplicateMember,
            other => Rejection::MalformedClaims(other),
        })?;
        facts.verified = Some(verified_facts(&members));

        signed.header.check_type()?;
        // A logout token or security event is told by this member even where it carries no `typ` (OIDC Back-Channel 2.6).
        if members.get("events").is_some() {
            return Err(Rejection::TypeNotAccepted("a token with \"events\"".to_owned()));
        }
        check_issuer(&members, verifier)?;
        check_audience(&members, verifier)?;
        for claim in ["azp", "jti", "sid"] {
            optional_string(&members, claim)?;
        }
        let expires_at = check_times(&members, now)?;
        let token_id = optional_string(&members, "jti")?.map(str::to_owned);
        Ok(Self { members, expires_at, token_id })
    }

    /// The claim called `name`, at the top level.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members.get(name)
    }

    /// `exp`: nothing derived from this token may outlive it unnoticed.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// `jti`, if the issuer names its tokens.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }
}

/// OIDC Core 3.1.3.7 step 2: exactly the configured issuer; a list is not an issuer.
fn check_issuer(members: &Object, verifier: &Verifier) -> Result<(), Rejection> {
    let found = required_string(members, "iss")?;
    if verifier.issuer.accepts(found) {
        return Ok(());
    }
    Err(Rejection::IssuerUnknown { found: found.to_owned(), expected: verifier.issuer.as_str().to_owned() })
}

/// RFC 7519 4.1.3 and the reason this program exists: for us, and for nobody else.
fn check_audience(members: &Object, verifier: &Verifier) -> Result<(), Rejection> {
    let found = audiences(members)?;
    let ours = verifier.audience.as_str();
    let named = |audience: &[String]| audience.to_vec();
    if !found.iter().any(|audience| audience == ours) {
        return Err(Rejection::AudienceMismatch { found: named(&found), expected: ours.to_owned() });
    }
    if found.iter().any(|audience| audience != ours) {
        return Err(Rejection::AudienceShared { found: named(&found), expected: ours.to_owned() });
    }
    Ok(())
}

fn audiences(members: &Object) -> Result<Vec<String>, Rejection> {
    const EXPECTED: &str = "a string or a list of strings";
    let wrong = |found| Rejection::ClaimWrongType { claim: "aud".to_owned(), found, expected: EXPECTED };
    match members.get("aud") {
        None => Err(Rejection::AudienceMissing),
        Some(Json::String(audience)) => Ok(vec![audience.clone()]),
        Some(Json::Array(list)) if list.is_empty() => Err(Rejection::AudienceMissing),
        Some(Json::Array(list)) if list.len() > MAX_AUDIENCES => Err(wrong("a list that is too long")),
        Some(Json::Array(list)) => list
            .iter()
            .map(|audience| audience.as_str().map(str::to_owned).ok_or_else(|| wrong("a list of other things")))
            .collect(),
        Some(other) => Err(wrong(other.kind())),
    }
}

/// RFC 7519 4.1.4 to 4.1.6. `exp` at this very second still passes, as in kube-apiserver.
fn check_times(members: &Object, now: UnixTime) -> Result<UnixTime, Rejection> {
    let now = now.as_secs();
    let exp = numeric_date(members, "exp")?.ok_or_else(|| Rejection::ClaimMissing("exp".to_owned()))?;
    let nbf = numeric_date(members, "nbf")?;
    let iat = numeric_date(members, "iat")?;
    if now > exp {
        return Err(Rejection::Expired { seconds_ago: now.saturating_sub(exp) });
    }
    if let Some(nbf) = nbf.filter(|nbf| *nbf > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(Rejection::NotYetValid { seconds_ahead: nbf.saturating_sub(now) });
    }
    if let Some(iat) = iat.filter(|iat| *iat > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(Rejection::IssuedInFuture { seconds_ahead: iat.saturating_sub(now) });
    }
    Ok(UnixTime::from_secs(exp))
}

/// RFC 7519 2, `NumericDate`: seconds, fractions floored. Text is no date, `null` is not absence, and a number beyond
/// 2^53 is none that two readers would agree on.
fn numeric_date(members: &Object, claim: &str) -> Result<Option<i64>, Rejection> {
    let wrong = |found| Rejection::ClaimWrongType {
        claim: claim.to_owned(),
        found,
        expected: "a number of seconds since 1970",
    };
    match members.get(claim) {
        None => Ok(None),
        Some(Json::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(seconds), _) if seconds.unsigned_abs() < 1 << 53 => Ok(Some(seconds)),
            (None, Some(seconds)) if seconds.abs() <= MAX_NUMERIC_DATE => Ok(Some(floor(seconds))),
            _ => Err(wrong("a number out of range")),
        },
        Some(other) => Err(wrong(other.kind())),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the caller keeps it within 2^53")]
const fn floor(seconds: f64) -> i64 {
    seconds.floor() as i64
}

fn required_string<'a>(members: &'a Object, claim: &str) -> Result<&'a str, Rejection> {
    optional_string(members, claim)?.ok_or_else(|| Rejection::ClaimMissing(claim.to_owned()))
}

fn optional_string<'a>(members: &'a Object, claim: &str) -> Result<Option<&'a str>, Rejection> {
    match members.get(claim) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(Rejection::ClaimWrongType { claim: claim.to_owned(), found: other.kind(), expected: "a string" })
        }
    }
}

/// For the record: what is there and has the right type. A wrong type is the verdict's business.
fn verified_facts(members: &Object) -> VerifiedFacts {
    let text = |claim| optional_string(members, claim).ok().flatten().map(str::to_owned);
    let date = |claim| numeric_date(members, claim).ok().flatten();
    VerifiedFacts {
        iss: text("iss"),
        sub: text("sub"),
        aud: audiences(members).unwrap_or_default(),
        azp: text("azp"),
        jti: text("jti"),
        sid: text("sid"),
        iat: date("iat"),
        exp: date("exp"),
        auth_time: date("auth_time"),
    }
}

//! The registered claims (RFC 7519 4.1, OIDC Core 3.1.3.7) of a token whose signature holds.

use std::time::Duration;

use super::{
    AdditionalAudiences, Json, JsonError, Limits, Object, Profile, Rejection, Step, TokenFacts, TokenType, Trace,
    VerifiedFacts, signature::SignedPayload,
};
use crate::time::UnixTime;

/// Claims of a token that its issuer signed, for us, and that is valid now. Only [`super::verify`] makes them.
#[derive(Debug)]
pub struct VerifiedClaims {
    members: Object,
    expires_at: UnixTime,
}

/// One claim of a token that was verified, to be read as if another had held it (distributed claims, OIDC Core 5.6.2).
#[derive(Clone, Debug)]
pub struct SuppliedClaim {
    name: String,
    value: Json,
    until: UnixTime,
}

/// Seconds that `nbf` and `iat` may lie ahead: clocks differ. kube-apiserver grants `nbf` the same; `exp` gets none.
const LEEWAY_SECONDS: i64 = 60;

/// Most audiences of one token; each is compared.
const MAX_AUDIENCES: usize = 32;

/// The largest whole number of seconds that every JSON reader agrees on (RFC 8259 6).
const MAX_NUMERIC_DATE: f64 = 9_007_199_254_740_991.0;

/// What an access token must bring beside `iss`, `aud` and `exp`, which every token must (RFC 9068 2.2).
const ACCESS_TOKEN_STRINGS: [&str; 3] = ["sub", "client_id", "jti"];

impl VerifiedClaims {
    /// Judges the claims in the fixed order: strict JSON, `typ`, issuer, audience, `azp`, times (design 14.4).
    pub(super) fn judge(
        signed: &SignedPayload,
        profile: &Profile,
        now: UnixTime,
        facts: &mut TokenFacts,
        trace: &mut impl Trace,
    ) -> Result<Self, Rejection> {
        let members = Object::parse(&signed.payload, Limits::TOKEN).map_err(|error| match error {
            JsonError::DuplicateMember => Rejection::DuplicateMember { inside: Step::Claims },
            other => Rejection::MalformedClaims(other),
        })?;
        facts.verified = Some(verified_facts(&members));
        trace.passed(Step::Claims);

        check_type(&members, signed.header.token_type(profile.token_types)?)?;
        trace.passed(Step::Type);
        check_issuer(&members, profile)?;
        trace.passed(Step::Issuer);
        let strangers = check_audience(&members, profile)?;
        trace.passed(Step::Audience);
        check_parties(&members, profile, strangers)?;
        trace.passed(Step::AuthorizedParty);
        let expires_at = check_times(&members, profile, now)?;
        trace.passed(Step::Times);
        Ok(Self { members, expires_at })
    }

    /// The claim called `name`, at the top level.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.members.get(name)
    }

    /// Every claim.
    #[must_use]
    pub const fn members(&self) -> &Object {
        &self.members
    }

    /// `exp`: nothing derived from this token may outlive it unnoticed.
    #[must_use]
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The claim called `name`, to be supplied to another token; `None` if there is none.
    #[must_use]
    pub fn supply(&self, name: &str) -> Option<SuppliedClaim> {
        let value = self.members.get(name)?.clone();
        Some(SuppliedClaim { name: name.to_owned(), value, until: self.expires_at })
    }

    /// The same claims with one of another token; what they hold themselves stays as it is.
    #[must_use]
    pub fn with(mut self, supplied: &SuppliedClaim) -> Self {
        self.members.add(&supplied.name, supplied.value.clone());
        self
    }

    /// `jti`, if the issuer names its tokens.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.members.get("jti").and_then(Json::as_str)
    }
}

impl SuppliedClaim {
    /// `exp` of the token that held it.
    #[must_use]
    pub const fn until(&self) -> UnixTime {
        self.until
    }
}

/// Whether the claims are those of the kind of token that the header says.
fn check_type(members: &Object, kind: TokenType) -> Result<(), Rejection> {
    if members.get("events").is_some() {
        return Err(Rejection::EventToken);
    }
    match kind {
        TokenType::IdToken => Ok(()),
        TokenType::AccessToken => {
            for claim in ACCESS_TOKEN_STRINGS {
                required_string(members, claim, Step::Type)?;
            }
            numeric_date(members, "iat", Step::Type)?.ok_or_else(|| missing("iat", Step::Type)).map(|_| ())
        }
    }
}

/// OIDC Core 3.1.3.7 step 2: exactly the configured issuer; a list is not an issuer.
fn check_issuer(members: &Object, profile: &Profile) -> Result<(), Rejection> {
    let found = required_string(members, "iss", Step::Issuer)?;
    if profile.issuer.accepts(found) {
        return Ok(());
    }
    Err(Rejection::IssuerUnknown { found: found.to_owned(), expected: profile.issuer.as_str().to_owned() })
}

/// Whether a token names audiences that are not ours beside one that is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strangers {
    None,
    Some,
}

/// RFC 7519 4.1.3 and the reason this program exists: for us, and unless the authenticator says otherwise for nobody
/// else. For another cluster of our fleet never, whatever it says: such a token would open both. A token for us alone
/// costs no look at the fleet.
fn check_audience(members: &Object, profile: &Profile) -> Result<Strangers, Rejection> {
    let found = audiences(members)?;
    let ours = |audience: &Json| audience.as_str().is_some_and(|audience| profile.audiences.contains(audience));
    if found.iter().all(ours) {
        return Ok(Strangers::None);
    }
    let expected = profile.audiences.clone();
    // The configured issuer, not the claim: they are the same but for Google's, of which the fleet list has the URL.
    let owner = |audience: &Json| profile.siblings.owner(profile.issuer.as_str(), audience.as_str()?);
    // One of ours is ours, though the list may say otherwise.
    let sibling = found.iter().filter(|audience| !ours(audience)).find_map(owner).cloned();
    if !found.iter().any(ours) {
        let found = names(found);
        return Err(match sibling {
            Some(cluster) => Rejection::AudienceOtherCluster { found, cluster, expected },
            None => Rejection::AudienceMismatch { found, expected },
        });
    }
    match profile.additional_audiences {
        AdditionalAudiences::Allow if sibling.is_none() => Ok(Strangers::Some),
        AdditionalAudiences::Allow | AdditionalAudiences::Refuse => {
            Err(Rejection::AudienceShared { found: names(found), expected, cluster: sibling })
        }
    }
}

/// The members of `aud`, each of them a string.
fn audiences(members: &Object) -> Result<&[Json], Rejection> {
    const EXPECTED: &str = "a string or a list of strings";
    let wrong = |found| Rejection::ClaimWrongType { claim: "aud", found, expected: EXPECTED, step: Step::Audience };
    match members.get("aud") {
        None => Err(Rejection::AudienceMissing),
        Some(one @ Json::String(_)) => Ok(std::slice::from_ref(one)),
        Some(Json::Array(list)) if list.is_empty() => Err(Rejection::AudienceMissing),
        Some(Json::Array(list)) if list.len() > MAX_AUDIENCES => Err(wrong("a list that is too long")),
        Some(Json::Array(list)) if list.iter().any(|audience| audience.as_str().is_none()) => {
            Err(wrong("a list of other things"))
        }
        Some(Json::Array(list)) => Ok(list),
        Some(other) => Err(wrong(other.kind())),
    }
}

fn names(audiences: &[Json]) -> Vec<String> {
    audiences.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// OIDC Core 3.1.3.7 steps 4 and 5, as design 14.3 and 14.9 read them. Where the authenticator lists its parties, `azp`
/// must be one of them. Where it does not, `azp` matters only for a token that names strangers: then whoever asked for
/// it must be one of us, or a stranger could have had it made.
///
/// `jti` and `sid`, which records and revocation rely on, are judged here too, and the other claims that are strings.
fn check_parties(members: &Object, profile: &Profile, strangers: Strangers) -> Result<(), Rejection> {
    let azp = optional_string(members, "azp", Step::AuthorizedParty)?;
    for claim in ["jti", "sid"] {
        optional_string(members, claim, Step::AuthorizedParty)?;
    }
    // As kube-apiserver, which reads these as strings whether they are mapped or not, and null as absence.
    for claim in ["sub", "nonce", "at_hash"] {
        if members.get(claim).is_some_and(|value| !matches!(value, Json::Null)) {
            optional_string(members, claim, Step::AuthorizedParty)?;
        }
    }
    let listed = &profile.authorized_parties;
    if !listed.is_empty() {
        return match azp {
            Some(azp) if listed.iter().any(|party| party == azp) => Ok(()),
            _ => Err(Rejection::AuthorizedPartyMismatch { found: azp.map(str::to_owned), expected: listed.clone() }),
        };
    }
    match azp {
        Some(azp) if strangers == Strangers::Some && !profile.audiences.contains(azp) => {
            let expected = profile.audiences.iter().map(|audience| audience.as_str().to_owned()).collect();
            Err(Rejection::AuthorizedPartyMismatch { found: Some(azp.to_owned()), expected })
        }
        _ => Ok(()),
    }
}

/// RFC 7519 4.1.4 to 4.1.6, and the ceilings. `exp` at this very second still passes, as in kube-apiserver.
fn check_times(members: &Object, profile: &Profile, now: UnixTime) -> Result<UnixTime, Rejection> {
    let now = now.as_secs();
    let date = |claim| numeric_date(members, claim, Step::Times);
    let exp = date("exp")?.ok_or_else(|| missing("exp", Step::Times))?;
    let nbf = date("nbf")?;
    let iat = date("iat")?;
    if now > exp {
        return Err(Rejection::Expired { seconds_ago: now.saturating_sub(exp) });
    }
    if let Some(nbf) = nbf.filter(|nbf| *nbf > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(Rejection::NotYetValid { seconds_ahead: nbf.saturating_sub(now) });
    }
    if let Some(iat) = iat.filter(|iat| *iat > now.saturating_add(LEEWAY_SECONDS)) {
        return Err(Rejection::IssuedInFuture { seconds_ahead: iat.saturating_sub(now) });
    }
    if profile.max_token_lifetime.is_some() || profile.max_token_age.is_some() {
        let iat = iat.ok_or_else(|| missing("iat", Step::Times))?;
        check_ceilings(profile, exp.saturating_sub(iat), now.saturating_sub(iat))?;
    }
    Ok(UnixTime::from_secs(exp))
}

/// Whether a token that lives `lifetime` seconds and was made `age` seconds ago keeps below the ceilings. A negative
/// age, within the leeway, is young.
fn check_ceilings(profile: &Profile, lifetime: i64, age: i64) -> Result<(), Rejection> {
    let over = |seconds: i64, ceiling: Option<Duration>| {
        ceiling.map(|ceiling| ceiling.as_secs()).filter(|ceiling| u64::try_from(seconds).is_ok_and(|s| s > *ceiling))
    };
    if let Some(ceiling) = over(lifetime, profile.max_token_lifetime) {
        return Err(Rejection::LifetimeTooLong { seconds: lifetime, ceiling });
    }
    match over(age, profile.max_token_age) {
        Some(ceiling) => Err(Rejection::TokenTooOld { seconds_ago: age, ceiling }),
        None => Ok(()),
    }
}

/// RFC 7519 2, `NumericDate`: seconds, fractions floored. Text is no date, `null` is not absence, and a number beyond
/// 2^53 is none that two readers would agree on.
fn numeric_date(members: &Object, claim: &'static str, step: Step) -> Result<Option<i64>, Rejection> {
    let wrong = |found| Rejection::ClaimWrongType { claim, found, expected: "a number of seconds since 1970", step };
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

const fn missing(claim: &'static str, step: Step) -> Rejection {
    Rejection::ClaimMissing { claim, step }
}

fn required_string<'a>(members: &'a Object, claim: &'static str, step: Step) -> Result<&'a str, Rejection> {
    optional_string(members, claim, step)?.ok_or_else(|| missing(claim, step))
}

fn optional_string<'a>(members: &'a Object, claim: &'static str, step: Step) -> Result<Option<&'a str>, Rejection> {
    match members.get(claim) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(other) => Err(Rejection::ClaimWrongType { claim, found: other.kind(), expected: "a string", step }),
    }
}

/// For the record: what is there and has the right type. A wrong type is the verdict's business.
fn verified_facts(members: &Object) -> VerifiedFacts {
    let text = |claim| members.get(claim).and_then(Json::as_str).map(str::to_owned);
    let date = |claim| numeric_date(members, claim, Step::Claims).ok().flatten();
    VerifiedFacts {
        iss: text("iss"),
        sub: text("sub"),
        aud: audiences(members).map(names).unwrap_or_default(),
        azp: text("azp"),
        jti: text("jti"),
        sid: text("sid"),
        iat: date("iat"),
        exp: date("exp"),
        auth_time: date("auth_time"),
    }
}

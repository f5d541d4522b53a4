//! One refused token as its object tells of it: which object, and what it says. What a stranger wrote is cleaned here.

use aws_lc_rs::digest;
use latchkey_crds::audit::{
    MAX_AUDIENCES, MAX_CLAIM_CHARS, MAX_SUBJECT_CHARS, MAX_USER_AGENT_CHARS, RejectionSeverity, RejectionState,
    TokenRejectionStatus,
};

use super::merge::time;
use crate::{
    audit::event::{Exchange, Privacy, Severity},
    authn::{JudgedBy, Reason, ReplayState},
    index::FetchClaimError,
    jwt::Rejection,
    secret::TokenFingerprint,
    text::clean,
    time::UnixTime,
};

/// One refusal worth an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sighting {
    /// The object's name: the same for all of one authenticator, reason, subject and cluster of origin.
    pub(super) name: String,
    /// What it says, of one token.
    pub(super) status: TokenRejectionStatus,
    /// Whether it is worth an Event too.
    pub(super) alarm: Option<Alarm>,
}

/// A token that was good in another cluster when it was shown here: what one Event is about. All words of it are those of
/// administrators, so there are as many as authenticators and clusters, and no token can make another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Alarm {
    /// Name of the `JWTAuthenticator`.
    pub(super) authenticator: String,
    /// Its uid.
    pub(super) uid: String,
    /// The cluster that the token is for.
    pub(super) cluster: String,
    /// Why it was refused.
    pub(super) code: &'static str,
    /// It is for this cluster too.
    pub(super) is_shared: bool,
}

/// How much of an authenticator's name begins that of an object; the rest stands in the status.
const NAME_HEAD: usize = 40;
/// Bytes of SHA-256 in an object's name: nobody finds a subject that meets another's by chance or in 2^64 tries.
const NAME_HASH: usize = 8;
/// Hexadecimal digits of a fingerprint that a person sees (audit.md 2).
const SHORT_FINGERPRINT: usize = "sha256:".len() + 16;

impl Sighting {
    /// What is to be told of the exchange or review, if it was refused for what its token is. `None` for noise: nobody
    /// who cannot have a token signed by a trusted issuer can make an object.
    pub(super) fn of(
        now: UnixTime,
        exchange: &Exchange<'_>,
        severity: Severity,
        privacy: &Privacy,
        replica: &str,
    ) -> Option<Self> {
        let verdict = exchange.verdict;
        let reason = verdict.outcome.as_ref().err().filter(|reason| is_telling(reason))?;
        let verified = verdict.facts.verified.as_ref()?;
        let Some(JudgedBy::Jwt(authenticator)) = &verdict.authenticator else { return None };
        let cross = verdict.cross_cluster(now);
        let code = reason.code();
        let name = authenticator.name.as_str();
        let cluster = cross.map(|cross| cross.cluster.as_str());
        let subject = verified.sub.as_deref().and_then(|sub| privacy.show("sub", sub, cross.is_some()));
        let at = Some(time(now));
        Some(Self {
            name: object_name(name, &[code, subject.as_deref().unwrap_or_default(), cluster.unwrap_or_default()]),
            alarm: cross.filter(|cross| matches!(cross.state, ReplayState::Live | ReplayState::Multi)).map(|cross| {
                Alarm {
                    authenticator: name.to_owned(),
                    uid: authenticator.uid.clone(),
                    cluster: cross.cluster.as_str().to_owned(),
                    code,
                    is_shared: cross.state == ReplayState::Multi,
                }
            }),
            status: TokenRejectionStatus {
                authenticator: name.to_owned(),
                code: code.to_owned(),
                severity: severity_of(severity),
                state: cross.map(|cross| state_of(cross.state)),
                subject: subject.map(|subject| clean(&subject, MAX_SUBJECT_CHARS)),
                issuer: verified.iss.as_deref().map(|iss| clean(iss, MAX_CLAIM_CHARS)),
                audience: verified.aud.iter().take(MAX_AUDIENCES).map(|aud| clean(aud, MAX_CLAIM_CHARS)).collect(),
                claimed_cluster: cluster.map(str::to_owned),
                source: exchange.forwarded.or(exchange.peer.map(|peer| peer.ip())).map(|ip| ip.to_string()),
                user_agent: exchange.user_agent.map(|agent| clean(agent, MAX_USER_AGENT_CHARS)),
                fingerprint: verdict.facts.fingerprint.as_ref().map(short),
                count: 1,
                first_seen: at.clone(),
                last_seen: at,
                last_audit_id: Some(clean(exchange.audit_id, 64)),
                replica: Some(clean(replica, 253)),
                expires_at: None,
            },
        })
    }
}

/// Whether a refusal tells something of somebody who has a signed token. A token of ours that is too old or too young is
/// a laptop that woke up, or a clock.
fn is_telling(reason: &Reason) -> bool {
    match reason {
        Reason::Token(rejection) => !matches!(
            rejection,
            Rejection::Expired { .. } | Rejection::NotYetValid { .. } | Rejection::IssuedInFuture { .. }
        ),
        Reason::Identity(_) | Reason::ClaimNotFetched(FetchClaimError::NotGiven { .. }) => true,
        Reason::AuthenticatorUnknown
        | Reason::AuthenticatorNotReady
        | Reason::ClaimNotFetched(FetchClaimError::Overloaded)
        | Reason::WebhookRefused { .. }
        | Reason::Webhook(_) => false,
    }
}

/// A DNS name that a person can tell by its beginning, and no two kinds of refusal share. The subject is hashed as it is
/// shown, so that where names are hidden the name of the object does not give them away to who can guess.
fn object_name(authenticator: &str, parts: &[&str]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [authenticator].iter().chain(parts) {
        // With its length, or two parts could be cut at another place and be the same.
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finish();
    // Names of objects are ASCII.
    let head = authenticator.get(..NAME_HEAD).unwrap_or(authenticator).trim_end_matches(['-', '.']);
    format!("{head}-{}", hex::encode(&hash.as_ref()[..NAME_HASH]))
}

fn short(fingerprint: &TokenFingerprint) -> String {
    let mut text = fingerprint.to_string();
    text.truncate(SHORT_FINGERPRINT);
    text
}

const fn severity_of(severity: Severity) -> RejectionSeverity {
    match severity {
        Severity::Info => RejectionSeverity::Info,
        Severity::Low => RejectionSeverity::Low,
        Severity::Medium => RejectionSeverity::Medium,
        Severity::High => RejectionSeverity::High,
    }
}

const fn state_of(state: ReplayState) -> RejectionState {
    match state {
        ReplayState::Live => RejectionState::Live,
        ReplayState::Expired => RejectionState::Expired,
        ReplayState::Stale => RejectionState::Stale,
        ReplayState::Multi => RejectionState::Multi,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        audit::event::{NameKey, Names, Outcome},
        authn::Verdict,
        fleet::SiblingName,
        index::{Authenticator, AuthenticatorName},
        jwt::{AlgorithmSet, Audience, Audiences, Issuer, KeySet, Profile, TokenFacts, VerifiedFacts, Verifier},
        mapping::{Refusal, Rules},
    };

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn ours() -> Audiences {
        Audiences::new(vec![Audience::new("k8s-production".to_owned())]).unwrap()
    }

    fn authenticator(name: &str) -> Arc<Authenticator> {
        let profile = Profile::new(Issuer::new("https://idp.example".to_owned()), ours());
        let keys = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        Arc::new(Authenticator {
            name: AuthenticatorName::new(name),
            uid: "3e1f".to_owned(),
            generation: 1,
            verifier: Verifier::new(
                Arc::new(profile),
                AlgorithmSet::default(),
                Arc::new(KeySet::parse(keys).unwrap().0),
            ),
            rules: Arc::new(Rules::of_claims("username", "groups")),
            credential_lifetime: None,
            claims: None,
            keys_fetched_at: NOW,
        })
    }

    fn refused(by: &str, sub: &str, reason: Reason) -> Verdict {
        let verified = VerifiedFacts {
            iss: Some("https://idp.example".to_owned()),
            sub: Some(sub.to_owned()),
            aud: vec!["k8s-staging".to_owned()],
            exp: Some(NOW.as_secs() + 60),
            ..VerifiedFacts::default()
        };
        let facts = TokenFacts {
            verified: Some(verified),
            fingerprint: Some(TokenFingerprint::of(b"abc")),
            ..TokenFacts::default()
        };
        Verdict { facts: Arc::new(facts), authenticator: Some(JudgedBy::Jwt(authenticator(by))), outcome: Err(reason) }
    }

    fn replay() -> Reason {
        let cluster = SiblingName::new("staging");
        Reason::Token(Rejection::AudienceOtherCluster { found: Vec::new(), cluster, expected: ours() })
    }

    fn mismatch() -> Reason {
        Reason::Token(Rejection::AudienceMismatch { found: Vec::new(), expected: ours() })
    }

    fn seen_by(verdict: &Verdict, privacy: &Privacy, user_agent: &str) -> Option<Sighting> {
        let exchange = Exchange {
            audit_id: "5c1e",
            peer: Some(([10, 3, 4, 5], 4711).into()),
            forwarded: None,
            user_agent: Some(user_agent),
            verdict,
            outcome: Outcome::Accepted,
            latency: Duration::ZERO,
        };
        Sighting::of(NOW, &exchange, Severity::High, privacy, "replica-1")
    }

    fn seen(verdict: &Verdict) -> Option<Sighting> {
        seen_by(verdict, &Privacy::plain(), "kubectl")
    }

    #[test]
    fn a_replay_says_everything_a_person_asks() {
        let Sighting { name, status, alarm } = seen(&refused("corp", "ada", replay())).unwrap();
        assert!(name.starts_with("corp-") && name.len() == "corp-".len() + 16, "{name}");
        let at = Some(time(NOW));
        assert_eq!(
            status,
            TokenRejectionStatus {
                authenticator: "corp".to_owned(),
                code: "audience-other-cluster".to_owned(),
                severity: RejectionSeverity::High,
                state: Some(RejectionState::Live),
                subject: Some("ada".to_owned()),
                issuer: Some("https://idp.example".to_owned()),
                audience: vec!["k8s-staging".to_owned()],
                claimed_cluster: Some("staging".to_owned()),
                source: Some("10.3.4.5".to_owned()),
                user_agent: Some("kubectl".to_owned()),
                fingerprint: Some("sha256:ba7816bf8f01cfea".to_owned()),
                count: 1,
                first_seen: at.clone(),
                last_seen: at,
                last_audit_id: Some("5c1e".to_owned()),
                replica: Some("replica-1".to_owned()),
                expires_at: None,
            }
        );
        let alarm = alarm.unwrap();
        assert_eq!(
            (alarm.authenticator.as_str(), alarm.uid.as_str(), alarm.cluster.as_str()),
            ("corp", "3e1f", "staging")
        );
        assert!(!alarm.is_shared);
    }

    #[test]
    fn an_event_is_made_only_for_what_still_opens_a_cluster() {
        assert_eq!(seen(&refused("corp", "ada", mismatch())).unwrap().alarm, None);
        let shared = |cluster: Option<&str>| {
            let cluster = cluster.map(SiblingName::new);
            let rejection = Rejection::AudienceShared { found: Vec::new(), expected: ours(), cluster };
            seen(&refused("corp", "ada", Reason::Token(rejection))).unwrap().alarm
        };
        assert!(shared(Some("staging")).unwrap().is_shared);
        assert_eq!(shared(None), None);
        let mut expired = refused("corp", "ada", replay());
        let facts = Arc::make_mut(&mut expired.facts);
        facts.verified.as_mut().unwrap().exp = Some(NOW.as_secs() - 1);
        let expired = seen(&expired).unwrap();
        assert_eq!((expired.status.state, expired.alarm), (Some(RejectionState::Expired), None));
    }

    #[test]
    fn noise_makes_no_object() {
        for reason in [
            Reason::Token(Rejection::Expired { seconds_ago: 1 }),
            Reason::Token(Rejection::NotYetValid { seconds_ahead: 100 }),
            Reason::Token(Rejection::IssuedInFuture { seconds_ahead: 100 }),
            Reason::AuthenticatorNotReady,
            Reason::ClaimNotFetched(FetchClaimError::Overloaded),
        ] {
            assert_eq!(seen(&refused("corp", "ada", reason.clone())), None, "{reason:?}");
        }
        assert!(seen(&refused("corp", "ada", Reason::Identity(Refusal::EmailUnverified))).is_some());
        // Nobody signed it: whatever it says, and whatever was decided.
        let mut unsigned = refused("corp", "ada", replay());
        Arc::make_mut(&mut unsigned.facts).verified = None;
        assert_eq!(seen(&unsigned), None);
    }

    #[test]
    fn one_object_for_one_authenticator_reason_subject_and_cluster() {
        let name = |verdict: &Verdict| seen(verdict).unwrap().name;
        let one = name(&refused("corp", "ada", replay()));
        assert_eq!(one, name(&refused("corp", "ada", replay())));
        for other in
            [refused("corp", "bob", replay()), refused("corp", "ada", mismatch()), refused("people", "ada", replay())]
        {
            assert_ne!(one, name(&other));
        }
        assert_ne!(object_name("a", &["bc", ""]), object_name("a", &["b", "c"]));
    }

    #[test]
    fn an_objects_name_is_a_dns_name_whatever_stands_in_a_token() {
        let long = format!("{}.corp", "a".repeat(NAME_HEAD - 1));
        for (by, sub) in [("corp", "\u{1b}[2J\n/../"), ("corp", ""), (long.as_str(), "ada"), (&"b".repeat(253), "ada")]
        {
            let name = seen(&refused(by, sub, replay())).unwrap().name;
            let fits =
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
            assert!(fits && name.len() <= 63 && !name.contains(".-") && !name.starts_with('-'), "{name}");
        }
    }

    #[test]
    fn what_a_stranger_wrote_is_short_and_moves_nothing() {
        let hostile = format!("\u{1b}[2J\u{202e}eve\n{}", "x".repeat(64 * 1024));
        let mut verdict = refused("corp", &hostile, replay());
        let facts = Arc::make_mut(&mut verdict.facts);
        facts.verified.as_mut().unwrap().aud = vec![hostile.clone(); 500];
        let status = seen_by(&verdict, &Privacy::plain(), &hostile).unwrap().status;
        let json = serde_json::to_string(&status).unwrap();
        assert!(json.len() < 2_500 && status.audience.len() == MAX_AUDIENCES, "{json}");
        assert!(status.subject.as_ref().unwrap().chars().count() <= MAX_SUBJECT_CHARS);
        assert!(!json.contains("\\u001b") && !json.contains("\\n") && !json.contains('\u{202e}'), "{json}");
        // Cut alike in the table, they are still two people.
        let of_100 = |end: &str| seen(&refused("corp", &format!("{}{end}", "x".repeat(100)), replay())).unwrap();
        assert_eq!(of_100("a").status.subject, of_100("b").status.subject);
        assert_ne!(of_100("a").name, of_100("b").name);
    }

    #[test]
    fn who_may_not_be_named_is_not_named_by_the_objects_name_either() {
        let key = || Some(NameKey::new(&[7; 32]));
        let (ada, bob) = (refused("corp", "ada", mismatch()), refused("corp", "bob", mismatch()));
        let hashed = Privacy::new(Names::Balanced, key());
        let by_hash = seen_by(&ada, &hashed, "").unwrap();
        assert!(by_hash.status.subject.as_ref().unwrap().starts_with("hmac:"));
        assert_ne!(by_hash.name, seen(&ada).unwrap().name, "or it could be guessed");
        assert_ne!(by_hash.name, seen_by(&bob, &hashed, "").unwrap().name, "two people are two objects");
        let off = Privacy::new(Names::Off, key());
        let (ada_off, bob_off) = (seen_by(&ada, &off, "").unwrap(), seen_by(&bob, &off, "").unwrap());
        assert_eq!((ada_off.status.subject, ada_off.name), (None, bob_off.name));
        assert_eq!(
            seen_by(&refused("corp", "ada", replay()), &hashed, "").unwrap().status.subject.as_deref(),
            Some("ada")
        );
    }
}

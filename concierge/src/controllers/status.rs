//! Conditions and phases: what was found, made into a status that changes only when something changed; and the one way
//! of writing it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    Api,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject},
};
use latchkey_crds::{
    authentication::{AuthenticatorStatus, Phase},
    conditions,
};
use serde_json::json;

use crate::{text::clean, time::UnixTime};

/// The owner of every field that our controllers write. One name for all replicas and versions, so that a field that
/// a newer version no longer writes goes away.
pub(super) const FIELD_MANAGER: &str = "latchkey-concierge";

/// How long one write may take; it is tried again later. Shorter than the 5 s that a lease outlives its holder's belief in it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// Nothing more is known than that an answer is awaited.
const AT_IT: Outlook = Outlook::Retried(conditions::reconciling::DISCOVERING);

/// Longest message, in bytes: metav1.Condition allows 32,768 characters, people read one or two lines.
const MESSAGE_LIMIT: usize = 2_048;

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The condition's type.
    pub(super) condition: &'static str,
    /// Its status.
    pub(super) truth: Truth,
    /// Its reason.
    pub(super) reason: &'static str,
    /// Its message.
    pub(super) message: String,
    /// Whether it counts for the sum: whether nobody is admitted while it is not true.
    pub(super) counts: bool,
    /// What becomes of it while it is false.
    outlook: Outlook,
}

/// What becomes of a failure if nobody does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// It is tried again; the reason of `Reconciling`.
    Retried(&'static str),
    /// It stays; the reason of `Stalled`.
    Stuck(&'static str),
}

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It cannot be told.
    Unknown,
}

/// An object whose status is to be written.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Its kind.
    pub(super) resource: ApiResource,
    /// Its name.
    pub(super) name: String,
    /// Its uid: the status of a deleted object must not land on its successor.
    pub(super) uid: String,
}

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer within {} s", WRITE_TIMEOUT.as_secs())]
    Timeout,
}

// === impl Finding ===

impl Finding {
    pub(super) fn success(condition: &'static str, message: impl Into<String>) -> Self {
        Self {
            condition,
            truth: Truth::True,
            reason: conditions::SUCCESS,
            message: message.into(),
            counts: true,
            outlook: AT_IT,
        }
    }

    /// One that is tried again, until `stuck` says that this would be in vain.
    pub(super) fn failure(condition: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { condition, truth: Truth::False, reason, message: message.into(), counts: true, outlook: AT_IT }
    }

    /// It is tried again, and `Reconciling` gives this reason.
    pub(super) fn retried(self, reason: &'static str) -> Self {
        Self { outlook: Outlook::Retried(reason), ..self }
    }

    /// Somebody has to change something: `Stalled` gives this reason.
    pub(super) fn stuck(self, reason: &'static str) -> Self {
        Self { outlook: Outlook::Stuck(reason), ..self }
    }

    /// An earlier step failed, so this one was not tried.
    pub(super) fn untried(condition: &'static str) -> Self {
        Self::unknown(condition, conditions::UNABLE_TO_VALIDATE_MESSAGE)
    }

    /// Not told yet, for a reason of its own.
    pub(super) fn unknown(condition: &'static str, message: impl Into<String>) -> Self {
        let reason = conditions::UNABLE_TO_VALIDATE;
        Self { condition, truth: Truth::Unknown, reason, message: message.into(), counts: true, outlook: AT_IT }
    }

    /// Told beside the others: a person should know, and logins work all the same.
    pub(super) fn aside(self) -> Self {
        Self { counts: false, ..self }
    }

    /// It holds, and a person should know something of it all the same: the reason says what.
    pub(super) fn because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }

    fn holds(&self) -> bool {
        self.truth == Truth::True
    }
}

// === impl Truth ===

impl Truth {
    const fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// The status of an authenticator of which `findings` were made: `Ready` is added, and while it is not, `Reconciling` or
/// `Stalled`; conditions are sorted by type, and a
/// condition whose status is as it was in `observed` keeps the time of its last transition.
pub(super) fn authenticator_status(
    kind: &str,
    mut findings: Vec<Finding>,
    generation: i64,
    observed: &AuthenticatorStatus,
    now: UnixTime,
) -> AuthenticatorStatus {
    let counting = || findings.iter().filter(|finding| finding.counts);
    let phase = if counting().all(Finding::holds) {
        Phase::Ready
    } else if counting().any(|finding| finding.truth == Truth::False) {
        Phase::Error
    } else {
        // Nothing is wrong; some steps have not come to an end.
        Phase::Pending
    };
    findings.extend(progress(phase, &findings));
    findings.push(match phase {
        Phase::Ready => Finding::success(conditions::ready::TYPE, format!("the {kind} is ready")),
        Phase::Error | Phase::Pending => Finding::failure(
            conditions::ready::TYPE,
            conditions::ready::NOT_READY,
            format!("the {kind} is not ready: see other conditions for details"),
        ),
    });
    findings.sort_by_key(|finding| finding.condition);
    let conditions = findings.iter().map(|finding| condition(finding, generation, observed, now)).collect();
    AuthenticatorStatus { phase, observed_generation: Some(generation), conditions, keys: None }
}

/// What kstatus asks: is it worth waiting? What somebody has to change comes before what may go by itself, and of two alike
/// the first step does. While logins work neither condition is there.
fn progress(phase: Phase, findings: &[Finding]) -> Option<Finding> {
    if phase == Phase::Ready {
        return None;
    }
    let obstacles = || findings.iter().filter(|finding| finding.counts && !finding.holds());
    let failures = || obstacles().filter(|finding| finding.truth == Truth::False);
    let stuck = failures().find(|finding| matches!(finding.outlook, Outlook::Stuck(_)));
    let obstacle = stuck.or_else(|| failures().next()).or_else(|| obstacles().next())?;
    let (condition, reason) = match obstacle.outlook {
        Outlook::Retried(reason) => (conditions::reconciling::TYPE, reason),
        Outlook::Stuck(reason) => (conditions::stalled::TYPE, reason),
    };
    Some(Finding::success(condition, obstacle.message.clone()).because(reason))
}

fn condition(finding: &Finding, generation: i64, observed: &AuthenticatorStatus, now: UnixTime) -> Condition {
    let earlier = observed.conditions.iter().find(|known| known.type_ == finding.condition);
    let kept =
        earlier.filter(|known| known.status == finding.truth.word()).map(|known| known.last_transition_time.clone());
    Condition {
        last_transition_time: kept.unwrap_or_else(|| kubernetes_time(now)),
        // An issuer's answer, or a claim's name out of a spec, may stand in it: shown by kubectl, to a terminal.
        message: clean(&finding.message, MESSAGE_LIMIT),
        observed_generation: Some(generation),
        reason: finding.reason.to_owned(),
        status: finding.truth.word().to_owned(),
        type_: finding.condition.to_owned(),
    }
}

/// Whole seconds, as `metav1.Time` is written: a fraction would make every comparison with what was read back differ.
pub(super) fn kubernetes_time(now: UnixTime) -> Time {
    Time(Timestamp::from_second(now.as_secs()).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Writes `status` by server-side apply on the status subresource, which takes back whatever somebody edited there.
///
/// # Errors
/// When the API server refuses, or does not answer in time. An object that was deleted meanwhile is no error.
pub(super) async fn write(
    client: kube::Client,
    target: &Target,
    status: &AuthenticatorStatus,
) -> Result<Option<DynamicObject>, WriteError> {
    let api: Api<DynamicObject> = Api::all_with(client, &target.resource);
    let patch = json!({
        "apiVersion": target.resource.api_version,
        "kind": target.resource.kind,
        "metadata": {"name": target.name, "uid": target.uid},
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&patch);
    let request = api.patch_status(&target.name, &params, &patch);
    match tokio::time::timeout(WRITE_TIMEOUT, request).await {
        Err(_) => Err(WriteError::Timeout),
        // 404: gone. 409: gone and made anew under the same name, as the uid tells.
        Ok(Err(kube::Error::Api(refusal))) if matches!(refusal.code, 404 | 409) => Ok(None),
        Ok(answer) => Ok(Some(answer?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime::from_micros(1_795_262_400_750_000);

    fn good() -> Finding {
        Finding::success("B", "well")
    }

    fn status(findings: Vec<Finding>, observed: &AuthenticatorStatus, now: UnixTime) -> AuthenticatorStatus {
        authenticator_status("JWTAuthenticator", findings, 3, observed, now)
    }

    #[test]
    fn ready_needs_every_condition_and_sums_them_up() {
        let observed = AuthenticatorStatus::default();
        let cases = [
            (vec![good()], Phase::Ready, "True", "Success", "the JWTAuthenticator is ready"),
            (
                vec![good(), Finding::failure("A", "Bad", "no")],
                Phase::Error,
                "False",
                "NotReady",
                "the JWTAuthenticator is not ready: see other conditions for details",
            ),
            (
                vec![good(), Finding::untried("A")],
                Phase::Pending,
                "False",
                "NotReady",
                "the JWTAuthenticator is not ready: see other conditions for details",
            ),
            (
                vec![good(), Finding::failure("A", "Bad", "no").aside()],
                Phase::Ready,
                "True",
                "Success",
                "the JWTAuthenticator is ready",
            ),
            (
                vec![Finding::failure("A", "Bad", "no"), Finding::untried("B")],
                Phase::Error,
                "False",
                "NotReady",
                "the JWTAuthenticator is not ready: see other conditions for details",
            ),
        ];
        for (findings, phase, truth, reason, message) in cases {
            let status = status(findings, &observed, NOON);
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
            assert_eq!(status.phase, phase);
            assert_eq!(
                (ready.status.as_str(), ready.reason.as_str(), ready.message.as_str()),
                (truth, reason, message)
            );
        }
    }

    #[test]
    fn who_waits_is_told_whether_that_is_worth_it() {
        let retried = || Finding::failure("A", "Bad", "down").retried("Down");
        let stuck = || Finding::failure("B", "Bad", "wrong").stuck("Wrong");
        for (findings, expected) in [
            (vec![good()], None),
            (vec![good(), stuck().aside()], None),
            (vec![retried(), good()], Some(("Reconciling", "Down", "down"))),
            (vec![retried(), stuck()], Some(("Stalled", "Wrong", "wrong"))),
            (vec![Finding::untried("A"), stuck()], Some(("Stalled", "Wrong", "wrong"))),
            (vec![Finding::unknown("A", "soon"), retried()], Some(("Reconciling", "Down", "down"))),
            (vec![good(), Finding::unknown("C", "soon")], Some(("Reconciling", "Discovering", "soon"))),
        ] {
            let status = status(findings, &AuthenticatorStatus::default(), NOON);
            assert_eq!(status.observed_generation, Some(3));
            let told: Vec<_> = status
                .conditions
                .iter()
                .filter(|told| ["Reconciling", "Stalled"].contains(&told.type_.as_str()))
                .map(|told| {
                    assert_eq!((told.status.as_str(), told.observed_generation), ("True", Some(3)));
                    (told.type_.as_str(), told.reason.as_str(), told.message.as_str())
                })
                .collect();
            assert_eq!(told, Vec::from_iter(expected));
        }
    }

    #[test]
    fn conditions_are_sorted_and_carry_the_generation() {
        let findings = vec![Finding::success("Z", ""), good(), Finding::success("A", "")];
        let status = status(findings, &AuthenticatorStatus::default(), NOON);
        let types: Vec<_> = status.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["A", "B", "Ready", "Z"]);
        assert!(status.conditions.iter().all(|condition| condition.observed_generation == Some(3)));
    }

    #[test]
    fn a_transition_is_timed_only_when_the_status_changes() {
        let first = status(vec![good()], &AuthenticatorStatus::default(), NOON);
        let later = NOON.plus(Duration::from_mins(1));
        let mut reworded = good();
        reworded.message = "still well".to_owned();
        let second = status(vec![reworded], &first, later);
        let time = |status: &AuthenticatorStatus| status.conditions[0].last_transition_time.0.as_second();
        assert_eq!(time(&second), NOON.as_secs());
        let third = status(vec![Finding::failure("B", "Bad", "no")], &second, later);
        assert_eq!(time(&third), later.as_secs());
    }

    #[test]
    fn a_status_read_back_is_the_status_that_was_written() {
        let written = status(vec![good(), Finding::untried("A")], &AuthenticatorStatus::default(), NOON);
        let read: AuthenticatorStatus = serde_json::from_value(json!(written)).unwrap();
        assert_eq!(read, written);
        assert_eq!(status(vec![good(), Finding::untried("A")], &read, NOON.plus(WRITE_TIMEOUT)), written);
    }

    #[test]
    fn messages_are_bounded_and_tame() {
        let long = Finding::failure("A", "Bad", format!("\u{1b}[2J\u{202e}{}", "ü".repeat(5_000)));
        let status = status(vec![long], &AuthenticatorStatus::default(), NOON);
        let message = &status.conditions[0].message;
        assert!(message.len() <= MESSAGE_LIMIT && message.len() > MESSAGE_LIMIT - 4, "{}", message.len());
        assert!(message.starts_with("\u{fffd}[2J\u{fffd}ü") && message.ends_with('…'), "{message}");
    }
}

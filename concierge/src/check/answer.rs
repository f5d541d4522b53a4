//! What `check` prints for a token: the decision as one JSON object on one line.

use std::{collections::BTreeMap, io::Write};

use serde::Serialize;

use super::CheckError;
use crate::{
    authn::{Admitted, Reason},
    jwt::Step,
    mapping::GroupName,
};

/// The decision on one token.
#[derive(Debug, Serialize)]
pub(super) struct Judged<'a> {
    id: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// By which of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    steps: Vec<StepTaken>,
}

/// A line that holds no token.
#[derive(Debug, Serialize)]
pub(super) struct Unreadable<'a> {
    id: Option<&'a str>,
    error: &'a str,
}

/// The user as Kubernetes' own `UserInfo` says it; nothing is left out.
#[derive(Debug, Serialize)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Serialize)]
struct StepTaken {
    step: &'static str,
    outcome: StepOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum StepOutcome {
    Passed,
    Failed,
    /// The judging ended before.
    Skipped,
}

/// Writes one answer and hands it over at once: whoever asks line by line waits for it.
pub(super) fn write(output: &mut impl Write, answer: &impl Serialize) -> Result<(), CheckError> {
    serde_json::to_writer(&mut *output, answer).map_err(|error| CheckError::Output(error.into()))?;
    output.write_all(b"\n").and_then(|()| output.flush()).map_err(CheckError::Output)
}

// === impl Judged ===

impl<'a> Judged<'a> {
    pub(super) fn new(
        id: &'a str,
        authenticator: Option<&'a str>,
        passed: &[Step],
        outcome: &Result<Admitted, Reason>,
    ) -> Self {
        let failed = outcome.as_ref().err();
        let steps = Step::ALL
            .into_iter()
            .map(|step| {
                let here = failed.filter(|reason| reason.step() == Some(step));
                let outcome = match here {
                    Some(_) => StepOutcome::Failed,
                    None if passed.contains(&step) => StepOutcome::Passed,
                    None => StepOutcome::Skipped,
                };
                StepTaken { step: step.name(), outcome, detail: here.map(ToString::to_string) }
            })
            .collect();
        Self {
            id,
            allowed: failed.is_none(),
            reason: failed.map(Reason::code),
            authenticator,
            user: outcome.as_ref().ok().map(|admitted| User::of(&admitted.user)),
            steps,
        }
    }

    pub(super) const fn allowed(&self) -> bool {
        self.allowed
    }

    pub(super) fn steps_passed(&self) -> usize {
        self.steps.iter().filter(|step| step.outcome == StepOutcome::Passed).count()
    }
}

// === impl Unreadable ===

impl<'a> Unreadable<'a> {
    pub(super) const fn new(error: &'a str) -> Self {
        Self { id: None, error }
    }
}

// === impl User ===

impl User {
    fn of(user: &crate::mapping::User) -> Self {
        Self {
            username: user.username().as_str().to_owned(),
            uid: user.uid().unwrap_or_default().to_owned(),
            groups: user.groups().iter().map(GroupName::as_str).map(str::to_owned).collect(),
            extra: user.extra().clone(),
        }
    }
}

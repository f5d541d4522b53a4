//! What a record says of a change: of an authenticator, of the fleet, of keys, of an object that cannot work.

use serde::Serialize;

use super::request::Object;
use crate::text::Text;

/// Longest name or key id that is listed.
const LISTED: usize = 64;
/// Most names or key ids that are listed; what is more is counted.
const LISTED_AT_MOST: usize = 16;
/// Longest sentence of a condition.
const MESSAGE: usize = 512;
/// Longest type or reason of a condition; ours have a third of it.
const WORD: usize = 64;

/// How an authenticator changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthenticatorChange {
    /// It was not there before.
    Created,
    /// Its spec changed: it has another generation.
    Changed,
    /// It is gone.
    Deleted,
    /// It admits people.
    Ready,
    /// It admits nobody, for this reason above all.
    NotReady(Obstacle),
}

/// A condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The condition's type.
    pub condition: String,
    /// Its reason, one word.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// What came into a set and what left it, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is new.
    pub added: Vec<String>,
    /// What is gone.
    pub removed: Vec<String>,
    /// What stayed under its name and is not the same.
    pub changed: Vec<String>,
    /// How many there are now.
    pub total: usize,
}

/// One change.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// The object that it is about.
    pub(super) object: Option<Object>,
    /// Whether that is an authenticator, which stands where a request's stands.
    pub(super) is_about_authenticator: bool,
    pub(super) fleet: Option<Listed>,
    pub(super) keys: Option<Listed>,
    pub(super) condition: Option<Condition>,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// Its type.
    pub(super) name: Text,
    pub(super) reason: Text,
    pub(super) message: Text,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Listed {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    total: usize,
    #[serde(skip)]
    pub(super) is_cut: bool,
}

// === impl AuthenticatorChange ===

impl AuthenticatorChange {
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Ready => "ready",
            Self::NotReady(_) => "not-ready",
        }
    }
}

// === impl Change ===

impl Change {
    pub(super) fn about_authenticator(authenticator: Object) -> Self {
        Self { object: Some(authenticator.bounded()), is_about_authenticator: true, ..Self::default() }
    }
}

// === impl Condition ===

impl Condition {
    pub(super) fn of(obstacle: &Obstacle) -> Self {
        Self {
            name: Text::new(&obstacle.condition, WORD),
            reason: Text::new(&obstacle.reason, WORD),
            message: Text::new(&obstacle.message, MESSAGE),
        }
    }
}

// === impl Listed ===

impl Listed {
    pub(super) fn of(difference: &Difference) -> Self {
        let mut is_cut = false;
        let mut list = |names: &[String]| -> Vec<String> {
            is_cut |= names.len() > LISTED_AT_MOST;
            let listed = names.iter().filter(|name| !name.is_empty()).take(LISTED_AT_MOST).map(|name| {
                let text = Text::new(name, LISTED);
                is_cut |= text.is_cut();
                text.as_str().to_owned()
            });
            listed.collect()
        };
        let (added, removed, changed) = (list(&difference.added), list(&difference.removed), list(&difference.changed));
        Self { added, removed, changed, total: difference.total, is_cut }
    }
}

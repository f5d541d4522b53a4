//! What is found of authenticators that have no status to write: logged as it changes, and shown as JSON.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use latchkey_crds::authentication::AuthenticatorStatus;
use serde::Serialize;
use tokio::sync::watch;

use super::{files::Wrong, watches::Kind};

/// The hand that shows. There is one.
#[derive(Debug)]
pub struct ConditionsSender(watch::Sender<Shown>);

/// What is found of every authenticator, for people who look. No secret is in it: it is what a status would say.
#[derive(Clone, Debug)]
pub struct Conditions(watch::Receiver<Shown>);

#[derive(Clone, Debug, Default)]
struct Shown {
    authenticators: BTreeMap<(Kind, String), AuthenticatorStatus>,
    wrong: Vec<Wrong>,
}

/// Nothing is found yet.
#[must_use]
pub fn conditions() -> (ConditionsSender, Conditions) {
    let (sender, receiver) = watch::channel(Shown::default());
    (ConditionsSender(sender), Conditions(receiver))
}

// === impl ConditionsSender ===

impl ConditionsSender {
    /// This, and no more, is wrong with the files.
    pub(super) fn wrong(&self, wrong: Vec<Wrong>) {
        self.0.send_modify(|shown| shown.wrong = wrong);
    }

    /// Shows `status`, and logs each condition that was another in `before`.
    pub(super) fn found(&self, kind: Kind, name: &str, before: &AuthenticatorStatus, status: AuthenticatorStatus) {
        for condition in &status.conditions {
            let known = before.conditions.iter().find(|known| known.type_ == condition.type_);
            if known.is_none_or(|known| is_news(known, condition)) {
                log(kind, name, condition);
            }
        }
        self.0.send_modify(|shown| {
            shown.authenticators.insert((kind, name.to_owned()), status);
        });
    }

    pub(super) fn forget(&self, kind: Kind, name: &str) {
        self.0.send_modify(|shown| {
            shown.authenticators.remove(&(kind, name.to_owned()));
        });
    }
}

/// A message tells times, too, while all is well; only of what is not well is another message news.
fn is_news(known: &Condition, now: &Condition) -> bool {
    (&known.status, &known.reason) != (&now.status, &now.reason)
        || (now.status != "True" && known.message != now.message)
}

fn log(kind: Kind, authenticator: &str, condition: &Condition) {
    let Condition { type_, status, reason, message, .. } = condition;
    let kind = kind.name();
    if status == "False" {
        tracing::warn!(kind, authenticator, condition = type_, status, reason, message, "Condition changed");
    } else {
        tracing::info!(kind, authenticator, condition = type_, status, reason, message, "Condition changed");
    }
}

// === impl Conditions ===

impl Conditions {
    /// Waits for the next finding; `false` once nobody looks any more.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// One object with `authenticators`, each with its kind, name and status, and `wrong`, the files that cannot be used.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[derive(Serialize)]
        struct Page<'a> {
            authenticators: Vec<Row<'a>>,
            wrong: &'a [Wrong],
        }
        #[derive(Serialize)]
        struct Row<'a> {
            kind: &'static str,
            name: &'a str,
            status: &'a AuthenticatorStatus,
        }
        let shown = self.0.borrow();
        let rows = shown.authenticators.iter().map(|((kind, name), status)| Row { kind: kind.name(), name, status });
        let page = Page { authenticators: rows.collect(), wrong: &shown.wrong };
        let text = serde_json::to_string_pretty(&page).map_err(|_| fmt::Error)?;
        f.write_str(&text)?;
        f.write_char('\n')
    }
}

//! What expressions see of one token: made once, shared by all expressions.

use std::{cell::Cell, sync::Arc};

use super::{
    Value,
    budget::TOKEN_COST_LIMIT,
    map::{Keys, Map},
};

/// The value of `claims` or of `user`. Its `Debug` tells nothing, because tokens are secret.
#[derive(Clone)]
pub struct Variables {
    root: Value,
    /// Cost units that are left for all expressions together.
    allowance: Cell<u64>,
}

impl Variables {
    /// `claims`: each claim by its name. Numbers are doubles, as in kube-apiserver; objects are made by
    /// [`Map::of_json`], so that their members can be selected by escaped names.
    pub fn of_claims(claims: impl IntoIterator<Item = (Arc<str>, Value)>) -> Self {
        Self::of(claims.into_iter().map(|(name, value)| (Value::String(name), value)))
    }

    /// `user`: all four fields are always there, empty where the token says nothing.
    pub fn of_user<'a>(
        username: &str,
        uid: &str,
        groups: impl IntoIterator<Item = &'a str>,
        extra: impl IntoIterator<Item = (&'a str, &'a [String])>,
    ) -> Self {
        let groups: Vec<Value> = groups.into_iter().map(Value::from).collect();
        let extra = extra.into_iter().map(|(key, values)| {
            let values: Vec<Value> = values.iter().map(|value| value.as_str().into()).collect();
            (key.into(), values.into())
        });
        Self::of([
            ("username".into(), username.into()),
            ("uid".into(), uid.into()),
            ("groups".into(), groups.into()),
            ("extra".into(), Value::Map(Map::of_json(extra.collect()).into())),
        ])
    }

    fn of(entries: impl IntoIterator<Item = (Value, Value)>) -> Self {
        let root = Value::Map(Map::new(entries.into_iter().collect(), Keys::Root).into());
        Self { root, allowance: Cell::new(TOKEN_COST_LIMIT) }
    }

    pub(super) const fn root(&self) -> &Value {
        &self.root
    }

    pub(super) const fn allowance(&self) -> u64 {
        self.allowance.get()
    }

    pub(super) fn charge(&self, units: u64) {
        self.allowance.set(self.allowance.get().saturating_sub(units));
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Variables(..)")
    }
}

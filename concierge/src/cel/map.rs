//! Maps: few entries, in the order written, keys of four types.

use super::{Budget, EvaluationError, Value, equality::same_key};

/// The entries of a map. Keys are unique; `1`, `1u` and `1.0` are one key (CEL's cross-type equality).
///
/// Claims and literals have a dozen entries, where comparing each beats hashing.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<(Value, Value)>,
    keys: Keys,
}

/// How a key is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keys {
    /// As it is: maps that an expression makes.
    #[default]
    Plain,
    /// Unescaped first, `__dash__` to `-`: JSON objects of a token.
    Escaped,
    /// As `Escaped`, but a name with an unknown escape is no name: the whole of a token, or a user. It has no size and
    /// no order in kube-apiserver, and is not looked through by `in`.
    Root,
}

impl Map {
    /// A JSON object of a token, whose members can be selected by escaped names.
    #[must_use]
    pub fn of_json(members: Vec<(Value, Value)>) -> Self {
        Self { entries: members, keys: Keys::Escaped }
    }

    pub(super) const fn new(entries: Vec<(Value, Value)>, keys: Keys) -> Self {
        Self { entries, keys }
    }

    pub(super) const fn keys(&self) -> Keys {
        self.keys
    }

    /// The entries in their order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of the key that equals `key`, which is taken as it is.
    ///
    /// # Errors
    /// The budget's.
    pub fn find(&self, key: &Value, budget: &mut Budget) -> Result<Option<&Value>, EvaluationError> {
        self.pay(budget, if let Value::String(text) = key { text.len() } else { 0 })?;
        Ok(self.entries.iter().find(|(held, _)| same_key(held, key)).map(|(_, value)| value))
    }

    /// The value of a text key, taken as it is.
    pub(super) fn find_text(&self, key: &str, budget: &mut Budget) -> Result<Option<&Value>, EvaluationError> {
        self.pay(budget, key.len())?;
        let found = self.entries.iter().find(|(held, _)| matches!(held, Value::String(held) if **held == *key));
        Ok(found.map(|(_, value)| value))
    }

    /// Four keys for one unit: comparing keys is mostly comparing two lengths.
    fn pay(&self, budget: &mut Budget, key: usize) -> Result<(), EvaluationError> {
        budget.spend((self.len() as u64).div_ceil(4))?;
        budget.scan(key)
    }
}

/// Nothing checks that no key stands twice: JSON objects and other maps are where entries come from.
impl FromIterator<(Value, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(entries: I) -> Self {
        Self::new(entries.into_iter().collect(), Keys::Plain)
    }
}

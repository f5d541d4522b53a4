//! Maps: few entries, in the order written, keys of four types.

use super::Value;

/// The entries of a map. Keys are unique; `1`, `1u` and `1.0` are one key (CEL's cross-type equality).
///
/// Claims and literals have a dozen entries, where comparing each beats hashing.
#[derive(Clone, Debug, Default)]
pub struct Map(pub(super) Vec<(Value, Value)>);

impl Map {
    /// The entries in their order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Nothing checks that no key stands twice: JSON objects and other maps are where entries come from.
impl FromIterator<(Value, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

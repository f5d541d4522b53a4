//! How JSON from other writers is read: a null is an absent field, as for Go's decoder.

use serde::{Deserialize, Deserializer};

/// Reads null as the default value. Go clients send `null` for empty slices, maps and structs, and Go servers take it.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

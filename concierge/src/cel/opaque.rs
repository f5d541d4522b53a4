//! Values of a library's own type: URLs, quantities, addresses. The core only asks their type and whether two are equal.

use std::{any::Any, fmt::Debug};

/// A value that only its library takes apart.
pub trait Opaque: Any + Debug + Send + Sync {
    /// The full name of its type, as in [`super::Type::Opaque`].
    fn type_name(&self) -> &'static str;

    /// Bytes that are looked at to compare two such values; small ones of fixed size may leave it at none.
    fn size(&self) -> usize {
        0
    }

    /// Whether `other` is the same value. `other` is of any library's type: see [`dyn Opaque::downcast`].
    fn equals(&self, other: &dyn Opaque) -> bool;
}

impl dyn Opaque {
    /// The value, if it is a `T`.
    #[must_use]
    pub fn downcast<T: Opaque>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

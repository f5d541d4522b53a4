//! What expressions compute with. Cloning is cheap: whatever can be large is shared.

use std::sync::Arc;

use super::{Map, Opaque, Timestamp, Type};

/// A value of CEL.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number with sign.
    Int(i64),
    /// A number without sign.
    Uint(u64),
    /// A floating-point number. Every number of a claim is one, as in kube-apiserver.
    Double(f64),
    /// Text.
    String(Arc<str>),
    /// Octets.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<[Value]>),
    /// A map.
    Map(Arc<Map>),
    /// A length of time in nanoseconds, as in Go.
    Duration(i64),
    /// A point in time, from the year 1 to 9999.
    Timestamp(Timestamp),
    /// A value or none.
    Optional(Option<Arc<Value>>),
    /// A type.
    Type(Arc<Type>),
    /// A value of a library's own type.
    Opaque(Arc<dyn Opaque>),
}

/// A value that a function may take apart. `None` means another type: the caller answers with "no such overload".
impl Value {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The number, if it is an `int`.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of a library's type `T`.
    #[must_use]
    pub fn as_opaque<T: Opaque>(&self) -> Option<&T> {
        match self {
            Self::Opaque(value) => value.downcast(),
            _ => None,
        }
    }

    /// A value of a library's own type.
    #[must_use]
    pub fn opaque(value: impl Opaque) -> Self {
        Self::Opaque(Arc::new(value))
    }

    /// The type while an expression runs, as `type(value)` says it: what a list or map holds is not told apart.
    #[must_use]
    pub fn type_of(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::Bytes,
            Self::List(_) => Type::list(Type::Dyn),
            Self::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Self::Duration(_) => Type::Duration,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Optional(_) => Type::optional(Type::Dyn),
            Self::Type(_) => Type::Type(Box::new(Type::Dyn)),
            Self::Opaque(value) => Type::Opaque(value.type_name()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Vec<Self>> for Value {
    fn from(list: Vec<Self>) -> Self {
        Self::List(list.into())
    }
}

//! CEL's types, as the checker knows them.

use std::fmt;

/// The type of an expression, of a parameter or of a result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `null_type`.
    Null,
    /// `bool`.
    Bool,
    /// `int`, 64 bits with sign.
    Int,
    /// `uint`, 64 bits.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Duration`.
    Duration,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `dyn`: known only when the expression runs.
    Dyn,
    /// `any`, the type of a claim in kube-apiserver: like `dyn` for operators and functions, but no range of a macro
    /// (`claims.list.map(...)` does not compile there, `dyn(claims.list).map(...)` does).
    Any,
    /// `list(element)`.
    List(Box<Type>),
    /// `map(key, value)`.
    Map(Box<Type>, Box<Type>),
    /// `optional_type(value)`.
    Optional(Box<Type>),
    /// The type of a type, `type(string)` for one.
    Type(Box<Type>),
    /// A type of a library, by its full name: `kubernetes.URL`, `net.IP`.
    Opaque(&'static str),
    /// An object with declared fields, by its full name: `kubernetes.UserInfo`.
    Object(&'static str),
    /// A type parameter of a declaration: the same letter stands for the same type in all of an overload.
    Parameter(char),
    /// A type that the checker does not know yet; in no declaration and in no result.
    Variable(u32),
}

impl Type {
    /// `list(element)`.
    #[must_use]
    pub fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// `map(key, value)`.
    #[must_use]
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Box::new(key), Box::new(value))
    }

    /// `optional_type(value)`.
    #[must_use]
    pub fn optional(value: Self) -> Self {
        Self::Optional(Box::new(value))
    }

    /// Whether it is known only when the expression runs, wholly.
    #[must_use]
    pub const fn is_dynamic(&self) -> bool {
        matches!(self, Self::Dyn | Self::Any)
    }

    /// The types that it is made of.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Self> {
        let (first, second) = match self {
            Self::List(one) | Self::Optional(one) | Self::Type(one) => (Some(&**one), None),
            Self::Map(key, value) => (Some(&**key), Some(&**value)),
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// It with each part replaced by what `change` makes of it.
    pub(super) fn with_parts(&self, change: &mut impl FnMut(&Self) -> Self) -> Self {
        match self {
            Self::List(element) => Self::list(change(element)),
            Self::Map(key, value) => {
                let key = change(key);
                Self::map(key, change(value))
            }
            Self::Optional(value) => Self::optional(change(value)),
            Self::Type(of) => Self::Type(Box::new(change(of))),
            _ => self.clone(),
        }
    }
}

/// As cel-go writes it in its messages.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("google.protobuf.Duration"),
            Self::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Self::Dyn => f.write_str("dyn"),
            Self::Any => f.write_str("any"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(value) => write!(f, "optional_type({value})"),
            Self::Type(of) => write!(f, "type({of})"),
            Self::Opaque(name) | Self::Object(name) => f.write_str(name),
            Self::Parameter(letter) => write!(f, "{letter}"),
            Self::Variable(number) => write!(f, "_{number}"),
        }
    }
}

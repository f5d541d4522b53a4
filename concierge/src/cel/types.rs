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
        }
    }
}

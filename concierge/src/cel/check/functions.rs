//! What names stand for: functions with their overloads, types, and the fields of a user.

use std::{collections::HashMap, sync::LazyLock};

use crate::cel::{Overload, Type, library};

/// Every function by its name.
static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut functions: HashMap<&'static str, Vec<Overload>> = HashMap::new();
    for overload in library::overloads() {
        functions.entry(overload.function).or_default().push(overload);
    }
    functions
});

/// Types of the libraries by their names: those that some function takes or gives, but for Kubernetes' own, whose names
/// kube-apiserver does not declare.
static LIBRARY_TYPES: LazyLock<HashMap<&'static str, Type>> = LazyLock::new(|| {
    let declared =
        FUNCTIONS.values().flatten().flat_map(|overload| overload.parameters.iter().chain([&overload.result]));
    declared
        .filter_map(|kind| match kind {
            Type::Opaque(name) if !name.starts_with("kubernetes.") => Some((*name, kind.clone())),
            _ => None,
        })
        .collect()
});

/// The overloads of a function; none if there is no such function.
pub(super) fn overloads(name: &str) -> &'static [Overload] {
    FUNCTIONS.get(name).map_or(&[], Vec::as_slice)
}

/// The type that a name stands for.
pub(super) fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "int" => Type::Int,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "optional_type" => Type::optional(Type::Dyn),
        "string" => Type::String,
        "type" => Type::Type(Box::new(Type::Dyn)),
        "uint" => Type::Uint,
        _ => return LIBRARY_TYPES.get(name).cloned(),
    })
}

/// The type of a field of `kubernetes.UserInfo`.
pub(super) fn field_of_user(field: &str) -> Option<Type> {
    match field {
        "username" | "uid" => Some(Type::String),
        "groups" => Some(Type::list(Type::String)),
        "extra" => Some(Type::map(Type::String, Type::list(Type::String))),
        _ => None,
    }
}

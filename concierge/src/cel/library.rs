//! Every function that an expression may call: what kube-apiserver 1.36 offers for authentication, no more.

mod cidr;
mod conversions;
#[cfg(test)]
mod examples;
mod formats;
mod ip;
mod kubernetes_lists;
mod lists;
mod operators;
mod optional;
mod quantity;
mod regex;
mod semver;
mod sets;
mod standard;
pub(super) mod string_format;
mod strings;
mod times;
mod urls;

pub(super) use self::lists::sort_pairs;
use super::Overload;

/// All overloads of all libraries.
#[must_use]
pub fn overloads() -> Vec<Overload> {
    [
        // The language's own first: where several fit a type that is not known yet, the checker takes the first for it,
        // as cel-go does.
        conversions::overloads(),
        operators::overloads(),
        standard::overloads(),
        times::overloads(),
        cidr::overloads(),
        formats::overloads(),
        ip::overloads(),
        kubernetes_lists::overloads(),
        lists::overloads(),
        optional::overloads(),
        quantity::overloads(),
        regex::overloads(),
        semver::overloads(),
        sets::overloads(),
        string_format::overloads(),
        strings::overloads(),
        urls::overloads(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::overloads;
    use crate::cel::{Budget, EvaluationError, Type, Value};

    /// Calls the one overload of `function` that is declared for values of these types.
    #[track_caller]
    pub(super) fn call(function: &str, values: &[Value]) -> Result<Value, EvaluationError> {
        let types: Vec<Type> = values.iter().map(Value::type_of).collect();
        let mut fitting = overloads();
        fitting.retain(|overload| overload.function == function && overload.parameters == types);
        let [overload] = fitting.as_slice() else { panic!("{} of {function}({types:?})", fitting.len()) };
        let result = (overload.call)(values, &mut Budget::default());
        if let Ok(value) = &result {
            assert_eq!(value.type_of(), overload.result, "{function} has another result than it declares");
        }
        result
    }
}

//! Every function that an expression may call: what kube-apiserver 1.36 offers for authentication, no more.

use super::Overload;

/// All overloads of all libraries.
#[must_use]
pub fn overloads() -> Vec<Overload> {
    Vec::new()
}

//! The answer to `list` of a kind that is never stored: an empty list, or an empty table for `kubectl get`.

use axum::{extract::Request, response::Response};
use serde::Serialize;

use super::{
    negotiation::{Offer, negotiate},
    options::watches,
    respond::{self, Problem},
    table,
};

/// Answers with `empty`, or with a table if the client prefers one.
///
/// # Errors
/// 405 for a watch, 406 for a format that we do not write.
pub(super) fn answer<T: Serialize>(request: &Request, empty: &T) -> Result<Response, Problem> {
    if watches(request.uri()) {
        return Err(Problem::MethodNotAllowed);
    }
    match negotiate(request.headers(), &[Offer::Json, Offer::Table]).ok_or(Problem::NotAcceptable)? {
        Offer::Table => Ok(respond::found(&table::empty(), false)),
        Offer::Json | Offer::Discovery => Ok(respond::found(empty, false)),
    }
}

//! Claims that a token only refers to: the door behind which they are fetched. The index only carries it.

use std::fmt;

use futures::future::BoxFuture;

use super::Authenticator;
use crate::{
    jwt::SuppliedClaim,
    mapping::{ClaimSource, Origin},
};

/// Fetches claims that tokens refer to. What it does is the business of the room that made it.
pub trait FetchClaim: fmt::Debug + Send + Sync {
    /// Fetches the claim at `source` for a token that `by` judges, and verifies it. It ends within a limit of its own.
    fn fetch<'a>(
        &'a self,
        source: &'a ClaimSource,
        by: &'a Authenticator,
    ) -> BoxFuture<'a, Result<SuppliedClaim, FetchClaimError>>;
}

/// Why there is no claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchClaimError {
    /// Too many are being fetched.
    #[error("too many claims are being fetched")]
    Overloaded,
    /// Its server did not give it, or not so that it can be believed. The sentence holds neither the access token nor the
    /// URL.
    #[error("claim {claim:?} from {origin}: {problem}")]
    NotGiven {
        /// The claim.
        claim: String,
        /// Whose it is to give.
        origin: Origin,
        /// What was wrong.
        problem: String,
    },
}

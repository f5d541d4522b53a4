//! Bearer tokens of the cluster, judged by the cluster: `TokenReview`, remembered for a few seconds.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{
    caller::{Caller, Via},
    respond::Problem,
};
use crate::secret::BearerToken;

/// Asks the API server whose a token is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenReviews {
    api: Api<TokenReview>,
    /// By SHA-256 of the token; both answers are kept, as kube-apiserver's delegated authentication keeps them.
    known: Cache<[u8; 32], Option<Arc<Caller>>>,
    asking: Arc<Semaphore>,
}

/// kube-apiserver's delegated authentication caches for as long.
const TIME_TO_LIVE: Duration = Duration::from_secs(10);
/// Tokens remembered. Each costs a user with groups, about 1 KiB.
const CAPACITY: u64 = 1_024;
/// Reviews under way at once: anybody may send made-up tokens, and each would be a request to the API server.
const AT_ONCE: usize = 16;
/// Longest wait for the API server.
const PATIENCE: Duration = Duration::from_secs(10);

// === impl TokenReviews ===

impl TokenReviews {
    /// Asks through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
            known: Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build(),
            asking: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Whose `token` is.
    ///
    /// # Errors
    /// [`Problem::Unauthorized`] if nobody's; otherwise what kept us from asking.
    pub async fn caller(&self, token: &BearerToken) -> Result<Caller, Problem> {
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, token.as_str().as_bytes()).as_ref());
        // One question for all who ask the same at once.
        let answer = self.known.try_get_with(key, self.ask(token)).await;
        match answer {
            Ok(Some(caller)) => Ok(Arc::unwrap_or_clone(caller)),
            Ok(None) => Err(Problem::Unauthorized),
            Err(problem) => Err(Arc::unwrap_or_clone(problem)),
        }
    }

    async fn ask(&self, token: &BearerToken) -> Result<Option<Arc<Caller>>, Problem> {
        let _permit = self.asking.try_acquire().map_err(|_| Problem::TooManyRequests)?;
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.as_str().to_owned(), audiences: None },
            ..TokenReview::default()
        };
        let params = PostParams::default();
        let unavailable = Problem::Unavailable("the token cannot be reviewed at the moment");
        match tokio::time::timeout(PATIENCE, self.api.create(&params, &review)).await {
            Ok(Ok(answer)) => Ok(caller(answer).map(Arc::new)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "TokenReview failed");
                Err(unavailable)
            }
            Err(_) => {
                tracing::warn!("TokenReview was not answered in time");
                Err(unavailable)
            }
        }
    }
}

fn caller(answer: TokenReview) -> Option<Caller> {
    let status = answer.status.filter(|status| status.authenticated == Some(true))?;
    let user = status.user?;
    let username = user.username.filter(|username| !username.is_empty())?;
    let caller = Caller {
        username,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
        via: Via::BearerToken,
    };
    Some(caller.with_authenticated_group())
}

//! The way from a request that met an unknown key to the task that may fetch keys, bounded on every side.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::AuthenticatorName;
use crate::jwt::KeyId;

/// Requests that may wait at once. Each fetch answers all that wait for its issuer, so a queue this long is a flood of
/// forged key ids, and the rest of the flood is refused at once.
const QUEUE: usize = 64;

/// How long a request waits for the fetch: a person is waiting, and the identity provider has its own limit.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for a refresh of an issuer's keys.
#[derive(Clone, Debug)]
pub struct RefreshRequester(mpsc::Sender<RefreshRequest>);

/// Receives the requests; there is one receiver, beside the index's writer.
#[derive(Debug)]
pub struct RefreshRequests(mpsc::Receiver<RefreshRequest>);

/// A token named a key that the snapshot lacks.
#[derive(Debug)]
pub struct RefreshRequest {
    /// The authenticator whose issuer should know the key.
    pub authenticator: AuthenticatorName,
    /// The key id, if the token names one.
    pub key_id: Option<KeyId>,
    answer: oneshot::Sender<bool>,
}

/// Both ends.
#[must_use]
pub fn refresh_channel() -> (RefreshRequester, RefreshRequests) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (RefreshRequester(sender), RefreshRequests(receiver))
}

impl RefreshRequester {
    /// Asks for fresh keys and waits, at most two seconds. `true`: the key set changed, judge again with a new
    /// snapshot. `false`: it did not, or nobody has time to look.
    pub async fn request(&self, authenticator: &AuthenticatorName, key_id: Option<&KeyId>) -> bool {
        let (answer, answered) = oneshot::channel();
        let request = RefreshRequest { authenticator: authenticator.clone(), key_id: key_id.cloned(), answer };
        if self.0.try_send(request).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(PATIENCE, answered).await, Ok(Ok(true)))
    }
}

impl RefreshRequests {
    /// The next request; `None` once nobody can ask any more.
    pub async fn recv(&mut self) -> Option<RefreshRequest> {
        self.0.recv().await
    }
}

impl RefreshRequest {
    /// Answers whether the key set changed. Dropping the request answers no.
    pub fn answer(self, changed: bool) {
        // The asker may have run out of patience; then nobody needs the answer.
        let _ = self.answer.send(changed);
    }
}

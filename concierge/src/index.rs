//! The authenticators in force. One [`Writer`] (the controllers' task) publishes whole snapshots; every [`Reader`] takes
//! one and uses it for the life of a request, so nobody sees half a change.

mod claims;
mod refresh;
mod snapshot;
mod webhook;

use std::sync::Arc;

use tokio::sync::watch;

pub use self::{
    claims::{FetchClaim, FetchClaimError},
    refresh::{RefreshRequest, RefreshRequester, RefreshRequests, refresh_channel},
    snapshot::{Authenticator, AuthenticatorKind, AuthenticatorName, AuthenticatorRef, Entry, Snapshot, Unready},
    webhook::{AskError, AskWebhook, Webhook},
};

use crate::jwt::Issuer;

/// The only hand that changes the index. It is not `Clone`.
#[derive(Debug)]
pub struct Writer(watch::Sender<Arc<Snapshot>>);

/// A view of the index: cheap to clone, never blocked.
#[derive(Clone, Debug)]
pub struct Reader(watch::Receiver<Arc<Snapshot>>);

/// An empty index.
#[must_use]
pub fn channel() -> (Writer, Reader) {
    let (sender, receiver) = watch::channel(Arc::new(Snapshot::default()));
    (Writer(sender), Reader(receiver))
}

// === impl Writer ===

impl Writer {
    /// Puts `entry` in the place of whatever stood under `authenticator`: after this returns, no new request is judged
    /// by the old one.
    pub fn set(&mut self, authenticator: AuthenticatorRef, entry: Entry) {
        let issuer = match &entry {
            Entry::Ready(ready) => Some(ready.verifier.issuer().clone()),
            Entry::Webhook(_) | Entry::NotReady(_) => None,
        };
        self.publish(|current| current.with(authenticator, entry, issuer));
    }

    /// Says that an authenticator exists and admits nobody, though it would judge the tokens of `issuer`: whoever asks by
    /// issuer then learns that its tokens cannot be judged now, not that nobody knows them.
    pub fn set_not_ready(&mut self, unready: Unready, issuer: Option<Issuer>) {
        let authenticator = unready.reference.clone();
        let entry = Entry::NotReady(Arc::new(unready));
        self.publish(|current| current.with(authenticator, entry, issuer));
    }

    /// Takes `authenticator` out.
    pub fn remove(&mut self, authenticator: &AuthenticatorRef) {
        if self.0.borrow().entry(authenticator).is_some() {
            self.publish(|current| current.without(authenticator));
        }
    }

    /// The next snapshot is made before the channel is locked: readers never wait for it. There is one writer, so
    /// nothing comes between.
    fn publish(&mut self, next: impl FnOnce(&Snapshot) -> Snapshot) {
        let current = Arc::clone(&self.0.borrow());
        self.0.send_replace(Arc::new(next(&current)));
    }
}

// === impl Reader ===

impl Reader {
    /// The authenticators as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.borrow().clone()
    }

    /// Waits for the next change; `false` once the writer is gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

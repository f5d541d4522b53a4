//! The `TokenRejection` objects in the cluster: what is known of them, and how this replica's share gets into them.
//!
//! Each replica adds what it saw itself. An object is replaced at the version that was read, so of two replicas that write
//! at once one is told to read again, and no count is lost or written over.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
    core::{ApiResource, ObjectMeta, TypeMeta},
    runtime::watcher,
};
use latchkey_crds::audit::{TokenRejection, TokenRejectionStatus};
use tokio::time::timeout;

use super::{
    merge::{keep_for, left, merge},
    shelf::{Room, prune, room},
    table::CAPACITY,
};
use crate::time::UnixTime;

/// Longest wait for one answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How often one write is begun anew because somebody else was quicker. Replicas are few and write each object every ten
/// seconds; who loses four times in a row waits for his next turn.
const ATTEMPTS: usize = 4;

/// The objects.
pub(super) struct Store {
    api: Api<TokenRejection>,
    resource: ApiResource,
    lifetime: Duration,
    known: BTreeMap<String, TokenRejection>,
    listing: BTreeMap<String, TokenRejection>,
    is_listed: bool,
    /// Writes without an answer, the oldest first; at most one of a name, and as many as may wait for their next try.
    unanswered: VecDeque<Unanswered>,
}

/// A write of which nobody knows whether it was done.
struct Unanswered {
    name: String,
    /// What stands in the object if it was.
    last_audit_id: Option<String>,
    /// How many it brought.
    count: i64,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the cluster.
    Written,
    /// There is no room at the moment.
    Later,
    /// There is no room beside what is more severe.
    TurnedAway,
}

/// The object could not be written; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("others were quicker {ATTEMPTS} times")]
    Contended,
    #[error("request failed")]
    Request(#[from] kube::Error),
    #[error("no answer within {} s", REQUEST_LIMIT.as_secs())]
    TimedOut,
}

impl Store {
    /// Knows nothing yet.
    pub(super) fn new(api: Api<TokenRejection>, resource: ApiResource, lifetime: Duration) -> Self {
        let (known, listing, unanswered) = Default::default();
        Self { api, resource, lifetime, known, listing, is_listed: false, unanswered }
    }

    /// Whether the objects are known. Before that nothing may be made: there may be no room.
    pub(super) const fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes in what the watch says.
    pub(super) fn observe(&mut self, event: watcher::Event<TokenRejection>) {
        match event {
            watcher::Event::Init => self.listing.clear(),
            watcher::Event::InitApply(object) => {
                self.listing.extend(object.metadata.name.clone().map(|name| (name, object)));
            }
            watcher::Event::InitDone => {
                self.known = std::mem::take(&mut self.listing);
                self.is_listed = true;
            }
            watcher::Event::Apply(object) => {
                self.known.extend(object.metadata.name.clone().map(|name| (name, object)));
            }
            watcher::Event::Delete(object) => {
                if let Some(name) = &object.metadata.name {
                    self.known.remove(name);
                }
            }
        }
    }

    /// Adds `seen` to the object `name`, which is made if there is none.
    ///
    /// # Errors
    /// When the API server does not take it. If it is not even known whether it did, that is found out at the next try.
    pub(super) async fn write(&mut self, name: &str, seen: &mut TokenRejectionStatus) -> Result<Outcome, WriteError> {
        if self.unanswered.iter().any(|write| write.name == name) {
            // The watch may have brought what that write did: nothing would be told that it was done.
            self.read_again(name).await?;
            if self.settle(name, seen) {
                return Ok(Outcome::Written);
            }
        }
        for _ in 0..ATTEMPTS {
            let known = self.known.get(name).cloned();
            if known.is_none() {
                match room(self.known.values().map(|object| &object.status), seen) {
                    Room::Free => {}
                    Room::Later => return Ok(Outcome::Later),
                    Room::Never => return Ok(Outcome::TurnedAway),
                }
            }
            match self.put(name, known, seen).await {
                Ok(object) => {
                    self.known.insert(name.to_owned(), object);
                    return Ok(Outcome::Written);
                }
                // Made or changed or removed by somebody else in between: 409 or, if it is gone, 404.
                Err(WriteError::Request(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                    self.read_again(name).await?;
                }
                Err(error) => {
                    if is_unanswered(&error) {
                        self.keep_unanswered(name, seen);
                    }
                    return Err(error);
                }
            }
        }
        Err(WriteError::Contended)
    }

    /// How long until the first of them is beyond its time.
    pub(super) fn next_expiry(&self, now: UnixTime) -> Option<Duration> {
        self.known.values().map(|object| left(&object.status, now)).min()
    }

    /// Takes away at most `most` objects that are beyond their time or too many; how many went.
    pub(super) async fn prune(&mut self, now: UnixTime, most: usize) -> usize {
        let gone: Vec<ObjectMeta> =
            prune(self.known.values(), now, most).into_iter().map(|object| object.metadata.clone()).collect();
        let mut count = 0;
        for metadata in gone {
            let Some(name) = metadata.name else { continue };
            // As it was when it was looked at, and no other: somebody may be writing it at this moment.
            let preconditions = Preconditions { resource_version: metadata.resource_version, uid: metadata.uid };
            let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            match bounded(self.api.delete(&name, &parameters)).await {
                Ok(_) => {
                    self.known.remove(&name);
                    count += 1;
                }
                Err(WriteError::Request(kube::Error::Api(status))) if status.code == 404 => {
                    self.known.remove(&name);
                }
                // It was seen again meanwhile. The watch brings it.
                Err(WriteError::Request(kube::Error::Api(status))) if status.code == 409 => {}
                Err(error) => {
                    tracing::warn!(name, error = &error as &dyn std::error::Error, "TokenRejection not removed");
                    break;
                }
            }
        }
        count
    }

    async fn put(
        &self,
        name: &str,
        known: Option<TokenRejection>,
        seen: &TokenRejectionStatus,
    ) -> Result<TokenRejection, WriteError> {
        let parameters = PostParams::default();
        if let Some(mut object) = known {
            object.types = Some(self.types());
            merge(&mut object.status, seen.clone());
            keep_for(&mut object.status, self.lifetime);
            return bounded(self.api.replace(name, &parameters, &object)).await;
        }
        let mut status = seen.clone();
        keep_for(&mut status, self.lifetime);
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let object = TokenRejection { types: Some(self.types()), metadata, status };
        bounded(self.api.create(&parameters, &object)).await
    }

    async fn read_again(&mut self, name: &str) -> Result<(), WriteError> {
        match bounded(self.api.get_opt(name)).await? {
            Some(object) => self.known.insert(name.to_owned(), object),
            None => self.known.remove(name),
        };
        Ok(())
    }

    /// Notes such a write, in the place of the oldest where there are too many: one whose object is never seen again is
    /// never found out, and what goes may at worst count twice.
    fn keep_unanswered(&mut self, name: &str, seen: &TokenRejectionStatus) {
        while self.unanswered.len() >= CAPACITY {
            self.unanswered.pop_front();
        }
        let last_audit_id = seen.last_audit_id.clone();
        self.unanswered.push_back(Unanswered { name: name.to_owned(), last_audit_id, count: seen.count });
    }

    /// A write of which nobody answered may have been done: then the object tells of its last token, and what it brought is
    /// taken out of `seen`. Whether nothing is left. (Had another replica written since, it would count twice: the audit log
    /// is exact.)
    fn settle(&mut self, name: &str, seen: &mut TokenRejectionStatus) -> bool {
        let position = self.unanswered.iter().position(|write| write.name == name);
        let Some(Unanswered { last_audit_id, count, .. }) = position.and_then(|at| self.unanswered.remove(at)) else {
            return false;
        };
        let done = self
            .known
            .get(name)
            .is_some_and(|object| last_audit_id.is_some() && object.status.last_audit_id == last_audit_id);
        if done {
            seen.count = seen.count.saturating_sub(count);
        }
        seen.count == 0
    }

    fn types(&self) -> TypeMeta {
        TypeMeta { api_version: self.resource.api_version.clone(), kind: self.resource.kind.clone() }
    }
}

async fn bounded<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    timeout(REQUEST_LIMIT, request).await.map_err(|_| WriteError::TimedOut)?.map_err(WriteError::from)
}

/// Whether the API server may have done what was asked, although nobody heard of it.
fn is_unanswered(error: &WriteError) -> bool {
    match error {
        WriteError::TimedOut => true,
        WriteError::Request(error) => !matches!(error, kube::Error::Api(_)),
        WriteError::Contended => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::{Method, Request, Response};
    use kube::{Client, client::Body};
    use latchkey_crds::{audit::token_rejections, groups::GroupSuffix};
    use serde_json::Value;

    use super::*;

    fn object(status: TokenRejectionStatus) -> TokenRejection {
        TokenRejection {
            types: None,
            metadata: ObjectMeta { name: Some("one".into()), ..ObjectMeta::default() },
            status,
        }
    }

    fn seen(count: i64, audit_id: &str) -> TokenRejectionStatus {
        TokenRejectionStatus { count, last_audit_id: Some(audit_id.into()), ..TokenRejectionStatus::default() }
    }

    /// An API server that does what it is first asked for and never says so; it hands out `stored` afterwards, and notes the
    /// counts that it is to write.
    fn server(stored: TokenRejection) -> (Client, Arc<Mutex<Vec<i64>>>) {
        let written = Arc::<Mutex<Vec<i64>>>::default();
        let notes = Arc::clone(&written);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (stored, notes) = (serde_json::to_vec(&stored).unwrap(), Arc::clone(&notes));
            async move {
                if request.method() == Method::GET {
                    return Ok::<_, Infallible>(Response::new(Body::from(stored)));
                }
                let body = request.into_body().collect_bytes().await.unwrap();
                let object: Value = serde_json::from_slice(&body).unwrap();
                let is_first = {
                    let mut notes = notes.lock().unwrap();
                    notes.push(object["status"]["count"].as_i64().unwrap());
                    notes.len() == 1
                };
                if is_first {
                    std::future::pending::<()>().await;
                }
                Ok(Response::new(Body::from(body.to_vec())))
            }
        });
        (Client::new(service, "default"), written)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_written_without_an_answer_is_not_counted_twice() {
        let (client, written) = server(object(seen(3, "first")));
        let resource = token_rejections(&GroupSuffix::default());
        let mut store = Store::new(Api::all_with(client, &resource), resource, Duration::from_hours(1));
        let lost = store.write("one", &mut seen(3, "first")).await;
        assert!(matches!(lost, Err(WriteError::TimedOut)), "{lost:?}");
        // The watch shows that it was done, so no conflict will.
        store.observe(watcher::Event::Apply(object(seen(3, "first"))));
        assert_eq!(store.write("one", &mut seen(5, "second")).await.unwrap(), Outcome::Written);
        assert_eq!(*written.lock().unwrap(), [3, 5]);
        assert!(store.unanswered.is_empty(), "found out once");
    }

    #[tokio::test]
    async fn writes_without_an_answer_do_not_pile_up_and_the_oldest_go() {
        let (client, _) = server(object(seen(1, "first")));
        let resource = token_rejections(&GroupSuffix::default());
        let mut store = Store::new(Api::all_with(client, &resource), resource, Duration::from_hours(1));
        for number in 0..CAPACITY + 2 {
            store.keep_unanswered(&number.to_string(), &seen(1, "any"));
        }
        assert_eq!(store.unanswered.len(), CAPACITY);
        assert_eq!(store.unanswered.front().unwrap().name, "2");
    }
}

//! As much of an API server as the authenticators' task needs: objects in memory, lists, watches, status writes.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// Where the kinds live.
pub(crate) const JWT: &str = "/apis/authentication.concierge.latchkey.dev/v1alpha1/jwtauthenticators";
pub(crate) const WEBHOOK: &str = "/apis/authentication.concierge.latchkey.dev/v1alpha1/webhookauthenticators";
pub(crate) const FLEET: &str = "/apis/config.concierge.latchkey.dev/v1alpha1/fleetclusters";
pub(crate) const SECRETS: &str = "/api/v1/namespaces/latchkey/secrets";

/// How long a test waits for what should happen in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub(crate) struct Api {
    store: Arc<Mutex<Store>>,
    /// Counts changes, for those who wait.
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct Store {
    version: u64,
    /// By path of the collection, then by name.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    watchers: Vec<(String, mpsc::UnboundedSender<Value>)>,
    /// All events there ever were, with their collection and version: a watch begins where its list ended.
    events: Vec<(u64, String, Value)>,
    status_writes: usize,
    /// How often any object was applied.
    applied: usize,
    /// Collections whose lists and watches are answered with this code.
    refused: BTreeMap<String, u16>,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl Api {
    pub(crate) fn new() -> Self {
        Self { store: Arc::default(), version: watch::channel(0).0 }
    }

    pub(crate) fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }.boxed()
        });
        kube::Client::new(service, "latchkey")
    }

    /// Creates or replaces an object; a changed spec is a new generation.
    pub(crate) fn put(&self, collection: &str, name: &str, fields: Value) {
        let mut store = self.lock();
        store.version += 1;
        let version = store.version;
        let known = store.objects.entry(collection.to_owned()).or_default().get(name).cloned();
        let (event, generation, uid) = match &known {
            None => ("ADDED", 1, version.to_string()),
            Some(known) => {
                let generation = known["metadata"]["generation"].as_i64().unwrap_or(1);
                let changed = i64::from(known["spec"] != fields["spec"]);
                ("MODIFIED", generation + changed, known["metadata"]["uid"].as_str().unwrap_or("applied").to_owned())
            }
        };
        let mut object = fields;
        if let Some(known) = known
            && object.get("status").is_none()
        {
            object["status"] = known["status"].clone();
        }
        object["metadata"] = json!({
            "name": name, "uid": uid, "generation": generation, "resourceVersion": version.to_string(),
        });
        store.publish(collection, event, name, object);
        drop(store);
        self.version.send_replace(version);
    }

    pub(crate) fn delete(&self, collection: &str, name: &str) {
        let mut store = self.lock();
        store.version += 1;
        let mut object = store.objects.get_mut(collection).unwrap().remove(name).unwrap();
        object["metadata"]["resourceVersion"] = json!(store.version.to_string());
        store.send(collection, "DELETED", &object);
    }

    /// From now on whoever lists or watches this collection is refused with `code`; `None`: no more.
    pub(crate) fn refuse(&self, collection: &str, code: Option<u16>) {
        let mut store = self.lock();
        match code {
            Some(code) => drop(store.refused.insert(collection.to_owned(), code)),
            None => drop(store.refused.remove(collection)),
        }
    }

    /// Ends every watch, as an API server does that stops.
    pub(crate) fn restart(&self) {
        self.lock().watchers.clear();
    }

    pub(crate) fn get(&self, collection: &str, name: &str) -> Value {
        let store = self.lock();
        store.objects.get(collection).and_then(|objects| objects.get(name)).cloned().unwrap_or_default()
    }

    pub(crate) fn status_writes(&self) -> usize {
        self.lock().status_writes
    }

    pub(crate) fn applied(&self) -> usize {
        self.lock().applied
    }

    /// Waits until an object is as wanted.
    pub(crate) async fn until(&self, collection: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut version = self.version.subscribe();
        let found = async {
            loop {
                let object = self.get(collection, name);
                if wanted(&object) {
                    return object;
                }
                version.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, found).await;
        in_time.unwrap_or_else(|_| panic!("never as wanted: {name}: {:#}", self.get(collection, name)))
    }

    /// Waits until the condition of that type has this reason, and returns its message.
    pub(crate) async fn reason(&self, collection: &str, name: &str, condition: &str, reason: &str) -> String {
        self.told(collection, name, condition, |told| told["reason"] == reason).await
    }

    /// Waits until the condition of that type, of the object's present generation, is as wanted; returns its message.
    pub(crate) async fn told(
        &self,
        collection: &str,
        name: &str,
        condition: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> String {
        let mut version = self.version.subscribe();
        let found = async {
            loop {
                let object = self.get(collection, name);
                let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let current = |told: &&Value| told["observedGeneration"] == object["metadata"]["generation"];
                let told = conditions.iter().filter(current).find(|told| told["type"] == condition && wanted(told));
                if let Some(told) = told {
                    return told["message"].as_str().unwrap().to_owned();
                }
                version.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, found).await.ok();
        in_time
            .unwrap_or_else(|| panic!("{name} never told of {condition}: {:#}", self.get(collection, name)["status"]))
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default();
        let watches = query.split('&').any(|part| part == "watch=true");
        let since: u64 =
            query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")?.parse().ok()).unwrap_or(0);
        if parts.method == Method::PATCH {
            return match path.strip_suffix("/status") {
                Some(path) => self.patch_status(path, &body),
                None => self.apply(&path, &body),
            };
        }
        if parts.method == Method::POST || parts.method == Method::PUT {
            return self.store(path.trim_end_matches("/latchkey"), &body);
        }
        let mut store = self.lock();
        if let Some(code) = store.refused.get(&path) {
            return respond(StatusCode::from_u16(*code).unwrap(), &failure(*code));
        }
        if watches {
            let (sender, receiver) = mpsc::unbounded_channel();
            for (_, _, event) in store.events.iter().filter(|(version, of, _)| *version > since && *of == path) {
                sender.send(event.clone()).unwrap();
            }
            store.watchers.push((path, sender));
            let events = stream::unfold(receiver, |mut receiver| async {
                let event = receiver.recv().await?;
                let line = Bytes::from(format!("{event}\n"));
                Some((Ok(Frame::data(line)), receiver))
            });
            return Response::new(BodyExt::boxed(StreamBody::new(events)));
        }
        if let Some(objects) = store.objects.get(&path) {
            return store.list(&objects.values().cloned().collect::<Vec<_>>());
        }
        let (collection, name) = path.rsplit_once('/').unwrap();
        match store.objects.get(collection).and_then(|objects| objects.get(name)) {
            Some(object) => respond(StatusCode::OK, object),
            None if collection.contains("/v1") && path.ends_with('s') => store.list(&[]),
            None => respond(StatusCode::NOT_FOUND, &failure(404)),
        }
    }

    /// A lease; its holder is alone here, so nothing can conflict.
    fn store(&self, collection: &str, body: &[u8]) -> Answer {
        let mut object: Value = serde_json::from_slice(body).unwrap();
        let mut store = self.lock();
        store.version += 1;
        object["metadata"]["resourceVersion"] = json!(store.version.to_string());
        let answer = respond(StatusCode::OK, &object);
        store.objects.entry(collection.to_owned()).or_default().insert("latchkey".to_owned(), object);
        answer
    }

    /// Server-side apply of a whole object of one owner: what it has is what was applied last.
    fn apply(&self, path: &str, body: &[u8]) -> Answer {
        let (collection, name) = path.rsplit_once('/').unwrap();
        let mut object: Value = serde_json::from_slice(body).unwrap();
        let mut store = self.lock();
        store.version += 1;
        store.applied += 1;
        let version = store.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        store.publish(collection, "MODIFIED", name, object.clone());
        drop(store);
        self.version.send_replace(version);
        respond(StatusCode::OK, &object)
    }

    fn patch_status(&self, path: &str, body: &[u8]) -> Answer {
        let (collection, name) = path.rsplit_once('/').unwrap();
        let given: Value = serde_json::from_slice(body).unwrap();
        let mut store = self.lock();
        let Some(mut object) = store.objects.get(collection).and_then(|objects| objects.get(name)).cloned() else {
            return respond(StatusCode::NOT_FOUND, &failure(404));
        };
        if given["metadata"]["uid"] != object["metadata"]["uid"] {
            return respond(StatusCode::CONFLICT, &failure(409));
        }
        store.status_writes += 1;
        if object["status"] != given["status"] {
            store.version += 1;
            let version = store.version;
            object["status"] = given["status"].clone();
            object["metadata"]["resourceVersion"] = json!(version.to_string());
            store.publish(collection, "MODIFIED", name, object.clone());
            self.version.send_replace(version);
        }
        respond(StatusCode::OK, &object)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }
}

impl Store {
    fn publish(&mut self, collection: &str, event: &str, name: &str, mut object: Value) {
        let (version, kind) = match collection {
            SECRETS => ("v1", "Secret"),
            FLEET => ("config.concierge.latchkey.dev/v1alpha1", "FleetCluster"),
            JWT => ("authentication.concierge.latchkey.dev/v1alpha1", "JWTAuthenticator"),
            _ => ("authentication.concierge.latchkey.dev/v1alpha1", "WebhookAuthenticator"),
        };
        (object["apiVersion"], object["kind"]) = (json!(version), json!(kind));
        self.send(collection, event, &object);
        self.objects.entry(collection.to_owned()).or_default().insert(name.to_owned(), object);
    }

    fn send(&mut self, collection: &str, event: &str, object: &Value) {
        let event = json!({"type": event, "object": object});
        self.events.push((self.version, collection.to_owned(), event.clone()));
        self.watchers.retain(|(path, watcher)| path != collection || watcher.send(event.clone()).is_ok());
    }

    fn list(&self, items: &[Value]) -> Answer {
        let metadata = json!({"resourceVersion": self.version.to_string()});
        respond(StatusCode::OK, &json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}))
    }
}

fn failure(code: u16) -> Value {
    let reason = if code == 404 { "NotFound" } else { "Conflict" };
    json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": "", "reason": reason})
}

fn respond(status: StatusCode, body: &Value) -> Answer {
    let body = http_body_util::Full::new(Bytes::from(body.to_string()));
    Response::builder().status(status).body(body.boxed()).unwrap()
}

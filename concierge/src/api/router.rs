//! The list of what every request passes, in order, and where it goes from there.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{
    Api,
    authorize::Action,
    caller::{Caller, Via},
    exchange::Received,
    negotiation::{Offer, negotiate},
    request_header::{Finding, bearer_token, forwarded_for},
    respond::{self, Problem},
    token_credential_request, who_am_i_request,
};
use crate::{runtime::http_server::PeerAddress, secret::BearerToken, tls::client_chain::ClientChain};

/// A place among the requests in hand. It is given back when the last clone goes.
#[derive(Clone, Debug)]
pub struct Slot(#[expect(dead_code, reason = "held, never read")] Arc<OwnedSemaphorePermit>);

/// Requests in hand at once.
#[derive(Debug)]
pub(super) struct Slots {
    exchanges: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

/// Exchanges in hand. At 0.1 ms of computation each that is a second's work of one core in 0.03 s; what is above would
/// only wait for the processor, or for the cluster's signer, which takes 32 at once.
const EXCHANGES: usize = 256;
/// Everything else in hand, apart from the exchanges: a flood of logins must not make the API server's discovery fail,
/// for then the whole group counts as unavailable.
const OTHERS: usize = 256;
/// Longest time for one request, its body included. Below the aggregator's 60 s, so that the client sees our answer, and
/// above the longest wait for the cluster's signer.
const DEADLINE: Duration = Duration::from_secs(15);
/// Kubernetes' header that joins the records of one request.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// Longest audit id that is believed; kube-apiserver has the same limit.
const MAX_AUDIT_ID: usize = 64;
/// What is kept of a client's name for itself.
const MAX_USER_AGENT: usize = 256;

/// Everything that this server serves.
pub fn router(api: Arc<Api>) -> Router {
    let [login, identity] = &api.resources;
    let resources = Router::new()
        .route(&login.path, get(token_credential_request::list).post(token_credential_request::create))
        .route(&identity.path, get(who_am_i_request::list).post(who_am_i_request::create));
    let documents = Router::new()
        .route("/apis", get(groups))
        .route("/openapi/v2", get(openapi_v2))
        .route("/openapi/v3", get(openapi_v3))
        .route("/openapi/v3/{*path}", get(openapi_of_group))
        .merge(api.discovery.by_path.keys().fold(Router::new(), |router, path| router.route(path, get(discovery))));
    // The layer added last is the first to see a request.
    let guarded = resources
        .merge(documents)
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(from_fn_with_state(Arc::clone(&api), authorize))
        .layer(from_fn_with_state(Arc::clone(&api), authenticate))
        .layer(from_fn_with_state(Arc::clone(&api), admit))
        .layer(from_fn(limit_time));
    // The probes need no credentials and no slot: a replica that is busy is still alive.
    let probes = Router::new()
        .route("/healthz", get(async || respond::probe(Ok(()))))
        .route("/livez", get(async || respond::probe(Ok(()))))
        .route("/readyz", get(readyz));
    Router::new()
        .merge(probes)
        .fallback_service(guarded.with_state(Arc::clone(&api)))
        .layer(from_fn_with_state(Arc::clone(&api), observe))
        .with_state(api)
}

// === what every request passes, outermost first ===

/// Gives the request its audit id, catches a panic, counts and logs what became of it.
async fn observe(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let received = received(&api, &request);
    let route = api.route_of(request.uri().path());
    let method = request.method().clone();
    request.extensions_mut().insert(received.clone());
    // The panic hook has logged and counted it; here the connection is kept and the client told (500).
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut answer = answer.unwrap_or_else(|_| Problem::Internal.into_response());
    if let Ok(audit_id) = HeaderValue::from_str(&received.audit_id) {
        answer.headers_mut().insert(AUDIT_ID, audit_id);
    }
    let status = answer.status().as_u16();
    api.exchange.metrics.request(route, status);
    tracing::debug!(audit_id = received.audit_id, %method, route, status, "Request");
    answer
}

/// Ends what takes too long. An exchange goes on behind it and is recorded.
async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => Problem::TimedOut.into_response(),
    }
}

/// Takes a slot, or sheds the request.
async fn admit(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let slots = if request.uri().path() == api.resources[0].path { &api.slots.exchanges } else { &api.slots.others };
    let Ok(permit) = Arc::clone(slots).try_acquire_owned() else {
        api.exchange.metrics.request_shed();
        return Problem::TooManyRequests.into_response();
    };
    let slot = Slot(Arc::new(permit));
    request.extensions_mut().insert(slot.clone());
    let answer = next.run(request).await;
    drop(slot);
    answer
}

/// Finds out who asks, and takes every header that could name somebody else out of the request.
async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let Some(config) = api.front_proxy.borrow().clone() else {
        return Problem::Unavailable("callers cannot be recognised yet").into_response();
    };
    let chain = request.extensions().get::<ClientChain>();
    let finding = config.find(chain, request.headers(), api.exchange.clock.now());
    let token = bearer_token(request.headers());
    if matches!(&finding, Finding::Caller(Caller { via: Via::FrontProxy, .. })) {
        let forwarded = forwarded_for(request.headers());
        if let Some(received) = request.extensions_mut().get_mut::<Received>() {
            received.forwarded = forwarded;
        }
    }
    config.strip(request.headers_mut());
    match caller(&api, finding, token).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Asks whether the caller may.
async fn authorize(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return Problem::Internal.into_response();
    };
    let action = Action::of(&request);
    match api.access_reviews.allow(&caller, &action).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn caller(api: &Api, finding: Finding, token: Option<BearerToken>) -> Result<Caller, Problem> {
    match (finding, token) {
        (Finding::Caller(caller), _) => Ok(caller),
        (Finding::Anonymous, _) => Ok(Caller::anonymous()),
        (Finding::Token, Some(token)) => api.token_reviews.caller(&token).await,
        (Finding::Token, None) => Err(Problem::Unauthorized),
        (Finding::Refused(refused), _) => {
            tracing::info!(reason = %refused, "Refused a client certificate");
            Err(Problem::Unauthorized)
        }
    }
}

fn received(api: &Api, request: &Request) -> Received {
    Received {
        audit_id: audit_id(request.headers()),
        peer: request.extensions().get::<PeerAddress>().map(|peer| peer.0),
        forwarded: None,
        user_agent: request
            .headers()
            .get(header::USER_AGENT)
            .map(|agent| String::from_utf8_lossy(agent.as_bytes()).chars().take(MAX_USER_AGENT).collect()),
        at: api.exchange.clock.now(),
    }
}

/// The id that kube-apiserver gave the request, so that its audit log and ours join; a new one if there is none that may
/// be believed.
fn audit_id(headers: &HeaderMap) -> String {
    let legal = |id: &&str| {
        (1..=MAX_AUDIT_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let given = headers.get(AUDIT_ID).and_then(|id| id.to_str().ok()).filter(legal);
    given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

// === where it goes from there ===

async fn readyz(State(api): State<Arc<Api>>) -> Response {
    // What is missing is for the admin listener to tell, not for everybody.
    respond::probe(if api.readiness.is_ready() { Ok(()) } else { Err("not ready".to_owned()) })
}

async fn groups(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    match negotiate(&headers, &[Offer::Json, Offer::Discovery]).ok_or(Problem::NotAcceptable)? {
        Offer::Discovery => Ok(api.discovery.aggregated.answer(&headers, false)),
        Offer::Json | Offer::Table => Ok(api.discovery.groups.answer(&headers, false)),
    }
}

async fn discovery(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    negotiate(request.headers(), &[Offer::Json]).ok_or(Problem::NotAcceptable)?;
    let document = api.discovery.by_path.get(request.uri().path()).ok_or(Problem::NotFound)?;
    Ok(document.answer(request.headers(), false))
}

async fn openapi_v2(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    negotiate(&headers, &[Offer::Json]).ok_or(Problem::NotAcceptable)?;
    Ok(api.openapi.v2.answer(&headers, false))
}

async fn openapi_v3(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    negotiate(&headers, &[Offer::Json]).ok_or(Problem::NotAcceptable)?;
    Ok(api.openapi.v3.answer(&headers, false))
}

async fn openapi_of_group(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    negotiate(request.headers(), &[Offer::Json]).ok_or(Problem::NotAcceptable)?;
    let document = api.openapi.by_path.get(request.uri().path()).ok_or(Problem::NotFound)?;
    // The index links to the hash; a client that brings it may keep the document for ever.
    let current = format!("hash={}", document.hash());
    let immutable = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == current));
    Ok(document.answer(request.headers(), immutable))
}

// === impl Slots ===

impl Default for Slots {
    fn default() -> Self {
        Self { exchanges: Arc::new(Semaphore::new(EXCHANGES)), others: Arc::new(Semaphore::new(OTHERS)) }
    }
}

impl Api {
    /// The template of a path, for a metric label: a closed list.
    fn route_of(&self, path: &str) -> &'static str {
        match path {
            _ if path == self.resources[0].path => self.resources[0].plural,
            _ if path == self.resources[1].path => self.resources[1].plural,
            "/healthz" | "/livez" | "/readyz" => "probe",
            "/apis" => "discovery",
            _ if self.discovery.by_path.contains_key(path) => "discovery",
            _ if path.starts_with("/openapi/") => "openapi",
            _ => "other",
        }
    }
}

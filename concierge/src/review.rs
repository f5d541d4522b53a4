//! The `TokenReview` webhook: kube-apiserver asks it whose a bearer token is (`--authentication-token-webhook-config-file`).
//!
//! Every token that no authenticator before it knows ends up here, most of them none of ours: they are told by the
//! issuer that they claim, answered at once, counted, and never logged. A token of one of our issuers is judged by all its
//! `JWTAuthenticator`s, and each verdict is recorded. `WebhookAuthenticator`s are not asked: their server may well ask an API
//! server in turn, and the question would come round again; and the API server that asks us can ask it directly.
//!
//! The API server remembers what we say, by default for two minutes: a plain no is final, and where we cannot tell, an
//! error keeps it from remembering that (kubernetes-authn 6.2).

mod caller;
mod decide;
pub mod files;
mod respond;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use futures::FutureExt as _;
use http::header;
use http_body_util::{BodyExt as _, Collected, Limited};
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::{
    caller::Callers,
    decide::{Decision, decide},
    respond::Problem,
};
use crate::{
    audit::{
        event::{Event, Exchange, Outcome},
        rejections::Rejections,
        sink::{AuditLog, AuditUnavailable},
    },
    authn::{Admitted, JudgedBy, Verdict},
    index::{Reader, RefreshRequester},
    mapping::GroupName,
    runtime::{http_server::PeerAddress, metrics::Metrics},
    time::{Clock, UnixTime},
    token_review::{MAX_QUESTION_BYTES, Question, Reply, UserInfo, Version, answer, read_question},
    verdicts::Verdicts,
};

/// Where questions are posted to.
pub const PATH: &str = "/token-review";

/// Questions in hand at once. One takes a tenth of a millisecond of computation; only those that wait for keys or for
/// the audit log take longer.
const AT_ONCE: usize = 256;

/// Longest time for one question, its body included: two seconds for keys, five for the audit log, and below the thirty
/// that the API server waits.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is kept of the API server's name for itself.
const MAX_USER_AGENT: usize = 256;

/// Said with every answer that decides nothing: why is for our own records.
const UNDECIDED: &str = "temporarily unable to decide";

/// What the listener needs.
pub struct Settings {
    /// Who may ask.
    pub callers: Callers,
    /// The authenticators in force.
    pub index: Reader,
    /// For keys that the index does not have yet.
    pub refresh: RefreshRequester,
    /// The judge, who remembers.
    pub verdicts: Verdicts,
    /// Who records.
    pub audit: AuditLog,
    /// Who shows refusals in the cluster.
    pub rejections: Rejections,
    /// Who counts.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

pub use self::caller::Callers as AllowedCallers;

struct Review {
    settings: Settings,
    slots: Semaphore,
}

/// Where and when a question came from.
struct Received {
    audit_id: String,
    peer: Option<std::net::SocketAddr>,
    user_agent: Option<String>,
    at: UnixTime,
}

/// The listener's routes: one.
pub fn router(settings: Settings) -> Router {
    let review = Arc::new(Review { settings, slots: Semaphore::new(AT_ONCE) });
    Router::new()
        .route(PATH, post(handle))
        .fallback(async || respond::problem(&Problem::NotFound, ""))
        .method_not_allowed_fallback(async || respond::problem(&Problem::MethodNotAllowed, ""))
        .with_state(review)
}

async fn handle(State(review): State<Arc<Review>>, request: Request) -> Response {
    let received = review.received(&request);
    let work = AssertUnwindSafe(tokio::time::timeout(DEADLINE, review.answer(request, &received))).catch_unwind();
    let answer = match work.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Problem::TimedOut),
        // The panic hook has logged and counted it.
        Err(_) => Err(Problem::Internal),
    };
    let response = match &answer {
        Ok(body) => respond::review(body.clone(), &received.audit_id),
        Err(problem) => respond::problem(problem, &received.audit_id),
    };
    review.settings.metrics.request("token-review", response.status().as_u16());
    response
}

impl Review {
    fn received(&self, request: &Request) -> Received {
        Received {
            audit_id: Uuid::new_v4().to_string(),
            peer: request.extensions().get::<PeerAddress>().map(|peer| peer.0),
            user_agent: request
                .headers()
                .get(header::USER_AGENT)
                .map(|agent| String::from_utf8_lossy(agent.as_bytes()).chars().take(MAX_USER_AGENT).collect()),
            at: self.settings.clock.now(),
        }
    }

    async fn answer(&self, request: Request, received: &Received) -> Result<String, Problem> {
        let Ok(_slot) = self.slots.try_acquire() else {
            self.settings.metrics.request_shed();
            return Err(Problem::TooManyRequests);
        };
        // Not by its network that we know the API server: whoever may ask can find out what a stolen token is worth.
        self.settings.callers.admit(request.extensions(), received.at)?;
        let question = read_question(&body(request.into_body()).await?).map_err(Problem::Malformed)?;
        let Settings { index, refresh, verdicts, clock, .. } = &self.settings;
        match decide(&question.token, index, refresh, verdicts, clock.as_ref()).await {
            Decision::Foreign => {
                self.settings.metrics.review_foreign();
                Ok(answer(question.version, &Reply::Refused))
            }
            Decision::Judged(verdict) => Ok(self.judged(&question, &verdict, received).await),
            Decision::Undecided(verdict) => {
                self.refused(&verdict, received);
                Ok(undecided(question.version))
            }
        }
    }

    async fn judged(&self, question: &Question, verdict: &Verdict, received: &Received) -> String {
        let Ok(admitted) = &verdict.outcome else {
            self.refused(verdict, received);
            return answer(question.version, &Reply::Refused);
        };
        // Recorded before it is said, as every yes of ours.
        let event = self.event(Outcome::Accepted, verdict, received);
        if let Err(unavailable) = self.settings.audit.record(event).await {
            tracing::error!(error = %unavailable, audit_id = received.audit_id, "Withheld a verdict");
            self.tell(AuditUnavailable::CODE, verdict, received);
            return undecided(question.version);
        }
        self.tell("accepted", verdict, received);
        yes(question, verdict, admitted)
    }

    fn refused(&self, verdict: &Verdict, received: &Received) {
        let Err(reason) = &verdict.outcome else { return };
        let (code, detail, discreet) = (reason.code(), reason.to_string(), reason.discreet());
        let outcome = Outcome::Refused { code, detail: &detail, discreet: &discreet };
        let event = self.event(outcome, verdict, received);
        self.settings.audit.record_refusal(event);
        self.tell(code, verdict, received);
    }

    fn tell(&self, code: &'static str, verdict: &Verdict, received: &Received) {
        let authenticator = verdict.authenticator.as_ref().map_or("", |by| by.name().as_str());
        self.settings.metrics.review(code, authenticator);
        if let Some(replay) = verdict.cross_cluster(self.settings.clock.now()) {
            self.settings.metrics.cross_cluster(authenticator, replay.cluster.as_str(), replay.state.as_str());
        }
        let fingerprint = verdict.facts.fingerprint.map(|fingerprint| fingerprint.to_string());
        tracing::info!(audit_id = received.audit_id, code, authenticator, fingerprint, "Token review");
    }

    fn event(&self, outcome: Outcome<'_>, verdict: &Verdict, received: &Received) -> Event {
        let now = self.settings.clock.now();
        let review = Exchange {
            audit_id: &received.audit_id,
            peer: received.peer,
            forwarded: None,
            user_agent: received.user_agent.as_deref(),
            verdict,
            outcome,
            latency: now.since(received.at),
        };
        let event = Event::review(now, &review);
        self.settings.rejections.note(&review, event.severity());
        event
    }
}

async fn body(body: Body) -> Result<bytes::Bytes, Problem> {
    let collected = Limited::new(body, MAX_QUESTION_BYTES).collect().await;
    collected.map(Collected::to_bytes).map_err(|error| {
        let too_large = error.downcast_ref::<http_body_util::LengthLimitError>().is_some();
        if too_large { Problem::TooLarge } else { Problem::Broken }
    })
}

fn undecided(version: Version) -> String {
    answer(version, &Reply::Undecided(UNDECIDED))
}

/// The audiences that a yes is good for: those asked for that the token names and its authenticator accepts. If there are
/// none, an empty list: then it is good for the API server's own, and for nobody else who may have asked through it.
fn yes(question: &Question, verdict: &Verdict, admitted: &Admitted) -> String {
    let named = verdict.facts.verified.as_ref().map_or(&[][..], |claims| claims.aud.as_slice());
    let accepted = match &verdict.authenticator {
        Some(JudgedBy::Jwt(authenticator)) => Some(&authenticator.verifier.profile().audiences),
        Some(JudgedBy::NotReady(_) | JudgedBy::Webhook(_)) | None => None,
    };
    let audiences = question.audiences.iter().map(String::as_str).filter(|asked| {
        let is_ours = accepted.is_some_and(|ours| ours.iter().any(|audience| audience.as_str() == *asked));
        is_ours && named.iter().any(|audience| audience == asked)
    });
    let user = UserInfo {
        username: admitted.user.username().as_str(),
        uid: admitted.user.uid().unwrap_or_default(),
        groups: admitted.user.groups().iter().map(GroupName::as_str).collect(),
        extra: admitted.user.extra(),
    };
    answer(question.version, &Reply::Authenticated { user, audiences: audiences.collect() })
}

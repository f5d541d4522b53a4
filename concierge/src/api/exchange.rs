//! The exchange itself, one screen: judge the token, ask for leave, have a credential made, record, answer.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use latchkey_crds::login::{ClusterCredential, ExpectedSubject, TokenCredentialRequestStatus};

use super::{
    respond::{Invalid, Problem},
    sealed::Sealed,
};
use crate::{
    audit::{
        event::{CredentialFacts, Event, Exchange as Recorded, Outcome},
        rejections::Rejections,
        sink::{AuditLog, AuditUnavailable},
    },
    authn::{self, Admitted, JudgedBy, Reason, Verdict},
    credential::{CertificateRequest, Credential},
    distributed,
    index::{AskError, AuthenticatorKind, AuthenticatorRef, Entry, FetchClaimError, Reader, RefreshRequester, Webhook},
    jwt::{Rejection, TokenFacts},
    policy,
    runtime::metrics::Metrics,
    secret::BearerToken,
    strategies::{IssueError, Strategies},
    text::clean,
    time::{Clock, UnixTime},
    verdicts::Verdicts,
};

/// Everything that an exchange needs.
#[derive(Clone)]
pub struct Exchange {
    /// The authenticators in force.
    pub index: Reader,
    /// For keys that the index does not have yet.
    pub refresh: RefreshRequester,
    /// The judge, who remembers.
    pub verdicts: Verdicts,
    /// Who signs.
    pub strategies: Strategies,
    /// Who records.
    pub audit: AuditLog,
    /// Who shows refusals in the cluster.
    pub rejections: Rejections,
    /// Who counts.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// A well-formed request, parsed.
#[derive(Debug)]
pub struct Request {
    /// The token to be exchanged.
    pub token: BearerToken,
    /// By whom it shall be judged; `None` if what was named cannot exist.
    pub authenticator: Option<AuthenticatorRef>,
    /// A PKCS#10 request in PEM, not yet looked at.
    pub certificate_request: Option<String>,
    /// The API group, for errors.
    pub group: String,
}

/// Where and when the request came from.
#[derive(Clone, Debug)]
pub struct Received {
    /// Kubernetes' audit id.
    pub audit_id: String,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// Whom the front proxy had before it; only where its certificate was verified.
    pub forwarded: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// When its body had been read.
    pub at: UnixTime,
}

/// Why there is no credential: the code, the operator's sentence, and the same without names.
struct Said<'a> {
    code: &'static str,
    detail: &'a str,
    discreet: &'a str,
}

/// What was decided, and not yet recorded.
struct Settled {
    sealed: Sealed<Answer>,
    /// For a grant, what it rests on: only when it is recorded is it known, and told, whether it is one.
    grant: Option<Verdict>,
}

/// What the client gets: a status, or a problem with the request.
pub type Answer = Result<TokenCredentialRequestStatus, Problem>;

/// The one sentence for every refusal: no reason, no issuer, no key id.
const REFUSED: &str = "authentication failed";
/// How often a token is put to a webhook whose spec changes while it is asked; then it counts as not ready.
const ASKED_AGAIN: usize = 2;
/// How often one exchange is judged, should its authenticator change each time while the credential is made; then it
/// counts as not ready. Each round may take the signer's ten seconds, and the aggregation layer waits 60 s for us.
const ROUNDS: usize = 3;
/// Longest sentence in the log. It may quote a token's issuer and audience: enough of it for a person, not for a flood.
const MAX_DETAIL: usize = 256;
/// The code of a credential that was handed out.
const GRANTED: &str = "granted";
/// A code of the request's own making, beside those of the judge and of the signers.
const BAD_CERTIFICATE_REQUEST: &str = "certificate-request-malformed";

// === impl Exchange ===

impl Exchange {
    /// Runs one exchange to its end.
    ///
    /// # Errors
    /// A [`Problem`] with the request's own certificate request, or with us. A refused token is no error.
    pub async fn run(self, request: Request, received: Received) -> Answer {
        let Settled { sealed, grant } = self.settle(&request, &received).await;
        let opened = sealed.open(&self.audit).await;
        if let Some(verdict) = grant {
            let code = if opened.is_ok() { GRANTED } else { AuditUnavailable::CODE };
            self.tell(&Said { code, detail: "", discreet: "" }, &verdict, &received);
        }
        opened.unwrap_or_else(|unavailable| {
            tracing::error!(error = %unavailable, audit_id = received.audit_id, "Withheld a credential");
            Err(Problem::Unavailable("the exchange cannot be recorded at the moment"))
        })
    }

    /// Judges, has the credential made, and looks whether the judge is still the same: a signer may take seconds, and
    /// what only a spec from before allowed, or only a key since withdrawn had signed, is handed out no more. The look
    /// comes last, so whatever changes after it counts as later than the grant.
    async fn settle(&self, request: &Request, received: &Received) -> Settled {
        let mut verdict = self.judge(request).await;
        let mut made: Option<(Admitted, Credential)> = None;
        for _ in 0..ROUNDS {
            let admitted = match &verdict.outcome {
                Ok(admitted) => admitted.clone(),
                Err(reason) => return self.refuse_for(reason, &verdict, received).into(),
            };
            // One that was made for the same user and the same life is as good as another.
            let credential = match made.take().filter(|(holder, _)| *holder == admitted) {
                Some((_, credential)) => credential,
                None => match self.make(&admitted, &verdict, request, received).await {
                    Ok(credential) => credential,
                    Err(refusal) => return refusal.into(),
                },
            };
            if self.stands(&verdict, request) {
                let sealed = self.granted(&credential, &verdict, received);
                return Settled { sealed, grant: Some(verdict) };
            }
            made = Some((admitted, credential));
            verdict = self.judge(request).await;
        }
        match &verdict.outcome {
            // A credential that nobody got goes with this frame, its key wiped.
            Ok(_) => self.refuse_for(&Reason::AuthenticatorNotReady, &verdict, received).into(),
            Err(reason) => self.refuse_for(reason, &verdict, received).into(),
        }
    }

    /// Whether the authenticator that judged is still in force, with the same spec and the same keys.
    fn stands(&self, verdict: &Verdict, request: &Request) -> bool {
        let now = self.index.snapshot();
        match (&verdict.authenticator, request.authenticator.as_ref().and_then(|named| now.entry(named))) {
            (Some(JudgedBy::Jwt(then)), Some(Entry::Ready(now))) => Arc::ptr_eq(then, now),
            (Some(JudgedBy::Webhook(then)), Some(Entry::Webhook(now))) => Arc::ptr_eq(then, now),
            _ => false,
        }
    }

    /// Judges the token; where only its key is unknown, once more with fresh keys. Judging is computation of some ten to
    /// a hundred microseconds and stays on the task's thread: the number of exchanges in hand bounds it, and handing it to
    /// another thread would cost about as much.
    async fn judge(&self, request: &Request) -> Verdict {
        let Some(authenticator) = &request.authenticator else {
            return Verdict {
                facts: TokenFacts { bytes: request.token.len(), ..TokenFacts::default() }.into(),
                authenticator: None,
                outcome: Err(Reason::AuthenticatorUnknown),
            };
        };
        if authenticator.kind == AuthenticatorKind::WebhookAuthenticator
            && let Some(verdict) = self.ask(request, authenticator).await
        {
            return verdict;
        }
        let verdict = self.look(request, authenticator).await;
        if let Err(Reason::Token(Rejection::KeyUnknown { key_id })) = &verdict.outcome
            && self.refresh.request(&authenticator.name, key_id.as_ref()).await
        {
            return self.look(request, authenticator).await;
        }
        verdict
    }

    /// Asks the webhook whose token it is; `None` if there is none to ask. Nothing is remembered: only the webhook knows
    /// when its tokens end, and it may take one back at any time.
    async fn ask(&self, request: &Request, authenticator: &AuthenticatorRef) -> Option<Verdict> {
        for _ in 0..ASKED_AGAIN {
            let webhook = self.webhook(authenticator)?;
            let word = webhook.door.ask(&request.token).await;
            // Should the spec have changed meanwhile, what its old generation allowed counts no more.
            if self.webhook(authenticator).is_some_and(|now| Arc::ptr_eq(&now, &webhook)) {
                return Some(authn::by_webhook(&request.token, &webhook, word));
            }
        }
        None
    }

    fn webhook(&self, authenticator: &AuthenticatorRef) -> Option<Arc<Webhook>> {
        match self.index.snapshot().entry(authenticator) {
            Some(Entry::Webhook(webhook)) => Some(Arc::clone(webhook)),
            Some(Entry::Ready(_) | Entry::NotReady(_)) | None => None,
        }
    }

    async fn look(&self, request: &Request, authenticator: &AuthenticatorRef) -> Verdict {
        let snapshot = self.index.snapshot();
        let verdict = self.verdicts.authenticate(&request.token, authenticator, &snapshot, self.clock.now());
        distributed::completed(verdict, &request.token, &self.verdicts, self.clock.as_ref()).await
    }

    /// The token is good: has a credential made for its user, or says why there is none.
    async fn make(
        &self,
        admitted: &Admitted,
        verdict: &Verdict,
        request: &Request,
        received: &Received,
    ) -> Result<Credential, Sealed<Answer>> {
        let permit = policy::may_hold_certificate(admitted.user.clone()).map_err(|reason| {
            let said = Said { code: reason.code(), detail: &reason.to_string(), discreet: &reason.discreet() };
            self.refuse(Ok(message(REFUSED)), verdict, &said, received)
        })?;
        // Only now: a certificate request costs a signature check, which a stranger shall not have for nothing.
        let certificate_request = request.certificate_request.as_deref().map(CertificateRequest::parse).transpose();
        let certificate_request = certificate_request.map_err(|error| {
            let text = error.to_string();
            let problem = invalid_certificate_request(&request.group, &text);
            let said = Said { code: BAD_CERTIFICATE_REQUEST, detail: &text, discreet: &text };
            self.refuse(Err(problem), verdict, &said, received)
        })?;
        let made = self.strategies.issue(permit, certificate_request, admitted.credential_lifetime).await;
        made.map_err(|error| {
            let answer = match &error {
                IssueError::SubjectDiffers(subject) => Ok(TokenCredentialRequestStatus {
                    message: Some(error.to_string()),
                    expected_subject: Some(ExpectedSubject {
                        common_name: subject.common_name.clone(),
                        organizations: subject.organizations.clone(),
                    }),
                    ..TokenCredentialRequestStatus::default()
                }),
                IssueError::Overloaded => Err(Problem::TooManyRequests),
                IssueError::Refused(_) | IssueError::TimedOut | IssueError::Unavailable => Ok(message(REFUSED)),
            };
            let said = Said { code: error.code(), detail: &error.to_string(), discreet: &error.discreet() };
            self.refuse(answer, verdict, &said, received)
        })
    }

    fn granted(&self, credential: &Credential, verdict: &Verdict, received: &Received) -> Sealed<Answer> {
        let facts = CredentialFacts {
            strategy: credential.strategy.as_str(),
            serial: credential.serial.clone(),
            sha256: credential.sha256.clone(),
            not_before: credential.not_before.to_string(),
            not_after: credential.not_after.to_string(),
        };
        let status = TokenCredentialRequestStatus {
            credential: Some(ClusterCredential {
                expiration_timestamp: Some(credential.not_after.to_string()),
                token: None,
                client_certificate_data: Some(credential.certificate_pem.clone()),
                client_key_data: credential.private_key_pem.as_ref().map(|key| key.to_string()),
            }),
            ..TokenCredentialRequestStatus::default()
        };
        let latency = self.clock.now().since(received.at);
        let event = self.event(Outcome::Granted(facts), verdict, received, latency);
        Sealed::grant(Ok(status), event)
    }

    fn refuse_for(&self, reason: &Reason, verdict: &Verdict, received: &Received) -> Sealed<Answer> {
        let answer = match reason {
            // Not a word about the token: the client should come again.
            Reason::Webhook(AskError::Overloaded) | Reason::ClaimNotFetched(FetchClaimError::Overloaded) => {
                Err(Problem::TooManyRequests)
            }
            _ => Ok(message(REFUSED)),
        };
        let said = Said { code: reason.code(), detail: &reason.to_string(), discreet: &reason.discreet() };
        self.refuse(answer, verdict, &said, received)
    }

    fn refuse(&self, answer: Answer, verdict: &Verdict, said: &Said<'_>, received: &Received) -> Sealed<Answer> {
        let latency = self.tell(said, verdict, received);
        let Said { code, detail, discreet } = *said;
        Sealed::refusal(answer, self.event(Outcome::Refused { code, detail, discreet }, verdict, received, latency))
    }

    /// One log line and one count for each exchange. Who it was is for the record to say, by the audit id: the log has
    /// other readers, and names nobody.
    fn tell(&self, &Said { code, discreet, .. }: &Said<'_>, verdict: &Verdict, received: &Received) -> Duration {
        let latency = self.clock.now().since(received.at);
        // Only names of authenticators that exist: a made-up name would be a series of its own.
        let authenticator = match &verdict.authenticator {
            None => Cow::Borrowed(""),
            Some(judge) => match judge.kind() {
                AuthenticatorKind::JWTAuthenticator => Cow::Borrowed(judge.name().as_str()),
                // The two kinds may share a name, and no name holds a slash.
                AuthenticatorKind::WebhookAuthenticator => Cow::Owned(format!("webhook/{}", judge.name())),
            },
        };
        self.metrics.exchange(code, &authenticator, latency);
        if let Some(replay) = verdict.cross_cluster(self.clock.now()) {
            self.metrics.cross_cluster(&authenticator, replay.cluster.as_str(), replay.state.as_str());
        }
        let fingerprint = verdict.facts.fingerprint.map(|fingerprint| fingerprint.to_string());
        tracing::info!(
            audit_id = received.audit_id,
            code,
            detail = (!discreet.is_empty()).then(|| clean(discreet, MAX_DETAIL)),
            %authenticator,
            fingerprint,
            latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            "Exchange"
        );
        latency
    }

    fn event(&self, outcome: Outcome<'_>, verdict: &Verdict, received: &Received, latency: Duration) -> Event {
        let exchange = Recorded {
            audit_id: &received.audit_id,
            peer: received.peer,
            forwarded: received.forwarded,
            user_agent: received.user_agent.as_deref(),
            verdict,
            outcome,
            latency,
        };
        let event = Event::exchange(self.clock.now(), &exchange);
        self.rejections.note(&exchange, event.severity());
        event
    }
}

// === impl Settled ===

impl From<Sealed<Answer>> for Settled {
    fn from(refusal: Sealed<Answer>) -> Self {
        Self { sealed: refusal, grant: None }
    }
}

fn message(text: &str) -> TokenCredentialRequestStatus {
    TokenCredentialRequestStatus { message: Some(text.to_owned()), ..TokenCredentialRequestStatus::default() }
}

fn invalid_certificate_request(group: &str, text: &str) -> Problem {
    Problem::Invalid(Invalid {
        kind: latchkey_crds::login::KIND,
        group: group.to_owned(),
        field: "spec.certificateSigningRequest",
        cause: "FieldValueInvalid",
        message: format!("Invalid value: {text}"),
    })
}

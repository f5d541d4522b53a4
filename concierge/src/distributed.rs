//! Fetches the claims that tokens refer to (distributed claims, OIDC Core 5.6.2), and has such a token judged once more.
//!
//! Who may be asked is the administrator's list of origins; the judge has held the endpoint against it before anybody gets
//! here. Nothing is followed and nothing is believed that is not signed: the answer is a JWT, of the authenticator's own
//! issuer or of one whose origin is on the same list, for an audience of ours, and not over (kubernetes-authn 3.3).
//! Unlike kube-apiserver, which has none of these: a list, limits in bytes, time and number, and a short memory in `verdicts`.

mod issuers;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use rustls_pki_types::CertificateDer;
use tokio::sync::Semaphore;

use self::issuers::{IssuerProblem, Issuers};
use crate::{
    authn::{JudgedBy, Reason, Verdict},
    idp::{
        http::{ClientError, FetchError, HttpsUrl, IssuerClient, Limits, UrlError},
        proxy::Proxies,
    },
    index::{Authenticator, FetchClaim, FetchClaimError},
    jwt::{self, Json, MAX_CLAIMS_BYTES, Rejection, SuppliedClaim, VerifiedClaims, peek_claims_issuer},
    mapping::{ClaimSource, Refusal},
    secret::BearerToken,
    time::Clock,
    verdicts::Verdicts,
};

/// How long the server of a claim may take, from name resolution to the last byte: a person waits for it. The keys of
/// another issuer, which are fetched seldom, take as long again at most.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Claims being fetched at once for one authenticator: an eighth of all exchanges in hand (256). What comes beyond is told
/// to come again.
const AT_ONCE: usize = 32;

/// The way to the claims of one authenticator's tokens.
#[derive(Debug)]
pub struct ClaimClient {
    client: Arc<IssuerClient>,
    issuers: Issuers,
    slots: Semaphore,
    clock: Arc<dyn Clock>,
}

/// Why a claim was not given. None of the sentences holds the access token or the URL.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("the claim is not in the answer")]
    Absent,
    #[error("its address {0}")]
    Address(#[from] UrlError),
    #[error("cannot be asked: {0}")]
    Fetch(#[from] FetchError),
    #[error("the answer's issuer: {0}")]
    Issuer(#[from] IssuerProblem),
    #[error("the answer: {0}")]
    Rejected(#[from] Rejection),
    #[error("the answer is another subject's")]
    Subject,
    #[error("the answer is no text")]
    Text,
}

/// `verdict`, if nothing but a claim from elsewhere was wanting in it: fetched, and judged once more with it. Any other
/// verdict as it is.
///
/// The second judging is by the authenticator of the first: whoever acts on it looks whether that one is still in force.
pub async fn completed(verdict: Verdict, token: &BearerToken, verdicts: &Verdicts, clock: &dyn Clock) -> Verdict {
    let (Err(Reason::Identity(Refusal::ClaimElsewhere(source))), Some(JudgedBy::Jwt(by))) =
        (&verdict.outcome, &verdict.authenticator)
    else {
        return verdict;
    };
    let Some(door) = &by.claims else { return verdict };
    match door.fetch(source, by).await {
        Ok(claim) => verdicts.complete(token, by, &claim, clock.now()),
        Err(error) => Verdict { outcome: Err(Reason::ClaimNotFetched(error)), ..verdict },
    }
}

// === impl ClaimClient ===

impl ClaimClient {
    /// A client that trusts `roots`, or the system's if there are none given.
    ///
    /// # Errors
    /// When the roots cannot be used.
    pub fn new(
        roots: Option<&[CertificateDer<'static>]>,
        proxies: &Proxies,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let limits = Limits { total: TIME_LIMIT, ..Limits::default() };
        let client = Arc::new(IssuerClient::through(proxies, roots, limits)?);
        Ok(Self { issuers: Issuers::new(Arc::clone(&client)), client, slots: Semaphore::new(AT_ONCE), clock })
    }

    async fn get(&self, source: &ClaimSource, by: &Authenticator) -> Result<SuppliedClaim, Problem> {
        let url: HttpsUrl = source.endpoint().parse()?;
        let body = self.client.get_as(&url, source.access_token(), MAX_CLAIMS_BYTES).await?;
        let text = std::str::from_utf8(&body).map_err(|_| Problem::Text)?;
        let token = BearerToken::new(text.trim_ascii().to_owned());
        let claimed = peek_claims_issuer(&token)?;
        let claims = if by.verifier.issuer().accepts(claimed.as_hint()) {
            let claims = jwt::verify_claims(&token, &by.verifier, self.clock.now())?;
            // Of one issuer a subject is one person: a claim about another says nothing of this one.
            let about = claims.get("sub").and_then(Json::as_str);
            if about.is_some() && source.subject().is_some() && about != source.subject() {
                return Err(Problem::Subject);
            }
            claims
        } else {
            self.by_other_issuer(&token, claimed.as_hint(), by).await?
        };
        claims.supply(source.claim()).ok_or(Problem::Absent)
    }

    async fn by_other_issuer(
        &self,
        token: &BearerToken,
        issuer: &str,
        by: &Authenticator,
    ) -> Result<VerifiedClaims, Problem> {
        let allowed = by.rules.distributed.as_deref().unwrap_or_default();
        let keys = self.issuers.keys(issuer, allowed, self.clock.as_ref()).await?;
        let verified = |keys| jwt::verify_claims(token, &by.verifier.of_issuer(issuer, keys), self.clock.now());
        match verified(keys) {
            Err(Rejection::KeyUnknown { key_id }) => {
                match self.issuers.fresh_keys(issuer, key_id.as_ref(), self.clock.as_ref()).await {
                    Some(keys) => Ok(verified(keys)?),
                    None => Err(Rejection::KeyUnknown { key_id }.into()),
                }
            }
            other => Ok(other?),
        }
    }
}

impl FetchClaim for ClaimClient {
    fn fetch<'a>(
        &'a self,
        source: &'a ClaimSource,
        by: &'a Authenticator,
    ) -> BoxFuture<'a, Result<SuppliedClaim, FetchClaimError>> {
        async move {
            let Ok(_slot) = self.slots.try_acquire() else { return Err(FetchClaimError::Overloaded) };
            self.get(source, by).await.map_err(|problem| {
                let (authenticator, origin) = (&by.name, source.origin());
                tracing::warn!(%authenticator, %origin, error = %problem, "A claim could not be fetched");
                let (claim, problem) = (source.claim().to_owned(), problem.to_string());
                FetchClaimError::NotGiven { claim, origin: origin.clone(), problem }
            })
        }
        .boxed()
    }
}

//! A claim that a token only refers to, and that is not to be had: what the client hears of it, and what is recorded.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use latchkey_concierge::{
    index::{Authenticator, AuthenticatorRef, Entry, FetchClaim, FetchClaimError},
    jwt::SuppliedClaim,
    mapping::{ClaimSource, Origin},
};
use serde_json::json;

use crate::{
    assert_refused,
    issuer::{rs256, with_profile},
    server::Server,
};

/// A door behind which there is nothing.
#[derive(Debug)]
struct Closed(FetchClaimError);

impl FetchClaim for Closed {
    fn fetch<'a>(
        &'a self,
        _: &'a ClaimSource,
        _: &'a Authenticator,
    ) -> BoxFuture<'a, Result<SuppliedClaim, FetchClaimError>> {
        std::future::ready(Err(self.0.clone())).boxed()
    }
}

#[tokio::test]
async fn a_claim_that_is_not_given_is_missing_and_one_too_many_is_a_reason_to_come_again() {
    let server = Server::start().await;
    let origin = Origin::of("https://graph.example.com").unwrap();
    let token = rs256(&json!({
        "groups": null, "_claim_names": {"groups": "src"},
        "_claim_sources": {"src": {"endpoint": "https://graph.example.com/s3cr3t", "access_token": "s3cr3t"}},
    }));
    let not_given =
        FetchClaimError::NotGiven { claim: "groups".to_owned(), origin: origin.clone(), problem: "why".to_owned() };
    for (error, code) in [(not_given, "claim-missing"), (FetchClaimError::Overloaded, "overloaded")] {
        let mut authenticator = with_profile(|_| {});
        let mut rules = (*authenticator.rules).clone();
        rules.distributed = Some(vec![origin.clone()]);
        authenticator.rules = Arc::new(rules);
        authenticator.claims = Some(Arc::new(Closed(error.clone())));
        let entry = Entry::Ready(Arc::new(authenticator));
        server.writer.lock().unwrap().set(AuthenticatorRef::jwt("staging"), entry);
        let answer = server.offer(&token).await;
        if error == FetchClaimError::Overloaded {
            answer.status_message(429, "TooManyRequests");
        } else {
            assert_refused(&answer);
        }
        let record = server.record(&answer).await;
        assert_eq!((&record["code"], &record["detail"]), (&json!(code), &json!(error.to_string())));
        assert!(!record.to_string().contains("s3cr3t"), "{record}");
    }
}

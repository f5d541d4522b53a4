//! `POST` and `GET` of `tokencredentialrequests`: the wire form of the exchange, and nothing of its substance.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use latchkey_crds::login::{TokenCredentialRequest, TokenCredentialRequestList, TokenCredentialRequestSpec};
use serde_json::Value;

use super::{
    Api, create,
    exchange::{Received, Request as ExchangeRequest},
    listing,
    respond::{self, Invalid, Problem},
    router::Slot,
};
use crate::{index::AuthenticatorRef, secret::BearerToken};

/// Exchanges a token.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Extension(mut received): Extension<Received>,
    Extension(slot): Extension<Slot>,
    request: Request,
) -> Result<Response, Problem> {
    let [resource, _] = &api.resources;
    let mut created = create::read(request, resource, &api.schemas.token_credential_request).await?;
    received.at = api.exchange.clock.now();
    let spec = specification(&mut created.object)?;
    if spec.token.is_empty() {
        return Err(token_missing(&resource.group));
    }
    create::refuse_what_cannot_be(&created, resource)?;

    let exchange = api.exchange.clone();
    let request = api.exchange_request(spec);
    // A task of its own: should the client go away, a credential that is being made is still recorded, and what was left
    // at the API server is still cleaned up. The slot goes with it, so that the work stays counted.
    let running = api.work.spawn(async move {
        let answer = exchange.run(request, received).await;
        drop(slot);
        answer
    });
    let status = running.await.map_err(|_| Problem::Internal)??;
    let answer = TokenCredentialRequest::answer(&api.suffix, status);
    Ok(respond::created(&answer, created.options.pretty, &created.warnings))
}

/// Lists nothing, so that `kubectl get latchkey` gets through.
pub(super) async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    listing::answer(&request, &TokenCredentialRequestList::empty(&api.suffix))
}

/// Takes the spec out of the object. Its types were compared with the schema, so reading it does not fail; were it to,
/// the reader's own words could quote the token and are not passed on.
fn specification(object: &mut Value) -> Result<TokenCredentialRequestSpec, Problem> {
    let spec = object.get_mut("spec").map_or(Value::Null, Value::take);
    match spec {
        Value::Null => Ok(TokenCredentialRequestSpec::default()),
        spec => serde_json::from_value(spec).map_err(|_| Problem::BadRequest("spec cannot be read".to_owned())),
    }
}

/// Pinniped's answer, word for word: the kind is empty, and the field is `spec.token.value`.
fn token_missing(group: &str) -> Problem {
    Problem::Invalid(Invalid {
        kind: "",
        group: group.to_owned(),
        field: "spec.token.value",
        cause: "FieldValueRequired",
        message: "Required value: token must be supplied".to_owned(),
    })
}

impl Api {
    fn exchange_request(&self, spec: TokenCredentialRequestSpec) -> ExchangeRequest {
        let named = &spec.authenticator;
        let expected_group = self.suffix.authentication();
        ExchangeRequest {
            authenticator: AuthenticatorRef::parse(
                named.api_group.as_deref(),
                &named.kind,
                &named.name,
                &expected_group,
            ),
            token: BearerToken::new(spec.token),
            certificate_request: spec.certificate_signing_request.filter(|pem| !pem.is_empty()),
            group: self.suffix.login(),
        }
    }
}

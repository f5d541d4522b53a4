//! `POST` and `GET` of `whoamirequests`: the caller, as the aggregation layer named it.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use latchkey_crds::identity::{KubernetesUserInfo, UserInfo, WhoAmIRequest, WhoAmIRequestList};

use super::{
    Api,
    caller::Caller,
    create, listing,
    respond::{self, Problem},
};

/// Tells callers who they are.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let [_, resource] = &api.resources;
    let created = create::read(request, resource, &api.schemas.who_am_i_request).await?;
    create::refuse_what_cannot_be(&created, resource)?;
    let user = UserInfo { username: caller.username, uid: caller.uid, groups: caller.groups, extra: caller.extra };
    let info = KubernetesUserInfo { user, audiences: Vec::new() };
    let answer = WhoAmIRequest::answer(&api.suffix, info);
    Ok(respond::created(&answer, created.options.pretty, &created.warnings))
}

/// Lists nothing.
pub(super) async fn list(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    listing::answer(&request, &WhoAmIRequestList::empty(&api.suffix))
}

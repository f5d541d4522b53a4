//! Makes the `CredentialIssuer` where there is none: a chart cannot render an object of a kind that it installs itself.

use std::error::Error;

use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::ApiResource,
};
use latchkey_crds::config::{CredentialIssuerSpec, ImpersonationProxy, ImpersonationProxyMode};
use serde_json::json;
use tokio::time::timeout;

use super::REQUEST_LIMIT;

/// Whose default it is. Not the manager of the status: whoever brings an object of their own by server-side apply, and
/// wishes for something else in it, is told by this name that nobody insists.
const FIELD_MANAGER: &str = "latchkey-concierge-default";

/// Makes the object `name` and returns it; `None` when that was not possible now, which is logged.
///
/// Somebody may have made it a moment before: theirs stays as it is, and its watch shows it.
pub(super) async fn make(issuers: &Api<DynamicObject>, resource: &ApiResource, name: &str) -> Option<DynamicObject> {
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let object = default_object(resource, name);
    match timeout(REQUEST_LIMIT, issuers.create(&params, &object)).await {
        Ok(Ok(made)) => {
            tracing::info!(name, "CredentialIssuer made, for there was none");
            Some(made)
        }
        Ok(Err(kube::Error::Api(refusal))) if refusal.is_already_exists() => None,
        Ok(Err(error)) => {
            tracing::warn!(
                name,
                error = &error as &dyn Error,
                "CredentialIssuer not made; clients cannot find this installation without it"
            );
            None
        }
        Err(_) => {
            tracing::warn!(name, "CredentialIssuer not made: the API server did not answer in time");
            None
        }
    }
}

/// No labels, no annotations: each would be a field that somebody else's manifest has to differ from.
fn default_object(resource: &ApiResource, name: &str) -> DynamicObject {
    let impersonation_proxy =
        ImpersonationProxy { mode: ImpersonationProxyMode::Disabled, ..ImpersonationProxy::default() };
    let spec = CredentialIssuerSpec { impersonation_proxy };
    let mut object = DynamicObject::new(name, resource);
    object.data = json!({ "spec": spec });
    object
}

#[cfg(test)]
mod tests {
    use latchkey_crds::{config::CredentialIssuer, groups::GroupSuffix};

    use super::*;

    #[test]
    fn the_default_wishes_for_no_proxy_and_owns_nothing_more_than_it_must() {
        let suffix: GroupSuffix = "example.io".parse().unwrap();
        let object = default_object(&latchkey_crds::config::credential_issuer(&suffix), "latchkey");
        let text = serde_json::to_value(&object).unwrap();
        assert_eq!(text["apiVersion"], "config.concierge.example.io/v1alpha1");
        assert_eq!(text["metadata"], json!({ "name": "latchkey" }));
        let read: CredentialIssuer = serde_json::from_value(text).unwrap();
        assert_eq!(read.spec.impersonation_proxy.mode, ImpersonationProxyMode::Disabled);
        assert_eq!(read.status, None);
    }
}

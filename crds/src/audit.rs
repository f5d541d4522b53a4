//! What was refused, for people to look at in the cluster.

mod token_rejection;

use kube::core::ApiResource;

use crate::groups::{GroupSuffix, VERSION};

pub(crate) use token_rejection::definition;
pub use token_rejection::{
    MAX_AUDIENCES, MAX_CLAIM_CHARS, MAX_SUBJECT_CHARS, MAX_USER_AGENT_CHARS, RejectionSeverity, RejectionState,
    TokenRejection, TokenRejectionStatus,
};

/// Where `TokenRejection`s live in an installation with this suffix; for `Api::<TokenRejection>::all_with`.
#[must_use]
pub fn token_rejections(suffix: &GroupSuffix) -> ApiResource {
    let group = suffix.audit();
    ApiResource {
        api_version: GroupSuffix::api_version(&group),
        group,
        version: VERSION.to_owned(),
        kind: "TokenRejection".to_owned(),
        plural: "tokenrejections".to_owned(),
    }
}

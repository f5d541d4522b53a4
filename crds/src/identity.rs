//! The virtual resource that tells a caller who the cluster takes it for.

mod who_am_i_request;

pub use who_am_i_request::{
    KIND, KubernetesUserInfo, LIST_KIND, PLURAL, UserInfo, WhoAmIRequest, WhoAmIRequestList, WhoAmIRequestSpec,
    WhoAmIRequestStatus,
};

//! Observe, plan, act: custom resources, certificates, status.

pub mod api_service;
mod authority_secret;
pub mod certificate_authority;
pub mod credential_issuer;
mod secret_keeper;
pub mod serving_cert;

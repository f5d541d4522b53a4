//! Observe, plan, act: the tasks that make the cluster and this process agree with the custom resources.

pub mod authenticators;
mod jwt_authenticator;
mod status;
mod webhook_authenticator;

#[cfg(test)]
mod fixtures;

pub mod api_service;
pub mod audit_heads;
pub mod audit_key;
mod authority_secret;
pub mod certificate_authority;
pub mod credential_issuer;
mod secret_keeper;
pub mod serving_cert;

pub use self::jwt_authenticator::keeper::Jitter;

//! The API types of Latchkey: what users write, what the cluster stores, what clients send.
//!
//! | group (default suffix) | kinds | kept by | module |
//! |---|---|---|---|
//! | `authentication.concierge.latchkey.dev` | `JWTAuthenticator`, `WebhookAuthenticator` | etcd, as CRDs | [`authentication`] |
//! | `config.concierge.latchkey.dev` | `CredentialIssuer` | etcd, as CRD | [`config`] |
//! | `audit.concierge.latchkey.dev` | `TokenRejection` | etcd, as CRD | [`audit`] |
//! | `login.concierge.latchkey.dev` | `TokenCredentialRequest` | nobody: answered and forgotten | [`login`] |
//! | `identity.concierge.latchkey.dev` | `WhoAmIRequest` | nobody | [`identity`] |
//!
//! Everything is cluster-scoped and `v1alpha1`. Names and shapes are Pinniped's, so that its CLI works against us and
//! our plugin against it; what is our own says so. The ending of each group is a run-time setting,
//! [`groups::GroupSuffix`].
//!
//! Without the feature `crd` only [`groups`], [`login`], [`identity`] and [`conditions`] remain, on serde alone: a
//! plugin that runs at every `kubectl` call has no use for a schema generator.
//!
//! The doc comments of the fields are read by users in `kubectl explain`; they say what a field is, its default, an
//! example, and what follows from it. What can be known to be wrong from the object alone is refused at `kubectl apply`
//! by rules in the schema ([`validation`]); there is no admission webhook.

pub mod conditions;
pub mod groups;
pub mod identity;
pub mod login;
mod wire;

#[cfg(feature = "crd")]
pub mod audit;
#[cfg(feature = "crd")]
pub mod authentication;
#[cfg(feature = "crd")]
pub mod config;
#[cfg(feature = "crd")]
pub mod manifests;
#[cfg(feature = "crd")]
pub mod openapi;
#[cfg(feature = "crd")]
pub mod validation;

//! Talks to identity providers: discovery and key sets, fetched within limits, and the schedule of fetching.
//!
//! Bytes come in here and parsed keys go out; nothing of a token ever gets this far, so none can be sent to an issuer.
//! (The room `webhook` borrows the HTTP client for the one thing that is meant to see tokens.)

pub mod addresses;
pub mod caching;
pub mod discovery;
pub mod http;
pub mod issuer;
pub mod jwks;
pub mod key_schedule;
pub mod proxy;

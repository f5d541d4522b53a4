//! TLS on both sides of trust: the certificate that we show, and the ones that clients show us.

mod handover;

pub mod client_chain;
pub mod file_watch;
pub mod server;
pub mod serving_files;
pub mod validity;

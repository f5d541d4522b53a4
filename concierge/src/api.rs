//! The aggregated API server: who asks, may they, what did they send, what is the answer. Handlers are thin; what they
//! decide is decided in the rooms below.

pub mod caller;
pub mod front_proxy_config;
pub mod request_header;

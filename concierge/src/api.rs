//! The aggregated API server: who asks, may they, what did they send, what is the answer. Handlers are thin; what they
//! decide is decided in the rooms below.

pub mod body;
pub mod caller;
pub mod discovery;
pub mod front_proxy_config;
pub mod negotiation;
pub mod request_header;
pub mod respond;
pub mod status;
pub mod table;

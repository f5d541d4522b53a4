//! The concierge.

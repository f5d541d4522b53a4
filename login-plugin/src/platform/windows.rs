//! Windows.

pub(crate) mod credential_manager;

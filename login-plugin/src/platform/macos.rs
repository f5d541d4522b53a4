//! macOS, where it is not like other Unix.

pub(crate) mod keychain;

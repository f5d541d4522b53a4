//! Windows.

pub(crate) mod credential_manager;
pub(crate) mod desktop;
pub(crate) mod dir;
pub(crate) mod files;
pub(crate) mod links;
pub(crate) mod process;
pub(crate) mod sudo;
pub(crate) mod terminal;

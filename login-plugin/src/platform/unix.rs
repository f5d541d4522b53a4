//! Unix: Linux, macOS and their relatives.

pub(crate) mod desktop;
pub(crate) mod dir;
pub(crate) mod files;
pub(crate) mod links;
pub(crate) mod process;
#[cfg(not(target_os = "macos"))]
pub(crate) mod secret_service;
pub(crate) mod sudo;
pub(crate) mod terminal;

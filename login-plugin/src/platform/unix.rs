//! Unix: Linux, macOS and their relatives.

pub(crate) mod dir;
pub(crate) mod links;
pub(crate) mod process;
pub(crate) mod sudo;
pub(crate) mod terminal;

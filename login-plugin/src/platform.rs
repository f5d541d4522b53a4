//! What differs from one operating system to another, each under one name: the rest of the plugin asks no `cfg`.
//!
//! A system's own way to do a thing belongs here: its terminal, private directories and files, processes, keyring. What to
//! do, and when, is decided elsewhere.

pub(crate) mod keyring;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::{dir, links, process, sudo, terminal};

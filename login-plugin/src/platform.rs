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
pub(crate) use self::unix::{desktop, dir, files, links, process, sudo, terminal};
#[cfg(windows)]
pub(crate) use self::windows::{desktop, dir, files, links, process, sudo, terminal};

/// Systems that open a browser in their own ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(all(windows, not(test)), expect(dead_code, reason = "the others' lists are tested on every system"))]
pub(crate) enum System {
    /// Apple's.
    MacOs,
    /// Linux and the like, with a desktop by the rules of freedesktop.org, or without any.
    Unix,
    /// Windows.
    #[cfg_attr(all(unix, not(test)), expect(dead_code, reason = "its list of programs is tested on every system"))]
    Windows,
    /// Linux under Windows, whose browser is the one of Windows.
    Wsl,
}

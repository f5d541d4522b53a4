//! What this desktop is, and starting its programs so that they cannot disturb the client that runs us.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::platform::System;

/// Files that container runtimes leave in what they start.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// The system we run on.
pub(crate) fn system() -> System {
    if cfg!(target_os = "macos") {
        System::MacOs
    } else if is_wsl() {
        System::Wsl
    } else {
        System::Unix
    }
}

/// A container on Windows' own Linux has its kernel, and none of the ways out to Windows.
fn is_wsl() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.to_ascii_lowercase().contains("microsoft") && !CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists())
}

/// Variables that other programs have no use for, and that may hold secrets.
const SECRETS: [&str; 3] = ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "KUBERNETES_EXEC_INFO", "PINNIPED_PASSWORD"];

/// Starts a program that outlives us and is not waited for. Whether it could be started.
pub(crate) fn start_apart(command: &mut Command) -> bool {
    SECRETS
        .iter()
        .fold(command, |command, name| command.env_remove(name))
        // Whatever it prints would end up in the credential.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C at the client must not close the person's browser.
        .process_group(0)
        .spawn()
        .is_ok()
}

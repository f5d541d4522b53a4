//! What this desktop is, and starting its programs so that they cannot disturb the client that runs us.

use std::fs;
use std::io::{IsTerminal as _, Stderr};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{getpgrp, getppid};
use rustix::termios::tcgetpgrp;

use crate::platform::System;

/// Clients that write line by line. Others may own the whole screen (k9s), where any line of ours is rubbish.
const LINE_BY_LINE: [&str; 8] = ["argocd", "flux", "helm", "istioctl", "kubectl", "kustomize", "oc", "velero"];

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

/// Starts a program that outlives us and is not waited for. Whether it could be started.
pub(crate) fn start_apart(command: &mut Command) -> bool {
    command
        // Whatever it prints would end up in the credential.
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C at the client must not close the person's browser.
        .process_group(0)
        .spawn()
        .is_ok()
}

/// Whether standard error is a terminal in whose foreground we stand, and our client writes to it line by line: then a
/// person reads what we say there, although standard input may be a pipe (`kubectl apply -f -`).
pub(crate) fn lines_are_read(stderr: &Stderr) -> bool {
    stderr.is_terminal()
        && tcgetpgrp(stderr.as_fd()).is_ok_and(|group| group == getpgrp())
        && parent_name().is_some_and(|name| LINE_BY_LINE.contains(&name.as_str()))
}

/// The file name of the program that runs us.
fn parent_name() -> Option<String> {
    let parent = getppid()?.as_raw_pid();
    let told = fs::read_to_string(format!("/proc/{parent}/comm")).ok().or_else(|| {
        // Where there is no /proc. A few milliseconds, and only before a login.
        let output = Command::new("ps").args(["-o", "comm=", "-p", &parent.to_string()]).stdin(Stdio::null()).output();
        output.ok().and_then(|output| String::from_utf8(output.stdout).ok())
    })?;
    told.trim().rsplit('/').next().map(ToOwned::to_owned)
}

//! What this desktop is, and starting its programs so that they cannot disturb the client that runs us.

use std::os::windows::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::platform::System;

/// `CREATE_NEW_PROCESS_GROUP`: Ctrl-C at the client must not close the person's browser.
const NEW_PROCESS_GROUP: u32 = 0x0000_0200;

/// `CREATE_NO_WINDOW`: a console program would flash a window.
const NO_WINDOW: u32 = 0x0800_0000;

/// The system we run on.
pub(crate) const fn system() -> System {
    System::Windows
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
        .creation_flags(NEW_PROCESS_GROUP | NO_WINDOW)
        .spawn()
        .is_ok()
}

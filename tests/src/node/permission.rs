//! Whether this machine permits a node, in one sentence if it does not.

use std::{path::Path, process::Command};

use super::{cgroups, room};

/// What a node does to its own namespaces, on trial.
const TRIAL: &str = r"
set -e
mount --make-rshared /
mount -t tmpfs tmpfs /run
ip link add one type veth peer name two
nft add table ip trial
";

/// Programs that must be on PATH, and their Debian packages.
const PROGRAMS: [(&str, &str); 5] =
    [("ip", "iproute2"), ("mount", "mount"), ("nft", "nftables"), ("nsenter", "util-linux"), ("unshare", "util-linux")];

/// The magic number of overlayfs in `statfs` (linux/magic.h).
const OVERLAYFS: i64 = 0x794c_7630;

/// Why there can be no node here, if so.
pub(super) fn refusal() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may make namespaces, mounts and control groups".to_owned());
    }
    if let Some((program, package)) = PROGRAMS.into_iter().find(|(program, _)| !on_path(program)) {
        return Some(format!("there is no {program} (Debian package {package})"));
    }
    let folder = std::env::temp_dir();
    if rustix::fs::statfs(&folder).is_ok_and(|about| about.f_type == OVERLAYFS) {
        return Some(format!("{} is on overlayfs, which cannot carry another: set TMPDIR", folder.display()));
    }
    cgroups::refusal().or_else(namespaces)
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn namespaces() -> Option<String> {
    let trial: &mut Command = &mut room::namespaces(TRIAL, Path::new("/"), "trial");
    match trial.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            Some(format!("no namespaces with mounts, veth and nftables can be made here: {words}"))
        }
        Err(error) => Some(format!("unshare cannot be started: {error}")),
    }
}

//! Programs that are started from the desktop (Lens, Headlamp, IDEs): they have a `PATH` of their own, often a shorter one.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::report::Finding;
use super::tools::SearchPath;

const CHECK: &str = "desktop";

/// Both systems answer from memory.
const DEADLINE: Duration = Duration::from_secs(2);

/// An environment is a few KiB.
const OUTPUT_MAX_BYTES: u64 = 256 * 1024;

/// What macOS gives programs that do not come from a shell, unless `launchctl` was told otherwise.
const MACOS_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

/// The `PATH` that such programs get, if there is a desktop here.
pub(super) async fn path() -> Option<SearchPath> {
    if cfg!(target_os = "macos") {
        let told = output("launchctl", &["getenv", "PATH"]).await;
        let told = told.as_deref().map(str::trim).filter(|path| !path.is_empty());
        return Some(SearchPath::new(told.unwrap_or(MACOS_PATH)));
    }
    let environment = output("systemctl", &["--user", "show-environment"]).await?;
    of_systemd(&environment)
}

fn of_systemd(environment: &str) -> Option<SearchPath> {
    environment.lines().find_map(|line| line.strip_prefix("PATH=")).map(SearchPath::new)
}

async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    let mut output = String::new();
    let mut stdout = child.stdout.take()?.take(OUTPUT_MAX_BYTES);
    let read = timeout(DEADLINE, async {
        stdout.read_to_string(&mut output).await.ok()?;
        child.wait().await.ok()
    });
    read.await.ok().flatten().filter(std::process::ExitStatus::success)?;
    Some(output)
}

/// Judges whether a program from the desktop would find the stanza's command, which is at `found` for us.
pub(super) fn judge(desktop: &SearchPath, command: &str, found: &Path) -> Finding {
    if command.contains(std::path::MAIN_SEPARATOR) {
        return Finding::ok(CHECK, "the stanza names the whole path: programs from the desktop find it too");
    }
    match (desktop.resolve(command), found.parent()) {
        (Some(_), _) => Finding::ok(CHECK, format!("programs from the desktop find {command} too")),
        (None, directory) => {
            let directory = directory.unwrap_or(Path::new("/"));
            let krew = if directory.ends_with(".krew/bin") { ", krew's," } else { "" };
            Finding::warn(
                CHECK,
                format!(
                    "programs from the desktop (Lens, Headlamp, IDEs) do not find {command}: {}{krew} is not in their PATH",
                    directory.display()
                ),
                format!(
                    "write the stanza with the whole path: kubectl latchkey kubeconfig --command-path={} ...",
                    found.display()
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[test]
    fn the_path_stands_in_the_environment_of_the_session() {
        let environment = "HOME=/home/jane\nPATH=/usr/bin:/bin\nXPATH=/nowhere\n";
        assert_eq!(of_systemd(environment), Some(SearchPath::new("/usr/bin:/bin")));
        assert_eq!(of_systemd("HOME=/home/jane\n"), None);
    }

    #[test]
    fn a_missing_directory_is_mended_by_the_whole_path() {
        let found = Path::new("/home/jane/.krew/bin/kubectl-latchkey");
        let finding = judge(&SearchPath::new("/nowhere"), "kubectl-latchkey", found);
        assert_eq!(finding.verdict, Verdict::Warn);
        assert!(finding.found.contains("/home/jane/.krew/bin, krew's, is not"), "{}", finding.found);
        assert!(finding.mend.unwrap().contains("--command-path=/home/jane/.krew/bin/kubectl-latchkey"));
        assert_eq!(judge(&SearchPath::new("/nowhere"), "/opt/kubectl-latchkey", found).verdict, Verdict::Ok);
    }
}

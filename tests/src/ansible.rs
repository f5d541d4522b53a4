//! Ansible with its collection for Kubernetes, for the play in `deploy/examples/ansible`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::{cache, child};

/// About 80 MiB.
const INSTALL_LIMIT: Duration = Duration::from_mins(15);

/// A play of a handful of tasks takes seconds; it waits two minutes at most for an authenticator.
const PLAY_LIMIT: Duration = Duration::from_mins(5);

/// Takes the one collection out of the package that has them all: `$1` to `$2`.
const COLLECTION: &str = "import sys, zipfile
from pathlib import Path
archive = zipfile.ZipFile(next(Path(sys.argv[1]).glob('ansible-*.whl')))
wanted = [name for name in archive.namelist() if name.startswith('ansible_collections/kubernetes/core/')]
archive.extractall(sys.argv[2], wanted)
";

/// `ansible-playbook`, as a command to be given its arguments.
///
/// # Errors
/// If it cannot be fetched.
pub async fn playbook() -> Result<Command> {
    let folder = installed().await?;
    let packages = folder.join("packages");
    let mut command = Command::new("python3");
    command
        .arg(packages.join("bin/ansible-playbook"))
        .env("PYTHONPATH", &packages)
        .env("ANSIBLE_COLLECTIONS_PATH", folder.join("collections"))
        // Nothing of the developer's, and nothing left behind.
        .env("ANSIBLE_CONFIG", "/nonexistent/ansible.cfg")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("LC_ALL", "C.UTF-8")
        .kill_on_drop(true);
    Ok(command)
}

/// Runs a play and returns its words.
///
/// # Errors
/// If it fails: with them.
pub async fn play(mut command: Command, home: &Path) -> Result<String> {
    command.env("HOME", home).env("ANSIBLE_HOME", home.join("ansible")).stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(PLAY_LIMIT, command.output())
        .await
        .with_context(|| format!("the play did not end within {PLAY_LIMIT:?}"))?
        .context("starting python3")?;
    let words = [output.stdout, output.stderr].map(|words| String::from_utf8_lossy(&words).into_owned()).concat();
    if !output.status.success() {
        bail!("ansible-playbook: {}\n{words}", output.status);
    }
    Ok(words)
}

async fn installed() -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible");
    let (packages, collections) = (sources.join("requirements.txt"), sources.join("collections.txt"));
    cache::made_once("ansible", &[packages.clone(), collections.clone()], async |folder| {
        let mut pip = pip("install");
        pip.args(["--no-deps", "--target"]).arg(folder.join("packages")).arg("--requirement").arg(&packages);
        run(pip).await?;
        let archive = folder.join("archive");
        let mut pip = self::pip("download");
        pip.args(["--no-deps", "--dest"]).arg(&archive).arg("--requirement").arg(&collections);
        run(pip).await?;
        let mut python = std::process::Command::new("python3");
        python.args(["-c", COLLECTION]).arg(&archive).arg(folder.join("collections"));
        run(python).await?;
        std::fs::remove_dir_all(&archive).with_context(|| format!("removing {}", archive.display()))
    })
    .await
}

fn pip(verb: &str) -> std::process::Command {
    let mut command = std::process::Command::new("python3");
    command.args(["-m", "pip", verb, "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    command
}

async fn run(command: std::process::Command) -> Result<()> {
    child::run("python3", command, INSTALL_LIMIT, "Python with pip (Debian packages python3 and python3-pip)").await
}

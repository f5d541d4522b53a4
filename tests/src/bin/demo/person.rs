//! A person at a laptop: a cache of their own, kubectl and the plugin on the `PATH`, and a browser.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result};
use tokio::process::Command;

/// Who sits there, and how their commands find what they need.
pub(crate) struct Person {
    /// Where the plugin keeps sessions and credentials.
    pub(crate) cache: PathBuf,
    kubectl: PathBuf,
    path: OsString,
    /// In place of the system's browser, for a story without a person.
    scripted_browser: Option<PathBuf>,
}

/// What a command answered.
pub(crate) struct Answer {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Person {
    /// A person with an empty cache in `home`, who has `kubectl` and the programs beside `plugin`.
    pub(crate) fn new(home: &Path, kubectl: &Path, plugin: &Path) -> Result<Self> {
        let cache = home.join("plugin-cache");
        let mut folders: Vec<PathBuf> =
            [plugin, kubectl].iter().filter_map(|program| program.parent()).map(Path::to_owned).collect();
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        Ok(Self {
            cache,
            kubectl: kubectl.to_owned(),
            path: std::env::join_paths(folders).context("a folder on PATH has a colon in its name")?,
            scripted_browser: None,
        })
    }

    /// Lets this program stand in for the browser and the person.
    pub(crate) fn script_browser(&mut self, home: &Path, ca: &Path, user: &str, password: &str) -> Result<()> {
        let script = home.join("scripted-browser");
        let demo = std::env::current_exe()?;
        let line = format!(
            "#!/bin/sh\nexec {} scripted-browser --ca {} --user {} --password {} \"$1\"\n",
            quote(&demo.to_string_lossy()),
            quote(&ca.to_string_lossy()),
            quote(user),
            quote(password),
        );
        fs::write(&script, line)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        self.scripted_browser = Some(script);
        Ok(())
    }

    /// The line that gives another terminal the same laptop.
    pub(crate) fn shell_line(&self, kubeconfigs: &[&Path]) -> String {
        let added: Vec<String> =
            std::env::split_paths(&self.path).take(2).map(|folder| folder.display().to_string()).collect();
        let kubeconfigs: Vec<String> = kubeconfigs.iter().map(|path| path.display().to_string()).collect();
        format!(
            "export KUBECONFIG={} LATCHKEY_CACHE_DIR={} PATH={}:$PATH",
            kubeconfigs.join(":"),
            self.cache.display(),
            added.join(":"),
        )
    }

    /// Runs kubectl as this person. The terminal is theirs where they may have to answer: what the plugin says on
    /// stderr is shown as it comes when nobody scripted the browser.
    pub(crate) async fn kubectl(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).env("KUBECONFIG", kubeconfig);
        self.run(command).await
    }

    /// Runs any program with this person's environment.
    pub(crate) async fn run(&self, mut command: Command) -> Result<Answer> {
        command.env("PATH", &self.path).env("LATCHKEY_CACHE_DIR", &self.cache).env("KUBERC", "off").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let scripted = self.scripted_browser.as_ref();
        match scripted {
            Some(browser) => {
                command.env("LATCHKEY_BROWSER", browser).env("LATCHKEY_FLOW", "browser").stderr(Stdio::piped())
            }
            None => command.stderr(Stdio::inherit()),
        };
        let output = command.spawn()?.wait_with_output().await?;
        Ok(Answer {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Answer {
    /// What a person would have seen: the answer and the words.
    pub(crate) fn seen(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// For a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

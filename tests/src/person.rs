//! A person at a laptop: a cache of their own, kubectl and the plugin on the `PATH`, and a browser.

mod runs;

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

pub use self::runs::Run;
use crate::programs::Programs;

/// Who sits there, and how their commands find what they need.
pub struct Person {
    home: PathBuf,
    cache: PathBuf,
    kubectl: PathBuf,
    path: OsString,
    programs: &'static Programs,
    /// In place of the system's browser, where nobody sits there.
    browser: Option<PathBuf>,
}

/// What a command answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Its data.
    pub stdout: String,
    /// Its words; empty where a person saw them.
    pub stderr: String,
}

impl Person {
    /// A person with an empty cache in the folder `home`, who has `kubectl` and the plugin on the `PATH`.
    ///
    /// # Errors
    /// If a folder's name cannot stand on a `PATH`.
    pub fn new(home: &Path, kubectl: &Path, programs: &'static Programs) -> Result<Self> {
        let mut folders: Vec<PathBuf> =
            [&programs.plugin, kubectl].iter().filter_map(|program| program.parent()).map(Path::to_owned).collect();
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        Ok(Self {
            home: home.to_owned(),
            cache: home.join("plugin-cache"),
            kubectl: kubectl.to_owned(),
            path: std::env::join_paths(folders).context("a folder on PATH has a colon in its name")?,
            programs,
            browser: None,
        })
    }

    /// Where the plugin keeps sessions and credentials.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The ID token of the one session that the plugin keeps: what a thief would find.
    ///
    /// # Errors
    /// If there is no session, or more than one.
    pub fn kept_token(&self) -> Result<String> {
        let sessions = json_files(&self.cache.join("sessions"))?;
        let [session] = sessions.as_slice() else { bail!("expected one session, found {}", sessions.len()) };
        let session: Value = serde_json::from_slice(&fs::read(session)?)?;
        Ok(session["id_token"].as_str().context("the session has an ID token")?.to_owned())
    }

    /// The one credential that the plugin keeps, as its file has it.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn kept_credential(&self) -> Result<Value> {
        let credentials = json_files(&self.cache.join("credentials"))?;
        let [credential] = credentials.as_slice() else {
            bail!("expected one credential, found {}", credentials.len())
        };
        Ok(serde_json::from_slice(&fs::read(credential)?)?)
    }

    /// Takes the clusters' credentials away and leaves the sessions: the next call has to make an exchange.
    ///
    /// # Errors
    /// If the cache cannot be read or written.
    pub fn lose_credentials(&self) -> Result<()> {
        for credential in json_files(&self.cache.join("credentials"))? {
            fs::remove_file(credential)?;
        }
        Ok(())
    }

    /// Lets a program stand in for the browser and the person: it fills in `issuer`'s form.
    ///
    /// # Errors
    /// If its script cannot be written.
    pub fn script_browser(&mut self, issuer_ca: &str, user: &str, password: &str) -> Result<()> {
        let ca = self.home.join("identity-provider-ca.pem");
        fs::write(&ca, issuer_ca)?;
        self.set_browser(&format!(
            "exec {} --ca {} --user {} --password {} \"$1\"",
            quote(&self.programs.scripted_browser.to_string_lossy()),
            quote(&ca.to_string_lossy()),
            quote(user),
            quote(password),
        ))
    }

    /// Lets a browser that opens nothing stand there: whoever reads [`Self::invitations`] goes where it was sent.
    ///
    /// # Errors
    /// If its script cannot be written.
    pub fn expect_invitations(&mut self) -> Result<()> {
        self.set_browser("")
    }

    /// The addresses that the stand-in of the browser was sent to, in order: each is a login that a person would have seen.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub fn invitations(&self) -> Result<Vec<String>> {
        let list = match fs::read_to_string(self.invitations_file()) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            list => list?,
        };
        // The last line may be half written.
        let complete = list.rfind('\n').map_or("", |end| &list[..end]);
        Ok(complete.lines().map(str::to_owned).collect())
    }

    fn invitations_file(&self) -> PathBuf {
        self.home.join("invitations")
    }

    fn set_browser(&mut self, then: &str) -> Result<()> {
        let script = self.home.join("browser");
        let list = quote(&self.invitations_file().to_string_lossy());
        fs::write(&script, format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >> {list}\n{then}\n"))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        self.browser = Some(script);
        Ok(())
    }

    /// The line that gives another terminal the same laptop.
    #[must_use]
    pub fn shell_line(&self, kubeconfigs: &[&Path]) -> String {
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

    /// Runs kubectl as this person. Where a person sits there, what the plugin says on stderr is shown as it comes.
    ///
    /// # Errors
    /// If kubectl cannot be started; that it fails is an answer.
    pub async fn kubectl(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).env("KUBECONFIG", kubeconfig);
        self.run(command).await
    }

    /// Runs any program with this person's environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn run(&self, command: Command) -> Result<Answer> {
        self.run_fed(command, "").await
    }

    /// The same with something on its standard input; nothing at all where `input` is empty.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn run_fed(&self, mut command: Command, input: &str) -> Result<Answer> {
        // What the caller has set stays.
        let set: Vec<OsString> = command.as_std().get_envs().map(|(name, _)| name.to_owned()).collect();
        let ours = self.environment().into_iter().filter(|(name, _)| set.iter().all(|other| other != name));
        command.envs(ours).kill_on_drop(true).stdout(Stdio::piped());
        command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stderr(if self.browser.is_some() { Stdio::piped() } else { Stdio::inherit() });
        let program = command.as_std().get_program().display().to_string();
        let mut child = command.spawn().with_context(|| format!("starting {program}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Whoever ends without reading it has said enough.
            let _unread = stdin.write_all(input.as_bytes()).await;
        }
        let output = child.wait_with_output().await?;
        Ok(Answer {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// What this person's programs find in their environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut environment = vec![
            ("PATH", self.path.clone()),
            ("LATCHKEY_CACHE_DIR", self.cache.clone().into_os_string()),
            ("KUBERC", OsStr::new("off").to_owned()),
            // The keyring of whoever runs this is not for a made-up person's logins.
            ("LATCHKEY_STORE", OsStr::new("file").to_owned()),
        ];
        if let Some(browser) = &self.browser {
            environment.push(("LATCHKEY_BROWSER", browser.clone().into_os_string()));
            environment.push(("LATCHKEY_FLOW", OsStr::new("browser").to_owned()));
        }
        environment
    }
}

impl Answer {
    /// What a person would have seen: the answer and the words.
    #[must_use]
    pub fn seen(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// The entries of one of the cache's folders: beside them are locks and notes.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let files: Result<Vec<PathBuf>, _> = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect();
    Ok(files?.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect())
}

/// For a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

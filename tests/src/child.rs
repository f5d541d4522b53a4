//! Child processes that die with the test, whatever ends the test.
//!
//! Three ends have to be covered:
//!
//! - the test finishes or panics: [`Child`] is dropped, which kills and waits;
//! - the person types Ctrl-C: each child has a process group of its own, so the terminal does not stop it half-way, and the
//!   first or the third case ends it;
//! - the test runner is killed (SIGKILL, out of memory): nothing of ours runs any more.
//!
//! For the third we start a small `sh` beside each child. It reads from a pipe whose other end only this process holds
//! (Rust opens it close-on-exec). When this process ends in whatever way, the kernel closes the pipe, `read` returns, and the
//! shell kills the child's whole group. `setpriv --pdeathsig KILL` would spare the shell, but the kernel sends that signal at
//! the end of the *thread* that started the child, and a test's thread ends before a cluster shared between tests does; it
//! reaches only the direct child, so Chromium would survive its driver; and it exists on Linux alone.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{
    folder::TempFolder,
    wait::{self, Observation},
};

/// How much of a log's end an error carries: a Go panic's first goroutine fits.
const TAIL_BYTES: u64 = 6 * 1024;

/// Ends on a line ("disarmed") without a deed, on the end of its input by killing the process group `$1`.
/// (`kill -9 -- -1234` is not understood by every `sh`; with `-s KILL` it is.)
const WATCHER: &str = r#"read -r _ && exit 0; kill -s KILL -- "-$1""#;

/// A running child process, killed and waited for on drop.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: process::Child,
    watcher: process::Child,
    stdout: PathBuf,
    stderr: PathBuf,
    exit: Option<ExitStatus>,
}

impl Child {
    /// Starts `command` with an empty stdin and with its output appended to `<name>.stdout` and `<name>.stderr` in `logs`.
    ///
    /// # Errors
    /// If the program or the log files cannot be opened.
    pub fn spawn(name: &str, mut command: Command, logs: &Path) -> Result<Self> {
        let stdout = logs.join(format!("{name}.stdout"));
        let stderr = logs.join(format!("{name}.stderr"));
        let process = command
            .stdin(Stdio::null())
            .stdout(append(&stdout)?)
            .stderr(append(&stderr)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name} ({})", command.get_program().display()))?;
        let watcher = Command::new("sh")
            .args(["-c", WATCHER, "latchkey-watcher", &process.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let mut child = match watcher {
            Ok(watcher) => Self { name: name.to_owned(), process, watcher, stdout, stderr, exit: None },
            Err(error) => {
                let mut process = process;
                process.kill().and_then(|()| process.wait()).ok();
                return Err(error).context("starting sh to watch over a child process");
            }
        };
        child.check_alive()?;
        Ok(child)
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where standard output goes.
    #[must_use]
    pub fn stdout(&self) -> &Path {
        &self.stdout
    }

    /// Where standard error goes.
    #[must_use]
    pub fn stderr(&self) -> &Path {
        &self.stderr
    }

    /// The exit status, if the process has ended.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn try_exit(&mut self) -> Result<Option<ExitStatus>> {
        if self.exit.is_none()
            && let Some(status) = self.process.try_wait().with_context(|| format!("asking after {}", self.name))?
        {
            self.reaped(status);
        }
        Ok(self.exit)
    }

    /// Says that the process lives.
    ///
    /// # Errors
    /// If it has ended: with its exit status and the end of what it wrote.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.try_exit()? {
            None => Ok(()),
            Some(status) => Err(anyhow!("{} ended: {status}\n{}", self.name, self.last_words())),
        }
    }

    /// The end of standard error, and of standard output when there is any.
    #[must_use]
    pub fn last_words(&self) -> String {
        let mut words = String::new();
        for path in [&self.stdout, &self.stderr] {
            let tail = tail(path).unwrap_or_else(|error| format!("(unreadable: {error})"));
            if !tail.trim().is_empty() {
                words.push_str("--- ");
                words.push_str(&path.display().to_string());
                words.push('\n');
                words.push_str(&tail);
            }
        }
        words
    }

    /// Waits until it answers a GET with success.
    ///
    /// # Errors
    /// If it ends, or does not in time: with the end of what it wrote.
    pub async fn answers(&mut self, http: &reqwest::Client, url: &str, limit: Duration) -> Result<()> {
        let what = format!("{} to answer {url}", self.name);
        wait::eventually(&what, limit, async || {
            if let Err(error) = self.check_alive() {
                return Observation::Hopeless(error);
            }
            let answer = async {
                let answer = http.get(url).send().await?;
                let (status, words) = (answer.status(), answer.text().await?);
                ensure!(status.is_success(), "{status}: {words}");
                Ok(())
            };
            answer.await.into()
        })
        .await
        .with_context(|| self.last_words())
    }

    /// Waits until this `kubectl port-forward` listens, and returns where: address and port.
    ///
    /// # Errors
    /// If it ends, or does not in time: with the end of what it wrote.
    pub async fn forwards(&mut self, limit: Duration) -> Result<String> {
        let said = self.stdout().to_owned();
        wait::eventually(&format!("{} to listen", self.name), limit, async || {
            if let Err(error) = self.check_alive() {
                return Observation::Hopeless(error);
            }
            let said = std::fs::read_to_string(&said).unwrap_or_default();
            let rest = said.strip_prefix("Forwarding from ");
            rest.and_then(|rest| rest.split_once(' ')).map(|(to, _)| to.to_owned()).into()
        })
        .await
        .with_context(|| self.last_words())
    }

    /// SIGKILL to the whole process group, and waits until the kernel has taken the process away.
    ///
    /// # Errors
    /// If the process cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.try_exit()? {
            return Ok(status);
        }
        if let Some(group) = self.raw_pid() {
            // Failure means that the group is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = self.process.wait().with_context(|| format!("waiting for the end of {}", self.name))?;
        self.reaped(status);
        Ok(status)
    }

    /// Sends a signal to the process itself. A process that has ended and was not asked after is there still, so nobody else gets
    /// it.
    ///
    /// # Errors
    /// If it was seen to have ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.raw_pid().filter(|_| self.exit.is_none()).with_context(|| format!("{} has ended", self.name))?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.name))
    }

    /// SIGTERM, then waits for the process' own end.
    ///
    /// # Errors
    /// If it has not ended after `limit` (it is left running).
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        if self.try_exit()?.is_none() {
            self.signal(Signal::TERM)?;
        }
        self.ended(limit).await
    }

    /// Waits for the process' own end.
    ///
    /// # Errors
    /// If it has not ended after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::eventually(&what, limit, async || match self.try_exit() {
            Ok(Some(status)) => Observation::Holds(status),
            Ok(None) => Observation::NotYet("it is running".to_owned()),
            Err(error) => Observation::Hopeless(error),
        })
        .await
    }

    /// The process has been waited for: its id may soon belong to somebody else, so the watcher must forget it.
    fn reaped(&mut self, status: ExitStatus) {
        self.exit = Some(status);
        if let Some(mut pipe) = self.watcher.stdin.take() {
            let _ = pipe.write_all(b"disarmed\n");
        }
        let _ = self.watcher.wait();
    }

    fn raw_pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Runs a program to its end, which must be a good one; `needed` is what to install where there is no such program.
///
/// # Errors
/// If it cannot be started, fails, or has not ended after `limit`: with the end of what it wrote.
pub(crate) async fn run(name: &str, command: Command, limit: Duration, needed: &str) -> Result<()> {
    let logs = TempFolder::new(name)?;
    let mut child = Child::spawn(name, command, logs.path()).map_err(|error| name_what_is_missing(error, needed))?;
    let status = child.ended(limit).await.with_context(|| child.last_words())?;
    ensure!(status.success(), "{name} failed: {status} (it needs {needed})\n{}", child.last_words());
    Ok(())
}

/// Says what to install when a program was not there to be started.
pub(crate) fn name_what_is_missing(error: anyhow::Error, needed: &str) -> anyhow::Error {
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => anyhow!("{error:#}: install {needed}"),
        _ => error,
    }
}

fn append(path: &Path) -> Result<File> {
    File::options().create(true).append(true).open(path).with_context(|| format!("opening the log {}", path.display()))
}

/// The last [`TAIL_BYTES`] of a file, as text.
///
/// # Errors
/// If the file cannot be read.
pub fn tail(path: &Path) -> Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

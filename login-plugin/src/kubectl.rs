//! The reader's own kubectl, run for what needs the reader's own rights: any way of authenticating works, ours included.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::args::KubectlFlags;
use crate::environment::Environment;

/// It may have to log a person in, which takes minutes.
const DEADLINE: Duration = Duration::from_mins(10);

/// For each request it makes.
const REQUEST_TIMEOUT: &str = "--request-timeout=30s";

/// A flattened kubeconfig or a list of a few objects is far smaller.
const OUTPUT_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Why kubectl gave no answer. What it had to say it said on standard error itself.
#[derive(Debug, Error)]
pub(crate) enum KubectlError {
    /// It ended badly.
    #[error("`kubectl {what}` failed ({status})")]
    Failed {
        /// What was asked of it.
        what: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// It could not be started.
    #[error("cannot run kubectl: {0}")]
    NotFound(io::Error),
    /// Its pipe broke.
    #[error("cannot read what `kubectl {what}` says: {source}")]
    Pipe {
        /// What was asked of it.
        what: String,
        /// What broke.
        source: io::Error,
    },
    /// It took too long.
    #[error("`kubectl {0}` took longer than 10 minutes")]
    TimedOut(String),
    /// It said something else than expected.
    #[error("`kubectl {what}` gave an unexpected answer: {why}")]
    Unreadable {
        /// What was asked of it.
        what: String,
        /// Why it cannot be read.
        why: String,
    },
}

/// kubectl, with the flags that choose cluster and user.
#[derive(Debug)]
pub(crate) struct Kubectl {
    program: String,
    flags: Vec<String>,
}

impl Kubectl {
    /// The kubectl that started us, or the one in `PATH`.
    pub(crate) fn new(flags: &KubectlFlags, environment: &Environment) -> Self {
        let KubectlFlags { cluster, context, kubeconfig, user } = flags;
        let kubeconfig = kubeconfig.as_ref().map(|path| path.to_string_lossy().into_owned());
        let flags = [("cluster", cluster), ("context", context), ("kubeconfig", &kubeconfig), ("user", user)];
        Self {
            program: environment.text("KUBECTL_PATH").unwrap_or_else(|| "kubectl".to_owned()),
            flags: flags
                .into_iter()
                .filter_map(|(name, value)| value.as_ref().map(|value| format!("--{name}={value}")))
                .collect(),
        }
    }

    /// Runs it and reads the JSON it prints. Its standard input and error are ours: it may have to log the person in.
    ///
    /// # Errors
    /// When it cannot be run, fails, or prints something else.
    pub(crate) async fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, KubectlError> {
        let what = arguments.join(" ");
        let mut child = Command::new(&self.program)
            .args(arguments)
            .args(&self.flags)
            .arg(REQUEST_TIMEOUT)
            .stdin(Stdio::inherit())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(KubectlError::NotFound)?;
        let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
        // A flattened kubeconfig holds secrets.
        let mut output = Zeroizing::new(Vec::new());
        let ended = timeout(DEADLINE, async {
            stdout.take(OUTPUT_MAX_BYTES).read_to_end(&mut output).await?;
            child.wait().await
        });
        let status = match ended.await {
            Err(_elapsed) => return Err(KubectlError::TimedOut(what)),
            Ok(Err(source)) => return Err(KubectlError::Pipe { what, source }),
            Ok(Ok(status)) => status,
        };
        if !status.success() {
            return Err(KubectlError::Failed { what, status });
        }
        // Only the place: words about it might quote a secret.
        serde_json::from_slice(&output).map_err(|error| KubectlError::Unreadable {
            what,
            why: format!("not the expected JSON (line {}, column {})", error.line(), error.column()),
        })
    }
}

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

/// All bindings of a cluster with thousands of namespaces, at some 700 bytes each; everything else is far smaller.
const OUTPUT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What it says of a failure is a few lines.
const WORDS_MAX_BYTES: u64 = 64 * 1024;

/// kustomize fetches by git and by HTTP, and only its reader can know all the ways to ask it to. Git is left no protocol
/// (`git help git`), HTTP a proxy that is not there: port 9 discards (RFC 863), where anything listens at all.
const NO_WAY_OUT: [(&str, &str); 3] =
    [("GIT_ALLOW_PROTOCOL", "none"), ("HTTPS_PROXY", "http://127.0.0.1:9"), ("HTTP_PROXY", "http://127.0.0.1:9")];

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
    /// It ended badly, and these are the words by which it said why.
    #[error("{words}")]
    Said {
        /// The last line of its standard error.
        words: String,
    },
    /// It took too long.
    #[error("`kubectl {what}` took longer than {limit:?}")]
    TimedOut {
        /// What was asked of it.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// It said something else than expected.
    #[error("`kubectl {what}` gave an unexpected answer: {why}")]
    Unreadable {
        /// What was asked of it.
        what: String,
        /// Why it cannot be read.
        why: String,
    },
}

/// How kubectl is run where its own words are not for the person's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quietly {
    /// It may ask the person to log in.
    LoginMayAsk,
    /// It may not: of many at once each would open a page of its own.
    WithoutLogin,
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

    /// How long a run may take in which a person logs in.
    pub(crate) const LOGIN_DEADLINE: Duration = DEADLINE;

    /// Runs it and reads the JSON it prints. Its standard input and error are ours: it may have to log the person in.
    ///
    /// # Errors
    /// When it cannot be run, fails, or prints something else.
    pub(crate) async fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, KubectlError> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
        let ended = run(command, arguments.join(" "), DEADLINE).await?;
        if ended.status.success() { ended.read() } else { Err(ended.failed()) }
    }

    /// Runs it and reads the JSON it prints; what it says besides is told by the error.
    ///
    /// # Errors
    /// When it cannot be run, fails, takes longer than `deadline`, or prints something else.
    pub(crate) async fn quiet_json<T: DeserializeOwned>(
        &self,
        arguments: &[&str],
        quietly: Quietly,
        deadline: Duration,
    ) -> Result<T, KubectlError> {
        let mut command = self.command(arguments);
        match quietly {
            // Where to log in is said on standard error, and read from there.
            Quietly::LoginMayAsk => command.stdin(Stdio::inherit()).stderr(Stdio::inherit()),
            Quietly::WithoutLogin => command.env("LATCHKEY_FLOW", "none").stdin(Stdio::null()).stderr(Stdio::piped()),
        };
        let ended = run(command, arguments.join(" "), deadline).await?;
        if ended.status.success() {
            return ended.read();
        }
        let words = ended.last_words();
        if words.is_empty() { Err(ended.failed()) } else { Err(KubectlError::Said { words }) }
    }

    /// What a kustomization makes. Nobody is asked for anything, and nothing is fetched.
    ///
    /// # Errors
    /// When it cannot be run, fails, takes longer than `deadline`, or prints something that is no text.
    pub(crate) async fn kustomize(&self, folder: &str, deadline: Duration) -> Result<String, KubectlError> {
        let arguments = ["kustomize", folder];
        let mut command = self.command(&arguments);
        command.stdin(Stdio::null()).stderr(Stdio::piped()).envs(NO_WAY_OUT);
        for variable in ["NO_PROXY", "no_proxy"] {
            command.env_remove(variable);
        }
        let ended = run(command, arguments.join(" "), deadline).await?;
        let words = ended.last_words();
        match (ended.status.success(), words.is_empty()) {
            (true, _) => String::from_utf8(ended.output.to_vec())
                .map_err(|_| KubectlError::Unreadable { what: ended.what, why: "not UTF-8".to_owned() }),
            (false, false) => Err(KubectlError::Said { words }),
            (false, true) => Err(ended.failed()),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(&self.flags).arg(REQUEST_TIMEOUT).stdout(Stdio::piped()).kill_on_drop(true);
        command
    }
}

/// kubectl after it ended.
struct Ended {
    what: String,
    status: std::process::ExitStatus,
    /// A flattened kubeconfig holds secrets.
    output: Zeroizing<Vec<u8>>,
    /// Its standard error, if that was ours to read.
    words: Vec<u8>,
}

async fn run(mut command: Command, what: String, limit: Duration) -> Result<Ended, KubectlError> {
    let mut child = command.spawn().map_err(KubectlError::NotFound)?;
    let mut stdout = child.stdout.take().expect("standard output was asked for as a pipe").take(OUTPUT_MAX_BYTES);
    let stderr = child.stderr.take();
    let mut output = Zeroizing::new(Vec::new());
    let mut words = Vec::new();
    let ended = timeout(limit, async {
        let read_words = async {
            match stderr {
                Some(mut stderr) => {
                    (&mut stderr).take(WORDS_MAX_BYTES).read_to_end(&mut words).await?;
                    // Read to its end, or a program that says more would wait for ever.
                    tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await.map(drop)
                }
                None => Ok(()),
            }
        };
        let read_output = async {
            match stdout.read_to_end(&mut output).await? as u64 {
                // It would wait for ever for somebody to read the rest.
                OUTPUT_MAX_BYTES => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is more than 64 MiB")),
                _ => Ok(()),
            }
        };
        tokio::try_join!(read_output, read_words)?;
        child.wait().await
    });
    match ended.await {
        Err(_elapsed) => Err(KubectlError::TimedOut { what, limit }),
        Ok(Err(source)) => Err(KubectlError::Pipe { what, source }),
        Ok(Ok(status)) => Ok(Ended { what, status, output, words }),
    }
}

impl Ended {
    fn read<T: DeserializeOwned>(self) -> Result<T, KubectlError> {
        // Only the place: words about it might quote a secret.
        serde_json::from_slice(&self.output).map_err(|error| KubectlError::Unreadable {
            what: self.what,
            why: format!("not the expected JSON (line {}, column {})", error.line(), error.column()),
        })
    }

    fn failed(self) -> KubectlError {
        KubectlError::Failed { what: self.what, status: self.status }
    }

    /// The last line that says something: kubectl's own word comes after those of the programs that it runs.
    fn last_words(&self) -> String {
        let words = String::from_utf8_lossy(&self.words);
        words.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}

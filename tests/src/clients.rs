//! Kubernetes clients beside kubectl: a small program for each library, in `tests/clients`.
//!
//! What they need is fetched once per machine and version into the user's cache, from pinned manifests.

mod install;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::{
    person::{Answer, Person},
    programs::Programs,
};

/// Where the programs and the manifests are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// What a program finds on its standard input after its work.
const LEFT: &str = "left alone";

/// A client library of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// controller-runtime's client, on client-go.
    ControllerRuntime,
    /// fabric8's Java client.
    Fabric8,
    /// The official JavaScript client.
    JavaScript,
    /// The official Java client.
    JavaOfficial,
    /// kube-rs.
    KubeRs,
    /// The official Python client.
    Python,
}

/// What such a program says.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    /// Whom the cluster took it for.
    pub user: String,
    /// In which groups.
    pub groups: Vec<String>,
    /// What there is.
    pub namespaces: Vec<String>,
    stdin: String,
}

impl Library {
    /// How its program is started.
    ///
    /// # Errors
    /// If what it needs cannot be fetched or built: the text says what to install.
    pub async fn command(self) -> Result<Command> {
        Ok(match self {
            Self::ControllerRuntime => Command::new(install::go_client().await?),
            // It looks for the algorithm of the kubeconfig's key before it runs the plugin, takes RSA for granted where there
            // is none, and goes on without a credential when the plugin's key is of another kind.
            Self::Fabric8 => java(&["-Dkubernetes.certs.client.key.algo=EC"], "Fabric8.java").await?,
            Self::JavaOfficial => java(&[], "Official.java").await?,
            Self::JavaScript => {
                let mut command = Command::new("node");
                command.arg(install::javascript().await?.join("client.mjs"));
                command
            }
            Self::KubeRs => Command::new(&Programs::find().await?.kube_rs_client),
            Self::Python => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", install::python().await?);
                command.arg(Path::new(SOURCES).join("python/client.py"));
                command
            }
        })
    }

    /// Has `person` run the program with the kubeconfig that the plugin wrote.
    ///
    /// # Errors
    /// If it fails, or somebody has read what was on its standard input.
    pub async fn asks(self, person: &Person, kubeconfig: &Path) -> Result<Seen> {
        let answer = self.answers(person, kubeconfig).await?;
        ensure!(answer.ok, "{self:?}: {}", answer.seen());
        let seen: Seen =
            serde_json::from_str(&answer.stdout).with_context(|| format!("{self:?}: {}", answer.seen()))?;
        ensure!(seen.stdin == LEFT, "{self:?} found {:?} on its standard input", seen.stdin);
        Ok(seen)
    }

    /// The same, whatever comes of it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub async fn answers(self, person: &Person, kubeconfig: &Path) -> Result<Answer> {
        let mut command = self.command().await?;
        command.env("KUBECONFIG", kubeconfig);
        person.run_fed(command, LEFT).await
    }
}

/// controller-runtime's program with a clock of its own: `LATCHKEY_TEST_CLOCK_AHEAD` (seconds) moves the clock by which
/// client-go judges a credential's expiry. libfaketime cannot do that to a Go program, which asks the kernel itself.
///
/// # Errors
/// If it cannot be built.
pub async fn go_client_with_a_clock() -> Result<PathBuf> {
    install::go_client_with_a_clock().await
}

/// Java runs a program of one file from its source.
async fn java(properties: &[&str], source: &str) -> Result<Command> {
    let mut command = Command::new("java");
    // As little of the two cores as it takes: these programs live for seconds.
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx384m"]).args(properties);
    command.arg("-cp").arg(install::jars().await?.join("*")).arg(Path::new(SOURCES).join("java").join(source));
    Ok(command)
}

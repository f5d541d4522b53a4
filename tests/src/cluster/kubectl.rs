//! kubectl, as the cluster's administrator or with any other kubeconfig.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::Cluster;

/// How long one kubectl call may take: `apply` of everything in `deploy/` takes a few seconds, and tests let kubectl itself wait
/// for a minute at most.
const KUBECTL_LIMIT: Duration = Duration::from_mins(2);

impl Cluster {
    /// The path of a kubectl that fits this cluster.
    #[must_use]
    pub fn kubectl_program(&self) -> &Path {
        &self.programs.kubectl
    }

    /// Runs kubectl as the administrator and returns whatever came out of it.
    ///
    /// # Errors
    /// If kubectl cannot be started or does not end in two minutes.
    pub async fn kubectl<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        self.kubectl_as(&self.admin_kubeconfig, arguments).await
    }

    /// Runs kubectl with another kubeconfig.
    ///
    /// # Errors
    /// If kubectl cannot be started or does not end in two minutes.
    pub async fn kubectl_as<S: AsRef<OsStr>>(&self, kubeconfig: &Path, arguments: &[S]) -> Result<Output> {
        let child =
            tokio::process::Command::from(self.kubectl_command(kubeconfig)).args(arguments).kill_on_drop(true).output();
        tokio::time::timeout(KUBECTL_LIMIT, child)
            .await
            .with_context(|| format!("kubectl did not end within {KUBECTL_LIMIT:?}"))?
            .context("starting kubectl")
    }

    /// kubectl with a kubeconfig, for a test that sets more (an exec plugin's environment, for example): a home and a cache of
    /// this cluster's own, and nothing of the developer's.
    #[must_use]
    pub fn kubectl_command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(&self.programs.kubectl);
        command
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", self.folder.path())
            .env("KUBECACHEDIR", self.folder.path().join("kubectl-cache"))
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env_remove("KUBERNETES_SERVICE_PORT")
            .stdin(Stdio::null());
        command
    }

    /// Runs kubectl as the administrator, demands success, and returns its standard output.
    ///
    /// # Errors
    /// If kubectl fails: with what it wrote.
    pub async fn kubectl_ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let output = self.kubectl(arguments).await?;
        if !output.status.success() {
            let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
            bail!(
                "kubectl {}: {}\n{}{}",
                words.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Applies manifests (server-side) as the administrator.
    ///
    /// # Errors
    /// If kubectl refuses them.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        let path = self.written(manifests)?;
        self.kubectl_ok(&[OsStr::new("apply"), OsStr::new("--server-side"), OsStr::new("-f"), path.as_os_str()]).await
    }

    /// The same where a refusal is an answer too; `flags` are more flags of kubectl.
    ///
    /// # Errors
    /// If kubectl cannot be started or does not end in two minutes.
    pub async fn try_apply(&self, manifests: &str, flags: &[&str]) -> Result<Output> {
        let path = self.written(manifests)?;
        let usual = [OsStr::new("apply"), OsStr::new("--server-side"), OsStr::new("-f"), path.as_os_str()];
        self.kubectl(&usual.into_iter().chain(flags.iter().map(OsStr::new)).collect::<Vec<_>>()).await
    }

    fn written(&self, manifests: &str) -> Result<PathBuf> {
        let file = format!("apply-{}.yaml", uuid::Uuid::new_v4().simple());
        self.folder.write(&file, manifests)
    }
}

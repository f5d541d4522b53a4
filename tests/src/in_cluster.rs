//! Programs that know no kubeconfig, only what a kubelet gives a pod: started with the files of a service account where a pod
//! has them, in a mount namespace of their own.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::{cluster::Cluster, not_run::not_run};

/// `$1` has the files. `/var/run` is `/run`.
const SCRIPT: &str = r#"set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io
cp -r "$1" /run/secrets/kubernetes.io/serviceaccount
shift
exec "$@""#;

/// `program` as a pod of `account` would run it, or nothing where this machine permits no mount namespace. That it does not is
/// said.
///
/// # Errors
/// If there is no such account, or the files cannot be written.
pub async fn command(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
    program: &Path,
    folder: &Path,
) -> Result<Option<Command>> {
    let Some(unshare) = ["--mount", "--map-root-user"].iter().find_map(|flag| permitted(flag)) else {
        let program = program.display().to_string();
        not_run(&program, "it needs a mount namespace, which this machine does not permit (unshare)");
        return Ok(None);
    };
    let files = folder.join(format!("serviceaccount-{account}"));
    std::fs::create_dir_all(&files).with_context(|| format!("making {}", files.display()))?;
    let token = cluster.kubectl_ok(&["create", "token", account, "--namespace", namespace]).await?;
    for (name, content) in [("token", token.trim()), ("ca.crt", cluster.ca_pem()), ("namespace", namespace)] {
        std::fs::write(files.join(name), content).with_context(|| format!("writing {name}"))?;
    }
    let (host, port) = cluster
        .server_url()
        .strip_prefix("https://")
        .and_then(|rest| rest.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())))
        .context("an address with a port")?;
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", SCRIPT, "in-cluster"]).arg(files).arg(program);
    command.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port).env_remove("KUBECONFIG");
    Ok(Some(command))
}

/// The flags of unshare, if a file system can be mounted with them.
fn permitted(flag: &str) -> Option<Vec<String>> {
    let flags = vec!["--mount".to_owned(), flag.to_owned()];
    let tried = Command::new("unshare").args(&flags).args(["mount", "-t", "tmpfs", "tmpfs", "/run"]).output();
    tried.is_ok_and(|output| output.status.success()).then_some(flags)
}

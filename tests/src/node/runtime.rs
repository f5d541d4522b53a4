//! The node's containerd: runc below it, a bridge for its pods' network.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{programs::NodePrograms, room::Room};
use crate::{
    child::Child,
    place::Place,
    wait::{self, Observation},
};

/// As the node's processes see it; `/run` is their own.
pub(super) const SOCKET: &str = "/run/containerd/containerd.sock";

/// What stands for a pod that has no container yet; never pulled.
pub(super) const PAUSE: &str = "latchkey.test/pause:1";

/// It opens an empty database.
const START_LIMIT: Duration = Duration::from_mins(1);

/// 0.4 s for a small image; reading, checking and unpacking 20 MB takes a busy machine longer.
const IMPORT_LIMIT: Duration = Duration::from_mins(2);

/// A running containerd.
pub(super) struct Runtime {
    child: Child,
    place: Place,
    ctr: PathBuf,
}

impl Runtime {
    /// Starts it and waits until it listens.
    pub(super) async fn start(room: &Room, programs: &NodePrograms, folder: &Path, pods: &str) -> Result<Self> {
        let cni = folder.join("cni");
        fs::create_dir(&cni)?;
        fs::write(cni.join("10-bridge.conflist"), network(pods))?;
        let config = folder.join("containerd.toml");
        fs::write(&config, configuration(programs, folder, &cni))?;
        let mut command = room.place().command(&programs.containerd.join("containerd"));
        command.arg("--config").arg(&config).env("PATH", path_with(&programs.containerd)?);
        let mut child = Child::spawn("containerd", command, folder)?;
        let socket = PathBuf::from(format!("/proc/{}/root{SOCKET}", room.init()));
        wait::eventually("containerd to listen", START_LIMIT, async || {
            if let Err(error) = child.check_alive() {
                return Observation::Hopeless(error);
            }
            UnixStream::connect(&socket).map(drop).map_err(anyhow::Error::from).into()
        })
        .await
        .with_context(|| child.last_words())?;
        Ok(Self { child, place: room.place().clone(), ctr: programs.containerd.join("ctr") })
    }

    pub(super) fn last_words(&self) -> String {
        self.child.last_words()
    }

    /// Loads an image archive where the kubelet finds it.
    pub(super) async fn import(&self, archive: &Path) -> Result<()> {
        self.images("import", &[archive.as_os_str()]).await
    }

    /// Gives an image another name in place of the one that it has.
    pub(super) async fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.images("tag", &[from.as_ref(), to.as_ref()]).await?;
        self.images("remove", &[from.as_ref()]).await
    }

    async fn images(&self, verb: &str, arguments: &[&OsStr]) -> Result<()> {
        let mut command = self.place.command(&self.ctr);
        command.args(["--address", SOCKET, "--namespace", "k8s.io", "images", verb]).args(arguments);
        let what = format!("{command:?}");
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = tokio::time::timeout(IMPORT_LIMIT, output)
            .await
            .with_context(|| format!("{what} did not end within {IMPORT_LIMIT:?}"))??;
        ensure!(
            output.status.success(),
            "{what}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}

/// containerd looks for its shim on PATH.
fn path_with(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path)))?)
}

fn configuration(programs: &NodePrograms, folder: &Path, cni: &Path) -> String {
    let (folder, cni) = (folder.display(), cni.display());
    format!(
        "version = 4
root = '{folder}/containerd'
state = '/run/containerd'
[grpc]
  address = '{SOCKET}'
# By default it makes a folder below /opt, which is the machine's.
[plugins.'io.containerd.internal.v1.opt']
  path = '{folder}/opt'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{PAUSE}'
[plugins.'io.containerd.cri.v1.runtime']
  # Root in a container (of CI) may lack CAP_SYS_RESOURCE, and no pod would start.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = '{runc}'
    SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['{plugins}']
  conf_dir = '{cni}'
",
        runc = programs.runc.display(),
        plugins = programs.cni.display(),
    )
}

/// No masquerading: this machine has a route back to the pods.
fn network(pods: &str) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isDefaultGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": [[{"subnet": pods}]]},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

//! What a node runs beside the control plane: found on this machine, or built once by Go from the pinned modules in
//! `tests/control-plane`. Only a test with a node asks for it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::sync::OnceCell;

use crate::{
    cache, control_plane,
    go::{self, Program},
    tools::TOOLS,
};

/// What to do where it cannot be built.
const ADVICE: &str = ", and gcc, pkg-config and libseccomp-dev for runc, whose C it compiles";

/// Paths of the programs.
pub(super) struct NodePrograms {
    pub(super) kubelet: PathBuf,
    pub(super) kube_proxy: PathBuf,
    pub(super) kube_scheduler: PathBuf,
    /// The folder with containerd, its shim and ctr.
    pub(super) containerd: PathBuf,
    pub(super) runc: PathBuf,
    /// The folder with the network plugins.
    pub(super) cni: PathBuf,
    /// The program in the tests' own image.
    pub(super) pod: PathBuf,
}

impl NodePrograms {
    /// Finds or builds them, once per process.
    pub(super) async fn find() -> Result<&'static Self> {
        static FOUND: OnceCell<NodePrograms> = OnceCell::const_new();
        FOUND.get_or_try_init(Self::find_now).await
    }

    async fn find_now() -> Result<Self> {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane");
        let kubernetes =
            ["kubelet", "kube-proxy", "kube-scheduler"].map(|name| control_plane::build::kubernetes(name, &sources));
        let cache = control_plane::build::cache_folder(&sources)?;
        let kubernetes = found_or_built(control_plane::ASSETS, "", &kubernetes, Some(cache)).await?;

        let containerd = ["containerd", "containerd-shim-runc-v2", "ctr"].map(|name| {
            Program::new(name, &format!("github.com/containerd/containerd/v2/cmd/{name}"), sources.join("containerd"))
        });
        let mut runc = Program::new("runc", "github.com/opencontainers/runc", sources.join("runc"));
        runc.cgo = true;
        // Without seccomp no pod with `seccompProfile: RuntimeDefault` starts.
        runc.arguments = ["-tags", "seccomp netgo osusergo"].map(str::to_owned).to_vec();
        r#"-extldflags "-static""#.clone_into(&mut runc.linked);
        let plugins = ["main/bridge", "ipam/host-local", "main/loopback", "meta/portmap"].map(|plugin| {
            let (_, name) = plugin.split_once('/').expect("each has a folder");
            let package = format!("github.com/containernetworking/plugins/plugins/{plugin}");
            Program::new(name, &package, sources.join("cni"))
        });
        let pod = Program::new("pod", ".", sources.join("pod"));
        Ok(Self {
            kubelet: kubernetes.join("kubelet"),
            kube_proxy: kubernetes.join("kube-proxy"),
            kube_scheduler: kubernetes.join("kube-scheduler"),
            containerd: found_or_built(TOOLS, "", &containerd, None).await?,
            runc: found_or_built(TOOLS, "", &[runc], None).await?.join("runc"),
            cni: found_or_built(TOOLS, "cni", &plugins, None).await?,
            pod: found_or_built(TOOLS, "", &[pod], None).await?.join("pod"),
        })
    }
}

/// The folder with all of `programs`: in the folder that the environment names, else `cache` or one after their module.
async fn found_or_built(
    variable: &str,
    folder: &str,
    programs: &[Program<'_>],
    cache: Option<PathBuf>,
) -> Result<PathBuf> {
    for variable in [variable, TOOLS] {
        let ready = cache::folder_from(variable).map(|ready| ready.join(folder));
        let complete = |ready: &PathBuf| programs.iter().all(|program| ready.join(program.name).is_file());
        if let Some(ready) = ready.filter(complete) {
            return Ok(ready);
        }
    }
    let module = &programs.first().context("programs to find")?.module;
    let folder = if let Some(cache) = cache {
        cache
    } else {
        let name = module.file_name().unwrap_or_default().display();
        cache::folder_for(&format!("node/{name}"), &go::sources(module)?)?
    };
    go::build_missing(&folder, programs, ADVICE).await?;
    Ok(folder)
}

//! Builds the control plane's programs by Go, once per machine and pinned version.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{ASSETS, Program};
use crate::{cache, go};

/// Set to a folder, it is used as the cache itself.
const CACHE: &str = "LATCHKEY_CONTROL_PLANE_CACHE";

/// The release that `tests/control-plane/kubernetes/go.mod` pins. Without it in the binary, the API server says v0.0.0-master.
const KUBERNETES_VERSION: &str = "v1.36.3";

/// Makes sure that `programs` are in the cache and returns its folder of programs.
pub(super) async fn build(programs: &[Program]) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane");
    let folder = cache_folder(&sources)?;
    let advice = format!(
        ", or set {ASSETS} to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl (building all four takes \
         about ten minutes the first time)"
    );
    let programs: Vec<_> = programs.iter().map(|program| program.built_from(&sources)).collect();
    go::build_missing(&folder, &programs, &advice).await?;
    Ok(folder)
}

impl Program {
    fn built_from(self, sources: &Path) -> go::Program<'static> {
        match self {
            Self::Etcd => go::Program::new(self.name(), "go.etcd.io/etcd/server/v3", sources.join("etcd")),
            Self::KubeApiserver | Self::KubeControllerManager | Self::Kubectl => kubernetes(self.name(), sources),
        }
    }
}

/// A program of Kubernetes itself.
pub(crate) fn kubernetes(name: &'static str, sources: &Path) -> go::Program<'static> {
    let package = format!("k8s.io/kubernetes/cmd/{name}");
    let mut program = go::Program::new(name, &package, sources.join("kubernetes"));
    program.linked = format!(
        "-X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION} \
         -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}"
    );
    program
}

/// `$LATCHKEY_CONTROL_PLANE_CACHE`, else a folder named after the pinned modules in the user's cache.
pub(crate) fn cache_folder(sources: &Path) -> Result<PathBuf> {
    if let Some(folder) = cache::folder_from(CACHE) {
        return Ok(folder);
    }
    let pinned: Vec<_> = ["kubernetes", "etcd"]
        .into_iter()
        .flat_map(|module| ["go.mod", "go.sum"].map(|file| sources.join(module).join(file)))
        .collect();
    Ok(cache::folder_for("control-plane", &pinned)?.join("bin"))
}

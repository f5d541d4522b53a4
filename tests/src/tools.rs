//! Command line tools of others that tests run: each built by Go from its pinned module in `tests/tools`, once per machine.
//!
//! Adding one takes a folder with `go.mod` and `go.sum` and a variant here. A small Go program of our own is the same, with its
//! `main.go` beside them and the package `.`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::{
    cache,
    go::{self, Program},
};

/// A folder with ready-built tools, searched first: `LATCHKEY_TOOLS`.
pub const TOOLS: &str = "LATCHKEY_TOOLS";

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Dex, an identity provider.
    Dex,
    /// Helm 4.
    Helm,
    /// Ours: judges objects as those who wait for them do, Helm, Flux and Argo CD.
    Kstatus,
    /// kubeconform: judges manifests by schemas.
    Kubeconform,
    /// kubeseal, the half of sealed-secrets for people.
    Kubeseal,
    /// kustomize.
    Kustomize,
    /// Flux' kustomize-controller.
    KustomizeController,
    /// The controller of sealed-secrets.
    SealedSecrets,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Dex,
        Self::Helm,
        Self::Kstatus,
        Self::Kubeconform,
        Self::Kubeseal,
        Self::Kustomize,
        Self::KustomizeController,
        Self::SealedSecrets,
    ];

    /// The program's path: in the folder that [`TOOLS`] names, else built, which takes up to two minutes the first time.
    ///
    /// # Errors
    /// If it cannot be built: the text says what to install.
    pub async fn find(self) -> Result<PathBuf> {
        let installed = cache::folder_from(TOOLS).map(|folder| folder.join(self.name()));
        if let Some(installed) = installed.filter(|path| path.is_file()) {
            return Ok(installed);
        }
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(self.name());
        let folder = cache::folder_for(&format!("tools/{}", self.name()), &go::sources(&module)?)?;
        let program = Program::new(self.name(), self.package(), module);
        go::build_missing(&folder, &[program], &format!(", or set {TOOLS} to a folder with it")).await?;
        Ok(folder.join(self.name()))
    }

    /// Of the program, and of its module's folder.
    fn name(self) -> &'static str {
        match self {
            Self::Dex => "dex",
            Self::Helm => "helm",
            Self::Kstatus => "kstatus",
            Self::Kubeconform => "kubeconform",
            Self::Kubeseal => "kubeseal",
            Self::Kustomize => "kustomize",
            Self::KustomizeController => "kustomize-controller",
            Self::SealedSecrets => "sealed-secrets",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Dex => "github.com/dexidp/dex/cmd/dex",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::Kstatus => ".",
            Self::Kubeconform => "github.com/yannh/kubeconform/cmd/kubeconform",
            Self::Kubeseal => "github.com/bitnami-labs/sealed-secrets/cmd/kubeseal",
            Self::Kustomize => "sigs.k8s.io/kustomize/kustomize/v5",
            Self::KustomizeController => "github.com/fluxcd/kustomize-controller",
            Self::SealedSecrets => "github.com/bitnami-labs/sealed-secrets/cmd/controller",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_its_pinned_module() {
        for tool in Tool::ALL {
            let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(tool.name());
            let files = go::sources(&module).expect("the folder");
            for file in ["go.mod", "go.sum"] {
                assert!(files.contains(&module.join(file)), "{tool:?}: {file} among {files:?}");
            }
            let pinned = std::fs::read_to_string(module.join("go.mod")).expect("go.mod");
            let pins = tool.package() == "." || pinned.contains(&format!("tool {}\n", tool.package()));
            assert!(pins, "{tool:?}: {pinned}");
        }
    }
}

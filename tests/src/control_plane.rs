//! The control plane's programs: found on this machine, or built once from the pinned `go.mod` files.
//!
//! Where they come from, per program: the folder `KUBEBUILDER_ASSETS`; else `PATH`, if recent enough; else a build by Go into
//! a cache outside `target/`, so that `cargo clean` does not cost ten minutes. kubectl is taken from `PATH` only when
//! kube-apiserver was: then the client that a test drives is of its server's release.

pub(crate) mod build;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::OnceCell;

/// A folder with the four programs, as envtest's tools set it.
pub const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The oldest Kubernetes that we support (design.md section 13).
const OLDEST_KUBERNETES: Version = Version(1, 31);

/// The oldest etcd that Kubernetes 1.31 and later accept.
const OLDEST_ETCD: Version = Version(3, 5);

/// Paths of the four programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub kube_apiserver: PathBuf,
    /// kube-controller-manager.
    pub kube_controller_manager: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
}

impl ControlPlane {
    /// Finds the programs, or builds them, once per process.
    ///
    /// # Errors
    /// If a program is neither found nor can be built; the text says what to install.
    pub async fn find() -> Result<&'static Self> {
        static FOUND: OnceCell<ControlPlane> = OnceCell::const_new();
        FOUND.get_or_try_init(Self::find_now).await
    }

    async fn find_now() -> Result<Self> {
        let assets = std::env::var_os(ASSETS).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = Installed { assets, path: std::env::split_paths(&path).collect() };

        let kube_apiserver = installed.find(Program::KubeApiserver);
        let kube_controller_manager = installed.find(Program::KubeControllerManager);
        let etcd = installed.find(Program::Etcd);
        let kubectl = installed
            .in_assets(Program::Kubectl)
            .or_else(|| kube_apiserver.as_ref().and_then(|_| installed.on_path(Program::Kubectl)));
        let found = [
            (Program::KubeApiserver, kube_apiserver),
            (Program::KubeControllerManager, kube_controller_manager),
            (Program::Kubectl, kubectl),
            (Program::Etcd, etcd),
        ];
        let missing: Vec<Program> =
            found.iter().filter(|(_, path)| path.is_none()).map(|(program, _)| *program).collect();
        let built = build::build(&missing).await?;
        let [kube_apiserver, kube_controller_manager, kubectl, etcd] =
            found.map(|(program, path)| path.unwrap_or_else(|| built.join(program.name())));
        Ok(Self { etcd, kube_apiserver, kube_controller_manager, kubectl })
    }
}

/// One of the four, in the order in which they are built: the API server first, as it compiles what the others share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    KubeApiserver,
    KubeControllerManager,
    Kubectl,
    Etcd,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Etcd => "etcd",
        }
    }

    fn oldest(self) -> Version {
        match self {
            Self::Etcd => OLDEST_ETCD,
            Self::KubeApiserver | Self::KubeControllerManager | Self::Kubectl => OLDEST_KUBERNETES,
        }
    }

    fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kubectl => &["version", "--client"],
            Self::Etcd | Self::KubeApiserver | Self::KubeControllerManager => &["--version"],
        }
    }
}

/// Where installed programs may be.
struct Installed {
    assets: Option<PathBuf>,
    path: Vec<PathBuf>,
}

impl Installed {
    fn find(&self, program: Program) -> Option<PathBuf> {
        self.in_assets(program).or_else(|| self.on_path(program))
    }

    /// Taken at its word: who sets the variable chose these versions.
    fn in_assets(&self, program: Program) -> Option<PathBuf> {
        let path = self.assets.as_ref()?.join(program.name());
        path.is_file().then_some(path)
    }

    fn on_path(&self, program: Program) -> Option<PathBuf> {
        let path = self.path.iter().map(|folder| folder.join(program.name())).find(|path| path.is_file())?;
        match version_of(&path, program.version_arguments()) {
            Ok(version) if version >= program.oldest() => Some(path),
            Ok(Version(major, minor)) => {
                let Version(oldest_major, oldest_minor) = program.oldest();
                eprintln!(
                    "control plane: {} is {major}.{minor}, at least {oldest_major}.{oldest_minor} is needed: not used",
                    path.display()
                );
                None
            }
            Err(error) => {
                eprintln!("control plane: {} does not tell its version ({error:#}): not used", path.display());
                None
            }
        }
    }
}

/// Major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

fn version_of(program: &Path, arguments: &[&str]) -> Result<Version> {
    let output = Command::new(program).args(arguments.iter().map(OsStr::new)).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("no version in {:?}", text.lines().next().unwrap_or_default()))
}

/// The first `1.36` in texts such as `Kubernetes v1.36.3`, `Client Version: v1.36.3` or `etcd Version: 3.7.3`.
fn parse_version(text: &str) -> Result<Version> {
    text.split_whitespace()
        .find_map(|word| {
            let mut numbers = word.trim_start_matches('v').split('.').map(str::parse);
            match (numbers.next()?, numbers.next()?) {
                (Ok(major), Ok(minor)) => Some(Version(major, minor)),
                _ => None,
            }
        })
        .ok_or_else(|| anyhow!("expected something like v1.36.3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_versions_that_the_programs_print() {
        for (text, version) in [
            ("Kubernetes v1.36.3\n", Version(1, 36)),
            ("Client Version: v1.31.0\nKustomize Version: v5.8.1\n", Version(1, 31)),
            ("etcd Version: 3.7.3\nGit SHA: none\n", Version(3, 7)),
        ] {
            assert_eq!(parse_version(text).expect("a version"), version, "{text}");
        }
        parse_version("command not found").expect_err("no version");
        assert!(Version(1, 9) < OLDEST_KUBERNETES);
    }
}

//! Builds the control plane's programs by Go, once per machine and pinned version.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::digest::{SHA256, digest};

use super::{ASSETS, Program};
use crate::{
    child::Child,
    folder::TempFolder,
    wait::{self, Observation},
};

/// Set to a folder, it is used as the cache itself.
const CACHE: &str = "LATCHKEY_CONTROL_PLANE_CACHE";

/// One program's cold build took 499 s on two busy cores (test-cluster.md section 1); a slow machine may take six times that.
const BUILD_LIMIT: Duration = Duration::from_mins(50);

/// How long to wait for another process that builds the same programs: all four, each at its limit, would be absurd.
const LOCK_LIMIT: Duration = Duration::from_hours(1);

/// How often a long build says that it is still at it.
const NEWS: Duration = Duration::from_secs(15);

/// The release that `tests/control-plane/kubernetes/go.mod` pins. Without it in the binary, the API server says v0.0.0-master.
const KUBERNETES_VERSION: &str = "v1.36.3";

/// Makes sure that `programs` are in the cache and returns its folder of programs.
pub(super) async fn build(programs: &[Program]) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane");
    let cache = cache_folder(&sources)?;
    if programs.iter().all(|program| cache.join(program.name()).is_file()) {
        return Ok(cache);
    }
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let _lock = lock(&cache).await?;
    let missing: Vec<Program> =
        programs.iter().copied().filter(|program| !cache.join(program.name()).is_file()).collect();
    for (done, program) in missing.iter().enumerate() {
        let progress = format!("{} ({} of {})", program.name(), done + 1, missing.len());
        go_build(*program, &progress, &sources, &cache).await?;
    }
    Ok(cache)
}

/// `$LATCHKEY_CONTROL_PLANE_CACHE`, else a folder named after the pinned modules in the user's cache.
fn cache_folder(sources: &Path) -> Result<PathBuf> {
    if let Some(folder) = folder_from(CACHE) {
        return Ok(folder);
    }
    let mut pinned = Vec::new();
    for module in ["kubernetes", "etcd"] {
        for file in ["go.mod", "go.sum"] {
            let path = sources.join(module).join(file);
            pinned.extend(fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
        }
    }
    let hash = hex::encode(digest(&SHA256, &pinned));
    Ok(user_cache()?.join("latchkey/control-plane").join(&hash[..16]).join("bin"))
}

/// The user's cache folder by the XDG rules.
///
/// # Errors
/// If the environment names neither a cache nor a home folder.
pub(crate) fn user_cache() -> Result<PathBuf> {
    folder_from("XDG_CACHE_HOME")
        .or_else(|| folder_from("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for a cache")
}

fn folder_from(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Two test processes must not build the same program at once. The system drops the lock with its holder.
pub(crate) async fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let mut told = false;
    wait::eventually("another process that fills the same cache", LOCK_LIMIT, async || match file.try_lock() {
        Ok(()) => Observation::Holds(()),
        Err(fs::TryLockError::WouldBlock) => {
            if !std::mem::replace(&mut told, true) {
                eprintln!("another process fills {}: waiting for it", folder.display());
            }
            Observation::NotYet(format!("{} is locked", path.display()))
        }
        Err(fs::TryLockError::Error(error)) => Observation::Hopeless(error.into()),
    })
    .await?;
    Ok(file)
}

async fn go_build(program: Program, progress: &str, sources: &Path, cache: &Path) -> Result<()> {
    let (module, package) = match program {
        Program::Etcd => ("etcd", "go.etcd.io/etcd/server/v3".to_owned()),
        Program::KubeApiserver | Program::KubeControllerManager | Program::Kubectl => {
            ("kubernetes", format!("k8s.io/kubernetes/cmd/{}", program.name()))
        }
    };
    eprintln!("control plane: building {progress}; all four take about ten minutes the first time, then never again");
    let half = cache.join(format!(".{}.half", program.name()));
    let mut command = Command::new("go");
    command
        .current_dir(sources.join(module))
        .env("CGO_ENABLED", "0")
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false"])
        .arg(format!(
            "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION} \
             -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES_VERSION}"
        ))
        .arg("-o")
        .arg(&half)
        .arg(package);

    let logs = TempFolder::new("go-build")?;
    let start = Instant::now();
    let mut go = Child::spawn(program.name(), command, logs.path()).map_err(|error| {
        let missing = error.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == ErrorKind::NotFound);
        if missing {
            anyhow!(
                "{} is neither in {ASSETS} nor on PATH, and there is no Go to build it: install Go 1.26 or later \
                 (https://go.dev/dl), or set {ASSETS} to a folder with etcd, kube-apiserver, kube-controller-manager and kubectl",
                program.name()
            )
        } else {
            error
        }
    })?;
    let mut news = tokio::time::interval(NEWS);
    news.tick().await;
    let status = {
        let mut ended = std::pin::pin!(go.ended(BUILD_LIMIT));
        loop {
            tokio::select! {
                status = &mut ended => break status?,
                _ = news.tick() => eprintln!("control plane: building {progress}: {} s", start.elapsed().as_secs()),
            }
        }
    };
    if !status.success() {
        bail!("go build of {} failed: {status}\n{}", program.name(), go.last_words());
    }
    fs::rename(&half, cache.join(program.name())).with_context(|| format!("renaming {}", half.display()))?;
    eprintln!("control plane: built {progress} in {} s", start.elapsed().as_secs());
    Ok(())
}

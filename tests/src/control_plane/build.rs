//! Builds the control plane's programs by Go, once per machine and pinned version.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::digest::{SHA256, digest};

use super::{ASSETS, Program};
use crate::{cache, child::Child, folder::TempFolder};

/// Set to a folder, it is used as the cache itself.
const CACHE: &str = "LATCHKEY_CONTROL_PLANE_CACHE";

/// One program's cold build took 499 s on two busy cores (test-cluster.md section 1); a slow machine may take six times that.
const BUILD_LIMIT: Duration = Duration::from_mins(50);

/// How often a long build says that it is still at it.
const NEWS: Duration = Duration::from_secs(15);

/// The release that `tests/control-plane/kubernetes/go.mod` pins. Without it in the binary, the API server says v0.0.0-master.
const KUBERNETES_VERSION: &str = "v1.36.3";

/// Makes sure that `programs` are in the cache and returns its folder of programs.
pub(super) async fn build(programs: &[Program]) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane");
    let folder = cache_folder(&sources)?;
    if programs.iter().all(|program| folder.join(program.name()).is_file()) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let _lock = cache::lock(&folder).await?;
    let missing: Vec<Program> =
        programs.iter().copied().filter(|program| !folder.join(program.name()).is_file()).collect();
    for (done, program) in missing.iter().enumerate() {
        let progress = format!("{} ({} of {})", program.name(), done + 1, missing.len());
        go_build(*program, &progress, &sources, &folder).await?;
    }
    Ok(folder)
}

/// `$LATCHKEY_CONTROL_PLANE_CACHE`, else a folder named after the pinned modules in the user's cache.
fn cache_folder(sources: &Path) -> Result<PathBuf> {
    if let Some(folder) = cache::folder_from(CACHE) {
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
    Ok(cache::user_cache()?.join("latchkey/control-plane").join(&hash[..16]).join("bin"))
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

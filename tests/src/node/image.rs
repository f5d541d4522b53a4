//! An image of one static program, as an archive that containerd imports: no registry, no container engine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

use super::succeed;

/// Writes `folder/<program's name>.tar` in `docker save`'s form, with the program as its entry point and only file. It runs as
/// nobody in particular (65532), so that `runAsNonRoot` needs no user.
pub(super) fn write(folder: &Path, program: &Path, references: &[&str]) -> Result<PathBuf> {
    let name = program.file_name().context("a program has a name")?.to_string_lossy().into_owned();
    let work = folder.join(format!("image-{name}"));
    let root = work.join("root");
    fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    fs::copy(program, root.join(&name)).with_context(|| format!("copying {}", program.display()))?;
    pack(&root, &work.join("layer.tar"))?;
    let layer = hex::encode(digest(&SHA256, &fs::read(work.join("layer.tar"))?));
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Entrypoint": [format!("/{name}")], "Env": ["PATH=/"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": references, "Layers": ["layer.tar"]}]);
    fs::remove_dir_all(&root)?;
    fs::write(work.join("config.json"), config.to_string())?;
    fs::write(work.join("manifest.json"), manifest.to_string())?;
    let archive = folder.join(format!("{name}.tar"));
    pack(&work, &archive)?;
    fs::remove_dir_all(&work)?;
    Ok(archive)
}

/// The same bytes each time; `archive` lies outside of `folder`.
fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C"]).arg(folder);
    succeed(tar.arg("-cf").arg(archive).arg("."))
}

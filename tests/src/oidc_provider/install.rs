//! Puts `oidc-provider` on this machine: npm's packages once per version, our server for each start.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use aws_lc_rs::digest::{SHA256, digest};

use crate::{cache, child::Child, folder::TempFolder};

/// Set to a folder, it is used as the cache itself.
const CACHE: &str = "LATCHKEY_IDP_CACHE";

/// What npm reads: exact versions with the hashes of their content.
const PINNED: [&str; 2] = ["package.json", "package-lock.json"];

/// What we wrote: the program first.
const PROGRAM: [&str; 2] = ["server.mjs", "pages.mjs"];

/// `npm ci` fetches forty small packages: two seconds by a good line.
const INSTALL_LIMIT: Duration = Duration::from_mins(5);

/// Copies our server into `folder`, beside a link to the packages, and returns its path.
///
/// Node looks for packages from a program's own folder upwards, and these must not lie in the repository.
pub(super) async fn program_in(folder: &TempFolder) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("idp");
    let packages = packages(&sources).await?;
    symlink(&packages, folder.path().join("node_modules"))
        .with_context(|| format!("linking to {}", packages.display()))?;
    for file in PROGRAM {
        fs::copy(sources.join(file), folder.path().join(file)).with_context(|| format!("copying tests/idp/{file}"))?;
    }
    Ok(folder.path().join(PROGRAM[0]))
}

/// The folder `node_modules` in the cache, filled by `npm ci` if need be.
async fn packages(sources: &Path) -> Result<PathBuf> {
    let cache = cache_folder(sources)?;
    let packages = cache.join("node_modules");
    if packages.is_dir() {
        return Ok(packages);
    }
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let _lock = cache::lock(&cache).await?;
    if !packages.is_dir() {
        // Under another name until it is whole: who is interrupted leaves nothing that looks finished.
        let half = cache.join("half");
        npm_ci(sources, &half).await?;
        fs::rename(half.join("node_modules"), &packages).with_context(|| format!("renaming {}", half.display()))?;
        fs::remove_dir_all(&half).with_context(|| format!("removing {}", half.display()))?;
    }
    Ok(packages)
}

/// `$LATCHKEY_IDP_CACHE`, else a folder named after the pinned packages in the user's cache.
fn cache_folder(sources: &Path) -> Result<PathBuf> {
    if let Some(folder) = cache::folder_from(CACHE) {
        return Ok(folder);
    }
    let mut pinned = Vec::new();
    for file in PINNED {
        pinned.extend(fs::read(sources.join(file)).with_context(|| format!("reading tests/idp/{file}"))?);
    }
    let hash = hex::encode(digest(&SHA256, &pinned));
    Ok(cache::user_cache()?.join("latchkey/idp").join(&hash[..16]))
}

async fn npm_ci(sources: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for file in PINNED {
        fs::copy(sources.join(file), folder.join(file)).with_context(|| format!("copying tests/idp/{file}"))?;
    }
    eprintln!("oidc-provider: npm ci, once per machine and version");
    let start = Instant::now();
    let logs = TempFolder::new("npm")?;
    let mut command = Command::new("npm");
    // Nothing of these packages needs a script at its installation.
    command.current_dir(folder).args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let mut npm = Child::spawn("npm", command, logs.path()).map_err(name_the_missing)?;
    let status = npm.ended(INSTALL_LIMIT).await?;
    ensure!(status.success(), "npm ci failed: {status}\n{}", npm.last_words());
    eprintln!("oidc-provider: installed in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// Says what to install when node or npm is not there.
pub(super) fn name_the_missing(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::NotFound) => {
            anyhow!("{error:#}: install Node.js 20 or later with npm (Debian packages nodejs and npm)")
        }
        _ => error,
    }
}

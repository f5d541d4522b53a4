//! Caches outside the repository, for what takes minutes to make: where they are, and one maker at a time.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};

use crate::wait::{self, Observation};

/// How long to wait for another process that fills the same cache: a cold build of the control plane on a slow machine.
const LOCK_LIMIT: Duration = Duration::from_hours(1);

/// The user's cache folder by the XDG rules.
///
/// # Errors
/// If the environment names neither a cache nor a home folder.
pub(crate) fn user_cache() -> Result<PathBuf> {
    folder_from("XDG_CACHE_HOME")
        .or_else(|| folder_from("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for a cache")
}

/// The folder that an environment variable names, if it names one.
pub(crate) fn folder_from(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `latchkey/<name>/<hash>` in the user's cache, with the hash of what the files `pinned` say.
///
/// # Errors
/// If there is no place for a cache, or a pinned file cannot be read.
pub(crate) fn folder_for(name: &str, pinned: &[PathBuf]) -> Result<PathBuf> {
    let mut content = Vec::new();
    for file in pinned {
        content.extend(fs::read(file).with_context(|| format!("reading {}", file.display()))?);
    }
    let hash = hex::encode(digest(&SHA256, &content));
    Ok(user_cache()?.join("latchkey").join(name).join(&hash[..16]))
}

/// What `make` makes in an empty folder, made once per machine and content of the files `pinned`, in [`folder_for`]
/// them. Who is interrupted leaves nothing that looks finished.
///
/// # Errors
/// If there is no place for a cache, a pinned file cannot be read, or `make` fails.
pub(crate) async fn made_once(
    name: &str,
    pinned: &[PathBuf],
    make: impl AsyncFnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let cache = folder_for(name, pinned)?;
    let ready = cache.join("ready");
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let _lock = lock(&cache).await?;
    if !ready.is_dir() {
        let half = cache.join("half");
        if half.exists() {
            fs::remove_dir_all(&half).with_context(|| format!("removing {}", half.display()))?;
        }
        fs::create_dir(&half).with_context(|| format!("making {}", half.display()))?;
        eprintln!("{name}: made once per machine and version");
        let start = Instant::now();
        make(&half).await?;
        fs::rename(&half, &ready).with_context(|| format!("renaming {}", half.display()))?;
        eprintln!("{name}: made in {:.1} s", start.elapsed().as_secs_f32());
    }
    Ok(ready)
}

/// Two test processes must not fill the same folder at once. The system drops the lock with its holder.
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

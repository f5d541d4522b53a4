//! Puts Keycloak on this machine: Maven unpacks its distribution and Keycloak prepares itself, once per version.

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
const CACHE: &str = "LATCHKEY_KEYCLOAK_CACHE";

/// What is fetched: one published package, by its exact version.
const POM: &str = "idp/keycloak/pom.xml";

/// Fetching 180 MiB takes seconds by a good line; preparing takes twenty seconds on two cores.
const STEP_LIMIT: Duration = Duration::from_mins(10);

/// Options that are fixed when Keycloak prepares itself: a database in memory, no cluster of several Keycloaks.
const PREPARED: [&str; 3] = ["build", "--db=dev-mem", "--cache=local"];

/// What a running Keycloak only reads. Everything else, above all `data`, is each process' own.
const SHARED: [&str; 5] = ["lib", "conf", "providers", "themes", "version.txt"];

/// A home for one Keycloak in `folder`; returns the script that starts it.
pub(super) async fn home_in(folder: &TempFolder) -> Result<PathBuf> {
    let distribution = distribution().await?;
    let home = folder.path().join("home");
    fs::create_dir_all(home.join("bin"))?;
    for shared in SHARED {
        symlink(distribution.join(shared), home.join(shared)).with_context(|| format!("linking to {shared}"))?;
    }
    // The script looks for its home beside itself: so it is copied, not linked to.
    let script = home.join("bin/kc.sh");
    fs::copy(distribution.join("bin/kc.sh"), &script).context("copying kc.sh")?;
    Ok(script)
}

/// Where Keycloak's own programs are.
pub(super) async fn programs() -> Result<PathBuf> {
    Ok(distribution().await?.join("bin"))
}

/// The prepared distribution in the cache, made if need be.
async fn distribution() -> Result<PathBuf> {
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join(POM);
    let cache = cache_folder(&pom)?;
    let ready = cache.join("ready");
    if ready.is_dir() {
        return Ok(ready);
    }
    fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let _lock = cache::lock(&cache).await?;
    if !ready.is_dir() {
        // Under another name until it is whole: who is interrupted leaves nothing that looks finished.
        let half = cache.join("half");
        if half.exists() {
            fs::remove_dir_all(&half).with_context(|| format!("removing {}", half.display()))?;
        }
        let start = Instant::now();
        let unpacked = unpack(&pom, &half).await?;
        prepare(&unpacked).await?;
        fs::rename(&unpacked, &ready).with_context(|| format!("renaming {}", unpacked.display()))?;
        fs::remove_dir_all(&half).with_context(|| format!("removing {}", half.display()))?;
        eprintln!("Keycloak: installed in {:.1} s", start.elapsed().as_secs_f32());
    }
    Ok(ready)
}

/// `$LATCHKEY_KEYCLOAK_CACHE`, else a folder named after what is fetched in the user's cache.
fn cache_folder(pom: &Path) -> Result<PathBuf> {
    if let Some(folder) = cache::folder_from(CACHE) {
        return Ok(folder);
    }
    let content = fs::read(pom).with_context(|| format!("reading tests/{POM}"))?;
    let hash = hex::encode(digest(&SHA256, &content));
    Ok(cache::user_cache()?.join("latchkey/keycloak").join(&hash[..16]))
}

/// Has Maven unpack the distribution below `folder`; returns the one folder that it is.
async fn unpack(pom: &Path, folder: &Path) -> Result<PathBuf> {
    eprintln!("Keycloak: fetched by Maven, once per machine and version");
    let mut command = Command::new("mvn");
    command.args(["--quiet", "--batch-mode", "--file"]).arg(pom);
    command.arg(format!("-Dfolder={}", folder.display())).arg("generate-resources");
    run("mvn", command, "install Maven and a JDK 17 or later (Debian packages maven and default-jdk-headless)").await?;
    let mut entries = fs::read_dir(folder.join("unpacked"))?.collect::<Result<Vec<_>, _>>()?;
    let only = entries.pop().filter(|_| entries.is_empty());
    Ok(only.with_context(|| format!("one folder in {}/unpacked", folder.display()))?.path())
}

/// Keycloak compiles its configuration; without this it would do so at each start.
async fn prepare(distribution: &Path) -> Result<()> {
    let mut command = Command::new(distribution.join("bin/kc.sh"));
    command.args(PREPARED);
    run("kc.sh", command, "install a JDK 17 or later (Debian package default-jdk-headless)").await
}

async fn run(name: &str, command: Command, mend: &str) -> Result<()> {
    let logs = TempFolder::new(name)?;
    let mut child =
        Child::spawn(name, command, logs.path()).map_err(|error| match error.downcast_ref::<std::io::Error>() {
            Some(cause) if cause.kind() == ErrorKind::NotFound => anyhow!("{error:#}: {mend}"),
            _ => error,
        })?;
    let status = child.ended(STEP_LIMIT).await?;
    ensure!(status.success(), "{name} failed: {status}\n{}", child.last_words());
    Ok(())
}

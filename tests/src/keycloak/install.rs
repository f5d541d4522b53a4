//! Puts Keycloak on this machine: Maven unpacks its distribution and Keycloak prepares itself, once per version.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{cache, child, folder::TempFolder};

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
    cache::made_once("keycloak", std::slice::from_ref(&pom), async |folder| {
        let unpacked = unpack(&pom, folder).await?;
        prepare(&unpacked).await?;
        for entry in fs::read_dir(&unpacked)? {
            let entry = entry?;
            fs::rename(entry.path(), folder.join(entry.file_name()))?;
        }
        fs::remove_dir_all(folder.join(UNPACKED)).context("removing what is empty by now")
    })
    .await
}

/// The folder that the POM unpacks into.
const UNPACKED: &str = "unpacked";

/// Has Maven unpack the distribution below `folder`; returns the one folder that it is.
async fn unpack(pom: &Path, folder: &Path) -> Result<PathBuf> {
    let mut command = Command::new("mvn");
    command.args(["--quiet", "--batch-mode", "--file"]).arg(pom);
    command.arg(format!("-Dfolder={}", folder.display())).arg("generate-resources");
    let needed = "Maven and a JDK 17 or later (Debian packages maven and default-jdk-headless)";
    child::run("mvn", command, STEP_LIMIT, needed).await?;
    let unpacked = folder.join(UNPACKED);
    let mut entries = fs::read_dir(&unpacked)?.collect::<Result<Vec<_>, _>>()?;
    let only = entries.pop().filter(|_| entries.is_empty());
    Ok(only.with_context(|| format!("one folder in {}", unpacked.display()))?.path())
}

/// Keycloak compiles its configuration; without this it would do so at each start.
async fn prepare(distribution: &Path) -> Result<()> {
    let mut command = Command::new(distribution.join("bin/kc.sh"));
    command.args(PREPARED);
    child::run("kc.sh", command, STEP_LIMIT, "a JDK 17 or later (Debian package default-jdk-headless)").await
}

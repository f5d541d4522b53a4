//! Puts the clients' packages on this machine, each once per version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::SOURCES;
use crate::{cache, child, go, npm};

/// Each step fetches at most 100 MiB or compiles nothing.
const STEP_LIMIT: Duration = Duration::from_mins(15);

/// In client-go's source: the clock by which a credential expires, and what we put in its place.
const CLOCK: (&str, &str) =
    ("now:             time.Now,", "now: func() time.Time { return time.Now().Add(latchkeyTestClockAhead) },");

/// What `CLOCK` needs, behind client-go's own text.
const CLOCK_AHEAD: &str = r#"
var latchkeyTestClockAhead = func() time.Duration {
	ahead, err := time.ParseDuration(os.Getenv("LATCHKEY_TEST_CLOCK_AHEAD") + "s")
	if err != nil {
		panic(err)
	}
	return ahead
}()
"#;

/// The folder with all jars of both Java clients.
pub(super) async fn jars() -> Result<PathBuf> {
    let pom = source("java/pom.xml");
    let ready = cache::made_once("clients/java", std::slice::from_ref(&pom), async |folder| {
        let mut command = Command::new("mvn");
        command.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
        command.arg(format!("-Dfolder={}", folder.display())).arg("generate-resources");
        child::run(
            "mvn",
            command,
            STEP_LIMIT,
            "Maven and a JDK 17 or later (Debian packages maven and default-jdk-headless)",
        )
        .await
    })
    .await?;
    Ok(ready.join("jars"))
}

/// A folder with the JavaScript program beside its packages.
pub(super) async fn javascript() -> Result<PathBuf> {
    npm::packages("clients/javascript", &source("javascript"), &["client.mjs"]).await
}

/// The folder with Python's packages, for `PYTHONPATH`: a virtual environment could not be moved to its place.
pub(super) async fn python() -> Result<PathBuf> {
    let requirements = source("python/requirements.txt");
    let ready = cache::made_once("clients/python", std::slice::from_ref(&requirements), async |folder| {
        let mut command = Command::new("python3");
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
        command.args(["--no-deps", "--target"]).arg(folder.join("packages")).arg("--requirement").arg(&requirements);
        child::run(
            "pip",
            command,
            STEP_LIMIT,
            "Python 3.11 or later with pip (Debian packages python3 and python3-pip)",
        )
        .await
    })
    .await?;
    Ok(ready.join("packages"))
}

/// controller-runtime's program.
pub(super) async fn go_client() -> Result<PathBuf> {
    let ready =
        cache::made_once("clients/controller-runtime", &go_sources(), async |folder| go_build(folder, None).await)
            .await?;
    Ok(ready.join("client"))
}

/// The same with another clock in client-go.
pub(super) async fn go_client_with_a_clock() -> Result<PathBuf> {
    let mut pinned = go_sources().to_vec();
    // How the clock is changed is a part of what is made.
    pinned.push(source("../src/clients/install.rs"));
    let ready = cache::made_once("clients/controller-runtime-clock", &pinned, async |folder| {
        let copy = folder.join("client-go");
        copy_module("k8s.io/client-go", &copy).await?;
        let file = copy.join("plugin/pkg/client/auth/exec/exec.go");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        ensure!(text.matches(CLOCK.0).count() == 1, "client-go's clock is no longer where it was");
        fs::write(&file, text.replace(CLOCK.0, CLOCK.1) + CLOCK_AHEAD)?;
        let module = folder.join("clock.mod");
        let replaced = format!("\nreplace k8s.io/client-go => {}\n", copy.display());
        fs::write(&module, fs::read_to_string(source("go/go.mod"))? + &replaced)?;
        fs::copy(source("go/go.sum"), folder.join("clock.sum"))?;
        go_build(folder, Some(&module)).await?;
        fs::remove_dir_all(&copy).with_context(|| format!("removing {}", copy.display()))
    })
    .await?;
    Ok(ready.join("client"))
}

fn go_sources() -> [PathBuf; 3] {
    ["go/go.mod", "go/go.sum", "go/main.go"].map(source)
}

fn source(name: &str) -> PathBuf {
    Path::new(SOURCES).join(name)
}

/// Copies a module out of Go's cache, where nothing may be changed.
async fn copy_module(module: &str, folder: &Path) -> Result<()> {
    let modules = go::modules(&source("go"), &[module]).await?;
    let original = modules.get(module).with_context(|| format!("no {module}"))?;
    // Its folders and files are read-only there.
    let copy = Command::new("cp").args(["-r", "--no-preserve=mode"]).arg(original).arg(folder).output()?;
    ensure!(copy.status.success(), "copying {}: {}", original.display(), String::from_utf8_lossy(&copy.stderr));
    Ok(())
}

/// Built as the control plane is: what was compiled for kubectl is not compiled again.
async fn go_build(folder: &Path, module: Option<&Path>) -> Result<()> {
    let mut client = go::Program::new("client", ".", source("go"));
    client.arguments.extend(module.map(|module| format!("-modfile={}", module.display())));
    client.build(folder, "controller-runtime's client", "").await
}

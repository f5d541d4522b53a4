//! Programs that Go builds from a folder with a pinned `go.mod`: once per machine and version, with news while it takes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    cache,
    child::{self, Child},
    folder::TempFolder,
};

/// One program's cold build took 499 s on two busy cores (kube-apiserver); a slow machine may take six times that.
const BUILD_LIMIT: Duration = Duration::from_mins(50);

/// What to install where there is no Go.
const GO: &str = "Go 1.26 or later (Debian package golang-go, or https://go.dev/dl)";

/// Modules of 60 MiB, over a slow line.
const FETCH_LIMIT: Duration = Duration::from_mins(10);

/// How often a long build says that it is still at it.
const NEWS: Duration = Duration::from_secs(15);

/// Small programs without a C compiler, unless the program says otherwise.
const FLAGS: [&str; 4] = ["build", "-mod=readonly", "-trimpath", "-buildvcs=false"];

/// A program in a module.
pub(crate) struct Program<'a> {
    /// What the file is called.
    pub(crate) name: &'a str,
    /// The package to build: a path, or `.` for the folder's own.
    pub(crate) package: String,
    /// The folder with `go.mod` and `go.sum`.
    pub(crate) module: PathBuf,
    /// More words for `-ldflags`; empty for most.
    pub(crate) linked: String,
    /// More arguments for `go build`.
    pub(crate) arguments: Vec<String>,
    /// Whether it is partly C.
    pub(crate) cgo: bool,
}

impl<'a> Program<'a> {
    /// A program of Go alone.
    pub(crate) fn new(name: &'a str, package: &str, module: PathBuf) -> Self {
        Self { name, package: package.to_owned(), module, linked: String::new(), arguments: Vec::new(), cgo: false }
    }

    /// Builds it as `folder/name`; a build that was interrupted leaves nothing of that name. `progress` is for the news,
    /// `advice` ends the sentence that there is no Go.
    ///
    /// # Errors
    /// If there is no Go, or it fails: with its words.
    pub(crate) async fn build(&self, folder: &Path, progress: &str, advice: &str) -> Result<()> {
        eprintln!("go: building {progress}");
        let half = folder.join(format!(".{}.half", self.name));
        let mut command = Command::new("go");
        command
            .current_dir(&self.module)
            .env("CGO_ENABLED", if self.cgo { "1" } else { "0" })
            .args(FLAGS)
            .arg(format!("-ldflags=-s -w {}", self.linked))
            .args(&self.arguments)
            .arg("-o")
            .arg(&half)
            .arg(&self.package);
        let logs = TempFolder::new("go-build")?;
        let start = Instant::now();
        let mut go = Child::spawn(self.name, command, logs.path())
            .map_err(|error| child::name_what_is_missing(error, &format!("{GO}{advice}")))
            .with_context(|| format!("building {}", self.name))?;
        let mut news = tokio::time::interval(NEWS);
        news.tick().await;
        let status = {
            let mut ended = std::pin::pin!(go.ended(BUILD_LIMIT));
            loop {
                tokio::select! {
                    status = &mut ended => break status?,
                    _ = news.tick() => eprintln!("go: building {progress}: {} s", start.elapsed().as_secs()),
                }
            }
        };
        if !status.success() {
            bail!("go build of {} failed: {status}\n{}", self.name, go.last_words());
        }
        fs::rename(&half, folder.join(self.name)).with_context(|| format!("renaming {}", half.display()))?;
        eprintln!("go: built {progress} in {} s", start.elapsed().as_secs());
        Ok(())
    }
}

/// Makes sure that `programs` are in `folder`, a cache that other processes fill too.
///
/// # Errors
/// If one of them cannot be built.
pub(crate) async fn build_missing(folder: &Path, programs: &[Program<'_>], advice: &str) -> Result<()> {
    if programs.iter().all(|program| folder.join(program.name).is_file()) {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let _lock = cache::lock(folder).await?;
    let missing: Vec<_> = programs.iter().filter(|program| !folder.join(program.name).is_file()).collect();
    for (done, program) in missing.iter().enumerate() {
        let progress = format!("{} ({} of {})", program.name, done + 1, missing.len());
        program.build(folder, &progress, advice).await?;
    }
    Ok(())
}

/// Everything that decides what is built from a module's folder: its files, in order of their names.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn sources(module: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(module).with_context(|| format!("reading {}", module.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// What `go mod download -json` says of a module.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    path: String,
    dir: Option<PathBuf>,
    error: Option<String>,
}

/// Where modules are that the `go.mod` of a folder pins, by name: fetched if need be, and held to its `go.sum`.
///
/// # Errors
/// If there is no Go, or one of them cannot be had.
pub(crate) async fn modules(folder: &Path, names: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut go = tokio::process::Command::new("go");
    go.current_dir(folder).args(["mod", "download", "-json"]).args(names).kill_on_drop(true);
    let output = tokio::time::timeout(FETCH_LIMIT, go.output())
        .await
        .with_context(|| format!("go mod download did not end within {FETCH_LIMIT:?}"))?
        .map_err(|error| child::name_what_is_missing(error.into(), GO))?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    let modules = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Module>();
    let mut folders = BTreeMap::new();
    for module in modules {
        let Module { path, dir, error } = module.with_context(said)?;
        let dir = dir.with_context(|| format!("{path}: {}", error.unwrap_or_default()))?;
        folders.insert(path, dir);
    }
    ensure!(names.iter().all(|name| folders.contains_key(*name)), "go mod download of {names:?}: {}", said());
    Ok(folders)
}

//! Our own two programs, built with the same profile as this one.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::OnceCell;

/// Where a ready-built concierge is, if it is not to be built: `LATCHKEY_CONCIERGE_BIN`.
const CONCIERGE_BIN: &str = "LATCHKEY_CONCIERGE_BIN";
/// Where a ready-built plugin is: `LATCHKEY_PLUGIN_BIN`.
const PLUGIN_BIN: &str = "LATCHKEY_PLUGIN_BIN";

/// The profile in Cargo.toml by which the plugin is built for people.
const PLUGIN_PROFILE: &str = "plugin";

/// The programs that people run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// `latchkey-concierge`.
    pub concierge: PathBuf,
    /// `kubectl-latchkey`.
    pub plugin: PathBuf,
    /// What stands in for a browser and the person before it.
    pub scripted_browser: PathBuf,
    /// A program that uses kube-rs.
    pub kube_rs_client: PathBuf,
    /// The least that a program in Rust costs.
    pub hello_world: PathBuf,
}

impl Programs {
    /// Finds the programs, or has cargo build them: once for the process.
    ///
    /// # Errors
    /// If they do not build.
    pub async fn find() -> Result<&'static Self> {
        static FOUND: OnceCell<Programs> = OnceCell::const_new();
        FOUND.get_or_try_init(Self::locate).await
    }

    async fn locate() -> Result<Self> {
        let folder = profile_folder()?;
        build().await?;
        let built = |name: &str| folder.join(name);
        let given = |variable: &str, name: &str| std::env::var_os(variable).map_or_else(|| built(name), PathBuf::from);
        Ok(Self {
            concierge: given(CONCIERGE_BIN, "latchkey-concierge"),
            plugin: std::env::var_os(PLUGIN_BIN)
                .map_or_else(|| plugin_folder(&folder).join("kubectl-latchkey"), Into::into),
            scripted_browser: built("scripted-browser"),
            kube_rs_client: built("kube-rs-client"),
            hello_world: built("hello-world"),
        })
    }
}

/// `target/debug` or `target/release`: tests run from `deps/` in it, the demo from the folder itself.
fn profile_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("a program has a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().context("deps has a parent")? } else { folder };
    Ok(folder.to_owned())
}

/// Where a release of the plugin is: beside `release`, for it has a profile of its own.
fn plugin_folder(folder: &Path) -> PathBuf {
    if cfg!(debug_assertions) { folder.to_owned() } else { folder.with_file_name(PLUGIN_PROFILE) }
}

async fn build() -> Result<()> {
    let ours = [
        "--package=latchkey-concierge",
        "--bin=latchkey-concierge",
        "--package=latchkey-e2e",
        "--bin=scripted-browser",
        "--bin=kube-rs-client",
        "--bin=hello-world",
    ];
    let plugin = ["--package=kubectl-latchkey", "--bin=kubectl-latchkey"];
    if cfg!(debug_assertions) {
        cargo_build(&[&ours[..], &plugin].concat()).await
    } else {
        cargo_build(&[&ours[..], &["--release"]].concat()).await?;
        cargo_build(&[&plugin[..], &["--profile", PLUGIN_PROFILE]].concat()).await
    }
}

async fn cargo_build(arguments: &[&str]) -> Result<()> {
    let mut command = tokio::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet"]).args(arguments);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).stdin(Stdio::null());
    let status = command.status().await.context("running cargo build")?;
    ensure!(status.success(), "cargo build of the concierge and the plugin failed");
    Ok(())
}

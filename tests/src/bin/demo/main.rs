//! `cargo demo`: two real clusters, one identity provider, a login to each, and a token that is worthless next door.

mod narrator;
mod person;
mod site;
mod story;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use latchkey_e2e::login::Login;

use self::narrator::Narrator;

/// Start two real clusters (staging and production) and an identity provider, install Latchkey into both from deploy/,
/// log in, and see production refuse the staging token.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// Walk the whole story without a person, check each step, stop everything, and exit 0 only if all of it was seen
    #[arg(long)]
    once: bool,
    /// Leave there what was made: transcript.txt, kubeconfig-CLUSTER.yaml, audit-CLUSTER.jsonl and the plugin's cache
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// What stands in for a browser and a person in `--once`: opens URL, fills in the form, follows the redirects
    #[command(hide = true)]
    ScriptedBrowser {
        /// PEM file of the identity provider's CA
        #[arg(long)]
        ca: PathBuf,
        #[arg(long)]
        user: String,
        #[arg(long)]
        password: String,
        url: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Some(Command::ScriptedBrowser { ca, user, password, url }) => browse(&ca, &user, &password, &url).await,
        None => demo(args.once, args.out).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(once: bool, out: Option<PathBuf>) -> Result<()> {
    let mut narrator = Narrator::new();
    let told = story::tell(&mut narrator, once, out.as_deref()).await;
    if let Some(out) = &out {
        narrator.write_transcript(&out.join("transcript.txt")).context("writing the transcript")?;
    }
    told
}

async fn browse(ca: &std::path::Path, user: &str, password: &str, url: &str) -> Result<()> {
    let login = Login::new(&std::fs::read_to_string(ca)?)?;
    let (status, _) = login.complete(url, user, password).await?;
    anyhow::ensure!(status.is_success(), "the last page of the login has status {status}");
    Ok(())
}

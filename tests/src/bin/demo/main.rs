//! `cargo demo`: two real clusters, one identity provider, a login to each, and a token that is worthless next door.

mod fleet;
mod narrator;
mod plugin;
mod record;
mod story;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;

use self::narrator::Narrator;

/// Start two real clusters (staging and production) and an identity provider, install Latchkey into both from deploy/,
/// log in, and see production refuse the staging token.
#[derive(Parser)]
struct Args {
    /// Walk the whole story without a person, check each step, stop everything, and exit 0 only if all of it was seen
    #[arg(long)]
    once: bool,
    /// Leave there what was made: transcript.txt, kubeconfig-CLUSTER.yaml, audit-CLUSTER.jsonl and the plugin's cache
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match demo(args.once, args.out).await {
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

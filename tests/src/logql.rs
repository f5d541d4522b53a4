//! Loki's own `LogQL` parser and pipeline, without a server: a small Go program around its packages, built from a pinned
//! `go.mod` under `tests/loki`.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::folder::TempFolder;

/// A line as Loki keeps it.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its stream, as `{app="latchkey"}`.
    pub labels: String,
    /// The line.
    pub line: String,
}

/// What a query made of the lines.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// Why it cannot be parsed; empty if it can.
    #[serde(default)]
    pub error: String,
    /// Whether it counts lines in place of showing them.
    pub metric: bool,
    /// The lines that it shows or counts.
    pub matches: Vec<Match>,
}

/// A line that a query lets through.
#[derive(Clone, Debug, Deserialize)]
pub struct Match {
    /// Which line it was.
    pub index: usize,
    /// What the query made of it.
    pub line: String,
    /// Its labels at the end of the query.
    pub labels: BTreeMap<String, String>,
}

/// Runs each query over the lines. The program is built first, which takes Go minutes the first time and a moment after that.
///
/// # Errors
/// If it cannot be built, or does not understand its input.
pub fn run(queries: &[String], lines: &[Line]) -> Result<Vec<Answer>> {
    let folder = TempFolder::new("logql")?;
    let program = folder.path().join("logql");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(".");
    go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("loki"));
    let built = go.output().context("starting go")?;
    ensure!(built.status.success(), "go build in tests/loki: {}", String::from_utf8_lossy(&built.stderr));
    let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = serde_json::json!({"queries": queries, "lines": lines}).to_string();
    // It reads all of its input before it writes.
    child.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the LogQL program ended with {}", output.status);
    serde_json::from_slice(&output.stdout).context("its answer")
}

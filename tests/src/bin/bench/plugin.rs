//! The plugin's warm call, which kubectl makes each time, beside the cheapest program there is and beside kubectl itself.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::programs::Programs;
use serde_json::{Value, json};

use super::{
    row::{Row, median},
    stand::Stand,
};

/// Calls of each, in turn.
const CALLS: usize = 200;
/// kubectl takes tens of milliseconds.
const KUBECTL_CALLS: usize = 20;

/// Wall time of a warm call.
pub(crate) async fn run(stand: &Stand) -> Result<Vec<Row>> {
    let plugin = Programs::find().await?.plugin.clone();
    let (arguments, exec_info) = stanza(stand)?;
    let warm = || {
        let mut command = Command::new(&plugin);
        command
            .args(&arguments)
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("LATCHKEY_CACHE_DIR", stand.person.cache())
            .env("LATCHKEY_FLOW", "none")
            .env("KUBERNETES_EXEC_INFO", &exec_info);
        command
    };
    let answer = warm().output()?;
    ensure!(answer.status.success(), "the cache is not warm: {}", String::from_utf8_lossy(&answer.stderr));

    let (mut ours, mut nothing) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        ours.push(millis(warm())?);
        nothing.push(millis(Command::new("/bin/true"))?);
    }
    let mut kubectl = Vec::new();
    for _ in 0..KUBECTL_CALLS {
        let mut command = Command::new(stand.site.cluster.kubectl_program());
        command.args(["version", "--client"]);
        kubectl.push(millis(command)?);
    }
    let (ours, nothing, kubectl) = (median(ours), median(nothing), median(kubectl));
    Ok(vec![
        // 2.5 ms where a hello world in Rust takes 1.35; that one takes 1.35 times as long as /bin/true.
        Row::ratio("warm plugin call", "ms", ours, ("/bin/true", nothing), 2.5),
        Row::ratio("warm plugin call, beside kubectl", "ms", ours, ("kubectl version --client", kubectl), 0.1),
    ])
}

/// What the kubeconfig tells kubectl to run, and what kubectl tells the plugin.
fn stanza(stand: &Stand) -> Result<(Vec<String>, String)> {
    let kubeconfig: Value = serde_norway::from_str(&std::fs::read_to_string(&stand.site.kubeconfig)?)?;
    let exec = &kubeconfig["users"][0]["user"]["exec"];
    let arguments = exec["args"].as_array().context("args")?.iter().filter_map(Value::as_str).map(str::to_owned);
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": exec["apiVersion"],
        "spec": {"interactive": false, "cluster": kubeconfig["clusters"][0]["cluster"]},
    });
    Ok((arguments.collect(), info.to_string()))
}

fn millis(mut command: Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let elapsed = start.elapsed().as_secs_f64() * 1e3;
    ensure!(status.success(), "{command:?} failed");
    Ok(elapsed)
}

//! The plugin's warm call, which kubectl makes each time, beside the cheapest programs there are and beside kubectl itself.

use std::{
    fs,
    path::Path,
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

/// Rounds, in each of which every program has its turn: what disturbs the machine disturbs all of them.
const ROUNDS: usize = 8;
/// Calls in a turn: 100 ms of CPU, where the kernel counts in steps of 10.
const CALLS: usize = 50;
/// kubectl takes tens of milliseconds.
const KUBECTL_CALLS: usize = 5;
/// What a shell loop would do, by each of two kubeconfigs.
const LOOP: usize = 100;

/// The kernel's ticks a second (`sysconf(_SC_CLK_TCK)` on Linux, on every architecture there is a Kubernetes for).
const TICKS_PER_SECOND: f64 = 100.0;

/// What the plugin may weigh.
const MOST_MEBIBYTES: f64 = 8.0;

/// Wall time and CPU of a warm call, and what it adds to a loop of kubectls.
pub(crate) async fn run(stand: &Stand) -> Result<Vec<Row>> {
    let programs = Programs::find().await?;
    let (arguments, exec_info) = stanza(stand)?;
    let warm = || {
        let mut command = Command::new(&programs.plugin);
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

    let hello = || Command::new(&programs.hello_world);
    let nothing = || Command::new("/bin/true");
    let kubectl = || {
        let mut command = Command::new(stand.site.cluster.kubectl_program());
        command.args(["version", "--client"]);
        command
    };
    let mut costs = [Cost::default(), Cost::default(), Cost::default(), Cost::default()];
    for _ in 0..ROUNDS {
        costs[0].add(CALLS, warm)?;
        costs[1].add(CALLS, hello)?;
        costs[2].add(CALLS, nothing)?;
        costs[3].add(KUBECTL_CALLS, kubectl)?;
    }
    let [ours, hello, nothing, kubectl] = costs.map(Cost::finish);
    let mut rows = vec![
        // 2.5 ms of wall and 2 ms of CPU where a hello world in Rust takes 1.35.
        Row::ratio("warm plugin call", "ms", ours.wall, ("hello world in Rust", hello.wall), 2.5 / 1.35),
        Row::ratio("warm plugin call, CPU", "ms", ours.cpu, ("hello world in Rust", hello.cpu), 2.0 / 1.35),
        Row::ratio("warm plugin call, beside nothing", "ms", ours.wall, ("/bin/true", nothing.wall), 2.5),
        Row::ratio(
            "warm plugin call, beside kubectl",
            "ms",
            ours.wall,
            ("kubectl version --client", kubectl.wall),
            0.1,
        ),
        Row::ratio("the same, CPU", "ms", ours.cpu, ("kubectl version --client", kubectl.cpu), 0.1),
        Row::bound("plugin, size of the file", "MiB", mebibytes(&programs.plugin)?, MOST_MEBIBYTES),
    ];
    rows.extend(loops(stand)?);
    Ok(rows)
}

/// A shell loop of kubectls: with a certificate in the kubeconfig, and with the plugin.
fn loops(stand: &Stand) -> Result<Vec<Row>> {
    let fixed = stand.site.cluster.user_kubeconfig("bench", Some("developers"))?;
    let raw = |kubeconfig: &Path| {
        let mut command = Command::new(stand.site.cluster.kubectl_program());
        command.args(["get", "--raw", "/version"]).envs(stand.person.environment()).env("KUBECONFIG", kubeconfig);
        command
    };
    let (mut with_plugin, mut with_certificate) = (Cost::default(), Cost::default());
    for _ in 0..LOOP {
        with_certificate.add(1, || raw(&fixed))?;
        with_plugin.add(1, || raw(&stand.site.kubeconfig))?;
    }
    let (ours, theirs) = (with_plugin.finish(), with_certificate.finish());
    let yardstick = "certificate in the kubeconfig";
    Ok(vec![
        Row::ratio("kubectl get --raw, one of 100", "ms", ours.wall, (yardstick, theirs.wall), 1.03),
        Row::plain("the same, CPU", "ms", ours.cpu, &format!("{yardstick}: {:.2} ms", theirs.cpu)),
    ])
}

/// What a program's runs have cost.
#[derive(Default)]
struct Cost {
    walls: Vec<f64>,
    ticks: f64,
}

/// Milliseconds of one run: the middle of the wall times, the mean of the CPU times.
struct Run {
    wall: f64,
    cpu: f64,
}

impl Cost {
    fn add(&mut self, calls: usize, command: impl Fn() -> Command) -> Result<()> {
        let before = children_ticks()?;
        for _ in 0..calls {
            self.walls.push(millis(command())?);
        }
        self.ticks += children_ticks()? - before;
        Ok(())
    }

    fn finish(self) -> Run {
        #[expect(clippy::cast_precision_loss, reason = "hundreds of calls")]
        let calls = self.walls.len() as f64;
        Run { cpu: self.ticks / TICKS_PER_SECOND * 1e3 / calls, wall: median(self.walls) }
    }
}

/// CPU, user and system, of all children that were waited for (fields 16 and 17 of proc(5)'s `stat`).
fn children_ticks() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').context("a name in brackets")?;
    let mut fields = after_name.split_ascii_whitespace().skip(13);
    let mut next = || anyhow::Ok(fields.next().context("a field")?.parse::<f64>()?);
    Ok(next()? + next()?)
}

#[expect(clippy::cast_precision_loss, reason = "a few million")]
fn mebibytes(file: &Path) -> Result<f64> {
    Ok(fs::metadata(file)?.len() as f64 / f64::from(1024 * 1024))
}

/// What the kubeconfig tells kubectl to run, and what kubectl tells the plugin.
fn stanza(stand: &Stand) -> Result<(Vec<String>, String)> {
    let kubeconfig: Value = serde_norway::from_str(&fs::read_to_string(&stand.site.kubeconfig)?)?;
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

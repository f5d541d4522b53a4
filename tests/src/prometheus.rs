//! A real Prometheus that reads the metrics of concierges and judges them by the rules that we ship; and promtool, its
//! other half.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{child::Child, concierge::Concierge, folder::TempFolder, ports};

/// It opens an empty database; two busy cores make that seconds.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A port can be taken between choosing and binding it.
const START_TRIES: usize = 3;

/// The job that [`Prometheus::start`] gives its targets, and the cluster that it says they are of.
pub const JOB: &str = "latchkey";

/// A running Prometheus, killed on drop.
pub struct Prometheus {
    _child: Child,
    _folder: TempFolder,
    url: String,
    client: reqwest::Client,
}

/// Where `deploy/monitoring/` is.
#[must_use]
pub fn monitoring(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring").join(file)
}

/// Runs promtool and returns what it said.
///
/// # Errors
/// If it cannot be started or finds something wrong: with its words.
pub fn promtool(arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting promtool (Debian package prometheus)")?;
    // It may find fault with the beginning and not read the rest.
    let _ = child.stdin.take().context("its input")?.write_all(input.as_bytes());
    let output = child.wait_with_output()?;
    let words = [output.stdout, output.stderr].map(|words| String::from_utf8_lossy(&words).into_owned()).concat();
    ensure!(output.status.success(), "promtool {}: {words}", arguments.join(" "));
    Ok(words)
}

impl Prometheus {
    /// Starts one that reads each concierge once a second, as of the cluster named beside it, and evaluates
    /// `deploy/monitoring/rules.yaml`.
    ///
    /// # Errors
    /// If it does not become ready: with the end of its log.
    pub async fn start(targets: &[(&str, &Concierge)]) -> Result<Self> {
        let static_configs: Vec<Value> = targets
            .iter()
            .map(|(cluster, concierge)| {
                let address = concierge.admin_url().trim_start_matches("http://").to_owned();
                json!({"targets": [address], "labels": {"cluster": cluster, "namespace": "latchkey"}})
            })
            .collect();
        Self::start_at(&static_configs, &monitoring("rules.yaml")).await
    }

    /// The same for targets and rules of any origin: each target an entry of `static_configs`.
    ///
    /// # Errors
    /// If it does not become ready: with the end of its log.
    pub async fn start_at(targets: &[Value], rules: &Path) -> Result<Self> {
        let scrape = json!({"job_name": JOB, "static_configs": targets});
        let mut last = None;
        for _ in 0..START_TRIES {
            match Self::try_start(&scrape, rules).await {
                Ok(prometheus) => return Ok(prometheus),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no try was made")?)
    }

    async fn try_start(scrape: &Value, rules: &Path) -> Result<Self> {
        let folder = TempFolder::new("prometheus")?;
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [fs::canonicalize(rules)?],
            "scrape_configs": [scrape],
        });
        // JSON is YAML.
        let config = folder.write("prometheus.yaml", config.to_string())?;
        let address = format!("127.0.0.1:{}", ports::free()?);
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn");
        let mut child = Child::spawn("prometheus", command, folder.path())
            .context("starting prometheus (Debian package prometheus)")?;
        let (url, client) = (format!("http://{address}"), reqwest::Client::new());
        child.answers(&client, &format!("{url}/-/ready"), START_LIMIT).await?;
        Ok(Self { _child: child, _folder: folder, url, client })
    }

    /// What an expression yields now.
    ///
    /// # Errors
    /// If it cannot be parsed or evaluated: with Prometheus' words.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let answer = self.get("query", &[("query", expression)]).await?;
        Ok(answer["result"].as_array().with_context(|| format!("{expression}: not a vector: {answer}"))?.clone())
    }

    /// The alerts that fire now, with their labels.
    ///
    /// # Errors
    /// If Prometheus does not answer.
    pub async fn firing(&self) -> Result<Vec<Value>> {
        let answer = self.get("alerts", &[]).await?;
        let alerts = answer["alerts"].as_array().cloned().unwrap_or_default();
        Ok(alerts.into_iter().filter(|alert| alert["state"] == "firing").collect())
    }

    /// What it says of its targets: whether each could be read, and what was wrong with it.
    ///
    /// # Errors
    /// If Prometheus does not answer.
    pub async fn targets(&self) -> Result<Vec<Value>> {
        let answer = self.get("targets", &[]).await?;
        Ok(answer["activeTargets"].as_array().cloned().unwrap_or_default())
    }

    async fn get(&self, what: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{what}", self.url), query)?;
        let mut answer: Value = self.client.get(url).send().await?.json().await?;
        if answer["status"] != "success" {
            bail!("{query:?}: {answer}");
        }
        Ok(answer["data"].take())
    }
}

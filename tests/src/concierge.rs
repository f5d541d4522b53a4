//! A concierge in a test cluster: installed from `deploy/` as a user would, run as a child process, reached through the
//! API server's aggregation layer.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use latchkey_crds::{
    groups::{DEFAULT_SUFFIX, GroupSuffix, VERSION},
    manifests,
};
use serde_json::{Value, json};

use crate::{
    child::Child, cluster::Cluster, definitions, folder::TempFolder, ports, programs::Programs, records,
    wait::eventually,
};

/// From the start of the process to an `APIService` that is available: certificates made, published and probed.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A graceful stop: the grace for endpoints, which the tests set to a second, and the drain.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Where `deploy/` is.
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize/base");

/// The service account that the manifests make.
const SERVICE_ACCOUNT: &str = "latchkey-concierge";
/// Its namespace.
pub const NAMESPACE: &str = "latchkey";

/// What a test wants of its concierge.
#[derive(Clone, Debug)]
pub struct ConciergeOptions {
    /// `--cluster-name`.
    pub cluster_name: String,
    /// `--api-group-suffix`: the ending of the API groups, also in the manifests.
    pub suffix: GroupSuffix,
    /// More flags.
    pub extra_args: Vec<String>,
}

/// One replica, running or stopped; killed on drop, and then its records are checked.
pub struct Concierge {
    child: Option<Child>,
    program: &'static Path,
    arguments: Vec<String>,
    name: String,
    suffix: GroupSuffix,
    port: u16,
    admin: u16,
    audit_file: PathBuf,
    folder: TempFolder,
}

impl Default for ConciergeOptions {
    fn default() -> Self {
        Self { cluster_name: "staging".to_owned(), suffix: GroupSuffix::default(), extra_args: Vec::new() }
    }
}

impl Concierge {
    /// Applies `deploy/` with the Service pointed at this machine, starts the program, and waits until the API server
    /// reaches it.
    ///
    /// # Errors
    /// If the manifests are refused, or the program ends or is not reached in time: with the end of its log.
    pub async fn install(cluster: &Cluster, options: ConciergeOptions) -> Result<Self> {
        let mut concierge = Self::apply(cluster, options).await?;
        concierge.start().await?;
        concierge.available(cluster).await?;
        Ok(concierge)
    }

    /// Applies `deploy/` and prepares the program without starting it.
    ///
    /// # Errors
    /// If the manifests are refused.
    pub async fn apply(cluster: &Cluster, options: ConciergeOptions) -> Result<Self> {
        let programs = Programs::find().await?;
        let port = ports::free()?;
        let folder = TempFolder::new(&format!("concierge-{}", options.cluster_name))?;
        let overlay = overlay(&folder, &options.cluster_name, port)?;
        let overlay = overlay.to_string_lossy();
        let manifests = cluster.kubectl_ok(&["kustomize", &overlay]).await.context("reading deploy/")?;
        let manifests = folder.write("manifests.yaml", with_suffix(&manifests, &options.suffix))?;
        let ours = definitions_in(&folder, &options.suffix)?;
        // The definitions by themselves: those of the base are of the default suffix.
        let apply = ["apply", "--server-side"].map(OsStr::new);
        let of_folder = [OsStr::new("-k"), ours.as_os_str()];
        cluster.kubectl_ok(&[apply, of_folder].concat()).await.context("applying what crdgen writes")?;
        definitions::established(cluster).await?;
        // Server-side, so that the concierge's own field manager can take the fields that are its own.
        let of_file = [OsStr::new("-f"), manifests.as_os_str()];
        cluster.kubectl_ok(&[apply, of_file].concat()).await.context("applying deploy/")?;
        let kubeconfig = cluster.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT).await?;
        Self::prepare(programs, folder, options, &kubeconfig, port, "replica-1")
    }

    /// A second replica beside this one, with ports of its own; the API server keeps talking to the first.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn replica(&self, cluster: &Cluster, options: ConciergeOptions, name: &str) -> Result<Self> {
        let folder = TempFolder::new(name)?;
        let kubeconfig = cluster.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT).await?;
        let mut replica = Self::prepare(Programs::find().await?, folder, options, &kubeconfig, ports::free()?, name)?;
        replica.start().await?;
        Ok(replica)
    }

    fn prepare(
        programs: &'static Programs,
        folder: TempFolder,
        options: ConciergeOptions,
        kubeconfig: &Path,
        port: u16,
        name: &str,
    ) -> Result<Self> {
        let admin = ports::free()?;
        let audit_file = folder.path().join("audit.jsonl");
        let mut arguments: Vec<String> = [
            ("--cluster-name", options.cluster_name.as_str()),
            ("--api-group-suffix", options.suffix.as_str()),
            ("--namespace", NAMESPACE),
            ("--kubeconfig", &kubeconfig.to_string_lossy()),
            ("--aggregated-api-address", &format!("127.0.0.1:{port}")),
            ("--admin-address", &format!("127.0.0.1:{admin}")),
            ("--audit-log", &audit_file.to_string_lossy()),
            ("--shutdown-grace", "1s"),
        ]
        .into_iter()
        .map(|(flag, value)| format!("{flag}={value}"))
        .collect();
        arguments.extend(options.extra_args);
        let program = programs.concierge.as_path();
        Ok(Self {
            child: None,
            program,
            arguments,
            name: name.to_owned(),
            suffix: options.suffix,
            port,
            admin,
            audit_file,
            folder,
        })
    }

    /// Starts the program and waits until it says that it is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready in time.
    pub async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        let url = format!("{}/readyz", self.admin_url());
        let child = self.child.as_mut().context("just started")?;
        child.answers(&reqwest::Client::new(), &url, START_LIMIT).await
    }

    /// Starts the program and waits for nothing: for tests of what happens before it is ready.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(&mut self) -> Result<()> {
        let mut command = Command::new(self.program);
        command.args(&self.arguments).env("POD_NAME", &self.name).env_remove("KUBERNETES_SERVICE_HOST");
        self.child = Some(Child::spawn("concierge", command, self.folder.path())?);
        Ok(())
    }

    /// Waits until the API server reaches both API services.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn available(&self, cluster: &Cluster) -> Result<()> {
        for group in [self.suffix.login(), self.suffix.identity()] {
            let name = format!("{VERSION}.{group}");
            eventually(&format!("APIService {name} to be available"), START_LIMIT, async || {
                let text = cluster.kubectl_ok(&["get", "apiservice", &name, "-o", "json"]).await?;
                let object: Value = serde_json::from_str(&text)?;
                let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let available = conditions.iter().find(|condition| condition["type"] == "Available");
                ensure!(available.is_some_and(|condition| condition["status"] == "True"), "{available:?}");
                anyhow::Ok(())
            })
            .await
            .with_context(|| self.last_words())?;
        }
        Ok(())
    }

    /// SIGKILL, as an out-of-memory killer does it. What it has recorded is held to the schema, but for half a line at the
    /// end: the next life moves it away.
    ///
    /// # Errors
    /// If it does not run, or has written what is no record.
    pub fn kill9(&mut self) -> Result<()> {
        self.child.take().context("the concierge does not run")?.kill()?;
        records::check_some(&self.audit_file)
    }

    /// SIGTERM, and waits for the end. What it has recorded is held to the schema.
    ///
    /// # Errors
    /// If it does not end in time, or has written what is no record.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let status = self.child.as_mut().context("the concierge does not run")?.terminate(STOP_LIMIT).await?;
        records::check_some(&self.audit_file)?;
        Ok(status)
    }

    /// The process id.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("the concierge does not run")?.pid())
    }

    /// What it holds in memory, in KiB (`VmRSS` of proc(5)).
    ///
    /// # Errors
    /// If it does not run.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Path {
        self.program
    }

    /// The port of its aggregated API.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The ending of its API groups.
    #[must_use]
    pub const fn suffix(&self) -> &GroupSuffix {
        &self.suffix
    }

    /// Where its records go.
    #[must_use]
    pub fn audit_file(&self) -> &Path {
        &self.audit_file
    }

    /// Its records so far.
    ///
    /// # Errors
    /// If a line is not JSON.
    pub fn audit_lines(&self) -> Result<Vec<Value>> {
        json_lines(&self.audit_file)
    }

    /// Its records so far, each held to the published schema.
    ///
    /// # Errors
    /// If a line is no record.
    pub fn check_records(&self) -> Result<Vec<Value>> {
        records::check(&self.audit_file)
    }

    /// Its log so far. Anything but JSON lines is an error: it must not print anything else.
    ///
    /// # Errors
    /// If a line is not JSON.
    pub fn log_lines(&self) -> Result<Vec<Value>> {
        let mut lines = json_lines(&self.folder.path().join("concierge.stdout"))?;
        lines.extend(json_lines(&self.folder.path().join("concierge.stderr"))?);
        Ok(lines)
    }

    /// Everything that it wrote, as text: for tests that look for what must not be there.
    #[must_use]
    pub fn everything_written(&self) -> String {
        ["concierge.stdout", "concierge.stderr", "audit.jsonl"]
            .iter()
            .map(|file| fs::read_to_string(self.folder.path().join(file)).unwrap_or_default())
            .collect()
    }

    /// Its metrics, as Prometheus reads them.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        Ok(reqwest::get(format!("{}/metrics", self.admin_url())).await?.error_for_status()?.text().await?)
    }

    /// Where probes and metrics are.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    fn last_words(&self) -> String {
        self.child.as_ref().map_or_else(String::new, Child::last_words)
    }
}

impl Drop for Concierge {
    /// Whatever a test was about: what its concierge has recorded is held to the schema.
    fn drop(&mut self) {
        drop(self.child.take());
        records::assert_some(&self.audit_file);
    }
}

/// A kustomization over `deploy/`: the cluster's name, the Service turned to this machine, and no pods.
fn overlay(folder: &TempFolder, cluster_name: &str, port: u16) -> Result<PathBuf> {
    let overlay = folder.path().join("overlay");
    fs::create_dir(&overlay)?;
    // kustomize takes a base by relative path only.
    let up = "../".repeat(overlay.canonicalize()?.components().count() - 1);
    let base = format!("{up}{}", Path::new(DEPLOY).canonicalize()?.display().to_string().trim_start_matches('/'));
    let patch = |target: Value, operations: Value| json!({"target": target, "patch": operations.to_string()});
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "configMapGenerator": [{
            "name": "latchkey-settings", "namespace": NAMESPACE, "behavior": "merge",
            "literals": [format!("cluster-name={cluster_name}")],
        }],
        "patches": [
            patch(
                json!({"kind": "Service", "name": "latchkey-concierge-api"}),
                json!([{"op": "replace", "path": "/spec",
                    "value": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": 443}]}}]),
            ),
            patch(
                json!({"kind": "APIService"}),
                json!([{"op": "replace", "path": "/spec/service/port", "value": port}]),
            ),
            patch(json!({"kind": "Deployment"}), json!([{"op": "replace", "path": "/spec/replicas", "value": 0}])),
        ],
    });
    fs::write(overlay.join("kustomization.yaml"), kustomization.to_string())?;
    Ok(overlay)
}

/// The definitions as `crdgen --suffix` writes them.
fn definitions_in(folder: &TempFolder, suffix: &GroupSuffix) -> Result<PathBuf> {
    let definitions = folder.path().join("definitions");
    fs::create_dir(&definitions)?;
    let files = manifests::files(suffix).map_err(|error| anyhow!("{error}"))?;
    for file in files {
        fs::write(definitions.join(file.file_name), file.text)?;
    }
    Ok(definitions)
}

/// What `deploy/kustomize/README.md` has an admin do for another suffix; the group names stand in the manifests for nothing else.
fn with_suffix(manifests: &str, suffix: &GroupSuffix) -> String {
    manifests.replace(&format!(".concierge.{DEFAULT_SUFFIX}"), &format!(".concierge.{suffix}"))
}

fn json_lines(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
}

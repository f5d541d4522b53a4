//! Helm itself, with folders of its own and nothing of the developer's, and where the chart's files are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{folder::TempFolder, tools::Tool};
use tokio::{process::Command, time::timeout};

/// The chart.
pub(super) const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/chart");

/// The one value that must be set.
pub(super) const VALUES_OF_DEFAULTS: &[&str] = &["--set", "clusterName=staging"];

/// How long one call may take: an install sends some thirty objects, on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// Helm.
pub(super) struct Helm {
    program: PathBuf,
    folder: TempFolder,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// Without a cluster: whoever asks for one fails.
    pub(super) async fn new() -> Result<Self> {
        Ok(Self { program: Tool::Helm.find().await?, folder: TempFolder::new("helm")?, kubeconfig: None })
    }

    /// With a cluster.
    pub(super) async fn of(kubeconfig: &Path) -> Result<Self> {
        Ok(Self { kubeconfig: Some(kubeconfig.to_owned()), ..Self::new().await? })
    }

    /// What came out, whatever it was.
    pub(super) async fn output(&self, arguments: &[&str]) -> Result<Output> {
        let nowhere = self.folder.path().join("no-kubeconfig");
        let mut command = Command::new(&self.program);
        for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME"] {
            command.env(folder, self.folder.path());
        }
        command.env("KUBECONFIG", self.kubeconfig.as_ref().unwrap_or(&nowhere));
        command.env_remove("KUBERNETES_SERVICE_HOST").env_remove("HELM_NAMESPACE");
        let child = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
        let limit = timeout(LIMIT, child).await;
        limit.with_context(|| format!("helm {arguments:?} did not end within {LIMIT:?}"))?.context("starting helm")
    }

    /// Standard output of a call that must succeed.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments).await?;
        let words = arguments.join(" ");
        ensure!(output.status.success(), "helm {words}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// What a call that must fail said.
    pub(super) async fn refused(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments).await?;
        let words = arguments.join(" ");
        ensure!(!output.status.success(), "helm {words} went well: {}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8(output.stderr)?)
    }

    /// All objects of a release.
    pub(super) async fn template(&self, release: &str, namespace: &str, arguments: &[&str]) -> Result<String> {
        let usual = ["template", release, CHART, "--namespace", namespace];
        self.run(&[&usual[..], arguments].concat()).await
    }

    /// The chart as an archive.
    pub(super) async fn package(&self) -> Result<String> {
        let folder = self.folder.path().display().to_string();
        self.run(&["package", CHART, "--destination", &folder]).await?;
        let archives = fs::read_dir(self.folder.path())?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let archive = archives.into_iter().find(|path| path.extension().is_some_and(|end| end == "tgz"));
        Ok(archive.context("helm package wrote no archive")?.display().to_string())
    }

    /// A chart that has ours as its part, with the values that umbrellas give.
    pub(super) fn umbrella(&self) -> Result<String> {
        let folder = self.folder.path().join("umbrella");
        fs::create_dir_all(folder.join("charts"))?;
        std::os::unix::fs::symlink(fs::canonicalize(CHART)?, folder.join("charts/latchkey-concierge"))?;
        let chart = "apiVersion: v2\nname: umbrella\nversion: 1.0.0\ndependencies:\n- name: latchkey-concierge\n  \
                     version: '>=0.1.0-0'\n  condition: latchkey-concierge.enabled\n";
        fs::write(folder.join("Chart.yaml"), chart)?;
        let values = "global:\n  imageRegistry: registry.example.com\nlatchkey-concierge:\n  enabled: true\n  \
                      clusterName: staging\n";
        fs::write(folder.join("values.yaml"), values)?;
        Ok(folder.display().to_string())
    }
}

/// Every file of values in `ci/`, and one with nothing but what must be set.
pub(super) fn value_files() -> Result<Vec<String>> {
    let folder = Path::new(CHART).join("ci");
    let mut files: Vec<_> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path().display().to_string()))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();
    ensure!(files.len() > 5 && files.iter().all(|file| file.ends_with("-values.yaml")), "{files:?}");
    Ok(files)
}

/// Every template: its name and its text.
pub(super) fn templates() -> Result<Vec<(String, String)>> {
    let folder = Path::new(CHART).join("templates");
    let mut found = Vec::new();
    for folder in [folder.join("tests"), folder] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                found.push((path.display().to_string(), fs::read_to_string(&path)?));
            }
        }
    }
    Ok(found)
}

//! The files of `deploy/` that are written from others: the chart's copies, the table of its values, the Kustomize base and
//! components, Argo CD's health scripts.
//!
//! The chart is the truth of every object, `crds/manifests` of the definitions, `deploy/monitoring` of alerts and dashboard.
//! `cargo deploygen` writes what follows from them, and a test holds both equal.

mod component;
mod health;
mod manifest;
mod values;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use self::manifest::Document;
use crate::tools::Tool;

/// Where all objects are named after and put into.
const RELEASE: &str = "latchkey";

/// The chart requires a name of the cluster, and the base has none: it stands in an object that is left out.
const CLUSTER_NAME: &str = "deploygen";

/// Folders in which nobody writes by hand, but for the files named beside them.
const WRITTEN_FOLDERS: [(&str, &[&str]); 8] = [
    ("deploy/chart/files/crds", &[]),
    ("deploy/chart/files/rules", &[]),
    ("deploy/chart/files/dashboards", &[]),
    // The chart makes no namespace.
    ("deploy/kustomize/base", &["namespace.yaml"]),
    ("deploy/kustomize/components/monitoring", &[]),
    ("deploy/kustomize/components/network-policy", &[]),
    ("deploy/kustomize/components/review", &[]),
    ("deploy/kustomize/components/without-certificate-signing", &[]),
];

/// What `deploy/` should hold, by path from the root of the repository.
#[derive(Debug)]
pub struct Written {
    files: BTreeMap<PathBuf, String>,
}

impl Written {
    /// Makes all of it.
    ///
    /// # Errors
    /// If a source cannot be read, or Helm cannot be had or renders something else than was expected.
    pub async fn make() -> Result<Self> {
        let mut files = copies()?;
        files.extend(health::files()?);
        let readme = Path::new("deploy/chart/README.md");
        let table = values::table(&read("deploy/chart/values.yaml")?)?;
        files.insert(readme.to_owned(), values::put_in(&fs::read_to_string(root().join(readme))?, &table)?);
        let helm = Tool::Helm.find().await?;
        let base = rendered(&helm, &[])?;
        let folder = Path::new("deploy/kustomize/base");
        for (name, text) in manifest::base(&base, &version()?)? {
            files.insert(folder.join(name), text);
        }
        for component in component::ALL {
            let with = rendered(&helm, component.values)?;
            let folder = Path::new("deploy/kustomize/components").join(component.name);
            for (name, text) in component.files(&base, &with)? {
                files.insert(folder.join(name), text);
            }
        }
        Ok(Self { files })
    }

    /// What in the repository is otherwise: a line for each file.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn differences(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (path, text) in &self.files {
            match fs::read_to_string(root().join(path)) {
                Err(error) => found.push(format!("{}: {error}", path.display())),
                Ok(there) if there != *text => {
                    let same = there.lines().zip(text.lines()).take_while(|(there, here)| there == here).count();
                    found.push(format!("{}: differs from line {}", path.display(), same + 1));
                }
                Ok(_) => {}
            }
        }
        found.extend(self.strangers()?.iter().map(|path| format!("{}: written from nothing", path.display())));
        Ok(found)
    }

    /// Writes it, and removes what stands in the folders without being written.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self) -> Result<()> {
        for path in self.strangers()? {
            fs::remove_file(root().join(&path)).with_context(|| format!("removing {}", path.display()))?;
        }
        for (path, text) in &self.files {
            let path = root().join(path);
            let folder = path.parent().context("a file is in a folder")?;
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn strangers(&self) -> Result<Vec<PathBuf>> {
        let mut strangers = Vec::new();
        for (folder, by_hand) in WRITTEN_FOLDERS {
            let Ok(entries) = fs::read_dir(root().join(folder)) else { continue };
            for entry in entries {
                let name = entry?.file_name();
                let path = Path::new(folder).join(&name);
                let known = self.files.contains_key(&path) || by_hand.iter().any(|file| name == *file);
                if !known {
                    strangers.push(path);
                }
            }
        }
        Ok(strangers)
    }
}

/// The components of Kustomize, each with the values of the chart that say the same (`--set`).
#[must_use]
pub fn components() -> Vec<(&'static str, &'static [&'static str])> {
    component::ALL.iter().map(|component| (component.name, component.values)).collect()
}

/// The objects that Helm renders with these values (`--set`), but for the definitions, without its own marks.
///
/// # Errors
/// If Helm cannot be had or refuses the values.
pub async fn chart_objects(values: &[&str]) -> Result<Vec<Value>> {
    Ok(rendered(&Tool::Helm.find().await?, values)?.into_iter().map(|document| document.object).collect())
}

/// The chart's copies: `.Files.Get` sees only what is inside a chart.
fn copies() -> Result<BTreeMap<PathBuf, String>> {
    let mut copies = BTreeMap::new();
    for entry in fs::read_dir(root().join("crds/manifests")).context("reading crds/manifests")? {
        let name = entry?.file_name();
        if name != "kustomization.yaml" {
            let from = Path::new("crds/manifests").join(&name);
            copies.insert(Path::new("deploy/chart/files/crds").join(&name), from);
        }
    }
    for (to, from) in [
        ("deploy/chart/files/rules/rules.yaml", "deploy/monitoring/rules.yaml"),
        ("deploy/chart/files/dashboards/dashboard.json", "deploy/monitoring/dashboard.json"),
    ] {
        copies.insert(PathBuf::from(to), PathBuf::from(from));
    }
    copies.into_iter().map(|(to, from)| Ok((to, read(from)?))).collect()
}

/// The chart's objects without its definitions, with these values.
fn rendered(helm: &Path, values: &[&str]) -> Result<Vec<Document>> {
    let mut command = Command::new(helm);
    command.arg("template").arg(RELEASE).arg(root().join("deploy/chart")).args(["--namespace", RELEASE]);
    command.args(["--set", "crds.enabled=false", "--set"]).arg(format!("clusterName={CLUSTER_NAME}"));
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.output().context("starting helm")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm template {}: {words}", values.join(" "));
    manifest::documents(&String::from_utf8(output.stdout)?)
}

/// The chart's, which is the program's too.
fn version() -> Result<String> {
    let chart = read("deploy/chart/Chart.yaml")?;
    let line = chart.lines().find_map(|line| line.strip_prefix("appVersion: ")).context("no appVersion")?;
    Ok(line.trim().trim_matches('"').to_owned())
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    fs::read_to_string(root().join(path)).with_context(|| format!("reading {}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in the repository")
}

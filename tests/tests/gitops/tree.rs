//! The folder `deploy/` as its readers see it: objects in files and on pages, and what Kustomize makes of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{control_plane::ControlPlane, folder::TempFolder, guide::Guide, tools::Tool};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::process::Command;

/// One object and where it stands.
pub(crate) struct Shown {
    pub(crate) place: String,
    pub(crate) object: Value,
}

/// `deploy/`.
pub(crate) fn deploy() -> PathBuf {
    root().join("deploy")
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate stands in the repository").to_owned()
}

/// Every file under a folder with this ending, sorted. Templates of the chart are no YAML.
pub(crate) fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.ends_with("chart/templates") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every whole object in the files of `deploy/` and on its pages and on the README.
pub(crate) fn shown() -> Result<Vec<Shown>> {
    let mut shown = Vec::new();
    for path in files(&deploy(), "yaml")? {
        add(&mut shown, &named(&path), &fs::read_to_string(&path)?)?;
    }
    let pages = files(&deploy(), "md")?.into_iter().chain([root().join("README.md")]);
    for path in pages {
        let page = Guide::read_file(&path)?;
        for (number, block) in page.blocks().enumerate().filter(|(_, block)| block.language == "yaml") {
            if block.text.contains("apiVersion:") && block.text.contains("kind:") {
                add(&mut shown, &format!("{}, block {}", named(&path), number + 1), &block.text)?;
            }
        }
    }
    Ok(shown)
}

fn named(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

fn add(shown: &mut Vec<Shown>, place: &str, text: &str) -> Result<()> {
    for object in documents(text).with_context(|| place.to_owned())? {
        if object["apiVersion"].is_string() && object["kind"].is_string() {
            shown.push(Shown { place: place.to_owned(), object });
        }
    }
    Ok(())
}

/// The documents of a YAML text.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>> {
    let documents: Result<Vec<Value>, _> = serde_norway::Deserializer::from_str(text).map(Value::deserialize).collect();
    Ok(documents?.into_iter().filter(|document| !document.is_null()).collect())
}

/// Folders that Kustomize builds, and its components.
pub(crate) fn kustomizations() -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut folders, mut components) = (Vec::new(), Vec::new());
    let all = files(&deploy(), "yaml")?.into_iter().chain([root().join("crds/manifests/kustomization.yaml")]);
    for path in all.filter(|path| path.ends_with("kustomization.yaml")) {
        let object = documents(&fs::read_to_string(&path)?)?.remove(0);
        let folder = path.parent().context("a folder")?.to_owned();
        if object["kind"] == "Component" { components.push(folder) } else { folders.push(folder) }
    }
    Ok((folders, components))
}

/// What the real kustomize makes of a folder; kubectl's copy of it must make the same.
pub(crate) async fn built(folder: &Path) -> Result<String> {
    let mut texts = Vec::new();
    for (program, verb) in
        [(Tool::Kustomize.find().await?, "build"), (ControlPlane::find().await?.kubectl.clone(), "kustomize")]
    {
        let output = Command::new(&program).arg(verb).arg(folder).kill_on_drop(true).output().await?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} {}: {words}", program.display(), folder.display());
        ensure!(words.trim().is_empty(), "{} {} warns: {words}", program.display(), folder.display());
        texts.push(String::from_utf8(output.stdout)?);
    }
    ensure!(texts[0] == texts[1], "kubectl's kustomize makes something else of {}", folder.display());
    Ok(texts.remove(0))
}

/// The base with a component in it, in a folder of its own.
pub(crate) fn with_component(work: &TempFolder, component: &Path) -> Result<PathBuf> {
    let name = component.file_name().context("a name")?.to_string_lossy().into_owned();
    let overlay = work.path().join(format!("with-{name}"));
    fs::create_dir(&overlay)?;
    // Kustomize takes folders by relative paths only.
    let up = "../".repeat(overlay.canonicalize()?.components().count() - 1);
    let relative = |path: &Path| -> Result<String> {
        Ok(format!("{up}{}", path.canonicalize()?.display().to_string().trim_start_matches('/')))
    };
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [relative(&deploy().join("kustomize/base"))?],
        "components": [relative(component)?],
    });
    fs::write(overlay.join("kustomization.yaml"), kustomization.to_string())?;
    Ok(overlay)
}

//! What a kustomization refers to, looked at before kustomize runs: it would fetch what lies elsewhere.
//!
//! By the rules of kustomize's own loader: a file where there is one, else a git repository or a registry where the words look
//! like one, else a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::{Budget, kustomization};

/// Lists of files, or of folders with kustomizations of their own. Kustomize does not mind capitals.
const LISTS: [&str; 9] = [
    "bases",
    "components",
    "configurations",
    "crds",
    "generators",
    "patchesstrategicmerge",
    "resources",
    "transformers",
    "validators",
];

/// Lists of objects that may name a file.
const WITH_PATHS: [&str; 4] = ["openapi", "patches", "patchesjson6902", "replacements"];

/// Lists of what is made of files, each by its name or as `key=name`.
const OF_FILES: [&str; 2] = ["configmapgenerator", "secretgenerator"];

/// Goes through kustomizations and all that they are built on, each once.
///
/// # Errors
/// In words, when something of it is not on this computer, or cannot be read.
pub(super) fn refuse_remote(kustomizations: &[PathBuf], budget: &mut Budget) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut ahead = kustomizations.to_vec();
    while let Some(folder) = ahead.pop() {
        // Without what leads back up, so that it is short enough to be told.
        let folder = fs::canonicalize(&folder).unwrap_or(folder);
        // Two may be built on one, or on each other, which kustomize itself refuses.
        if !seen.insert(folder.clone()) {
            continue;
        }
        // What is not there is for kustomize to complain about.
        let Some(path) = kustomization(&folder) else { continue };
        budget.count()?;
        let document: Value = serde_norway::from_str(&budget.read(&path)?)
            .map_err(|error| format!("{} is no kustomization: {error}", path.display()))?;
        ahead.extend(bases(&folder, &document).map_err(|entry| {
            format!(
                "render it with `kustomize build` first: nothing is fetched here, and {} refers to {entry:?}",
                path.display()
            )
        })?);
    }
    Ok(())
}

/// The folders that a kustomization is built on.
///
/// # Errors
/// The first that it would fetch.
fn bases(folder: &Path, document: &Value) -> Result<Vec<PathBuf>, String> {
    let mut bases = Vec::new();
    for entry in references(document) {
        let path = folder.join(entry);
        if is_remote(entry, path.is_file()) {
            return Err(entry.to_owned());
        }
        if path.is_dir() {
            bases.push(path);
        }
    }
    Ok(bases)
}

/// Everything that kustomize takes for the name of a file or folder.
fn references(document: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        let name = name.to_ascii_lowercase();
        if LISTS.contains(&name.as_str()) {
            found.extend(texts(value));
        } else if WITH_PATHS.contains(&name.as_str()) {
            found.extend(each(value).flat_map(|object| members(object, &["path"])));
        } else if OF_FILES.contains(&name.as_str()) {
            let named = each(value).flat_map(|object| members(object, &["files", "envs", "env"]));
            found.extend(named.map(|entry| entry.split_once('=').map_or(entry, |(_, name)| name)));
        }
    }
    // Some of these lists take the thing itself in place of its name.
    found.retain(|entry| !entry.contains('\n') && !entry.trim_start().starts_with('{'));
    found
}

/// A list, or one alone.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    each(value).filter_map(Value::as_str)
}

fn members<'a>(object: &'a Value, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let members = object.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known)))
        .flat_map(|(_, value)| texts(value))
}

/// Whether kustomize of any release would fetch this.
fn is_remote(entry: &str, is_file: bool) -> bool {
    let entry = entry.trim_start().to_ascii_lowercase();
    // These two even where a file has such a name.
    if entry.contains("://") || entry.starts_with("http:") || entry.starts_with("https:") {
        return true;
    }
    // `git::`, `gh:`, `host:path`, `somebody@host`, and what older releases take for a repository without any of it.
    let host = entry.split('/').next().unwrap_or_default();
    !is_file && (host.contains([':', '@']) || host == "github.com" || entry.contains("_git/"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cache::test_directory;

    #[test]
    fn what_would_be_fetched_is_told_from_what_is_here() {
        let elsewhere = [
            "https://github.com/org/repo//base?ref=v1",
            "HTTPS://example.com/manifest.yaml",
            "ssh://git@example.com/org/repo",
            "file:///srv/repo.git",
            "oci://registry.example/base:v1",
            "git::example.com/org/repo",
            "git@example.com:org/repo.git",
            "org-42@example.com:org/repo",
            "gh:org/repo",
            "github.com/org/repo",
            "GitHub.com:org/repo",
            "http:example.com",
            "dev.example.com/org/_git/repo",
        ];
        for entry in elsewhere {
            assert!(is_remote(entry, false), "{entry}");
        }
        for entry in ["../base", ".", "a.yaml", "deep/er/folder", "github.company/base", "a/b@c", "a/b:c"] {
            assert!(!is_remote(entry, false), "{entry}");
        }
        assert!(!is_remote("me@home.yaml", true) && is_remote("https://example.com/a.yaml", true));
    }

    #[test]
    fn every_place_that_names_a_file_is_looked_at() {
        let remote = "https://example.com/x";
        let places = [
            json!({"resources": ["a.yaml", remote]}),
            json!({"Bases": [remote]}),
            json!({"components": [remote]}),
            json!({"crds": remote}),
            json!({"transformers": ["kind: Inline\nurl: https://example.com\n", remote]}),
            json!({"patches": [{"path": remote}]}),
            json!({"patchesStrategicMerge": [remote]}),
            json!({"patchesJson6902": [{"target": {}, "PATH": remote}]}),
            json!({"replacements": [{"path": remote}]}),
            json!({"openapi": {"path": remote}}),
            json!({"configMapGenerator": [{"name": "a", "files": ["a.txt", "b=https://example.com/x"]}]}),
            json!({"secretGenerator": [{"name": "a", "env": remote}]}),
        ];
        for document in places {
            assert_eq!(bases(Path::new("/nowhere"), &document), Err(remote.to_owned()), "{document}");
        }
        let ours = json!({
            "commonAnnotations": {"docs": remote},
            "patches": [{"patch": "- op: add\n  path: /spec\n  value: https://example.com", "path": "p.yaml"}],
            "configMapGenerator": [{"name": "a", "literals": ["issuer=https://example.com"]}],
            "transformers": ["kind: Inline\nurl: https://example.com\n"],
            "patchesStrategicMerge": ["{\"kind\": \"Inline\"}"],
        });
        assert_eq!(bases(Path::new("/nowhere"), &ours), Ok(Vec::new()));
    }

    #[test]
    fn a_base_of_a_base_is_looked_at_and_a_circle_ends() {
        let place = test_directory();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(place.path().join(name)).unwrap();
            fs::write(place.path().join(name).join("kustomization.yaml"), text).unwrap();
        };
        let look = || refuse_remote(&[place.path().join("top")], &mut Budget::default());
        write("top", "resources: [../middle, ../middle, missing.yaml]");
        write("middle", "resources: [../top]\ncomponents: [../part]\n");
        write("part", "kind: Component\n");
        assert_eq!(look(), Ok(()));
        write("part", "kind: Component\nresources: ['github.com/org/repo?ref=v1']\n");
        let words = look().unwrap_err();
        assert!(words.contains("part/kustomization.yaml refers to \"github.com/org/repo?ref=v1\""), "{words}");
        assert!(words.contains("render it with `kustomize build`"), "{words}");
        write("part", "a: [");
        assert!(look().unwrap_err().contains("part/kustomization.yaml is no kustomization"));
    }
}

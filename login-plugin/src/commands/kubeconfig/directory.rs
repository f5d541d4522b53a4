//! One file for each cluster, and the line that adds them to `KUBECONFIG`.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use super::file;
use super::merge::Files;
use super::stanza::{self, Manner, Stanza};
use crate::commands::typed::quoted;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::Output;

/// Where one file for each cluster goes unless a directory is named, under the home directory.
pub(super) const PLACE: &str = ".kube/latchkey";

/// Writes the files. Gives their paths, and who failed.
pub(super) fn write(
    directory: &Path,
    stanzas: &[Stanza],
    manner: &Manner,
    force: bool,
    output: &Output,
) -> (Vec<PathBuf>, Vec<(String, Failure)>) {
    let mut paths = Vec::new();
    let mut failures = Vec::new();
    let mut unchanged = 0;
    for stanza in stanzas {
        let context = &stanza.names.context;
        let path = directory.join(format!("{context}.yaml"));
        let text = stanza::document(std::slice::from_ref(stanza), manner, Some(context));
        match file::write(&path, &text, force) {
            Ok((path, true)) => {
                output.say(&format!("Wrote context {context} to {}", path.display()));
                paths.push(path);
            }
            Ok((path, false)) => {
                unchanged += 1;
                paths.push(path);
            }
            Err(failure) => failures.push((context.clone(), failure)),
        }
    }
    if unchanged > 0 {
        output.say(&format!("Nothing to change in {unchanged} of {} files", stanzas.len()));
    }
    (paths, failures)
}

/// The line that adds the files to `KUBECONFIG`, behind what is there already; none if they are all there.
///
/// # Errors
/// When nobody says where the home directory is.
pub(super) fn export_line(paths: &[PathBuf], environment: &Environment) -> Result<Option<String>, Failure> {
    let present = Files::of_reader(None, environment)?;
    let known: BTreeSet<PathBuf> =
        present.paths().iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect();
    let new: Vec<&PathBuf> = paths.iter().filter(|path| !known.contains(*path)).collect();
    if new.is_empty() {
        return Ok(None);
    }
    let Ok(list) = env::join_paths(present.paths().iter().chain(new)) else { return Ok(None) };
    let list = list.to_string_lossy();
    Ok(Some(if cfg!(windows) {
        format!("$env:KUBECONFIG = '{}'\n", list.replace('\'', "''"))
    } else {
        format!("export KUBECONFIG={}\n", quoted(&list))
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_line_adds_what_is_missing_and_survives_a_shell() {
        let line = |paths: &[&str], present: &'static str| {
            let environment = Environment::Table(BTreeMap::from([("HOME", "/h"), ("KUBECONFIG", present)]));
            export_line(&paths.iter().map(PathBuf::from).collect::<Vec<_>>(), &environment).unwrap()
        };
        assert_eq!(line(&["/h/a.yaml"], "").unwrap(), "export KUBECONFIG=/h/.kube/config:/h/a.yaml\n");
        assert_eq!(line(&["/h/a.yaml", "/b"], "/c:/b").unwrap(), "export KUBECONFIG=/c:/b:/h/a.yaml\n");
        assert_eq!(line(&["/it's $(x)"], "/c").unwrap(), "export KUBECONFIG='/c:/it'\\''s $(x)'\n");
        assert_eq!(line(&["/b"], "/b"), None);
    }
}

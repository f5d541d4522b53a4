//! What a merge changes in which file, and what it must not touch: anything that is not ours.

use std::path::{Path, PathBuf};

use serde_norway::{Mapping, Value};

use super::super::entries::{self, Entry, Kind, items};
use super::super::reader::OUR_PREFIX;
use super::edit::Edits;
use super::files::Document;
use crate::failure::{Failure, Status};

/// What a cluster's entry of ours says no more when it does not say it anew.
const CLUSTER_KEYS: [&str; 5] =
    ["certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "server", "tls-server-name"];

/// The extension of a cluster that carries settings for credential plugins.
pub(in super::super) const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// Whose entry may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Guard {
    /// One that this program wrote.
    Ours,
    /// This one, which has been looked at: it must be there.
    Known,
}

/// An entry that shall be there.
#[derive(Clone, Debug)]
pub(in super::super) struct Wish {
    pub(in super::super) entry: Entry,
    pub(in super::super) guard: Guard,
}

/// All that shall be there.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Wishes {
    pub(in super::super) entries: Vec<Wish>,
    /// `--set-current`.
    pub(in super::super) current: Option<String>,
}

/// One file with its new text.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// The text that it was made of; none if there was no file.
    pub(super) before: Option<String>,
    /// What is new in it, for the person.
    pub(super) words: Vec<String>,
}

/// Compares what is with what shall be.
///
/// # Errors
/// When a name is taken by somebody else's entry, or a file is written in a way that cannot be edited.
pub(super) fn plan(documents: &[Document], target: &Path, wishes: &Wishes) -> Result<Vec<Change>, Failure> {
    let mut edits = vec![(Edits::default(), Vec::new()); documents.len()];
    let target = documents.iter().position(|document| document.path == target).unwrap_or_default();
    for wish in &wishes.entries {
        let Entry { kind, name, .. } = &wish.entry;
        let found = documents
            .iter()
            .enumerate()
            .find_map(|(number, document)| document.find(*kind, name).map(|(place, item)| (number, place, item)));
        let (number, place, item, word) = match found {
            None if wish.guard == Guard::Known => {
                return Err(Failure::new(
                    Status::Usage,
                    format!("no kubeconfig file has the {} {name:?}", kind.word()),
                ));
            }
            None => (target, None, wish.entry.item(), "Added"),
            Some((number, place, old)) => {
                if wish.guard == Guard::Ours && !is_ours(documents, *kind, old) {
                    return Err(taken(*kind, name, &documents[number].path));
                }
                let new = laid_over(old, &wish.entry);
                if new == *old {
                    continue;
                }
                (number, Some(place), new, "Changed")
            }
        };
        let (edits, words) = &mut edits[number];
        edits.items.push((*kind, place, item));
        words.push(format!("{word} {} {name} in {}", kind.word(), documents[number].path.display()));
    }
    let in_use = documents
        .iter()
        .find_map(|document| document.value.get("current-context")?.as_str().filter(|name| !name.is_empty()));
    if let Some(current) = wishes.current.as_deref().filter(|current| in_use != Some(*current)) {
        // The first file that exists is the one that wins.
        let (edits, words) = &mut edits[target];
        edits.current = Some(current.to_owned());
        words.push(format!("Changed current-context to {current} in {}", documents[target].path.display()));
    }
    let changed = documents.iter().zip(edits).filter(|(_, (edits, _))| !edits.is_empty());
    changed
        .map(|(document, (edits, words))| {
            let text = edits.apply(document.text.as_deref().unwrap_or_default(), &document.value).map_err(|error| {
                Failure::new(Status::General, format!("{}: {error}", document.path.display()))
                    .hint("nothing was written; keep our entries in a file of their own with --output FILE, beside this one in KUBECONFIG")
            })?;
            Ok(Change { path: document.path.clone(), text, before: document.text.clone(), words })
        })
        .collect()
}

/// Names of contexts that this command did not write.
pub(super) fn foreign_contexts(documents: &[Document]) -> Vec<String> {
    let contexts = documents.iter().flat_map(|document| items(&document.value, Kind::Context));
    contexts
        .filter(|context| !is_ours(documents, Kind::Context, context))
        .filter_map(|context| entries::name(context).map(ToOwned::to_owned))
        .collect()
}

fn taken(kind: Kind, name: &str, path: &Path) -> Failure {
    Failure::new(
        Status::Usage,
        format!("{} has a {} {name:?} that this command did not write, and it stays", path.display(), kind.word()),
    )
    .hint("nothing was written; choose another name with --name or --name-template")
}

/// Whether an entry was written by this command. Users are known by their stanza, contexts by their user, clusters by their
/// name and by who uses them.
fn is_ours(documents: &[Document], kind: Kind, item: &Value) -> bool {
    let all = |kind| documents.iter().flat_map(move |document| items(&document.value, kind));
    let has_our_user = |context: &Value| {
        let user = entries::text(context, Kind::Context, "user").unwrap_or_default();
        let found = all(Kind::User).find(|item| entries::name(item) == Some(user));
        // Its user may have been deleted by itself.
        found.map_or_else(|| user.starts_with(OUR_PREFIX), entries::is_our_user)
    };
    match kind {
        Kind::User => entries::is_our_user(item),
        Kind::Context => has_our_user(item),
        Kind::Cluster => {
            let name = entries::name(item).unwrap_or_default();
            name.starts_with(OUR_PREFIX)
                && all(Kind::Context)
                    .filter(|context| entries::text(context, Kind::Context, "cluster") == Some(name))
                    .all(has_our_user)
        }
    }
}

/// The old item with what we have to say; what else is in it stays.
fn laid_over(old: &Value, entry: &Entry) -> Value {
    let mut body = entries::body(old, entry.kind);
    match entry.kind {
        Kind::Cluster => {
            for key in CLUSTER_KEYS.into_iter().filter(|key| !entry.body.contains_key(key)) {
                body.shift_remove(key);
            }
            for (key, value) in &entry.body {
                if key.as_str() != Some("extensions") {
                    body.insert(key.clone(), value.clone());
                }
            }
            lay_extension(&mut body, entry.body.get("extensions"));
        }
        // Only its own: a namespace is changed by kubens, and is the person's.
        Kind::Context => {
            for key in ["cluster", "user"] {
                if let Some(value) = entry.body.get(key) {
                    body.insert(key.into(), value.clone());
                }
            }
        }
        Kind::User => {
            let mut exec = entry.body.get("exec").and_then(Value::as_mapping).cloned().unwrap_or_default();
            // Variables that somebody added to our stanza.
            let old = body.get("exec").and_then(|exec| exec.get("env")).filter(|_| entries::is_our_user(old));
            if let Some(env) = old.filter(|_| !exec.contains_key("env")) {
                exec.insert("env".into(), env.clone());
            }
            body.insert("exec".into(), Value::Mapping(exec));
        }
    }
    let mut item = old.as_mapping().cloned().unwrap_or_default();
    item.insert(entry.kind.word().into(), Value::Mapping(body));
    Value::Mapping(item)
}

/// Our member of the plugins' extension comes or goes; what others keep there stays.
fn lay_extension(body: &mut Mapping, new: Option<&Value>) {
    let ours = new.and_then(|list| list.get(0)?.get("extension")?.get("latchkey"));
    let list = body.get_mut("extensions").and_then(Value::as_sequence_mut);
    let place = list.as_ref().and_then(|list| list.iter().position(|item| entries::name(item) == Some(EXEC_EXTENSION)));
    match (ours, list, place) {
        (Some(ours), Some(list), Some(place)) => {
            if let Some(extension) = list[place].get_mut("extension").and_then(Value::as_mapping_mut) {
                extension.insert("latchkey".into(), ours.clone());
            }
        }
        (Some(_), Some(list), None) => list.extend(new.and_then(Value::as_sequence).into_iter().flatten().cloned()),
        (Some(_), None, _) => {
            if let Some(new) = new {
                body.insert("extensions".into(), new.clone());
            }
        }
        (None, Some(list), Some(place)) => {
            let extension = list[place].get_mut("extension").and_then(Value::as_mapping_mut);
            if extension.is_some_and(|extension| extension.shift_remove("latchkey").is_some() && extension.is_empty()) {
                list.remove(place);
            }
            if list.is_empty() {
                body.shift_remove("extensions");
            }
        }
        (None, ..) => {}
    }
}

//! What files say, held against what they said before: which objects there are, and which generation each is of.
//! No file is opened here.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::Value;

use super::Contents;
use crate::convert::{MAX_MANIFESTS, Manifest, ManifestError, ManifestKind, fleet_cluster, manifests};

/// What all files say together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::controllers::authenticators) struct Listing {
    /// The authenticators and the fleet list, those included that cannot be used.
    pub(in crate::controllers::authenticators) declared: Vec<Declared>,
    /// The files that cannot be used.
    pub(in crate::controllers::authenticators) wrong: Vec<Wrong>,
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::controllers::authenticators) struct Declared {
    pub(in crate::controllers::authenticators) kind: ManifestKind,
    pub(in crate::controllers::authenticators) name: String,
    /// The same for this kind and name on every machine and after every start.
    pub(in crate::controllers::authenticators) uid: String,
    /// Another and greater one whenever the spec is another.
    pub(in crate::controllers::authenticators) generation: i64,
    /// `spec`, or why it is not known.
    pub(in crate::controllers::authenticators) spec: Result<Value, String>,
}

/// A file that cannot be used, and why: with document, line and mend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wrong {
    /// Its name in the folder; the folder itself is `.`.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    held: BTreeMap<(ManifestKind, String), Held>,
    /// The greatest generation that was ever given. One count for all, never set back: an authenticator that is taken away
    /// and comes back with another spec must not come back as what it was, for verdicts are remembered by generation.
    generation: i64,
}

#[derive(Clone, Debug)]
struct Held {
    /// Where it stands; in several places, if they contradict each other.
    files: Vec<String>,
    spec: Result<Value, String>,
    generation: i64,
}

// === impl Ledger ===

impl Ledger {
    /// Takes in what a look found.
    pub(super) fn take(&mut self, contents: &Contents) -> Listing {
        let (mut said, unusable) = match contents {
            Ok(files) => said(files.iter().map(|(file, content)| {
                let content = content.as_ref().map_err(ToString::to_string);
                (file.as_str(), content.and_then(|bytes| parse(bytes)))
            })),
            Err(problem) => {
                let problem = format!("the folder cannot be read: {problem}");
                (Said::new(), vec![Wrong { file: FOLDER.to_owned(), problem }])
            }
        };
        let mut wrong = contradictions(&said);
        for (key, held) in &self.held {
            // Said to be elsewhere, and well: it has moved.
            if said.contains_key(key) {
                continue;
            }
            // Gone with its file, unless it may still be meant by one that cannot be read.
            let doubt = unusable.iter().find(|wrong| wrong.file == FOLDER || held.files.contains(&wrong.file));
            if let Some(Wrong { file, problem }) = doubt {
                let spec = Err(format!("{file}: {problem}"));
                said.insert(key.clone(), (held.files.clone(), spec));
            }
        }
        self.hold(said);
        let declared = self.held.iter().map(|((kind, name), held)| Declared {
            kind: *kind,
            name: name.clone(),
            uid: uid(*kind, name),
            generation: held.generation,
            spec: held.spec.clone(),
        });
        wrong.extend(unusable);
        wrong.sort_unstable();
        Listing { declared: declared.collect(), wrong }
    }

    fn hold(&mut self, said: Said) {
        let mut before = std::mem::take(&mut self.held);
        for (key, (files, spec)) in said {
            let known = before.remove(&key).filter(|known| known.spec == spec).map(|known| known.generation);
            let generation = known.unwrap_or_else(|| {
                self.generation += 1;
                self.generation
            });
            self.held.insert(key, Held { files, spec, generation });
        }
    }
}

/// The folder among its files.
const FOLDER: &str = ".";

/// By kind and name, where it is said and what.
type Said = BTreeMap<(ManifestKind, String), (Vec<String>, Result<Value, String>)>;

fn said<'a>(files: impl Iterator<Item = (&'a str, Result<Vec<Manifest>, String>)>) -> (Said, Vec<Wrong>) {
    let (mut said, mut wrong) = (Said::new(), Vec::new());
    let mut room = MAX_MANIFESTS;
    for (file, read) in files {
        let read = read.and_then(|manifests| {
            let full = || format!("more than {MAX_MANIFESTS} objects in the folder: remove some");
            room = room.checked_sub(manifests.len()).ok_or_else(full)?;
            Ok(manifests)
        });
        let manifests = match read {
            Ok(manifests) => manifests,
            Err(problem) => {
                wrong.push(Wrong { file: file.to_owned(), problem });
                continue;
            }
        };
        for Manifest { kind, name, spec } in manifests {
            let (files, said) = said.entry((kind, name.clone())).or_insert_with(|| (Vec::new(), Ok(spec)));
            files.push(file.to_owned());
            // Whose word counts nobody can tell.
            if files.len() > 1 {
                *said = Err(twins(kind, &name, files));
            }
        }
    }
    (said, wrong)
}

/// The files in which the same name stands as in another.
fn contradictions(said: &Said) -> Vec<Wrong> {
    let several = said.iter().filter(|(_, (files, _))| files.len() > 1);
    let wrong = several.flat_map(|((kind, name), (files, _))| {
        files.iter().map(|file| Wrong { file: file.clone(), problem: twins(*kind, name, files) })
    });
    wrong.collect()
}

fn parse(bytes: &[u8]) -> Result<Vec<Manifest>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is no UTF-8 text: {error}"))?;
    let found = manifests(text).map_err(|error| match error {
        ManifestError::Empty => "holds no object: write one, or delete the file".to_owned(),
        other => other.to_string(),
    })?;
    // They have no condition in which to say what is wrong with them.
    for Manifest { name, spec, .. } in found.iter().filter(|manifest| manifest.kind == ManifestKind::Fleet) {
        fleet_cluster(name, spec).map_err(|problem| format!("FleetCluster {name}: {problem}"))?;
    }
    Ok(found)
}

fn twins(kind: ManifestKind, name: &str, files: &[String]) -> String {
    format!("{} {name} stands in {}: give all but one another name", kind.name(), files.join(" and in "))
}

/// As a uid of the API looks (RFC 9562, version 8: made of a hash).
fn uid(kind: ManifestKind, name: &str) -> String {
    let digest = digest(&SHA256, format!("{}/{name}", kind.name()).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

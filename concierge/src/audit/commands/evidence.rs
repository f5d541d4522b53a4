//! What a log is held against: public keys and checkpoints, from wherever people keep them.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    super::{
        checkpoint::{NotAKey, Note, PublicKey, notes_in},
        verify::Published,
    },
    AuditError,
};

/// Largest file of keys or checkpoints: etcd takes no object above 1.5 MiB, and nobody keeps more of them by hand.
const LARGEST: u64 = 8 << 20;

/// Public keys, each given as itself or by a file: keys one a line, or the YAML or JSON of a `CredentialIssuer`.
pub(super) fn keys(given: &[String]) -> Result<Vec<PublicKey>, AuditError> {
    let mut keys = Vec::new();
    for text in given {
        match text.parse::<PublicKey>() {
            Ok(key) => keys.push(key),
            Err(problem) => keys.extend(keys_in(text, problem)?),
        }
    }
    Ok(keys)
}

fn keys_in(name: &str, problem: NotAKey) -> Result<Vec<PublicKey>, AuditError> {
    let failed = |reason: String| AuditError::Evidence(format!("--key {name}: {reason}"));
    let text = match read(Path::new(name)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(failed(format!("{problem}; and there is no file of this name")));
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if let Ok(keys) = lines.map(str::parse).collect::<Result<Vec<PublicKey>, _>>()
        && !keys.is_empty()
    {
        return Ok(keys);
    }
    let object: Value = serde_norway::from_str(&text).map_err(|_| failed(format!("in the file, {problem}")))?;
    let mut found = Vec::new();
    collect(&object, &mut |name, text| {
        if name == "publicKey" {
            found.push(text.to_owned());
        }
    });
    let keys = found.iter().map(|key| key.parse()).collect::<Result<Vec<PublicKey>, _>>();
    match keys {
        Ok(keys) if keys.is_empty() => Err(failed("the file holds no key".to_owned())),
        Ok(keys) => Ok(keys),
        Err(problem) => Err(failed(format!("in the file, {problem}"))),
    }
}

/// Checkpoints from files: signed notes one after another, or the YAML or JSON of the `ConfigMap` `latchkey-audit-heads`.
pub(super) fn checkpoints(files: &[PathBuf]) -> Result<Vec<Published>, AuditError> {
    let mut published = Vec::new();
    for path in files {
        let failed = |reason: String| AuditError::Evidence(format!("--checkpoint {}: {reason}", path.display()));
        let text = read(path).map_err(|error| failed(error.to_string()))?;
        let problem = match notes_in(&text) {
            Ok(notes) if notes.is_empty() => return Err(failed("the file holds no checkpoint".to_owned())),
            Ok(notes) => {
                published.extend(from(notes, &path.display().to_string()));
                continue;
            }
            Err((line, error)) => format!("line {line}: {error}"),
        };
        let object: Value = serde_norway::from_str(&text).map_err(|_| failed(problem.clone()))?;
        let mut data = Vec::new();
        for map in object.get("items").and_then(Value::as_array).unwrap_or(&vec![object.clone()]) {
            collect(map.get("data").unwrap_or(&Value::Null), &mut |name, text| {
                data.push((name.to_owned(), text.to_owned()));
            });
        }
        if data.is_empty() {
            return Err(failed(format!("{problem}; nor is it a ConfigMap with data")));
        }
        for (name, text) in data {
            let notes = notes_in(&text).map_err(|(_, error)| failed(format!("data {name:?}: {error}")))?;
            published.extend(from(notes, &format!("{} ({name})", path.display())));
        }
    }
    Ok(published)
}

fn from(notes: Vec<Note>, source: &str) -> impl Iterator<Item = Published> {
    notes.into_iter().map(move |note| Published { note, source: source.to_owned() })
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().take(LARGEST + 1).read_to_string(&mut text)?
    } else {
        File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?
    };
    if read as u64 > LARGEST { Err(io::Error::other(format!("larger than {LARGEST} bytes"))) } else { Ok(text) }
}

/// Every string of a document, with the name of its member.
fn collect(value: &Value, each: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) => each(name, text),
                    other => collect(other, each),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|member| collect(member, each)),
        _ => {}
    }
}

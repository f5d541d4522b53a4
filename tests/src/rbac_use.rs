//! What the concierge asked its API servers for, over the whole run of the tests, beside what its manifests let it ask.
//!
//! Every cluster leaves what its audit log says of the concierge's service account in `target/rbac-use`; the program
//! `rbac-use` holds that against `deploy/kustomize/base`. A right that nobody ever uses is one too many, and a healthy
//! concierge is denied nothing.

mod rights;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use latchkey_crds::groups::DEFAULT_SUFFIX;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::rights::{Right, rights};

/// The service account whose requests count.
const ACCOUNT: &str = "system:serviceaccount:latchkey:latchkey-concierge";

/// How the audit log writes that something was deleted.
const DELETION: &str = r#""verb":"delete""#;

/// Objects by name that one file keeps for one kind of request; names of certificate requests are chance.
const NAMES: usize = 8;

/// A kind of request, as RBAC sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Use {
    /// The verb: `create`, or `watch` where HTTP says GET.
    pub verb: String,
    /// The API group, of the default suffix whatever the installation's.
    pub group: String,
    /// `resource` or `resource/subresource`.
    pub resource: String,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name; empty where a request names none.
    pub name: String,
    /// Whether it was allowed.
    pub allowed: bool,
}

/// One cluster at a time writes, where several tests of a program run at once: each reads what is there, and adds to it.
static KEEPING: Mutex<()> = Mutex::new(());

/// Adds what the audit log of a cluster says to the file of its test and name. Called while a cluster goes away. Of one that
/// `forbade` for reasons of its own, denials are left out.
///
/// # Errors
/// If the log cannot be read or the file not written.
pub(crate) fn keep(audit_log: &Path, cluster: &str, forbade: bool) -> Result<()> {
    let mut found = read_audit_log(audit_log)?;
    found.retain(|kind| kind.allowed || !forbade);
    if found.is_empty() {
        return Ok(());
    }
    let _one = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let program =
        std::env::current_exe()?.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = folder.join(format!("{program}-{cluster}.jsonl"));
    let mut all = match fs::read_to_string(&path) {
        Ok(text) => parse(&text)?,
        Err(_) => BTreeSet::new(),
    };
    all.extend(found);
    let lines: Result<Vec<_>, _> = all.iter().map(serde_json::to_string).collect();
    // Renamed into place: a test that is killed here leaves no half file.
    let half = folder.join(format!(".{program}-{cluster}-{}", uuid::Uuid::new_v4().simple()));
    fs::write(&half, lines?.join("\n") + "\n")?;
    fs::rename(&half, &path).context("keeping what rights were used")
}

/// Everything that was kept, by the file that says so.
///
/// # Errors
/// If a file cannot be read.
pub fn kept() -> Result<BTreeMap<Use, BTreeSet<String>>> {
    let mut all: BTreeMap<Use, BTreeSet<String>> = BTreeMap::new();
    let folder = folder();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}: no test has run", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = fs::read_to_string(&path)?;
            for kind in parse(&text).with_context(|| path.display().to_string())? {
                all.entry(kind).or_default().insert(name.clone());
            }
        }
    }
    Ok(all)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rbac-use")
}

fn parse(text: &str) -> Result<BTreeSet<Use>> {
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn read_audit_log(path: &Path) -> Result<BTreeSet<Use>> {
    let mut found = BTreeSet::new();
    let mut names: BTreeMap<Use, usize> = BTreeMap::new();
    let mut is_taken_apart = false;
    for line in BufReader::new(fs::File::open(path)?).lines() {
        let line = line?;
        // A log of many megabytes is mostly of others; the last line may be half.
        if !line.contains(ACCOUNT) && !line.contains(DELETION) {
            continue;
        }
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        is_taken_apart |= takes_rights_away(&event);
        for kind in judged(&event) {
            if is_taken_apart && !kind.allowed {
                continue;
            }
            let nameless = Use { name: String::new(), ..kind.clone() };
            let count = names.entry(nameless).or_default();
            if !found.contains(&kind) && *count < NAMES {
                *count += 1;
                found.insert(kind);
            }
        }
    }
    Ok(found)
}

/// Whether somebody uninstalls the concierge, whose last requests are denied then.
fn takes_rights_away(event: &Value) -> bool {
    let word = |name: &str| event["objectRef"][name].as_str().unwrap_or_default();
    let is_ours = |name: &str| name.contains("latchkey");
    event["verb"] == "delete"
        && ["clusterrolebindings", "clusterroles", "namespaces", "rolebindings", "roles", "serviceaccounts"]
            .contains(&word("resource"))
        && (is_ours(word("name")) || is_ours(word("namespace")))
}

/// What RBAC was asked for one request: an apply that makes its object needs `create` as well, of which the audit log says
/// nothing but the answer.
fn judged(event: &Value) -> Vec<Use> {
    let made = event["responseStatus"]["code"] == 201;
    let Some(asked) = request(event) else { return Vec::new() };
    let create = Use { verb: "create".to_owned(), ..asked.clone() };
    let creates = made && asked.verb == "patch";
    std::iter::once(asked).chain(creates.then_some(create)).collect()
}

/// The request of an audit event, if it is the concierge's and of a resource.
fn request(event: &Value) -> Option<Use> {
    let word = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if word("/user/username") != ACCOUNT || !event["impersonatedUser"].is_null() {
        return None;
    }
    let resource = Some(word("/objectRef/resource")).filter(|resource| !resource.is_empty())?;
    let subresource = word("/objectRef/subresource");
    let resource = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    Some(Use {
        verb: word("/verb").to_owned(),
        group: of_default_suffix(word("/objectRef/apiGroup")),
        resource,
        namespace: word("/objectRef/namespace").to_owned(),
        name: word("/objectRef/name").to_owned(),
        allowed: match event["annotations"]["authorization.k8s.io/decision"].as_str()? {
            "allow" => true,
            "forbid" => false,
            _ => return None,
        },
    })
}

fn of_default_suffix(group: &str) -> String {
    match group.split_once(".concierge.") {
        Some((first, _)) => format!("{first}.concierge.{DEFAULT_SUFFIX}"),
        None => group.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(user: &str, decision: &str) -> Value {
        json!({
            "verb": "patch", "user": {"username": user},
            "objectRef": {
                "apiGroup": "config.concierge.example.io", "resource": "credentialissuers", "subresource": "status",
                "name": "latchkey",
            },
            "annotations": {"authorization.k8s.io/decision": decision},
        })
    }

    #[test]
    fn what_is_denied_while_it_is_uninstalled_does_not_count() {
        let folder = crate::folder::TempFolder::new("rbac-use").unwrap();
        let deletion = json!({
            "verb": "delete", "user": {"username": "system:admin"},
            "objectRef": {"resource": "clusterrolebindings", "name": "latchkey-concierge"},
        });
        let other = json!({
            "verb": "delete", "user": {"username": "system:admin"},
            "objectRef": {"resource": "namespaces", "name": "other"},
        });
        let denied = event(ACCOUNT, "forbid");
        for (lines, expected) in [([&other, &denied], 1), ([&deletion, &denied], 0), ([&denied, &deletion], 1)] {
            let text = lines.map(Value::to_string).join("\n");
            let path = folder.write("audit.jsonl", text).unwrap();
            assert_eq!(read_audit_log(&path).unwrap().len(), expected);
        }
    }

    #[test]
    fn a_request_of_the_concierge_is_kept_as_rbac_saw_it() {
        let expected = Use {
            verb: "patch".to_owned(),
            group: "config.concierge.latchkey.dev".to_owned(),
            resource: "credentialissuers/status".to_owned(),
            namespace: String::new(),
            name: "latchkey".to_owned(),
            allowed: true,
        };
        assert_eq!(judged(&event(ACCOUNT, "allow")), std::slice::from_ref(&expected));
        let mut made = event(ACCOUNT, "allow");
        made["responseStatus"] = json!({"code": 201});
        assert_eq!(judged(&made), [expected.clone(), Use { verb: "create".to_owned(), ..expected.clone() }]);
        assert_eq!(judged(&event(ACCOUNT, "forbid")), [Use { allowed: false, ..expected }]);
        assert_eq!(judged(&event("system:admin", "allow")), []);
        let discovery = json!({"verb": "get", "user": {"username": ACCOUNT}, "requestURI": "/version"});
        assert_eq!(judged(&discovery), []);
    }
}

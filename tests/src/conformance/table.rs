//! The tables of cases: one YAML file a theme, read strictly.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One theme.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Table {
    /// What the cases are about, for readers.
    pub about: String,
    /// Key sets that the cases name, beside `default` (one RSA key).
    #[serde(default)]
    pub key_sets: BTreeMap<String, Vec<KeyEntry>>,
    /// What the cases of this table have in common: a merge patch (RFC 7396) over the base configuration.
    #[serde(default)]
    pub config: Value,
    /// The cases, each in a line.
    pub cases: Vec<Case>,
    /// The file's name without `.yaml`.
    #[serde(skip)]
    pub name: String,
}

/// One key of a key set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Which of the test's keys: `rsa`, `rsa-2`, `p256`, `p384`, `p521`, `ed25519`.
    pub key: String,
    /// A merge patch over the JWK.
    #[serde(default)]
    pub jwk: Value,
}

/// What differs from the base configuration and the base token, and what kube-apiserver says then.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Case {
    /// Unique in its table.
    pub name: String,
    /// What kube-apiserver says.
    pub expect: Expect,
    /// The user that kube-apiserver makes of it: the username, or any of its members.
    pub gives: Option<Gives>,

    /// Short for `claimMappings.username.expression`: what most CEL cases look through.
    pub cel: Option<String>,
    /// Short for `claimMappings.groups.expression`.
    pub groups: Option<String>,
    /// Short for `claimMappings.uid.expression`.
    pub uid: Option<String>,
    /// Short for one `claimMappings.extra` with the key `example.org/extra`.
    pub extra: Option<String>,
    /// Short for one claim rule with this expression.
    pub rule: Option<String>,
    /// Short for one user rule with this expression.
    pub user_rule: Option<String>,
    /// A merge patch over the configuration of this issuer, in kube-apiserver's words; `$ISSUER` stands for its URL.
    #[serde(default)]
    pub config: Value,
    /// A merge patch over what this configuration becomes in our words: to switch off what we do beyond Kubernetes.
    #[serde(default)]
    pub ours: Value,

    /// Claims to set, over those of the base token.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Claims of the base token to leave out.
    #[serde(default)]
    pub without: Vec<String>,
    /// Claims that are times: seconds from now.
    #[serde(default)]
    pub times: BTreeMap<String, f64>,
    /// The payload's very text; `$ISSUER`, `$NOW`, `$LATER` are filled in.
    pub payload: Option<String>,
    /// Header members to set.
    #[serde(default)]
    pub header: Map<String, Value>,
    /// Header members to leave out.
    #[serde(default)]
    pub without_header: Vec<String>,
    /// The header's very text.
    pub header_text: Option<String>,
    /// The key that signs; `rsa` when absent.
    pub key: Option<String>,
    /// The algorithm that it signs with, also in the header; the key's own when absent. `none` and `HS256` (with the
    /// public key as secret) are forgeries.
    pub alg: Option<String>,
    /// The token's shape, of `{header}`, `{payload}`, `{signature}`.
    pub token: Option<String>,
    /// The key set that the issuer publishes; `default` when absent.
    pub keys: Option<String>,
}

/// What kube-apiserver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// It lets the token in.
    Allowed,
    /// It refuses the token.
    Refused,
    /// It refuses the configuration.
    Invalid,
}

/// The user, as far as a table records it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Gives {
    /// Its name.
    Username(String),
    /// Any of its members.
    User(GivenUser),
}

/// Members of a user; what is absent is not recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenUser {
    /// Its name.
    pub username: Option<String>,
    /// Its uid.
    pub uid: Option<String>,
    /// Its groups.
    pub groups: Option<Vec<String>>,
    /// Further attributes.
    pub extra: Option<BTreeMap<String, Vec<String>>>,
}

/// The file of known differences, which is no table of cases.
pub const DIFFERENCES: &str = "differences.yaml";

/// Reads every table of a folder, in the order of their names.
///
/// # Errors
/// If a file cannot be read as a table, or two cases of a table share a name.
pub fn read_all(folder: &Path) -> Result<Vec<Table>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") && !path.ends_with(DIFFERENCES) {
            files.push(path);
        }
    }
    files.sort();
    files.iter().map(|path| read(path).with_context(|| format!("in {}", path.display()))).collect()
}

fn read(path: &Path) -> Result<Table> {
    let mut table: Table = serde_norway::from_str(&fs::read_to_string(path)?)?;
    path.file_stem().and_then(|name| name.to_str()).context("the name is UTF-8")?.clone_into(&mut table.name);
    let mut names = std::collections::HashSet::new();
    for case in &table.cases {
        ensure!(names.insert(&case.name), "two cases are called {:?}", case.name);
        ensure!(
            case.gives.is_none() || case.expect == Expect::Allowed,
            "{}: only an allowed token gives a user",
            case.name
        );
    }
    Ok(table)
}

/// Applies a merge patch (RFC 7396); no patch (null) changes nothing.
pub fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Null => {}
        Value::Object(members) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Value::Object(object) = target else { unreachable!("it was just made one") };
            for (name, value) in members {
                if value.is_null() {
                    object.remove(name);
                } else if value.is_object() {
                    merge(object.entry(name).or_insert(Value::Null), value);
                } else {
                    object.insert(name.clone(), value.clone());
                }
            }
        }
        other => *target = other.clone(),
    }
}

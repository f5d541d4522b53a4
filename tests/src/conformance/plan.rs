//! Cases with the same configuration share an issuer: kube-apiserver takes 64 at once.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::table::{Case, KeyEntry, Table, merge};

/// The only audience of the base configuration.
pub const AUDIENCE: &str = "conformance";

/// A configuration, and the issuer that it names.
#[derive(Debug)]
pub struct Setup {
    /// One entry of `jwt` in an `AuthenticationConfiguration`.
    pub entry: Value,
    /// What its issuer publishes.
    pub keys: Vec<KeyEntry>,
    /// The part of the issuer's URLs that tells it from the others.
    pub path: String,
}

/// A case, and where to ask.
#[derive(Debug)]
pub struct Planned<'a> {
    /// The table's name and the case's name.
    pub name: String,
    /// The case.
    pub case: &'a Case,
    /// Its configuration, by position.
    pub setup: usize,
}

/// All there is to ask.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Every configuration once.
    pub setups: Vec<Setup>,
    /// The cases.
    pub cases: Vec<Planned<'a>>,
}

/// Plans for issuers under `server` (`https://host:port`) with the certificate authority `ca` (PEM).
///
/// # Errors
/// If a case names a key set that its table lacks.
pub fn plan<'a>(tables: &'a [Table], server: &str, ca: &str) -> Result<Plan<'a>> {
    let mut plan = Plan { setups: Vec::new(), cases: Vec::new() };
    let mut known: HashMap<String, usize> = HashMap::new();
    for table in tables {
        for case in &table.cases {
            let name = format!("{}/{}", table.name, case.name);
            let keys = key_set(table, case).with_context(|| format!("case {name}"))?;
            let mut entry = base(ca);
            merge(&mut entry, &table.config);
            merge(&mut entry, &shorthands(case));
            merge(&mut entry, &case.config);
            let identity = format!("{entry}{keys:?}");
            let setup = *known.entry(identity).or_insert_with(|| {
                let path = format!("/c/{}", plan.setups.len());
                fill_in(&mut entry, &format!("{server}{path}"));
                plan.setups.push(Setup { entry, keys, path });
                plan.setups.len() - 1
            });
            plan.cases.push(Planned { name, case, setup });
        }
    }
    Ok(plan)
}

impl Setup {
    /// The issuer's URL as the configuration has it: what a token's `iss` should be.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.entry["issuer"]["url"].as_str().unwrap_or_default()
    }
}

fn base(ca: &str) -> Value {
    json!({
        "issuer": { "url": "$ISSUER", "certificateAuthority": ca, "audiences": [AUDIENCE] },
        "claimMappings": { "username": { "claim": "sub", "prefix": "" } },
    })
}

fn shorthands(case: &Case) -> Value {
    let mut patch = json!({});
    if let Some(expression) = &case.cel {
        patch["claimMappings"]["username"] = json!({ "claim": null, "prefix": null, "expression": expression });
    }
    if let Some(expression) = &case.groups {
        patch["claimMappings"]["groups"] = json!({ "expression": expression });
    }
    if let Some(expression) = &case.uid {
        patch["claimMappings"]["uid"] = json!({ "expression": expression });
    }
    if let Some(expression) = &case.extra {
        patch["claimMappings"]["extra"] = json!([{ "key": "example.org/extra", "valueExpression": expression }]);
    }
    if let Some(expression) = &case.rule {
        patch["claimValidationRules"] = json!([{ "expression": expression, "message": "the rule failed" }]);
    }
    if let Some(expression) = &case.user_rule {
        patch["userValidationRules"] = json!([{ "expression": expression, "message": "the rule failed" }]);
    }
    patch
}

fn key_set(table: &Table, case: &Case) -> Result<Vec<KeyEntry>> {
    match case.keys.as_deref() {
        None | Some("default") => Ok(vec![KeyEntry { key: "rsa".to_owned(), jwk: Value::Null }]),
        Some(name) => table.key_sets.get(name).cloned().with_context(|| format!("the table has no key set {name:?}")),
    }
}

/// Puts the issuer's URL where a case wrote `$ISSUER`.
fn fill_in(value: &mut Value, issuer: &str) {
    match value {
        Value::String(text) => *text = text.replace("$ISSUER", issuer),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, issuer)),
        Value::Object(members) => members.values_mut().for_each(|member| fill_in(member, issuer)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

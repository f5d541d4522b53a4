//! Holds what the concierge asked for in all tests that have run against what its manifests let it ask: ends with 1 when a
//! right was never used, or a request denied.

#![expect(clippy::print_stdout, reason = "a report to whoever runs the tests")]

use std::process::ExitCode;

use latchkey_e2e::rbac_use::{Right, kept, rights};

/// Rights for what no test brings about on purpose, each with the moment that needs it.
const RARE: [(&str, &str, &str); 3] = [
    ("delete", "secrets", "a Secret of another type that stands where ours belongs"),
    ("get", "certificatesigningrequests", "a watch for the signer's answer that ends too early"),
    ("get", "tokenrejections", "two replicas that count the same refusal at the same time"),
];

fn main() -> anyhow::Result<ExitCode> {
    let (used, rights) = (kept()?, rights()?);
    let is_rare =
        |right: &Right| RARE.iter().any(|(verb, resource, _)| right.verb == *verb && right.resource == *resource);
    let unused: Vec<_> = rights.iter().filter(|right| !used.keys().any(|used| right.covers(used))).collect();
    let (rare, unused): (Vec<_>, Vec<_>) = unused.into_iter().partition(|right| is_rare(right));
    let denied: Vec<_> = used.iter().filter(|(used, _)| !used.allowed).collect();
    println!(
        "{} of {} rights used, {} kinds of request denied",
        rights.len() - unused.len() - rare.len(),
        rights.len(),
        denied.len()
    );
    for (verb, resource, when) in RARE
        .iter()
        .filter(|(verb, resource, _)| rare.iter().any(|right| right.verb == *verb && right.resource == *resource))
    {
        println!("not needed this time: {verb} {resource}, for {when}");
    }
    for right in &unused {
        let place = right.namespace.as_deref().unwrap_or("the cluster");
        println!("never used: {} {}.{} in {place} ({})", right.verb, right.resource, right.group, right.role);
    }
    for (used, tests) in &denied {
        println!(
            "denied: {} {}.{} {:?} in {:?}, in {}",
            used.verb,
            used.resource,
            used.group,
            used.name,
            used.namespace,
            tests.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        );
    }
    Ok(if unused.is_empty() && denied.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

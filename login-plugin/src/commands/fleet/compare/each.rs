//! What can be said of each cluster alone: whether people get in.

use super::super::cluster::{Cluster, Origin};
use super::super::finding::{Code, Finding, Seen};

pub(super) fn findings(clusters: &[Cluster]) -> Vec<Finding> {
    clusters.iter().filter(|cluster| cluster.origin == Origin::Live).flat_map(of).collect()
}

fn of(cluster: &Cluster) -> Vec<Finding> {
    let here = cluster.label.as_str();
    let finding = |code, subject: String, found: String| Finding::new(code, subject, [Seen::new([here], found)]);
    if !cluster.is_installed {
        return vec![finding(Code::NotInstalled, here.to_owned(), "the cluster knows no JWTAuthenticators".to_owned())];
    }
    let mut findings = Vec::new();
    for authenticator in cluster.authenticators.iter().flatten() {
        let subject = authenticator.title();
        let warnings = authenticator.warnings.iter();
        findings.extend(warnings.map(|warning| finding(Code::AuthenticatorDegraded, subject.clone(), warning.clone())));
        if let Some(obstacle) = &authenticator.obstacle {
            findings.push(finding(Code::AuthenticatorNotReady, subject, obstacle.clone()));
        }
    }
    match cluster.doors.as_deref() {
        Some([]) => {
            findings.push(finding(Code::NoCredentials, here.to_owned(), "there is no CredentialIssuer".to_owned()));
        }
        Some(doors) if doors.iter().all(|door| !door.is_open) => findings.extend(
            doors
                .iter()
                .map(|door| finding(Code::NoCredentials, format!("CredentialIssuer {}", door.name), door.said.clone())),
        ),
        Some(_) | None => {}
    }
    findings
}

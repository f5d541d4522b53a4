//! The cluster: does it answer, is the concierge there, does it know the authenticator.

use http::StatusCode;
use latchkey_crds::groups::VERSION;
use latchkey_crds::login::PLURAL;
use serde_json::Value;

use super::reach::{self, Knock, Party};
use super::report::Finding;
use crate::config::{ConciergeConfig, Destination, Server};
use crate::kubectl::KubectlError;
use crate::output::Printable;
use crate::time::Clock;

const CHECK: &str = "concierge";

/// Knocks at the server that takes the token, at the API that takes it.
pub(super) async fn ask(destination: &Destination) -> Option<Knock> {
    let path = match destination {
        Destination::Direct(_) => "/version".to_owned(),
        Destination::Exchange(concierge) => format!("/apis/{}/{VERSION}", concierge.suffix.login()),
    };
    ask_server(destination.server()?, &path).await
}

/// Knocks at a server of which only the address is known.
pub(super) async fn ask_server(server: &Server, path: &str) -> Option<Knock> {
    Some(reach::knock(Party::Cluster, server, path).await.0)
}

/// Judges what the cluster said. `answered` says whether the plugin got a credential from there just now.
pub(super) fn judge(knock: &Knock, destination: &Destination, answered: bool, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = vec![knock.judge()];
    findings.extend(knock.judge_clock(clock));
    if let (Some(answer), Destination::Exchange(concierge)) = (knock.answer(), destination) {
        findings.push(judge_concierge(answer.status, &answer.body, concierge, &knock.at, answered));
    }
    findings
}

fn judge_concierge(status: StatusCode, body: &[u8], concierge: &ConciergeConfig, at: &str, answered: bool) -> Finding {
    let group = concierge.suffix.login();
    match status {
        _ if answered => Finding::ok(CHECK, "it exchanged the login for a credential"),
        StatusCode::OK => {
            let list: Value = serde_json::from_slice(body).unwrap_or_default();
            let serves = list["resources"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == PLURAL));
            if serves {
                Finding::ok(CHECK, format!("{group} is served"))
            } else {
                Finding::fail(
                    CHECK,
                    format!("{at} knows {group} without {PLURAL}"),
                    "update the concierge in the cluster",
                )
            }
        }
        StatusCode::NOT_FOUND => Finding::fail(
            CHECK,
            format!("{at} does not know the API group {group}"),
            "is the concierge installed, and is --api-group-suffix the one it was installed with?",
        ),
        StatusCode::SERVICE_UNAVAILABLE => Finding::fail(
            CHECK,
            format!("{group} is registered, and nobody answers for it"),
            "kubectl get apiservice, and kubectl -n latchkey get pods: is the concierge running?",
        ),
        StatusCode::UNAUTHORIZED => Finding::warn(
            CHECK,
            format!("{at} refuses every anonymous request ({status}), and the exchange has to be anonymous"),
            "AKS, EKS, GKE and Talos do that: use the impersonation proxy as --concierge-endpoint; \
             `kubectl latchkey kubeconfig` finds it",
        ),
        // Kubernetes shows its groups only to those who are somebody; the exchange has a permission of its own.
        StatusCode::FORBIDDEN => Finding::ok(CHECK, format!("{at} shows its APIs only to those who are logged in")),
        other => Finding::warn(
            CHECK,
            format!("asked for {group}, {at} answered {other}"),
            "try again; if it stays, tell the cluster's administrator",
        ),
    }
}

/// Judges what kubectl said about the authenticator.
pub(super) fn judge_authenticator(concierge: &ConciergeConfig, said: Result<Value, KubectlError>) -> Finding {
    const CHECK: &str = "authenticator";
    let name = Printable(&concierge.authenticator_name).to_string();
    match said {
        Ok(object) => match object["status"]["phase"].as_str() {
            Some("Ready") | None => Finding::ok(CHECK, format!("{name} is in the cluster")),
            Some(phase) => Finding::fail(
                CHECK,
                format!("{name} is in phase {}", Printable(phase)),
                format!("kubectl describe {} {name}", concierge.authenticator_kind.to_ascii_lowercase()),
            ),
        },
        Err(KubectlError::Said { words }) if words.contains("NotFound") || words.contains("not found") => {
            Finding::fail(
                CHECK,
                format!("the cluster has no {} {name}", concierge.authenticator_kind),
                "compare --authenticator with `kubectl get jwtauthenticators`",
            )
        }
        Err(KubectlError::Said { words }) if words.contains("orbidden") => {
            Finding::ok(CHECK, format!("{name} took the login; to look at it needs more rights than yours"))
        }
        Err(error) => Finding::warn(
            CHECK,
            format!("nothing is known about {name}: {}", Printable(&error.to_string())),
            "try again",
        ),
    }
}

/// The resource by which kubectl finds the authenticator.
pub(super) fn authenticator_resource(concierge: &ConciergeConfig) -> String {
    format!("{}s.{}", concierge.authenticator_kind.to_ascii_lowercase(), concierge.suffix.authentication())
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use serde_json::json;

    use super::super::report::Verdict;
    use super::*;

    fn concierge() -> ConciergeConfig {
        ConciergeConfig {
            server: Server {
                endpoint: Url::parse("https://c").unwrap(),
                roots: None,
                tls_server_name: None,
                proxy: None,
            },
            suffix: "latchkey.dev".parse().unwrap(),
            authenticator_kind: "JWTAuthenticator".to_owned(),
            authenticator_name: "people".to_owned(),
        }
    }

    #[test]
    fn the_concierge_is_told_from_its_absence() {
        let list = json!({"resources": [{"name": "tokencredentialrequests"}]}).to_string();
        let cases = [
            (200, list.as_str(), Verdict::Ok),
            (200, "{}", Verdict::Fail),
            (200, "<html>", Verdict::Fail),
            (401, "", Verdict::Warn),
            (403, "", Verdict::Ok),
            (404, "", Verdict::Fail),
            (503, "", Verdict::Fail),
            (500, "", Verdict::Warn),
            (302, "", Verdict::Warn),
        ];
        for (status, body, verdict) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                judge_concierge(status, body.as_bytes(), &concierge(), "c:443", false).verdict,
                verdict,
                "{status}"
            );
            assert_eq!(judge_concierge(status, body.as_bytes(), &concierge(), "c:443", true).verdict, Verdict::Ok);
        }
    }

    #[test]
    fn the_authenticator_is_told_from_its_absence() {
        let said = |words: &str| Err(KubectlError::Said { words: words.to_owned() });
        let cases = [
            (Ok(json!({"status": {"phase": "Ready"}})), Verdict::Ok),
            (Ok(json!({"status": {"phase": "Error\u{1b}[2J"}})), Verdict::Fail),
            (said("Error from server (NotFound): jwtauthenticators \"people\" not found"), Verdict::Fail),
            (said("Error from server (Forbidden): jwtauthenticators is forbidden"), Verdict::Ok),
            (said("Unable to connect to the server"), Verdict::Warn),
        ];
        for (said, verdict) in cases {
            let words = format!("{said:?}");
            let finding = judge_authenticator(&concierge(), said);
            assert_eq!(finding.verdict, verdict, "{words}");
            assert!(!finding.found.contains('\u{1b}'));
        }
        assert_eq!(authenticator_resource(&concierge()), "jwtauthenticators.authentication.concierge.latchkey.dev");
    }
}

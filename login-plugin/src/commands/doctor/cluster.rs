//! The cluster: does it answer, is the concierge there, does it know the authenticator.

use http::StatusCode;
use serde_json::Value;

use super::reach::{self, Knock, Party};
use super::report::Finding;
use crate::config::{ConciergeConfig, Destination, Server};
use crate::exchange;
use crate::kubectl::KubectlError;
use crate::output::Printable;
use crate::time::Clock;
use crate::transport::Answer;

const CHECK: &str = "concierge";

/// What the cluster answered.
#[derive(Debug)]
pub(super) struct Asked {
    knock: Knock,
    /// What the concierge said to a request without a token, where there should be one and the server answers.
    concierge: Option<Result<Answer, String>>,
}

/// Knocks at the server that takes the token, and at the concierge behind it.
pub(super) async fn ask(destination: &Destination) -> Option<Asked> {
    let knock = ask_server(destination.server()?).await;
    let concierge = match destination {
        Destination::Exchange(concierge) if knock.answer().is_some() => {
            Some(exchange::knock(concierge, reach::REQUEST_DEADLINE).await)
        }
        _ => None,
    };
    Some(Asked { knock, concierge })
}

async fn ask_server(server: &Server) -> Knock {
    reach::knock(Party::Cluster, server, "/version").await.0
}

/// Whether kubectl's own way to the cluster is another one than the plugin's to the concierge, and leads nowhere.
pub(super) async fn ask_for_kubectl(server: Option<Server>, destination: &Destination) -> Option<Finding> {
    let (own, ours) = (server?, destination.server()?);
    if own.endpoint == ours.endpoint && own.roots == ours.roots {
        return None;
    }
    let knock = ask_server(&own).await;
    let finding = knock.judge();
    knock.answer().is_none().then(|| Finding { found: format!("for kubectl itself: {}", finding.found), ..finding })
}

/// Judges what the cluster said.
pub(super) fn judge(asked: &Asked, destination: &Destination, clock: &dyn Clock) -> Vec<Finding> {
    let Asked { knock, concierge } = asked;
    let mut findings = vec![knock.judge()];
    findings.extend(knock.judge_clock(clock));
    if let (Some(said), Destination::Exchange(config)) = (concierge, destination) {
        let said = said.as_ref().map(|answer| answer.status).map_err(String::as_str);
        findings.push(judge_concierge(said, config, &knock.at));
    }
    findings
}

/// By the status of its answer to a request without a token. A concierge of whatever make finds that invalid; all else was
/// said by the API server in front of it.
fn judge_concierge(said: Result<StatusCode, &str>, concierge: &ConciergeConfig, at: &str) -> Finding {
    let group = concierge.suffix.login();
    let is_running = "kubectl get apiservice, and kubectl -n latchkey get pods: is the concierge running?";
    match said {
        Err(why) => Finding::fail(CHECK, format!("asked for {group}, {at} gives no answer: {why}"), is_running),
        Ok(StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST | StatusCode::OK | StatusCode::CREATED) => {
            Finding::ok(CHECK, format!("it answers for {group}"))
        }
        Ok(StatusCode::NOT_FOUND) => Finding::fail(
            CHECK,
            format!("{at} does not know the API group {group}"),
            "is the concierge installed, and is --api-group-suffix the one it was installed with?",
        ),
        Ok(StatusCode::SERVICE_UNAVAILABLE) => {
            Finding::fail(CHECK, format!("{group} is registered, and nobody answers for it"), is_running)
        }
        Ok(StatusCode::UNAUTHORIZED) => Finding::fail(
            CHECK,
            format!("{at} refuses every anonymous request (401), and the exchange has to be anonymous"),
            "AKS, EKS, GKE and Talos do that: use the impersonation proxy as --concierge-endpoint; \
             `kubectl latchkey kubeconfig` finds it",
        ),
        // RBAC speaks before anybody looks whether there is such a group.
        Ok(StatusCode::FORBIDDEN) => Finding::fail(
            CHECK,
            format!("{at} lets nobody reach {group} who is not logged in yet"),
            "is the concierge installed, with its ClusterRoleBinding latchkey-login, and is --api-group-suffix the one it was installed with?",
        ),
        Ok(other) => Finding::warn(
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
            Finding::ok(CHECK, format!("{name}: to look at it needs more rights than yours"))
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
        let cases = [
            (422, Verdict::Ok),
            (400, Verdict::Ok),
            (401, Verdict::Fail),
            (403, Verdict::Fail),
            (404, Verdict::Fail),
            (503, Verdict::Fail),
            (500, Verdict::Warn),
            (302, Verdict::Warn),
        ];
        for (status, verdict) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(judge_concierge(Ok(status), &concierge(), "c:443").verdict, verdict, "{status}");
        }
        assert_eq!(judge_concierge(Err("operation timed out"), &concierge(), "c:443").verdict, Verdict::Fail);
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

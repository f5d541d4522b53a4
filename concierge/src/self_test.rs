//! `latchkey-concierge self-test`: asks the API server, as anybody may, whether it reaches the concierge and whether that
//! refuses nonsense.
//!
//! It needs no rights of its own: discovery and both virtual kinds are open to whoever may log in. Its one refusal is
//! recorded like any other.

mod judge;

use std::{io::Write, path::PathBuf, time::Duration};

use http::{Method, Request};
use kube::{Client, core::Status};
use latchkey_crds::{
    groups::{GroupSuffix, VERSION},
    identity,
    login::{self, TokenCredentialRequest, TokenCredentialRequestSpec, TypedLocalObjectReference},
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::text::clean;

/// Longest wait for one answer: the API server itself gives an aggregated API about as long to be found unreachable.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// Pause before a check that failed is made again: an installation that is still starting needs seconds.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest text of somebody else's on a line, in bytes.
const SHOWN: usize = 1_024;

/// What is shown in place of a token. It has not even the form of one, so that no key is asked for because of it.
const NONSENSE: &str = "latchkey-self-test";

/// What to test, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// How to reach the API server; `None`: by the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The ending of the installation's API groups.
    pub suffix: GroupSuffix,
    /// How long checks that fail are made again, all together. Each is made once in any case.
    pub timeout: Duration,
}

/// How the test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every check passed.
    Well,
    /// At least one did not.
    Failed,
}

/// Why an answer did not come, or was not the right one, in a sentence with its mend.
type Failure = String;

/// Makes every check and prints a line for each.
///
/// # Errors
/// When the lines cannot be printed.
pub async fn run(client: Client, test: &SelfTest, output: &mut impl Write) -> std::io::Result<Ending> {
    let asking = Asking { client, suffix: &test.suffix };
    let deadline = Instant::now() + test.timeout;
    let (login, identity) = (test.suffix.login(), test.suffix.identity());
    let mut lines = Lines { output, failed: 0, made: 0 };

    lines.add("the API server", again(deadline, async || asking.ourselves().await).await)?;
    for (group, resource) in [(&login, login::PLURAL), (&identity, identity::PLURAL)] {
        let outcome = again(deadline, async || asking.discovery(group, resource).await).await;
        lines.add(&format!("APIService {VERSION}.{group}"), outcome)?;
    }
    lines.add("a token that is none", again(deadline, async || asking.exchange().await).await)?;
    lines.add("who we are to the concierge", again(deadline, async || asking.who_am_i().await).await)?;
    lines.end()
}

/// Makes a check until it passes or the time is over.
async fn again(deadline: Instant, check: impl AsyncFn() -> Result<String, Failure>) -> Result<String, Failure> {
    loop {
        let outcome = check().await;
        if outcome.is_ok() || Instant::now() + PAUSE >= deadline {
            return outcome;
        }
        sleep(PAUSE).await;
    }
}

/// The one who asks.
struct Asking<'a> {
    client: Client,
    suffix: &'a GroupSuffix,
}

/// What was printed so far.
struct Lines<'a, W> {
    output: &'a mut W,
    failed: usize,
    made: usize,
}

// === impl Asking ===

impl Asking<'_> {
    /// Whom the API server takes us for. Every authenticated caller may ask (the role `system:basic-user`).
    async fn ourselves(&self) -> Result<String, Failure> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let answer = self.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review).await?;
        judge::ourselves(&answer).map(|name| format!("answers {name}"))
    }

    /// Whether the API server has found the API, and whether the concierge answers for it.
    async fn discovery(&self, group: &str, resource: &str) -> Result<String, Failure> {
        let list = self.send(Method::GET, &format!("/apis/{group}/{VERSION}"), Vec::new()).await?;
        judge::discovery(&list, resource)
    }

    /// Whether nonsense is refused, as a person's bad token would be.
    async fn exchange(&self) -> Result<String, Failure> {
        let group = self.suffix.login();
        let request = TokenCredentialRequest {
            kind: login::KIND.to_owned(),
            api_version: GroupSuffix::api_version(&group),
            spec: TokenCredentialRequestSpec {
                token: NONSENSE.to_owned(),
                authenticator: TypedLocalObjectReference {
                    api_group: Some(self.suffix.authentication()),
                    kind: "JWTAuthenticator".to_owned(),
                    name: NONSENSE.to_owned(),
                },
                certificate_signing_request: None,
            },
            ..TokenCredentialRequest::default()
        };
        let path = format!("/apis/{group}/{VERSION}/{}", login::PLURAL);
        judge::exchange(&self.post(&path, &json!(request)).await?)
    }

    /// Whether the concierge believes the API server about its callers: without the front proxy's authority it would
    /// refuse, and with a wrong one take us for nobody.
    async fn who_am_i(&self) -> Result<String, Failure> {
        let group = self.suffix.identity();
        let request = json!({"apiVersion": GroupSuffix::api_version(&group), "kind": identity::KIND});
        let path = format!("/apis/{group}/{VERSION}/{}", identity::PLURAL);
        judge::who_am_i(&self.post(&path, &request).await?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, Failure> {
        self.send(Method::POST, path, body.to_string().into_bytes()).await
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T, Failure> {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json").body(body);
        let request = request.map_err(|error| format!("no request for {path} can be made: {error}"))?;
        match timeout(REQUEST_LIMIT, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(refusal))) => Err(refused(path, &refusal)),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(_) => Err(format!("{path}: no answer within {} s", REQUEST_LIMIT.as_secs())),
        }
    }
}

/// An answer that is an error, with what to do about it.
fn refused(path: &str, status: &Status) -> Failure {
    let Status { code, message, reason, .. } = status;
    let words = if message.is_empty() { reason } else { message };
    let mend = match code {
        401 => "; the account is unknown to the API server",
        403 => "; everybody who is to log in needs the ClusterRole latchkey-login: is it bound?",
        404 => "; is it installed, and with this group suffix (--api-group-suffix)?",
        503 => "; the API server does not reach the concierge: `kubectl get apiservices` says why",
        _ => "",
    };
    format!("{path}: {code}: {}{mend}", clean(words, SHOWN))
}

/// What failed, and why, and why that.
fn with_causes(error: &dyn std::error::Error) -> Failure {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let mut text = error.to_string();
    for cause in causes.map(ToString::to_string) {
        // Some errors repeat their cause in their own words.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    clean(&text, SHOWN)
}

// === impl Lines ===

impl<W: Write> Lines<'_, W> {
    fn add(&mut self, what: &str, outcome: Result<String, Failure>) -> std::io::Result<()> {
        self.made += 1;
        let (word, told) = match outcome {
            Ok(told) => ("ok  ", told),
            Err(failure) => {
                self.failed += 1;
                ("FAIL", failure)
            }
        };
        writeln!(self.output, "{word} {what}: {told}")
    }

    fn end(self) -> std::io::Result<Ending> {
        let Self { output, failed, made } = self;
        if failed == 0 {
            writeln!(output, "all {made} checks passed")?;
            return Ok(Ending::Well);
        }
        writeln!(output, "{failed} of {made} checks failed")?;
        Ok(Ending::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_has_a_line_and_one_failure_fails_the_test() {
        let mut printed = Vec::new();
        let mut lines = Lines { output: &mut printed, failed: 0, made: 0 };
        lines.add("one", Ok("good".to_owned())).unwrap();
        lines.add("two", Err("bad".to_owned())).unwrap();
        assert_eq!(lines.end().unwrap(), Ending::Failed);
        assert_eq!(String::from_utf8(printed).unwrap(), "ok   one: good\nFAIL two: bad\n1 of 2 checks failed\n");
        let mut printed = Vec::new();
        let mut lines = Lines { output: &mut printed, failed: 0, made: 0 };
        lines.add("one", Ok("good".to_owned())).unwrap();
        assert_eq!(lines.end().unwrap(), Ending::Well);
    }

    #[test]
    fn a_refusal_is_told_with_its_mend_and_without_strange_characters() {
        let status = Status { code: 503, message: "down\u{1b}[2J".to_owned(), ..Status::default() };
        assert_eq!(
            refused("/apis/x", &status),
            "/apis/x: 503: down\u{fffd}[2J; the API server does not reach the concierge: `kubectl get apiservices` says why"
        );
        let status = Status { code: 404, reason: "NotFound".to_owned(), ..Status::default() };
        assert!(refused("/apis/x", &status).starts_with("/apis/x: 404: NotFound; is it installed"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_is_made_until_it_passes_or_the_time_is_over_and_once_in_any_case() {
        let tries = std::cell::Cell::new(0);
        let third = async || {
            tries.set(tries.get() + 1);
            if tries.get() == 3 { Ok("there".to_owned()) } else { Err("not yet".to_owned()) }
        };
        let now = Instant::now();
        assert_eq!(again(now, &third).await, Err("not yet".to_owned()));
        assert_eq!(tries.get(), 1);
        assert_eq!(again(now + Duration::from_mins(1), &third).await, Ok("there".to_owned()));
        assert_eq!((tries.get(), now.elapsed()), (3, PAUSE));
    }
}

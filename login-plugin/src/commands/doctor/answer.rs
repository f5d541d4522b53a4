//! The round trip: the stanza's command is run as a client runs it, and must answer one line that a client can read.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::kubeconfig::{Context, Exec};
use super::report::Finding;
use crate::failure::Status;
use crate::output::Printable;
use crate::time::UnixTime;

const CHECK: &str = "answer";

/// A refresh and an exchange take a second or two; nobody logs in here.
const DEADLINE: Duration = Duration::from_secs(10);

/// A credential is a few KiB.
const OUTPUT_MAX_BYTES: u64 = 256 * 1024;

/// What came of it.
#[derive(Debug)]
pub(super) enum Answered {
    /// It could not be started.
    NotStarted(String),
    /// It did not end.
    TimedOut,
    /// It ended.
    Ended { code: Option<i32>, stdout: Zeroizing<Vec<u8>>, stderr: String },
}

/// Runs the plugin as client-go does, except that nobody is asked anything.
pub(super) async fn ask(context: &Context, exec: &Exec, program: &Path) -> Answered {
    let mut command = Command::new(program);
    command
        .args(exec.args.iter().flatten())
        .envs(exec.env.iter().flatten().map(|variable| (&variable.name, &variable.value)))
        .env("KUBERNETES_EXEC_INFO", context.exec_info(&exec.api_version, exec.provide_cluster_info))
        .env("LATCHKEY_FLOW", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Answered::NotStarted(error.to_string()),
    };
    let mut stdout = child.stdout.take().expect("it was asked for as a pipe").take(OUTPUT_MAX_BYTES);
    let mut stderr = child.stderr.take().expect("it was asked for as a pipe").take(OUTPUT_MAX_BYTES);
    let mut data = Zeroizing::new(Vec::new());
    let mut words = Vec::new();
    let ended = timeout(DEADLINE, async {
        let (read, said) = tokio::join!(stdout.read_to_end(&mut data), stderr.read_to_end(&mut words));
        read?;
        said?;
        child.wait().await
    });
    match ended.await {
        Err(_elapsed) => Answered::TimedOut,
        Ok(Err(error)) => Answered::NotStarted(error.to_string()),
        Ok(Ok(status)) => {
            Answered::Ended { code: status.code(), stdout: data, stderr: String::from_utf8_lossy(&words).into_owned() }
        }
    }
}

impl Answered {
    /// Whether it gave a credential.
    pub(super) fn is_credential(&self) -> bool {
        matches!(self, Self::Ended { code: Some(0), .. })
    }

    /// `kept_since` says since when the credential was kept, if it was there before the plugin ran.
    pub(super) fn judge(&self, api_version: &str, kept_since: Option<UnixTime>, now: UnixTime) -> Finding {
        let again = "run it by hand, as kubectl does: kubectl --v=6 get --raw /version";
        match self {
            Self::NotStarted(why) => Finding::fail(
                CHECK,
                format!("the stanza's command cannot be run: {why}"),
                "reinstall kubectl-latchkey for this kind of computer",
            ),
            Self::TimedOut => Finding::fail(
                CHECK,
                format!("the plugin did not answer within {} s", DEADLINE.as_secs()),
                "another login may be in progress: finish or end that one; or a server does not answer (see below)",
            ),
            Self::Ended { code: Some(0), stdout, .. } => match credential(stdout, api_version) {
                Err(why) => {
                    Finding::fail(CHECK, format!("the plugin's answer cannot be read by clients: {why}"), again)
                }
                Ok((kind, expires)) => {
                    let until = match expires {
                        Some(at) if at.since(now) < 0 => {
                            return Finding::fail(
                                CHECK,
                                format!("the plugin answers with a {kind} that ended at {at}"),
                                "set this computer's clock, then try again",
                            );
                        }
                        Some(at) => format!(" until {at}"),
                        None => String::new(),
                    };
                    let kept = kept_since.map(|since| format!(", kept since {since}")).unwrap_or_default();
                    Finding::ok(CHECK, format!("the plugin gives a {kind}{until}{kept}"))
                }
            },
            Self::Ended { code: Some(code), .. } if *code == Status::LoginNeeded as i32 => {
                Finding::ok(CHECK, "the plugin works; nobody is logged in yet")
            }
            Self::Ended { code, stderr, .. } => {
                let code = code.map_or_else(|| "a signal".to_owned(), |code| format!("status {code}"));
                let (words, hint) = last_words(stderr);
                Finding::fail(
                    CHECK,
                    format!("the plugin ended with {code}: {words}"),
                    hint.unwrap_or_else(|| again.to_owned()),
                )
            }
        }
    }
}

/// Its error, and what it advises.
fn last_words(stderr: &str) -> (String, Option<String>) {
    let line = |prefix: &str| {
        stderr.lines().rev().find_map(|line| line.strip_prefix(prefix)).map(|text| Printable(text).to_string())
    };
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    (line("error: ").unwrap_or_else(|| Printable(last).to_string()), line("hint: "))
}

/// What kind of credential, and its end. The words for a failure quote nothing: it may be a secret.
fn credential(stdout: &[u8], api_version: &str) -> Result<(&'static str, Option<UnixTime>), String> {
    let text = std::str::from_utf8(stdout).map_err(|_| "it is no text".to_owned())?;
    let answer: Value = serde_json::from_str(text)
        .map_err(|error| format!("it is no JSON (line {}, column {})", error.line(), error.column()))?;
    if text.trim_end_matches('\n').contains('\n') {
        return Err("it is more than one line".to_owned());
    }
    if answer["kind"] != "ExecCredential" || answer["apiVersion"] != api_version {
        return Err(format!("it is no ExecCredential of {api_version}"));
    }
    let status = &answer["status"];
    let has = |name: &str| status[name].as_str().is_some_and(|value| !value.is_empty());
    let kind = match (has("token"), has("clientCertificateData"), has("clientKeyData")) {
        (true, false, false) => "token",
        (false, true, true) => "client certificate",
        _ => return Err("it holds not exactly one kind of credential".to_owned()),
    };
    match &status["expirationTimestamp"] {
        Value::Null if status.get("expirationTimestamp").is_none() => Ok((kind, None)),
        timestamp => {
            let at = timestamp.as_str().and_then(UnixTime::parse_rfc3339);
            at.map(|at| (kind, Some(at))).ok_or_else(|| "its expirationTimestamp is no time".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn finding(code: i32, stdout: &str, stderr: &str) -> Finding {
        let stdout = Zeroizing::new(stdout.as_bytes().to_vec());
        Answered::Ended { code: Some(code), stdout, stderr: stderr.to_owned() }.judge(
            V1,
            None,
            UnixTime::from_secs(1_782_000_000),
        )
    }

    fn answer(status: &str) -> String {
        format!("{{\"kind\":\"ExecCredential\",\"apiVersion\":\"{V1}\",\"status\":{status}}}\n")
    }

    #[test]
    fn a_readable_answer_is_told_from_others_and_never_quoted() {
        let later = "2026-06-21T00:10:00Z";
        let cases = [
            (
                answer(&format!("{{\"token\":\"SECRET\",\"expirationTimestamp\":\"{later}\"}}")),
                Verdict::Ok,
                "a token until",
            ),
            (
                answer("{\"clientCertificateData\":\"C\",\"clientKeyData\":\"SECRET\"}"),
                Verdict::Ok,
                "client certificate",
            ),
            (
                answer("{\"token\":\"SECRET\",\"expirationTimestamp\":\"2026-06-20T00:00:00Z\"}"),
                Verdict::Fail,
                "ended at",
            ),
            (answer("{\"token\":\"SECRET\",\"expirationTimestamp\":null}"), Verdict::Fail, "no time"),
            (answer("{\"token\":\"SECRET\",\"clientKeyData\":\"SECRET\"}"), Verdict::Fail, "one kind"),
            (answer("{\"clientCertificateData\":\"SECRET\"}"), Verdict::Fail, "one kind"),
            (answer("{}").replace("/v1\"", "/v1beta1\""), Verdict::Fail, "no ExecCredential"),
            (format!("Opening in existing SECRET\n{}", answer("{}")), Verdict::Fail, "no JSON"),
            (String::new(), Verdict::Fail, "no JSON"),
            (answer("{\n\"token\":\"SECRET\"}"), Verdict::Fail, "one line"),
        ];
        for (stdout, verdict, words) in cases {
            let found = finding(0, &stdout, "");
            assert_eq!(found.verdict, verdict, "{stdout}: {found:?}");
            assert!(found.found.contains(words) && !format!("{found:?}").contains("SECRET"), "{found:?}");
        }
    }

    #[test]
    fn its_own_words_and_advice_are_passed_on() {
        assert_eq!(finding(3, "", "error: login to x is needed\n").verdict, Verdict::Ok);
        let found = finding(6, "", "Something\nerror: cannot reach\u{1b}[2J\n\nhint: try again\n");
        assert_eq!(found.found, "the plugin ended with status 6: cannot reach\\u{1b}[2J");
        assert_eq!(found.mend.as_deref(), Some("try again"));
        assert!(finding(1, "", "").found.contains("it said nothing"));
        assert_eq!(Answered::TimedOut.judge(V1, None, UnixTime::from_secs(0)).verdict, Verdict::Fail);
    }
}

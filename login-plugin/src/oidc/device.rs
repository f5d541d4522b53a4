//! RFC 8628: a code that a person types into any browser anywhere, and the question, asked patiently, whether it was done.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::grant::{Grant, seconds};
use super::id_token::ExpectedNonce;
use super::requests::{Declined, Form};
use super::{OidcError, Provider, Tokens, endpoint};
use crate::output::Printable;
use crate::secret::Secret;

/// RFC 8628 section 3.2: the pause where the provider names none.
const INTERVAL_DEFAULT_SECONDS: i64 = 5;

/// A provider that wants to be asked less often than this would let the person wait after the deed.
const INTERVAL_MAX_SECONDS: i64 = 60;

/// RFC 8628 section 3.5: what each `slow_down` adds, for good.
const SLOW_DOWN_STEP: Duration = Duration::from_secs(5);

/// Pauses between questions to a provider that is not well grow to this and no further.
const BACK_OFF_MAX: Duration = Duration::from_mins(1);

/// Half an hour is the longest login there is here; Entra ID gives 15 minutes, Google 30. The field is required.
const EXPIRES_IN_MAX_SECONDS: i64 = 1800;

/// For a provider that leaves the required field out.
const EXPIRES_IN_DEFAULT_SECONDS: i64 = 600;

/// Nobody types more than this; RFC 8628 section 6.1 shows codes of eight or nine characters.
const USER_CODE_MAX_CHARS: usize = 64;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// One login with a code: what to show, and how to ask whether it was done.
#[derive(Debug)]
pub(crate) struct DeviceAttempt {
    /// What the person types, hyphens and all. Safe to print.
    pub(crate) user_code: String,
    /// Where.
    pub(crate) verification_uri: Url,
    /// The same with the code in it, where the provider has such a page.
    pub(crate) verification_uri_complete: Option<Url>,
    /// How long the code is good, from now.
    pub(crate) expires_in: Duration,
    /// Pause before the first question.
    pub(crate) interval: Duration,
    device_code: Secret,
    pace: Pace,
}

/// What the provider says to the question.
#[derive(Debug)]
pub(crate) enum DevicePoll {
    /// The person said no.
    Denied,
    /// The code has died of old age.
    Expired,
    /// It was done. What came has been judged.
    Granted(Box<Tokens>),
    /// Not yet: ask again after this pause, if the code is still good then.
    Pending {
        /// The pause.
        wait: Duration,
    },
}

/// How often to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    interval: Duration,
    /// How often in a row the provider was not well.
    failures: u32,
}

/// What to do after an answer that is no grant.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait(Duration),
    Denied,
    Expired,
    Stop(Declined),
}

impl Provider<'_> {
    /// Whether the provider lets people log in with a code.
    pub(crate) fn has_device_flow(&self) -> bool {
        self.metadata.additional_metadata().device_authorization_endpoint.is_some()
    }

    /// Asks for a code.
    ///
    /// # Errors
    /// When the provider has no such flow, refuses, is away, or answers nonsense.
    pub(crate) async fn begin_device(&self) -> Result<DeviceAttempt, OidcError> {
        let endpoint = endpoint(
            "device_authorization_endpoint",
            self.metadata.additional_metadata().device_authorization_endpoint.as_deref(),
        )?;
        let mut form = Form::default().with("scope", self.scopes().join(" "));
        for (name, value) in self.targets().chain(self.parameters()) {
            form = form.with(name, value);
        }
        let answer = self.post(&endpoint, form).await.map_err(|declined| declined.into_error(&endpoint))?;
        read(&answer.body)
    }

    /// Asks whether it was done. The caller waits between two questions, and ends when the code has expired.
    ///
    /// # Errors
    /// When the provider refuses for good, or sends a token that must not be used.
    pub(crate) async fn poll_device(&mut self, attempt: &mut DeviceAttempt) -> Result<DevicePoll, OidcError> {
        let endpoint = self.token_endpoint()?;
        let mut form = Form::default().with("grant_type", GRANT_TYPE).with("device_code", attempt.device_code.expose());
        for (name, value) in self.targets() {
            form = form.with(name, value);
        }
        match self.post(&endpoint, form).await {
            Ok(answer) => {
                let grant = Grant::read(&answer)?;
                // There is no nonce in this flow: nothing was sent through a browser that it could tie the token to.
                let tokens = self.judge_login(grant, ExpectedNonce::Any).await?;
                Ok(DevicePoll::Granted(Box::new(tokens)))
            }
            Err(declined) => match attempt.pace.next(declined) {
                Next::Wait(wait) => Ok(DevicePoll::Pending { wait }),
                Next::Denied => Ok(DevicePoll::Denied),
                Next::Expired => Ok(DevicePoll::Expired),
                Next::Stop(declined) => Err(declined.into_error(&endpoint)),
            },
        }
    }
}

impl Pace {
    /// RFC 8628 section 3.5, and its last paragraph for a provider that is not well.
    fn next(&mut self, declined: Declined) -> Next {
        match declined {
            Declined::Refused { code, description } => {
                self.failures = 0;
                match code.as_str() {
                    "authorization_pending" => Next::Wait(self.interval),
                    "slow_down" => {
                        self.interval += SLOW_DOWN_STEP;
                        Next::Wait(self.interval)
                    }
                    // The second is Entra ID's name for it.
                    "access_denied" | "authorization_declined" => Next::Denied,
                    "expired_token" => Next::Expired,
                    _ => Next::Stop(Declined::Refused { code, description }),
                }
            }
            Declined::NotWell { retry_after, .. } => {
                self.failures = self.failures.saturating_add(1);
                let doubled = self.interval.saturating_mul(2_u32.saturating_pow(self.failures)).min(BACK_OFF_MAX);
                // An interval above the limit was asked for by the provider itself.
                Next::Wait(doubled.max(self.interval).max(retry_after.unwrap_or_default()))
            }
            ours @ Declined::Ours(_) => Next::Stop(ours),
        }
    }
}

/// RFC 8628 section 3.2.
fn read(body: &[u8]) -> Result<DeviceAttempt, OidcError> {
    #[derive(Deserialize)]
    struct Answer {
        device_code: Secret,
        user_code: String,
        verification_uri: Option<String>,
        /// Google's name for it.
        verification_url: Option<String>,
        verification_uri_complete: Option<String>,
        #[serde(default)]
        expires_in: Value,
        #[serde(default)]
        interval: Value,
    }
    let unusable = |what: &str| OidcError::Metadata(format!("its answer to the request for a device code {what}"));
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| unusable(&format!("cannot be read (line {}, column {})", error.line(), error.column())))?;
    let page = |text: &str| Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.host_str().is_some());
    let user_code = answer.user_code.trim();
    // It is to be typed exactly as it stands here; one that had to be changed for the terminal would be another.
    if user_code.is_empty()
        || user_code.chars().count() > USER_CODE_MAX_CHARS
        || Printable(user_code).to_string() != user_code
    {
        return Err(unusable("holds a code that nobody could type"));
    }
    let lifetime = seconds(&answer.expires_in).unwrap_or(EXPIRES_IN_DEFAULT_SECONDS).clamp(1, EXPIRES_IN_MAX_SECONDS);
    // Zero would be a storm of questions.
    let interval = seconds(&answer.interval).unwrap_or(INTERVAL_DEFAULT_SECONDS).clamp(1, INTERVAL_MAX_SECONDS);
    let interval = Duration::from_secs(interval.unsigned_abs());
    let verification_uri = answer.verification_uri.or(answer.verification_url).as_deref().and_then(page);
    Ok(DeviceAttempt {
        user_code: user_code.to_owned(),
        verification_uri: verification_uri.ok_or_else(|| unusable("names no https page to visit"))?,
        verification_uri_complete: answer.verification_uri_complete.as_deref().and_then(page),
        expires_in: Duration::from_secs(lifetime.unsigned_abs()),
        interval,
        device_code: answer.device_code,
        pace: Pace { interval, failures: 0 },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(code: &str) -> Declined {
        Declined::Refused { code: code.to_owned(), description: None }
    }

    fn not_well(retry_after: Option<u64>) -> Declined {
        Declined::NotWell { what: "503".to_owned(), retry_after: retry_after.map(Duration::from_secs) }
    }

    fn wait(seconds: u64) -> Next {
        Next::Wait(Duration::from_secs(seconds))
    }

    #[test]
    fn each_answer_has_its_pause() {
        let mut pace = Pace { interval: Duration::from_secs(5), failures: 0 };
        let story = [
            (refused("authorization_pending"), wait(5)),
            (refused("slow_down"), wait(10)),
            (refused("authorization_pending"), wait(10)),
            (refused("slow_down"), wait(15)),
            // Not well: longer each time, to a limit, and at least as long as the provider says.
            (not_well(None), wait(30)),
            (not_well(Some(7)), wait(60)),
            (not_well(Some(200)), wait(200)),
            (not_well(None), wait(60)),
            // Well again: `slow_down` is remembered, the back-off is not.
            (refused("authorization_pending"), wait(15)),
            (not_well(Some(1)), wait(30)),
        ];
        for (number, (declined, expected)) in story.into_iter().enumerate() {
            assert_eq!(pace.next(declined), expected, "answer {number}");
        }
    }

    #[test]
    fn some_answers_are_the_end() {
        let mut pace = Pace { interval: Duration::from_secs(5), failures: 3 };
        assert_eq!(pace.next(refused("access_denied")), Next::Denied);
        assert_eq!(pace.next(refused("authorization_declined")), Next::Denied);
        assert_eq!(pace.next(refused("expired_token")), Next::Expired);
        let last = Declined::Refused { code: "invalid_client".to_owned(), description: Some("why".to_owned()) };
        assert!(
            matches!(pace.next(last), Next::Stop(Declined::Refused { code, description: Some(_) }) if code == "invalid_client")
        );
        assert!(matches!(pace.next(Declined::Ours("no secret".to_owned())), Next::Stop(Declined::Ours(_))));
    }

    #[test]
    fn a_back_off_never_overflows_and_never_undercuts_the_interval() {
        let mut pace = Pace { interval: Duration::from_secs(90), failures: u32::MAX };
        assert_eq!(pace.next(not_well(None)), wait(90));
    }

    #[test]
    fn answers_of_real_providers_can_be_read() {
        let full = |more: Value| {
            let mut answer =
                json!({"device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": "https://idp/device"});
            answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(answer.to_string().as_bytes())
        };
        let attempt =
            full(json!({"expires_in": 900, "interval": 7, "verification_uri_complete": "https://idp/device?c=1"}))
                .unwrap();
        assert_eq!(attempt.user_code, "WDJB-MJHT");
        assert_eq!((attempt.expires_in.as_secs(), attempt.interval.as_secs()), (900, 7));
        assert_eq!(attempt.verification_uri_complete.unwrap().as_str(), "https://idp/device?c=1");
        // Google.
        let google = json!({"device_code": "d", "user_code": "A", "verification_url": "https://g.test/device", "expires_in": 1800});
        let google = read(google.to_string().as_bytes()).unwrap();
        assert_eq!((google.verification_uri.as_str(), google.interval.as_secs()), ("https://g.test/device", 5));
        // Limits, and numbers as text.
        let cases = [
            (json!({"expires_in": 86_400, "interval": 0}), (1800, 1)),
            (json!({"expires_in": "900", "interval": "5"}), (900, 5)),
            (json!({"expires_in": 0, "interval": 86_400}), (1, 60)),
            (json!({"expires_in": null, "interval": null}), (600, 5)),
            (json!({"expires_in": -1, "interval": 1.5}), (600, 5)),
        ];
        for (more, expected) in cases {
            let attempt = full(more.clone()).unwrap();
            assert_eq!((attempt.expires_in.as_secs(), attempt.interval.as_secs()), expected, "{more}");
        }
    }

    #[test]
    fn a_code_or_page_that_cannot_be_shown_is_refused() {
        let answer = |code: &str, page: &str| {
            read(json!({"device_code": "d", "user_code": code, "verification_uri": page}).to_string().as_bytes())
        };
        assert!(answer("ABCD", "https://idp/device").is_ok());
        for (code, page) in [
            ("", "https://idp/device"),
            ("\u{1b}[2J", "https://idp/device"),
            ("A\u{202e}B", "https://idp/device"),
            (&"x".repeat(65), "https://idp/device"),
            ("ABCD", "http://idp/device"),
            ("ABCD", "device"),
        ] {
            assert!(matches!(answer(code, page), Err(OidcError::Metadata(_))), "{code:?} {page}");
        }
        assert!(matches!(read(b"<html>"), Err(OidcError::Metadata(_))));
    }
}

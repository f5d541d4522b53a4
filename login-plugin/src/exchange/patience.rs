//! A cluster that is busy says when to ask again (RFC 9110 section 10.2.3): how often, and how long, that is heeded.

use std::io::IsTerminal as _;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use tokio::time::{Instant, sleep};

use crate::output::Output;
use crate::transport::Answer;

/// API servers and the concierge ask for one second. Who is still busy at the fourth question is not so for a moment.
const REPEATS_MAX: u32 = 3;

/// From the first question to the last. A client holds a lock while we run, and somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nobody wonders about less.
const WORTH_A_WORD: Duration = Duration::from_secs(2);

/// What is left of it for one exchange.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    output: &'a Output,
    until: Instant,
    repeats: u32,
    waited: Duration,
    told: bool,
}

impl<'a> Patience<'a> {
    /// The first question is about to be asked.
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, until: Instant::now() + PATIENCE, repeats: 0, waited: Duration::ZERO, told: false }
    }

    /// Waits as the answer says, if it says so and patience lasts; whether to ask again now.
    pub(super) async fn waited_for(&mut self, answer: &Answer) -> bool {
        let Some(pause) = asked_to_wait(answer.status, answer.header(RETRY_AFTER.as_str())) else { return false };
        // Not one second of a wait that is too long anyway.
        if self.repeats == REPEATS_MAX || pause > self.until.saturating_duration_since(Instant::now()) {
            return false;
        }
        self.repeats += 1;
        self.waited += pause;
        if !self.told && self.waited >= WORTH_A_WORD && Output::standard_error().is_terminal() {
            self.told = true;
            self.output.say("The cluster is busy and asks for a moment of patience");
        }
        sleep(pause).await;
        true
    }
}

/// The pause that an answer asks for. Only these two statuses are about the moment: nothing was judged and nothing was made.
/// Seconds only: a date would be a matter of two clocks.
fn asked_to_wait(status: StatusCode, retry_after: Option<&str>) -> Option<Duration> {
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds = retry_after.filter(|text| is_busy && text.bytes().all(|byte| byte.is_ascii_digit()))?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_of_seconds_from_a_busy_server_is_heeded() {
        let cases = [
            (429, Some("0"), Some(0)),
            (429, Some("7"), Some(7)),
            (503, Some("1"), Some(1)),
            (429, None, None),
            (429, Some(""), None),
            (429, Some("+1"), None),
            (429, Some("-1"), None),
            (429, Some("0.5"), None),
            (429, Some("99999999999999999999"), None),
            (429, Some("Wed, 21 Oct 2015 07:28:00 GMT"), None),
            (500, Some("1"), None),
            (201, Some("1"), None),
            (403, Some("1"), None),
        ];
        for (status, header, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(asked_to_wait(status, header), expected.map(Duration::from_secs), "{status} {header:?}");
        }
    }
}

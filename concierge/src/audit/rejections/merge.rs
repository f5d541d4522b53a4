//! What two accounts of the same kind of refusal are together; and how an account is ranked against others.

use std::time::Duration;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use latchkey_crds::audit::{RejectionSeverity, TokenRejectionStatus};

use crate::time::UnixTime;

/// What goes first where there is no room: the least severe, of those the one that was not seen for longest.
pub(super) type Rank = (RejectionSeverity, Option<Timestamp>);

/// Adds `more` to `known`. Numbers add up and times widen; what is told of the last token is told of the later one; and
/// what was once severe stays so, or an old token shown again would make little of a live one.
pub(super) fn merge(known: &mut TokenRejectionStatus, more: TokenRejectionStatus) {
    let before = std::mem::take(known);
    let count = before.count.saturating_add(more.count);
    let severity = before.severity.max(more.severity);
    let first_seen = earlier(before.first_seen.clone(), more.first_seen.clone());
    let later = if moment(before.last_seen.as_ref()) > moment(more.last_seen.as_ref()) { before } else { more };
    *known = TokenRejectionStatus { count, severity, first_seen, ..later };
}

/// Says until when `status` is kept: `lifetime` after the last token.
pub(super) fn keep_for(status: &mut TokenRejectionStatus, lifetime: Duration) {
    status.expires_at = status.last_seen.as_ref().map(|seen| time(unix(seen).plus(lifetime)));
}

/// How long `status` is still kept: zero, if no longer. One that does not say until when was not written by us.
pub(super) fn left(status: &TokenRejectionStatus, now: UnixTime) -> Duration {
    status.expires_at.as_ref().map(|until| unix(until).since(now)).unwrap_or_default()
}

/// Its rank.
pub(super) fn rank(status: &TokenRejectionStatus) -> Rank {
    (status.severity, moment(status.last_seen.as_ref()))
}

/// `now` as Kubernetes writes it.
pub(super) fn time(now: UnixTime) -> Time {
    Time(Timestamp::from_second(now.as_secs()).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn unix(time: &Time) -> UnixTime {
    UnixTime::from_micros(time.0.as_microsecond())
}

fn moment(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| time.0)
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0 < one.0 { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use latchkey_crds::audit::RejectionState;

    use super::*;

    fn seen(at: i64, count: i64, severity: RejectionSeverity, source: &str) -> TokenRejectionStatus {
        let at = Some(time(UnixTime::from_secs(at)));
        TokenRejectionStatus {
            count,
            severity,
            first_seen: at.clone(),
            last_seen: at,
            source: Some(source.to_owned()),
            ..TokenRejectionStatus::default()
        }
    }

    #[test]
    fn numbers_add_up_and_the_later_one_is_shown_in_whichever_order_they_come() {
        let live = TokenRejectionStatus {
            state: Some(RejectionState::Live),
            ..seen(100, 2, RejectionSeverity::High, "10.0.0.1")
        };
        let stale = TokenRejectionStatus {
            state: Some(RejectionState::Stale),
            ..seen(500, 3, RejectionSeverity::Low, "10.0.0.2")
        };
        for (one, other) in [(live.clone(), stale.clone()), (stale, live)] {
            let mut known = one;
            merge(&mut known, other);
            assert_eq!((known.count, known.severity), (5, RejectionSeverity::High));
            assert_eq!((known.source.as_deref(), known.state), (Some("10.0.0.2"), Some(RejectionState::Stale)));
            assert_eq!(known.first_seen, Some(time(UnixTime::from_secs(100))));
            assert_eq!(known.last_seen, Some(time(UnixTime::from_secs(500))));
        }
    }

    #[test]
    fn an_object_without_content_is_filled() {
        let mut known = TokenRejectionStatus::default();
        merge(&mut known, seen(100, 2, RejectionSeverity::Low, "10.0.0.1"));
        assert_eq!(known, seen(100, 2, RejectionSeverity::Low, "10.0.0.1"));
    }

    #[test]
    fn it_is_kept_for_its_time_after_the_last_and_not_a_second_longer() {
        let mut status = seen(100, 1, RejectionSeverity::Low, "");
        assert_eq!(left(&status, UnixTime::from_secs(0)), Duration::ZERO, "nobody said how long");
        keep_for(&mut status, Duration::from_secs(50));
        assert_eq!(left(&status, UnixTime::from_micros(149_999_999)), Duration::from_micros(1));
        assert_eq!(left(&status, UnixTime::from_secs(150)), Duration::ZERO);
    }
}

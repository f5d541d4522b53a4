//! Which objects a cluster keeps: at most so many, the severe before the others, none beyond its time.

use latchkey_crds::audit::{TokenRejection, TokenRejectionStatus};

use super::merge::{left, rank};
use crate::time::UnixTime;

/// Never more objects than this: a person reads a table of two hundred lines, not of two thousand (audit.md 6).
pub(super) const LIMIT: usize = 200;

/// Beyond this many, somebody has to go for each that comes. What lies between is the room in which replicas that do not
/// see each other's objects at once may all make one.
const FULL: usize = LIMIT - 20;

/// Whether a new object may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It may.
    Free,
    /// Not until the leader has taken others away.
    Later,
    /// Never: all that are there are more severe.
    Never,
}

/// Whether there is room for `newcomer` beside `kept`.
pub(super) fn room<'a>(
    kept: impl ExactSizeIterator<Item = &'a TokenRejectionStatus>,
    newcomer: &TokenRejectionStatus,
) -> Room {
    let count = kept.len();
    if count < FULL {
        return Room::Free;
    }
    let lowest = kept.map(|status| status.severity).min();
    if lowest.is_some_and(|lowest| newcomer.severity < lowest) {
        return Room::Never;
    }
    if count < LIMIT { Room::Free } else { Room::Later }
}

/// What the leader takes away, at most `most` at once: all that are beyond their time, and of what is too much the least
/// severe, of those what was not seen for longest.
pub(super) fn prune<'a>(
    objects: impl Iterator<Item = &'a TokenRejection>,
    now: UnixTime,
    most: usize,
) -> Vec<&'a TokenRejection> {
    let (mut gone, mut kept): (Vec<_>, Vec<_>) = objects.partition(|object| left(&object.status, now).is_zero());
    let too_many = kept.len().saturating_sub(FULL);
    kept.sort_by_key(|object| rank(&object.status));
    gone.extend(kept.into_iter().take(too_many));
    gone.truncate(most);
    gone
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kube::core::ObjectMeta;
    use latchkey_crds::audit::RejectionSeverity;

    use super::{
        super::merge::{keep_for, time},
        *,
    };

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn object(name: &str, severity: RejectionSeverity, seconds_ago: u64) -> TokenRejection {
        let seen = Some(time(NOW.minus(Duration::from_secs(seconds_ago))));
        let mut status =
            TokenRejectionStatus { severity, last_seen: seen, count: 1, ..TokenRejectionStatus::default() };
        keep_for(&mut status, Duration::from_hours(1));
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        TokenRejection { types: None, metadata, status }
    }

    fn many(count: usize, severity: RejectionSeverity) -> Vec<TokenRejection> {
        (0..count).map(|number| object(&format!("{severity:?}-{number}"), severity, 1 + number as u64)).collect()
    }

    fn names(objects: &[&TokenRejection]) -> Vec<String> {
        objects.iter().filter_map(|object| object.metadata.name.clone()).collect()
    }

    fn room_among(objects: &[TokenRejection], severity: RejectionSeverity) -> Room {
        room(objects.iter().map(|object| &object.status), &object("new", severity, 0).status)
    }

    #[test]
    fn there_is_room_until_it_is_full_then_for_what_is_as_severe_as_the_least() {
        use RejectionSeverity::{High, Low, Medium};
        assert_eq!(room_among(&many(FULL - 1, High), Low), Room::Free);
        assert_eq!(room_among(&many(FULL, High), Low), Room::Never);
        assert_eq!(room_among(&many(FULL, Medium), Medium), Room::Free);
        assert_eq!(room_among(&many(FULL, Low), High), Room::Free);
        assert_eq!(room_among(&many(LIMIT, Low), High), Room::Later);
        assert_eq!(room_among(&many(LIMIT, High), Low), Room::Never);
    }

    #[test]
    fn what_is_beyond_its_time_goes_first_then_the_least_severe_then_the_oldest() {
        let mut objects = many(FULL, RejectionSeverity::Low);
        objects.push(object("expired", RejectionSeverity::High, 3_600));
        assert_eq!(names(&prune(objects.iter(), NOW, 9)), ["expired"]);
        objects.push(object("high", RejectionSeverity::High, 3_000));
        objects.push(object("medium", RejectionSeverity::Medium, 3_000));
        let oldest_low = format!("Low-{}", FULL - 1);
        let next_low = format!("Low-{}", FULL - 2);
        assert_eq!(names(&prune(objects.iter(), NOW, 9)), ["expired".to_owned(), oldest_low, next_low]);
        assert_eq!(names(&prune(objects.iter(), NOW, 1)), ["expired"]);
    }

    #[test]
    fn an_attacker_with_many_reasons_drives_out_nothing_severe() {
        let mut objects = many(LIMIT * 3, RejectionSeverity::Medium);
        objects.extend(many(50, RejectionSeverity::High));
        let gone = names(&prune(objects.iter(), NOW, usize::MAX));
        assert_eq!(gone.len(), LIMIT * 3 + 50 - FULL);
        assert!(gone.iter().all(|name| name.starts_with("Medium")));
    }
}

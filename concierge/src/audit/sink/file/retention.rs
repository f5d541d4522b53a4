//! Which closed pieces have had their time: the oldest first, so that what is kept is one unbroken stretch.

use super::Keep;
use crate::time::UnixTime;

/// A closed piece, as far as its keeping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its size on the disk.
    pub(super) bytes: u64,
    /// When it was closed.
    pub(super) closed: UnixTime,
}

/// How many of the oldest are to go. `kept` has the oldest first.
pub(super) fn overdue(kept: &[Kept], keep: Keep, now: UnixTime) -> usize {
    let too_many = keep.files.map_or(0, |files| kept.len().saturating_sub(files));
    let too_old = keep.age.map_or(0, |age| kept.iter().take_while(|piece| now.since(piece.closed) > age).count());
    let mut room = keep.bytes;
    // From the newest back: as many as fit.
    let fitting = kept.iter().rev().take_while(|piece| {
        let fits = piece.bytes <= room;
        room = room.saturating_sub(piece.bytes);
        fits
    });
    let too_large = kept.len() - fitting.count();
    too_many.max(too_old).max(too_large)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn whichever_limit_is_strictest_rules_and_the_oldest_go() {
        let now = UnixTime::from_secs(1_000);
        let kept = [(10, 100), (20, 300), (30, 500), (40, 900)]
            .map(|(bytes, closed)| Kept { bytes, closed: UnixTime::from_secs(closed) });
        let all = Keep { files: None, age: None, bytes: u64::MAX };
        for (keep, gone) in [
            (all, 0),
            (Keep { files: Some(3), ..all }, 1),
            (Keep { files: Some(9), ..all }, 0),
            (Keep { files: Some(0), ..all }, 4),
            (Keep { age: Some(Duration::from_mins(10)), ..all }, 2),
            (Keep { bytes: 90, ..all }, 1),
            (Keep { bytes: 89, ..all }, 2),
            (Keep { bytes: 39, ..all }, 4),
            (Keep { files: Some(3), age: Some(Duration::from_mins(10)), bytes: 40 }, 3),
        ] {
            assert_eq!(overdue(&kept, keep, now), gone, "{keep:?}");
        }
        // A clock that was set back makes nothing old.
        assert_eq!(overdue(&kept, Keep { age: Some(Duration::ZERO), ..all }, UnixTime::from_secs(0)), 0);
        assert_eq!(overdue(&[], all, now), 0);
    }
}

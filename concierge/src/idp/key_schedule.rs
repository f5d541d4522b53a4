//! When to ask an issuer for its keys again: a pure clockwork of given times and given random fractions.
//!
//! Three forces pull at it. Keys must be fresh, so that a withdrawn key dies; a key that is new to us must be fetched
//! when the first token signed with it arrives; and no number of forged tokens may turn the concierge into a load on
//! the issuer.

use std::{collections::HashMap, time::Duration};

use crate::{jwt::KeyId, time::UnixTime};

/// Keys are dropped when no fetch has succeeded for this long: an outage of the issuer must not lock people out at
/// once, but a key withdrawn during the outage must die some day (jwt-profile 9).
pub const HARD_AGE: Duration = Duration::from_hours(24);

/// Replicas refresh at this share of the freshness or later, so that they spread out instead of asking together.
const EARLIEST_REFRESH: f64 = 0.8;

/// First and last step of the back-off after failures; each step doubles.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_LAST: Duration = Duration::from_mins(1);

/// Full jitter may draw zero; an issuer in trouble is never asked again faster than this.
const BACKOFF_FLOOR: Duration = Duration::from_millis(200);

/// Fetches for unknown key ids: one in ten seconds, at most three at once after a quiet time (threats.md 2.3). Three
/// lets a key that appears in the middle of a rotation be found though a first look was too early.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(10);
const UNKNOWN_BURST: u32 = 3;

/// Key ids the issuer was just asked for in vain, and for how long they are not asked for again (threats.md 2.3).
const NEGATIVE_ENTRIES: usize = 1_024;
const NEGATIVE_LIFETIME: Duration = Duration::from_mins(1);

/// The clockwork of one issuer's key set.
#[derive(Debug, Clone)]
pub struct KeySchedule {
    next: UnixTime,
    /// When `next` was decided: a clock that shows less has been set back, and `next` means nothing any more.
    decided: UnixTime,
    last_success: Option<UnixTime>,
    failures: u32,
    unknown: TokenBucket,
    /// Until when each key id is not asked for again; `None` stands for tokens without a key id.
    in_vain: HashMap<Option<KeyId>, UnixTime>,
}

/// What an unknown key id leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKey {
    /// Ask the issuer now.
    Fetch,
    /// The issuer was asked for this very key id a moment ago and does not have it.
    KnownInVain,
    /// Too many fetches for unknown key ids of late.
    Throttled,
}

#[derive(Debug, Clone)]
struct TokenBucket {
    tokens: u32,
    /// When the last whole token was added.
    filled: UnixTime,
}

// === impl KeySchedule ===

impl KeySchedule {
    /// A schedule of an issuer never asked before: due at once.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        Self {
            next: now,
            decided: now,
            last_success: None,
            failures: 0,
            unknown: TokenBucket { tokens: UNKNOWN_BURST, filled: now },
            in_vain: HashMap::new(),
        }
    }

    /// How long to wait for the next fetch; zero when it is due. A clock set back makes it due, because the time it
    /// was planned for may now lie far ahead.
    #[must_use]
    pub fn wait(&self, now: UnixTime) -> Duration {
        if now < self.decided { Duration::ZERO } else { self.next.since(now) }
    }

    /// A fetch succeeded: the next is due when the keys are no longer fresh, brought forward by up to a fifth.
    /// `fraction` is random in `[0, 1)`; `changed` says whether the key set is another than before.
    pub fn succeeded(&mut self, now: UnixTime, freshness: Duration, changed: bool, fraction: f64) {
        let share = EARLIEST_REFRESH + (1.0 - EARLIEST_REFRESH) * fraction.clamp(0.0, 1.0);
        self.plan(now, freshness.mul_f64(share));
        self.last_success = Some(now);
        self.failures = 0;
        if changed {
            self.in_vain.clear();
        }
    }

    /// A fetch failed: the next is due after a random part of a step that doubles from 1 s to 60 s ("full jitter").
    /// `fraction` is random in `[0, 1)`.
    pub fn failed(&mut self, now: UnixTime, fraction: f64) {
        let step = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_LAST);
        self.plan(now, step.mul_f64(fraction.clamp(0.0, 1.0)).max(BACKOFF_FLOOR));
        self.failures = self.failures.saturating_add(1);
    }

    /// The keys in use were fetched at `fetched_at` by an earlier process: their age counts from then. What is planned
    /// stays planned.
    pub fn resume(&mut self, fetched_at: UnixTime) {
        self.last_success = Some(fetched_at);
    }

    /// When the next fetch is due, as far as the clock goes on as it does.
    #[must_use]
    pub const fn next(&self) -> UnixTime {
        self.next
    }

    /// How many fetches have failed since the last that succeeded.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// When the keys must be dropped, if nothing succeeds before; `None` while there are none.
    #[must_use]
    pub fn hard_limit(&self) -> Option<UnixTime> {
        self.last_success.map(|at| at.plus(HARD_AGE))
    }

    /// Whether the last success is too long ago for its keys to be used.
    #[must_use]
    pub fn too_old(&self, now: UnixTime) -> bool {
        self.hard_limit().is_some_and(|limit| now >= limit)
    }

    /// A token came whose key id is not in the set, or that names none and fits no single key. Counts as a fetch when the answer is [`UnknownKey::Fetch`].
    pub fn unknown_key(&mut self, key_id: Option<&KeyId>, now: UnixTime) -> UnknownKey {
        self.forget_old(now);
        if self.in_vain.contains_key(&key_id.cloned()) {
            UnknownKey::KnownInVain
        } else if self.unknown.take(now) {
            UnknownKey::Fetch
        } else {
            UnknownKey::Throttled
        }
    }

    /// The issuer was asked for this key id and does not have it. When the memory is full of younger entries the
    /// newcomer is not remembered: then only the bucket holds it back.
    pub fn asked_in_vain(&mut self, key_id: Option<&KeyId>, now: UnixTime) {
        self.forget_old(now);
        if self.in_vain.len() < NEGATIVE_ENTRIES {
            self.in_vain.insert(key_id.cloned(), now.plus(NEGATIVE_LIFETIME));
        }
    }

    fn plan(&mut self, now: UnixTime, wait: Duration) {
        self.decided = now;
        self.next = now.plus(wait);
    }

    /// An entry that lives longer than any may was made before the clock was set back.
    fn forget_old(&mut self, now: UnixTime) {
        let longest = now.plus(NEGATIVE_LIFETIME);
        self.in_vain.retain(|_, until| now < *until && *until <= longest);
    }
}

// === impl TokenBucket ===

impl TokenBucket {
    fn take(&mut self, now: UnixTime) -> bool {
        if now < self.filled {
            // Set back: count from here, and give nothing away for it.
            self.filled = now;
        }
        while self.tokens < UNKNOWN_BURST && now.since(self.filled) >= UNKNOWN_INTERVAL {
            self.tokens += 1;
            self.filled = self.filled.plus(UNKNOWN_INTERVAL);
        }
        if self.tokens == UNKNOWN_BURST {
            self.filled = now;
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn id(text: impl ToString + Copy) -> Option<KeyId> {
        KeyId::new(&text.to_string())
    }

    fn fetched(now: UnixTime) -> KeySchedule {
        let mut schedule = KeySchedule::new(now);
        schedule.succeeded(now, secs(300), true, 0.5);
        schedule
    }

    #[test]
    fn the_first_fetch_is_due_at_once() {
        assert_eq!(KeySchedule::new(START).wait(START), Duration::ZERO);
        assert_eq!(KeySchedule::new(START).hard_limit(), None);
    }

    #[test]
    fn a_success_is_followed_by_a_refresh_at_80_to_100_percent_of_the_freshness() {
        for (fraction, expected) in [(0.0, 240), (0.5, 270), (1.0, 300), (-3.0, 240), (7.0, 300)] {
            let mut schedule = KeySchedule::new(START);
            schedule.succeeded(START, secs(300), true, fraction);
            assert!(schedule.wait(START).abs_diff(secs(expected)) < Duration::from_millis(1), "{fraction}");
        }
    }

    #[test]
    fn failures_back_off_doubling_to_a_minute_with_full_jitter() {
        let mut schedule = KeySchedule::new(START);
        let mut now = START;
        for expected in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            schedule.failed(now, 1.0);
            assert_eq!(schedule.wait(now), secs(expected));
            now = now.plus(secs(expected));
        }
        assert_eq!(schedule.failures(), 9);
        schedule.failed(now, 0.0);
        assert_eq!(schedule.wait(now), BACKOFF_FLOOR);
        schedule.succeeded(now, secs(300), false, 0.0);
        assert_eq!(schedule.failures(), 0);
        schedule.failed(now, 1.0);
        assert_eq!(schedule.wait(now), secs(1));
    }

    #[test]
    fn a_clock_set_back_makes_the_fetch_due() {
        let schedule = fetched(START);
        assert!(schedule.wait(START) > secs(200));
        assert_eq!(schedule.wait(START.minus(secs(3_600))), Duration::ZERO);
    }

    #[test]
    fn keys_are_dropped_a_day_after_the_last_success() {
        let mut schedule = fetched(START);
        schedule.failed(START.plus(secs(60)), 0.5);
        assert!(!schedule.too_old(START.plus(HARD_AGE).minus(secs(1))));
        assert!(schedule.too_old(START.plus(HARD_AGE)));
        schedule.succeeded(START.plus(HARD_AGE), secs(300), false, 0.5);
        assert!(!schedule.too_old(START.plus(HARD_AGE)));
    }

    #[test]
    fn ten_thousand_unknown_key_ids_at_once_are_three_fetches() {
        let mut schedule = fetched(START);
        let fetches = (0..10_000).filter(|n| schedule.unknown_key(id(n).as_ref(), START) == UnknownKey::Fetch).count();
        assert_eq!(fetches, 3);
    }

    #[test]
    fn ten_thousand_unknown_key_ids_over_a_minute_are_eight_fetches() {
        let mut schedule = fetched(START);
        let fetches = (0..10_000_u64)
            .filter(|n| {
                let now = START.plus(Duration::from_millis(6 * n));
                schedule.unknown_key(id(n).as_ref(), now) == UnknownKey::Fetch
            })
            .count();
        // Three at once, then one each at 10, 20, 30, 40 and 50 s (the last comes at 59.994 s).
        assert_eq!(fetches, 8);
    }

    #[test]
    fn a_key_id_asked_for_in_vain_is_not_asked_for_again_for_a_minute() {
        let mut schedule = fetched(START);
        assert_eq!(schedule.unknown_key(id("ghost").as_ref(), START), UnknownKey::Fetch);
        schedule.asked_in_vain(id("ghost").as_ref(), START);
        assert_eq!(schedule.unknown_key(id("ghost").as_ref(), START.plus(secs(59))), UnknownKey::KnownInVain);
        assert_eq!(schedule.unknown_key(id("other").as_ref(), START.plus(secs(59))), UnknownKey::Fetch);
        assert_eq!(schedule.unknown_key(id("ghost").as_ref(), START.plus(secs(60))), UnknownKey::Fetch);
    }

    #[test]
    fn a_changed_key_set_clears_what_was_asked_for_in_vain_and_an_unchanged_one_does_not() {
        let mut schedule = fetched(START);
        schedule.asked_in_vain(id("rotated-in-soon").as_ref(), START);
        schedule.succeeded(START, secs(300), false, 0.5);
        assert_eq!(schedule.unknown_key(id("rotated-in-soon").as_ref(), START), UnknownKey::KnownInVain);
        schedule.succeeded(START, secs(300), true, 0.5);
        assert_eq!(schedule.unknown_key(id("rotated-in-soon").as_ref(), START), UnknownKey::Fetch);
    }

    #[test]
    fn the_memory_of_key_ids_is_bounded() {
        let mut schedule = fetched(START);
        for n in 0..2_000 {
            schedule.asked_in_vain(id(n).as_ref(), START);
        }
        assert_eq!(schedule.in_vain.len(), NEGATIVE_ENTRIES);
        assert_eq!(schedule.unknown_key(id("0").as_ref(), START), UnknownKey::KnownInVain);
        schedule.asked_in_vain(id("late").as_ref(), START.plus(NEGATIVE_LIFETIME));
        assert_eq!(schedule.in_vain.len(), 1);
    }

    proptest! {
        /// In any window of any history: no more fetches than the burst and one for each ten seconds begun.
        #[test]
        fn unknown_key_ids_never_cause_more_fetches_than_the_bucket_allows(
            steps in prop::collection::vec((0_u64..4_000, 0_u8..20, any::<bool>()), 1..400),
        ) {
            let mut schedule = fetched(START);
            let mut now = START;
            let mut fetches = 0_u64;
            for (wait, key_id, changed) in steps {
                now = now.plus(Duration::from_millis(wait));
                if schedule.unknown_key(id(key_id).as_ref(), now) == UnknownKey::Fetch {
                    fetches += 1;
                    schedule.succeeded(now, secs(300), changed, 0.5);
                    schedule.asked_in_vain(id(key_id).as_ref(), now);
                }
            }
            let allowed = u64::from(UNKNOWN_BURST) + now.since(START).as_secs() / UNKNOWN_INTERVAL.as_secs();
            prop_assert!(fetches <= allowed, "{fetches} fetches, {allowed} allowed");
        }

        /// However the clock jumps, nothing is planned further ahead than the freshness or the last back-off step, and
        /// no jump gives fetches away.
        #[test]
        fn no_jump_of_the_clock_stops_the_clockwork_or_fills_the_bucket(
            jumps in prop::collection::vec((-100_000_i64..100_000, any::<bool>(), 0.0..1.0_f64), 1..60),
        ) {
            let mut schedule = KeySchedule::new(START);
            let (mut now, mut forward, mut fetches) = (START, 0_u64, 0_u64);
            for (jump, success, fraction) in jumps {
                now = UnixTime::from_secs(now.as_secs() + jump);
                forward += u64::try_from(jump).unwrap_or(0);
                prop_assert!(schedule.wait(now) <= secs(300));
                if success { schedule.succeeded(now, secs(300), false, fraction) } else { schedule.failed(now, fraction) }
                prop_assert!(schedule.wait(now) >= BACKOFF_FLOOR && schedule.wait(now) <= secs(300));
                fetches += u64::from(schedule.unknown_key(id(fetches).as_ref(), now) == UnknownKey::Fetch);
            }
            prop_assert!(fetches <= u64::from(UNKNOWN_BURST) + forward / UNKNOWN_INTERVAL.as_secs());
        }
    }
}

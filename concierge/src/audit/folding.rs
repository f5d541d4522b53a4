//! Repeats told as one record with a count: what a flood writes is bounded by its sources, and its count stays exact.
//!
//! The first few of a kind are told at once, each by itself: a person who tries again quotes the audit id of the second
//! refusal as likely as that of the first (audit.md 5 tells only the first). What comes after them is counted, and told when
//! a minute is over, or sooner when there are many; then the next minute begins. Time is given, and nothing here waits or
//! writes.

use std::{collections::HashMap, hash::Hash, time::Duration};

use super::event::FoldKey;
use crate::time::UnixTime;

/// How long repeats are gathered (audit.md 5).
pub const WINDOW: Duration = Duration::from_mins(1);

/// How many of a kind are told each by itself before they are gathered: more than a person tries in a minute.
pub const ALONE: u64 = 10;

/// Once so many kinds are gathered it is no person who tries: of each further kind only the first is told by itself.
pub const CALM: usize = 64;

/// So many repeats are told before the minute is over. Each time that this happens without a pause, ten times as many must
/// come before the next: a hundred thousand a second are a handful of records a minute, and their beginning is still told
/// at once.
pub const EARLY: u64 = 1_000;

/// Most kinds of repeats that are kept apart (audit.md 5): about 1 KiB each.
pub const KEYS: usize = 4_096;

/// How many of these are kept for repeats that have been merged, and for those that may never be.
const RESERVED: usize = 512;

/// By what repeats are told.
pub trait Key: Clone + Eq + Hash {
    /// The key to use where there is no room for this one; `None` where its record must stand for itself.
    fn merged(&self) -> Option<Self>;
}

/// The repeats that are being gathered.
#[derive(Debug)]
pub struct Folding<K, E> {
    windows: HashMap<K, Window<E>>,
}

/// What becomes of an event.
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted<E> {
    /// It is one of the first of its kind: to be written as it is.
    First(E),
    /// It was counted. The one that it took the place of is handed back, to be dropped where nobody waits for it.
    Counted(Option<E>),
    /// It was counted, and there are enough to be told.
    Full(Folded<E>),
}

/// Repeats, to be written as one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded<E> {
    /// The last of them.
    pub event: E,
    /// How many they are.
    pub count: u64,
    /// When the first came.
    pub first: UnixTime,
    /// When the last came.
    pub last: UnixTime,
    /// They were counted under a merged key: of what belongs to the last alone nothing may be told.
    pub is_merged: bool,
}

#[derive(Debug)]
struct Window<E> {
    opened: UnixTime,
    is_merged: bool,
    /// How many more are told each by itself.
    alone: u64,
    /// How many repeats are told before the window closes.
    early: u64,
    repeats: Option<Folded<E>>,
}

impl Key for FoldKey {
    fn merged(&self) -> Option<Self> {
        Self::merged(self)
    }
}

// === impl Folding ===

impl<K: Key, E> Folding<K, E> {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self { windows: HashMap::new() }
    }

    /// Counts an event, and says what to do with it.
    pub fn admit(&mut self, key: K, event: E, now: UnixTime) -> Admitted<E> {
        if let Some(window) = self.windows.get_mut(&key) {
            return window.count(event, now);
        }
        let merged = key.merged();
        let limit = if merged.is_some() { KEYS - RESERVED } else { KEYS };
        if self.windows.len() < limit {
            let alone = if self.windows.len() < CALM { ALONE - 1 } else { 0 };
            self.windows.insert(key, Window { alone, ..Window::new(now, false) });
            return Admitted::First(event);
        }
        let Some(merged) = merged else {
            return Admitted::First(event);
        };
        if let Some(window) = self.windows.get_mut(&merged) {
            return window.count(event, now);
        }
        // As many as there are codes, surfaces and authenticators. Should even they find no room, each event stands for
        // itself, and the queues before the sinks bound what is written.
        if self.windows.len() < KEYS {
            self.windows.insert(merged, Window::new(now, true));
        }
        Admitted::First(event)
    }

    /// Closes the windows whose time is over. Those in which something was repeated open anew.
    pub fn close(&mut self, now: UnixTime) -> Vec<Folded<E>> {
        let mut told = Vec::new();
        self.windows.retain(|_, window| {
            // After the clock was set back a window would stay open as long as it was set back.
            window.opened = window.opened.min(now);
            if now.since(window.opened) < WINDOW {
                return true;
            }
            let repeated = window.repeats.is_some();
            told.extend(window.repeats.take());
            *window = Window::new(now, window.is_merged);
            repeated
        });
        told
    }

    /// Closes all windows: the end.
    pub fn flush(&mut self) -> Vec<Folded<E>> {
        self.windows.drain().filter_map(|(_, window)| window.repeats).collect()
    }

    /// How many events were counted and not yet told.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.windows.values().filter_map(|window| window.repeats.as_ref()).map(|repeats| repeats.count).sum()
    }
}

impl<K: Key, E> Default for Folding<K, E> {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Window ===

impl<E> Window<E> {
    const fn new(now: UnixTime, is_merged: bool) -> Self {
        Self { opened: now, is_merged, alone: 0, early: EARLY, repeats: None }
    }

    fn count(&mut self, event: E, now: UnixTime) -> Admitted<E> {
        if let Some(left) = self.alone.checked_sub(1) {
            self.alone = left;
            return Admitted::First(event);
        }
        let Some(repeats) = &mut self.repeats else {
            self.repeats = Some(Folded { event, count: 1, first: now, last: now, is_merged: self.is_merged });
            return Admitted::Counted(None);
        };
        let before = std::mem::replace(&mut repeats.event, event);
        repeats.count += 1;
        repeats.last = now;
        if repeats.count < self.early {
            return Admitted::Counted(Some(before));
        }
        self.early = self.early.saturating_mul(10);
        match self.repeats.take() {
            Some(full) => Admitted::Full(full),
            None => Admitted::Counted(Some(before)),
        }
    }
}

#[cfg(test)]
mod tests;

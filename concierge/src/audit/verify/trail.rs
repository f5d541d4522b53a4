//! The way a chain came: its tree, and its last lines, which can still be put right when the next line shows that one is not
//! what was written.

use std::collections::VecDeque;

use super::{
    super::chain::{Head, Root, tree::Tree},
    report::Place,
};

/// Lines that the tree lags behind: as many inserted lines can be taken back without losing it.
pub(super) const LAG: usize = 16;

/// Lines that are remembered, to tell a copy or an insertion from a line of elsewhere: what one burst writes at once.
pub(super) const RECENT: usize = 256;

/// One line that was passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) hash: Head,
    pub(super) seq: u64,
    pub(super) place: Place,
}

/// The passed lines of one chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    /// All but the last [`LAG`] lines.
    tree: Tree,
    recent: VecDeque<Step>,
    /// How many of the last lines are not in the tree yet.
    lagging: usize,
    /// The tree is no longer that of the written lines: some of them are not known.
    is_lost: bool,
}

impl Trail {
    /// A trail that begins in the middle: its tree is that of other lines.
    pub(super) fn lost() -> Self {
        Self { is_lost: true, ..Self::default() }
    }

    pub(super) fn push(&mut self, step: Step) {
        if self.lagging == LAG {
            self.settle();
        }
        self.lagging += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(step);
    }

    pub(super) fn last(&self) -> Option<&Step> {
        self.recent.back()
    }

    pub(super) fn before_last(&self) -> Option<&Step> {
        self.recent.len().checked_sub(2).and_then(|position| self.recent.get(position))
    }

    /// The last of the remembered lines that stands before a place.
    pub(super) fn last_before(&self, place: Place) -> Option<&Step> {
        self.recent.iter().rev().find(|step| step.place < place)
    }

    /// How many lines followed the one with this hash.
    pub(super) fn since(&self, hash: Head) -> Option<usize> {
        self.recent.iter().rev().position(|step| step.hash == hash)
    }

    /// The line `back` lines before the last.
    pub(super) fn back(&self, back: usize) -> Option<&Step> {
        self.recent.len().checked_sub(back + 1).and_then(|position| self.recent.get(position))
    }

    /// Lines that were passed, as the tree counts them; `None` if it is lost.
    pub(super) fn size(&self) -> Option<u64> {
        (!self.is_lost).then(|| self.tree.size() + self.lagging as u64)
    }

    /// The root over all passed lines but the last.
    pub(super) fn root_before_last(&self) -> Option<Root> {
        self.root_without(1)
    }

    /// The root over all passed lines.
    pub(super) fn root(&self) -> Option<Root> {
        self.root_without(0)
    }

    /// The last line is not what was written; what was written had this hash, as the next line says.
    pub(super) fn correct_last(&mut self, hash: Head) {
        if let Some(last) = self.recent.back_mut() {
            last.hash = hash;
        }
    }

    /// The last lines were not written at all.
    pub(super) fn take_back(&mut self, lines: usize) {
        self.is_lost |= lines > self.lagging;
        self.lagging = self.lagging.saturating_sub(lines);
        self.recent.truncate(self.recent.len().saturating_sub(lines));
    }

    /// Some lines are not here, and their hashes not known.
    pub(super) const fn lose(&mut self) {
        self.is_lost = true;
    }

    fn settle(&mut self) {
        if let Some(step) = self.back(self.lagging - 1).copied() {
            self.tree.push(*step.hash.bytes());
        }
        self.lagging -= 1;
    }

    fn root_without(&self, last: usize) -> Option<Root> {
        if self.is_lost || last > self.lagging {
            return None;
        }
        let mut tree = self.tree.clone();
        let first = self.recent.len() - self.lagging;
        for step in self.recent.range(first..self.recent.len() - last) {
            tree.push(*step.hash.bytes());
        }
        Some(tree.root())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: u64) -> Step {
        let place = Place { file: 0, line: number, offset: 0 };
        Step { hash: Head::of_line(&number.to_be_bytes()), seq: number, place }
    }

    fn trail(numbers: impl IntoIterator<Item = u64>) -> Trail {
        let mut trail = Trail::default();
        for number in numbers {
            trail.push(step(number));
        }
        trail
    }

    #[test]
    fn the_last_lines_can_be_put_right() {
        let right = trail(0..400);
        let mut corrected = trail((0..399).chain([7]));
        assert_ne!(corrected.root(), right.root());
        corrected.correct_last(step(399).hash);
        assert_eq!((corrected.root(), corrected.size()), (right.root(), Some(400)));
        let mut shorter = trail((0..400).chain(1000..1010));
        shorter.take_back(10);
        assert_eq!((shorter.root(), shorter.size()), (right.root(), Some(400)));
        assert_eq!(shorter.root_before_last(), trail(0..399).root());
        for more in 400..500 {
            shorter.push(step(more));
        }
        assert_eq!(shorter.root(), trail(0..500).root());
    }

    #[test]
    fn what_cannot_be_put_right_is_lost() {
        let mut trail = trail(0..400);
        assert_eq!(trail.since(step(390).hash), Some(9));
        assert_eq!(trail.back(9).map(|step| step.seq), Some(390));
        assert_eq!(trail.since(step(100).hash), None);
        trail.take_back(LAG + 1);
        assert_eq!((trail.root(), trail.size()), (None, None));
    }
}

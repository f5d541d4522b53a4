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

/// How it is known how many lines there were, and what they hashed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Knowledge {
    /// From the lines, all since the beginning or since a tree that a checkpoint had.
    #[default]
    Whole,
    /// Some lines are not known: a checkpoint that has its tree is needed to go on.
    Lost,
    /// The lines are not those that a checkpoint states: no other can make that good.
    GivenUp,
}

/// How a lost trail goes on from the tree of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resumed {
    /// The last lines before the checkpoint are those of its tree, and so are all that they follow.
    Sealed,
    /// Too few lines are here to tell: the next checkpoint will, for it covers this one, which follows them.
    Unsealed,
    /// The last lines before the checkpoint are others than those of its tree.
    Contradicted,
}

/// The passed lines of one chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    /// All but the last [`LAG`] lines.
    tree: Tree,
    recent: VecDeque<Step>,
    /// How many of the last lines are not in the tree yet.
    lagging: usize,
    knowledge: Knowledge,
    /// The first line behind those that are not known, and how many there are from it on; absent while none is unknown.
    run: Option<Run>,
}

/// Lines that follow each other.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    from: Option<u64>,
    lines: usize,
}

impl Trail {
    /// A trail that begins in the middle: its tree is that of other lines.
    pub(super) fn lost() -> Self {
        Self { knowledge: Knowledge::Lost, run: Some(Run::default()), ..Self::default() }
    }

    pub(super) fn push(&mut self, step: Step) {
        if self.lagging == LAG {
            self.settle();
        }
        self.lagging += 1;
        if let Some(run) = &mut self.run {
            run.from.get_or_insert(step.seq);
            run.lines += 1;
        }
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
        self.is_whole().then(|| self.tree.size() + self.lagging as u64)
    }

    /// The number of the first line of those without a missing one between; absent if that is the beginning.
    pub(super) fn from(&self) -> Option<u64> {
        self.run.and_then(|run| run.from)
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

    #[cfg(test)]
    fn correct_before_last(&mut self, hash: Head) {
        let position = self.recent.len() - 2;
        self.recent[position].hash = hash;
    }

    /// The last lines were not written at all.
    pub(super) fn take_back(&mut self, lines: usize) {
        if lines > self.lagging {
            self.lose();
        }
        self.lagging = self.lagging.saturating_sub(lines);
        self.recent.truncate(self.recent.len().saturating_sub(lines));
    }

    /// Some lines are not here, and their hashes not known.
    pub(super) fn lose(&mut self) {
        if self.is_whole() {
            self.knowledge = Knowledge::Lost;
        }
        self.run = Some(Run::default());
    }

    /// The lines that are here are not those that were signed.
    pub(super) const fn give_up(&mut self) {
        self.knowledge = Knowledge::GivenUp;
    }

    /// Goes on from the tree of the lines before the last one, which states that it has this root; `None` if it has not.
    pub(super) fn resume(&mut self, size: u64, root: Root, peaks: &[Root]) -> Option<Resumed> {
        let tree = Tree::from_peaks(size, peaks).filter(|tree| tree.root() == root)?;
        if self.knowledge != Knowledge::Lost || self.recent.is_empty() {
            return None;
        }
        let sealed = peaks.last().and_then(|peak| self.ends_in(*peak, size));
        (self.tree, self.lagging, self.knowledge) = (tree, 1, Knowledge::Whole);
        Some(match sealed {
            Some(true) => Resumed::Sealed,
            Some(false) => Resumed::Contradicted,
            None => Resumed::Unsealed,
        })
    }

    /// Whether the last lines but one are those of the last full subtree of a tree of `size` lines; `None` if they are not
    /// all here. The lines before those need not be asked: each of these carries the hash of the one before it.
    fn ends_in(&self, peak: Root, size: u64) -> Option<bool> {
        let lines = 1_usize.checked_shl(size.trailing_zeros())?;
        let here = self.run.map_or(0, |run| run.lines).min(self.recent.len());
        let last = self.recent.len().checked_sub(1)?;
        if lines >= here {
            return None;
        }
        let mut tree = Tree::default();
        self.recent.range(last - lines..last).for_each(|step| tree.push(*step.hash.bytes()));
        Some(tree.root() == peak)
    }

    fn is_whole(&self) -> bool {
        self.knowledge == Knowledge::Whole
    }

    fn settle(&mut self) {
        if let Some(step) = self.back(self.lagging - 1).copied() {
            self.tree.push(*step.hash.bytes());
        }
        self.lagging -= 1;
    }

    fn root_without(&self, last: usize) -> Option<Root> {
        if !self.is_whole() || last > self.lagging {
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
    use std::str::FromStr as _;

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

    #[test]
    fn a_lost_trail_goes_on_from_a_tree_that_fits() {
        let whole = trail(0..500);
        for (first, checkpoint) in [(100, 300), (256, 320), (310, 320), (299, 301), (300, 301), (298, 302)] {
            let before = trail(0..checkpoint);
            let mut tree = Tree::default();
            (0..checkpoint).for_each(|number| tree.push(*step(number).hash.bytes()));
            let peaks: Vec<Root> = tree.peaks().collect();
            let root = before.root().unwrap();
            let mut late = Trail::lost();
            (first..=checkpoint).for_each(|number| late.push(step(number)));
            assert_eq!(late.resume(checkpoint, Root::from_str(&Head::NONE.to_string()).unwrap(), &peaks), None);
            assert_eq!(late.resume(checkpoint, root, &peaks[1..]), None);
            let sealed = 1 << checkpoint.trailing_zeros() <= checkpoint - first;
            let mut other = late.clone();
            other.correct_before_last(step(7).hash);
            let resumed = |sealed, so| if sealed { so } else { Resumed::Unsealed };
            assert_eq!(other.resume(checkpoint, root, &peaks), Some(resumed(sealed, Resumed::Contradicted)));
            assert_eq!(late.resume(checkpoint, root, &peaks), Some(resumed(sealed, Resumed::Sealed)), "{checkpoint}");
            (checkpoint + 1..500).for_each(|number| late.push(step(number)));
            assert_eq!((late.root(), late.size(), late.from()), (whole.root(), Some(500), Some(first)));
        }
    }

    #[test]
    fn what_contradicts_a_checkpoint_goes_on_from_no_other() {
        let mut given_up = trail(0..9);
        let mut tree = Tree::default();
        (0..8).for_each(|number| tree.push(*step(number).hash.bytes()));
        let peaks: Vec<Root> = tree.peaks().collect();
        given_up.give_up();
        given_up.lose();
        assert_eq!(given_up.resume(8, tree.root(), &peaks), None);
    }
}

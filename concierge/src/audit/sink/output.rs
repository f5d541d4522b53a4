//! What a sink hands its lines to, and the lines: whole, chained, and all of them or none.

use std::{future::Future, io};

use bytes::Bytes;

use crate::audit::{
    chain::Chain,
    event::{Gap, Kind, Severity},
};

/// What a batch of whole lines is handed to.
pub(super) trait Output: Send + 'static {
    /// Writes the lines, and with `sync` makes them and all before them outlast a power cut, where that is possible.
    ///
    /// # Errors
    /// None of the batch counts: the sink goes back to before it and tries again with what still waits. So whatever did get
    /// out must be taken back, or finished before this returns.
    fn write(&mut self, batch: &Batch, sync: bool) -> impl Future<Output = io::Result<()>> + Send;

    /// Whether some of the batch that was last taken did not arrive after all and never will: nothing of it can be shown
    /// again, so whoever waits for a record of it in a required sink must not be told yes, and a gap that it told of has
    /// to be told again.
    fn lost_some(&self) -> bool {
        false
    }

    /// Whether what was written so far should be closed: the sink then seals it by a checkpoint and calls
    /// [`Output::rotate`].
    fn is_full(&self) -> bool {
        false
    }

    /// Closes what was written so far and begins anew.
    ///
    /// # Errors
    /// Nothing was closed; it is tried again after some seconds.
    fn rotate(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Gaps that the log should tell of: what was lost after it had been written, and what is about to be deleted.
    fn gaps(&mut self) -> Vec<Gap> {
        Vec::new()
    }

    /// The gaps last asked for are written.
    fn gaps_written(&mut self) {}
}

/// Lines that are written together.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    text: Bytes,
    lines: Vec<Line>,
}

/// One line of a batch.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The record's number; of a record about the log the number of the last before it.
    pub(super) seq: u64,
    /// What happened.
    pub(super) kind: Kind,
    /// How much a person should care.
    pub(super) severity: Severity,
    /// The line with its newline: a piece of the batch's text.
    pub(super) text: Bytes,
}

/// What becomes a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) seq: u64,
    pub(super) kind: Kind,
    pub(super) severity: Severity,
    pub(super) body: &'a [u8],
}

/// What a line has beside its body: number, names, hash. Only so that the buffer need not grow.
const FRAME: usize = 256;

impl Batch {
    /// Chains the drafts, in this order.
    pub(super) fn compose<'a>(chain: &mut Chain, drafts: impl Iterator<Item = Draft<'a>> + Clone) -> Self {
        let size = drafts.clone().map(|draft| draft.body.len() + FRAME).sum();
        let mut text = Vec::with_capacity(size);
        let mut marks = Vec::with_capacity(drafts.size_hint().0);
        for draft in drafts {
            let start = text.len();
            chain.append(draft.seq, draft.body, &mut text);
            marks.push((draft, start..text.len()));
        }
        let text = Bytes::from(text);
        let line = |(draft, range): (Draft<'a>, _)| Line {
            seq: draft.seq,
            kind: draft.kind,
            severity: draft.severity,
            text: text.slice(range),
        };
        Self { lines: marks.into_iter().map(line).collect(), text }
    }

    /// All lines, one after the other.
    pub(super) const fn text(&self) -> &Bytes {
        &self.text
    }

    /// The lines one by one; none where only what was written before shall be synced.
    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }
}

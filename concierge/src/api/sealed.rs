//! An answer that stays shut until its record is written, so that no route can forget the audit.

use crate::audit::{
    event::Event,
    sink::{AuditLog, AuditUnavailable},
};

/// An answer about a token, together with the event that must be recorded first. There is no way to the answer but
/// [`Sealed::open`].
#[must_use = "a decision that is not recorded must not be answered"]
#[derive(Debug)]
pub struct Sealed<T> {
    answer: T,
    event: Event,
    waits: bool,
}

impl<T> Sealed<T> {
    /// An answer that gives something away: it waits until the record is written.
    pub fn grant(answer: T, event: Event) -> Self {
        Self { answer, event, waits: true }
    }

    /// An answer that gives nothing away: its record is queued and, should the queue be full, counted as lost.
    pub fn refusal(answer: T, event: Event) -> Self {
        Self { answer, event, waits: false }
    }

    /// Records the event, then hands out the answer.
    ///
    /// # Errors
    /// [`AuditUnavailable`] if a grant could not be recorded: its answer is gone.
    pub async fn open(self, audit: &AuditLog) -> Result<T, AuditUnavailable> {
        if self.waits {
            audit.record(self.event).await?;
        } else {
            audit.record_refusal(self.event);
        }
        Ok(self.answer)
    }
}

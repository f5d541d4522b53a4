//! What one evaluation may cost, and all for one token. Everything is paid for before it is done, so that nothing runs
//! away.

use std::sync::Arc;

use super::{EvaluationError, Pattern};

/// Cost units of one evaluation: what kube-apiserver allows one expression (`PerCallLimit`, about 0.1 s there). One unit
/// is one step of the evaluator, or ten bytes of text looked at.
pub const COST_LIMIT: u64 = 1_000_000;

/// Cost units of all evaluations over the claims of one token, and again over its user: twice what one may cost. A spec has
/// up to a hundred expressions; without this a token made for it could keep a core busy for as many allowances.
pub const TOKEN_COST_LIMIT: u64 = 2 * COST_LIMIT;

/// Bytes that one evaluation may build. A token has at most 16 KiB, so 1 MiB is 64 times all that it says; kube-apiserver
/// has no such limit and can be driven out of memory (`lists.range(1000000000)`).
pub const MEMORY_LIMIT: u64 = 1024 * 1024;

/// Bytes of text that are looked at for one unit of cost.
const BYTES_PER_UNIT: u64 = 10;

/// What is left of one evaluation's allowance.
#[derive(Debug)]
pub struct Budget {
    cost: u64,
    granted: u64,
    bytes: u64,
    patterns: Option<Patterns>,
}

/// The patterns that stand in an expression, compiled, by their sources.
pub(super) type Patterns = Arc<[(Arc<str>, Pattern)]>;

impl Default for Budget {
    fn default() -> Self {
        Self::granted(COST_LIMIT, None)
    }
}

impl Budget {
    /// An allowance for an expression in which `patterns` stand, of which the token's own has `left` units left.
    pub(super) fn granted(left: u64, patterns: Option<Patterns>) -> Self {
        let granted = left.min(COST_LIMIT);
        Self { cost: granted, granted, bytes: MEMORY_LIMIT, patterns }
    }

    /// Units that were spent.
    pub(super) const fn spent(&self) -> u64 {
        self.granted - self.cost
    }

    /// The compiled pattern, if it stands in the expression.
    pub(super) fn pattern(&self, source: &str) -> Option<Pattern> {
        let patterns = self.patterns.as_deref()?;
        patterns.iter().find(|(known, _)| **known == *source).map(|(_, pattern)| pattern.clone())
    }

    /// Pays for `units` steps.
    ///
    /// # Errors
    /// [`EvaluationError::TooCostly`] when they are no longer affordable; then the work must not be done.
    pub fn spend(&mut self, units: u64) -> Result<(), EvaluationError> {
        self.cost = self.cost.checked_sub(units).ok_or(EvaluationError::TooCostly)?;
        Ok(())
    }

    /// Pays for looking at `bytes` of text once.
    ///
    /// # Errors
    /// As [`Budget::spend`].
    pub fn scan(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.spend((bytes as u64).div_ceil(BYTES_PER_UNIT))
    }

    /// Pays for a value of `bytes` that is about to be built, and for the time of building it.
    ///
    /// # Errors
    /// [`EvaluationError::TooLarge`] or [`EvaluationError::TooCostly`]; then it must not be built.
    pub fn build(&mut self, bytes: usize) -> Result<(), EvaluationError> {
        self.bytes = self.bytes.checked_sub(bytes as u64).ok_or(EvaluationError::TooLarge)?;
        self.scan(bytes)
    }

    /// Pays for a list or map of `elements` values that is about to be built.
    ///
    /// # Errors
    /// As [`Budget::build`].
    pub fn build_elements(&mut self, elements: usize) -> Result<(), EvaluationError> {
        self.spend(elements as u64)?;
        self.build(elements.saturating_mul(size_of::<super::Value>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_paid_is_not_done() {
        let mut budget = Budget::default();
        assert_eq!(budget.spend(COST_LIMIT), Ok(()));
        assert_eq!(budget.spend(1), Err(EvaluationError::TooCostly));
        assert_eq!(budget.scan(0), Ok(()));
        assert_eq!(Budget::default().build(usize::MAX), Err(EvaluationError::TooLarge));
        assert_eq!(Budget::default().build_elements(usize::MAX), Err(EvaluationError::TooCostly));
    }
}

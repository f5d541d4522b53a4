//! The known differences from kube-apiserver: each with its reason, and none that no case shows.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One difference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The cases that show it, as `table/case`; a `*` stands for any text.
    pub cases: Vec<String>,
    /// Cases of those patterns that do not differ.
    #[serde(default)]
    pub except: Vec<String>,
    /// kube-apiserver's words in these cases.
    pub kubernetes: BTreeSet<String>,
    /// Our words in these cases; after a colon the reason's code of a refused token: `refused: audience-shared`.
    pub ours: BTreeSet<String>,
    /// The members of the user that differ, where both sides let the token in.
    #[serde(default)]
    pub differing: BTreeSet<String>,
    /// Why it is so.
    pub reason: String,
    /// Where it was decided.
    pub decided: String,
}

/// Reads the list.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> Result<Vec<Difference>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_norway::from_str(&text).with_context(|| format!("in {}", path.display()))
}

impl Difference {
    /// Whether the case is one of this difference's.
    #[must_use]
    pub fn names(&self, case: &str) -> bool {
        let among = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, case));
        among(&self.cases) && !among(&self.except)
    }
}

/// A `*` stands for any text, also none.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            let Some(rest) = text.strip_prefix(before) else { return false };
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
        }
    }
}

//! `version`: one line.

/// Name and version.
pub(super) fn text() -> String {
    format!("kubectl-latchkey {}\n", env!("CARGO_PKG_VERSION"))
}

//! Why a source text is no expression, said so that its author can mend it.

/// What is wrong with an expression and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct CompileError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong, and how to mend it.
    pub message: String,
}

impl CompileError {
    /// An error at byte `offset` of `source`.
    pub(super) fn at(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// What is wrong, and the byte offset where; becomes a [`CompileError`] where the source is at hand.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_counted_in_lines_and_characters() {
        let error = CompileError::at("é\nß + x", 8, "odd");
        assert_eq!(error.to_string(), "2:5: odd");
        assert_eq!(CompileError::at("", 0, "empty").to_string(), "1:1: empty");
    }
}

//! Why an evaluation has no value. The texts are for operators and never hold what a token says.

/// Why an expression gives no value for one token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// More than [`super::budget::COST_LIMIT`], or than is left of [`super::budget::TOKEN_COST_LIMIT`].
    #[error("costs more than the limit of one evaluation, or than is left of that of all for one token")]
    TooCostly,
    /// More than [`super::budget::MEMORY_LIMIT`].
    #[error("builds more than one evaluation may build")]
    TooLarge,
    /// A claim, map key or field that is not there.
    #[error("no such key: guard it with has() or an optional (claims.?name)")]
    NoSuchKey,
    /// A function or operator is called with values that it is not made for.
    #[error("no such overload: {0} is not made for values of these types")]
    NoSuchOverload(&'static str),
    /// An index outside of a list.
    #[error("index out of range")]
    IndexOutOfRange,
    /// Division or remainder by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// The result does not fit its type.
    #[error("result out of range")]
    Overflow,
    /// `value()` of an optional that has none.
    #[error("the optional has no value")]
    NoneValue,
    /// A map with one key twice.
    #[error("a key stands twice in a map")]
    DuplicateKey,
    /// A text that cannot be read as what a function makes of it; the word says as what ("IP address").
    #[error("not a valid {0}")]
    Unreadable(&'static str),
    /// An argument that a function does not take; the sentence says why.
    #[error("{0}")]
    BadArgument(&'static str),
}

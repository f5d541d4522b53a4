//! A compiled expression: names are resolved, types checked, constants computed.

use std::sync::Arc;

use super::{Overload, Pattern, Value};

/// One step of a program.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value),
    /// `claims` or `user`.
    Root,
    /// A macro's variable, by its place on the stack.
    Local(usize),
    Select(Box<Select>),
    Index(Box<Index>),
    List(Box<[Element]>),
    Map(Box<[Entry]>),
    Not(Box<Node>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Conditional(Box<[Node; 3]>),
    /// `==`, or `!=` with `true`.
    Equal(Box<[Node; 2]>, bool),
    Compare(Box<[Node; 2]>, Comparison),
    In(Box<[Node; 2]>),
    Call(Box<Call>),
    /// `text.matches(pattern)` with a constant pattern.
    Matches(Box<(Node, Pattern)>),
    /// `optional.or(optional)`, and with `true` `optional.orValue(value)`: the second is computed only if needed.
    OptionalOr(Box<[Node; 2]>, bool),
    /// `optional.optMap(name, body)`, and with `true` `optFlatMap`.
    OptionalMap(Box<[Node; 2]>, bool),
    Fold(Box<Fold>),
}

/// `operand.field`.
#[derive(Debug)]
pub(super) struct Select {
    pub(super) operand: Node,
    pub(super) field: Field,
    pub(super) access: Access,
}

/// A field's name as written, and as the key of a claim that it stands for (`__dot__` and its kin).
#[derive(Debug)]
pub(super) struct Field {
    pub(super) written: Arc<str>,
    /// `None` where the escapes make no name.
    pub(super) unescaped: Option<Arc<str>>,
}

/// How a field or index is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Absent is an error.
    Demand,
    /// Absent is none: `.?field`, `[?index]`.
    Optional,
    /// Whether it is there: `has()`.
    Presence,
}

/// `operand[index]`.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) operand: Node,
    pub(super) key: Node,
    pub(super) access: Access,
}

/// A list's element; an optional one is left out if it is none.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) optional: bool,
    pub(super) value: Node,
}

/// A map's entry; an optional one is left out if it is none.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) optional: bool,
    pub(super) key: Node,
    pub(super) value: Node,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A call of a library's function: the first candidate that takes the arguments does the work.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: &'static str,
    pub(super) candidates: Box<[&'static Overload]>,
    pub(super) arguments: Box<[Node]>,
}

/// A macro that goes over a list or map.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) range: Node,
    /// Two variables: index and element, or key and value. Else one: element, or key.
    pub(super) pair: bool,
    pub(super) filter: Option<Node>,
    pub(super) body: Node,
    pub(super) gather: Gather,
}

/// What becomes of a macro's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gather {
    /// All are true.
    All,
    /// One is true.
    Exists,
    /// Exactly one is true.
    ExistsOne,
    /// The elements for which it is true.
    Filter,
    /// The list of all: `map`, `transformList`.
    List,
    /// A map from the first variable to it: `transformMap`.
    Values,
    /// The entries of the maps that it is: `transformMapEntry`.
    Entries,
    /// The elements in the order of it: `sortBy`.
    Sort,
}

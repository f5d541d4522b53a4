//! Source text to tree, by CEL's grammar. Nothing is looked up yet, and no macro is known but `has()`.
//!
//! Ours, and not the `cel` crate's parser: that one recurses along every chain of dots or operators without a limit, so a
//! rule of 4 KiB could overflow the stack of a controller; here depth is bounded while the tree grows.

mod lexer;
mod literal;
mod parser;

use super::{Value, compile_error::Fault};

/// Bytes of a source text: what the custom resource's schema allows.
pub(super) const MAX_SOURCE: usize = 4096;

/// How high a tree may be: each level costs a few stack frames in the checker and the evaluator. A chain of `||` or `&&`
/// is one level, however long; a rule that people can read has ten.
const MAX_HEIGHT: u16 = 100;

/// How deep parentheses, brackets, arguments and branches may be nested. Below [`MAX_HEIGHT`], because the parser needs
/// more stack for a level than the others.
const MAX_NESTING: u16 = 32;

/// A part of a source text.
#[derive(Debug)]
pub(super) struct Expr {
    /// Where it starts, in bytes; of an operator or call, where its sign or name stands.
    pub(super) at: usize,
    pub(super) kind: Kind,
    height: u16,
}

/// What it is.
#[derive(Debug)]
pub(super) enum Kind {
    Literal(Value),
    /// A name; `.name` with the dot means the same, but binds no variable.
    Identifier {
        name: String,
        absolute: bool,
    },
    /// `operand.field`, `operand.?field`.
    Select {
        operand: Box<Expr>,
        field: String,
        optional: bool,
    },
    /// `has(operand.field)`.
    Presence {
        operand: Box<Expr>,
        field: String,
    },
    /// `operand[index]`, `operand[?index]`.
    Index {
        operand: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// `function(arguments)`, `target.function(arguments)`, and operators under their names (`_+_`).
    Call {
        target: Option<Box<Expr>>,
        function: String,
        arguments: Vec<Expr>,
    },
    List(Vec<Element>),
    Map(Vec<Entry>),
    /// `a && b && ...`.
    And(Vec<Expr>),
    /// `a || b || ...`.
    Or(Vec<Expr>),
    /// `condition ? then : otherwise`.
    Conditional(Box<[Expr; 3]>),
}

/// `value` or `?value` in a list.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) optional: bool,
    pub(super) value: Expr,
}

/// `key: value` or `?key: value` in a map.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) optional: bool,
    pub(super) key: Expr,
    pub(super) value: Expr,
}

/// The tree of `source`.
pub(super) fn parse(source: &str) -> Result<Expr, Fault> {
    if source.len() > MAX_SOURCE {
        return Err(Fault::new(0, format!("the expression has {} bytes; {MAX_SOURCE} are allowed", source.len())));
    }
    parser::Parser::new(lexer::tokens(source)?, source.len()).whole()
}

impl Expr {
    fn new(at: usize, kind: Kind) -> Result<Self, Fault> {
        let highest = match &kind {
            Kind::Literal(_) | Kind::Identifier { .. } => 0,
            Kind::Select { operand, .. } | Kind::Presence { operand, .. } => operand.height,
            Kind::Index { operand, index, .. } => operand.height.max(index.height),
            Kind::Call { target, arguments, .. } => {
                highest(arguments).max(target.as_ref().map_or(0, |target| target.height))
            }
            Kind::List(elements) => highest(elements.iter().map(|element| &element.value)),
            Kind::Map(entries) => highest(entries.iter().flat_map(|entry| [&entry.key, &entry.value])),
            Kind::And(parts) | Kind::Or(parts) => highest(parts),
            Kind::Conditional(parts) => highest(parts.iter()),
        };
        let height = highest + 1;
        if height > MAX_HEIGHT {
            return Err(Fault::new(at, format!("more than {MAX_HEIGHT} steps build upon one another; split the rule")));
        }
        Ok(Self { at, kind, height })
    }

    /// `a.b.c` as one name, if it is nothing but names and dots.
    pub(super) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Identifier { name, .. } => Some(name.clone()),
            Kind::Select { operand, field, optional: false } => Some(format!("{}.{field}", operand.qualified_name()?)),
            _ => None,
        }
    }
}

fn highest<'a>(parts: impl IntoIterator<Item = &'a Expr>) -> u16 {
    parts.into_iter().map(|part| part.height).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;

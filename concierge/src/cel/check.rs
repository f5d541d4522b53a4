//! Tree to program: names are looked up, overloads chosen, types checked as cel-go checks them.

mod aggregate;
mod functions;
mod macros;
mod resolve;
mod unify;

use std::{collections::BTreeSet, sync::Arc};

use self::unify::Bindings;
use super::{
    Budget, Pattern, Scope, Type, Value,
    budget::Patterns,
    compile_error::Fault,
    evaluate, names,
    pattern::EXPRESSION_SIZE,
    program::{Access, Field, Index, Node, Select},
    syntax::{Expr, Kind},
};

/// How many parts a type may have. Types of rules have a handful; macros inside of one another could double it each time.
const MAX_TYPE: usize = 200;

const TOO_LARGE: &str = "the type of this is too large; nest fewer lists and maps";

/// A program, its type, and the claims that it names.
pub(super) struct Program {
    pub(super) node: Node,
    pub(super) kind: Type,
    pub(super) mentioned: BTreeSet<String>,
    /// The patterns that stand in it, compiled.
    pub(super) patterns: Option<Patterns>,
}

/// Checks a whole expression.
pub(super) fn check(expression: &Expr, scope: Scope) -> Result<Program, Fault> {
    let mut checker = Checker {
        scope,
        bindings: Bindings::default(),
        locals: Vec::new(),
        mentioned: BTreeSet::new(),
        aggregates: Vec::new(),
        exempt: 0,
        patterns: Vec::new(),
        pattern_room: EXPRESSION_SIZE,
        folding: Budget::default(),
    };
    let Checked { kind, node } = checker.check(expression)?;
    checker.check_aggregates()?;
    let kind = checker.bindings.substitute(&kind, true);
    checker.followed(0)?;
    let patterns = (!checker.patterns.is_empty()).then(|| checker.patterns.into());
    Ok(Program { node, kind, mentioned: checker.mentioned, patterns })
}

/// A checked part.
struct Checked {
    kind: Type,
    node: Node,
}

struct Checker {
    scope: Scope,
    bindings: Bindings,
    /// Variables of the macros around, outermost first; their place is their place on the evaluator's stack.
    locals: Vec<(String, Type)>,
    mentioned: BTreeSet<String>,
    aggregates: Vec<aggregate::Aggregate>,
    /// Inside of how many `format()` calls, whose lists may mix types that are known with those that are not.
    exempt: usize,
    patterns: Vec<(Arc<str>, Pattern)>,
    /// Bytes that patterns may still take.
    pattern_room: usize,
    /// What computing constants may cost, all together.
    folding: Budget,
}

impl Checker {
    fn check(&mut self, expression: &Expr) -> Result<Checked, Fault> {
        let at = expression.at;
        let mut checked = match &expression.kind {
            Kind::Literal(value) => Checked { kind: value.type_of(), node: Node::Constant(value.clone()) },
            Kind::Identifier { name, .. } => self.identifier(at, name)?,
            Kind::Select { operand, field, optional } => match type_name(expression) {
                Some(found) => found,
                None => self.select(at, operand, field, if *optional { Access::Optional } else { Access::Demand })?,
            },
            Kind::Presence { operand, field } => self.select(at, operand, field, Access::Presence)?,
            Kind::Index { operand, index, optional } => self.index(at, operand, index, *optional)?,
            Kind::Call { target, function, arguments } => self.call(at, target.as_deref(), function, arguments)?,
            Kind::List(elements) => self.list(elements)?,
            Kind::Map(entries) => self.map(entries)?,
            Kind::And(parts) => Checked { kind: Type::Bool, node: Node::And(self.truths(parts)?) },
            Kind::Or(parts) => Checked { kind: Type::Bool, node: Node::Or(self.truths(parts)?) },
            Kind::Conditional(parts) => self.conditional(at, parts)?,
        };
        checked.kind = self.bindings.substitute(&checked.kind, false);
        self.followed(at)?;
        if size(&checked.kind, MAX_TYPE) > MAX_TYPE {
            return Err(Fault::new(at, TOO_LARGE));
        }
        Ok(checked)
    }

    /// Refuses an expression whose types were too intricate to follow.
    fn followed(&self, at: usize) -> Result<(), Fault> {
        if self.bindings.gave_up() { Err(Fault::new(at, TOO_LARGE)) } else { Ok(()) }
    }

    fn identifier(&mut self, at: usize, name: &str) -> Result<Checked, Fault> {
        let local = self.locals.iter().rposition(|(local, _)| local == name);
        if let Some(place) = local {
            return Ok(Checked { kind: self.locals[place].1.clone(), node: Node::Local(place) });
        }
        if name == self.scope.variable() {
            return Ok(Checked { kind: self.scope.type_of_variable(), node: Node::Root });
        }
        if let Some(kind) = functions::type_named(name) {
            return Ok(type_constant(kind));
        }
        let here = self.scope.variable();
        Err(Fault::new(
            at,
            format!("there is no variable `{name}`; here is `{here}`; a text stands in quotes: '{name}'"),
        ))
    }

    fn select(&mut self, at: usize, operand: &Expr, field: &str, access: Access) -> Result<Checked, Fault> {
        let operand = self.check(operand)?;
        let (target, inside_optional) = match &operand.kind {
            Type::Optional(value) => (&**value, true),
            kind => (kind, false),
        };
        let found = match target {
            Type::Map(_, value) => (**value).clone(),
            Type::Object(_) => functions::field_of_user(field).ok_or_else(|| {
                Fault::new(at, format!("a user has no field `{field}`; it has username, uid, groups and extra"))
            })?,
            Type::Variable(_) => {
                let target = target.clone();
                self.bindings.assign(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Dyn | Type::Any => Type::Dyn,
            other => return Err(Fault::new(at, format!("a value of type {other} has no fields, so no `{field}`"))),
        };
        let kind = match access {
            Access::Presence => Type::Bool,
            Access::Optional => Type::optional(found),
            Access::Demand if inside_optional => Type::optional(found),
            Access::Demand => found,
        };
        let unescaped = names::unescape(field).map(|name| name.as_ref().into());
        self.mention(&operand.node, field);
        let field = Field { written: field.into(), unescaped };
        Ok(Checked { kind, node: Node::Select(Box::new(Select { operand: operand.node, field, access })) })
    }

    fn index(&mut self, at: usize, operand: &Expr, index: &Expr, optional: bool) -> Result<Checked, Fault> {
        let operand = self.check(operand)?;
        let index = self.check(index)?;
        let (function, access) = if optional { ("_[?_]", Access::Optional) } else { ("_[_]", Access::Demand) };
        let found = self.resolve(at, function, false, &[&operand.kind, &index.kind])?;
        if let Node::Constant(Value::String(name)) = &index.node {
            self.mention(&operand.node, name);
        }
        let node = Node::Index(Box::new(Index { operand: operand.node, key: index.node, access }));
        Ok(Checked { kind: found.result, node })
    }

    /// Remembers that a claim is named.
    fn mention(&mut self, operand: &Node, name: &str) {
        if let (Node::Root, Scope::Claims, Some(name)) = (operand, self.scope, names::unescape(name)) {
            self.mentioned.insert(name.into_owned());
        }
    }

    fn truths(&mut self, parts: &[Expr]) -> Result<Box<[Node]>, Fault> {
        parts.iter().map(|part| self.truth(part)).collect()
    }

    /// A part that must be true or false.
    fn truth(&mut self, part: &Expr) -> Result<Node, Fault> {
        let checked = self.check(part)?;
        if self.bindings.assign(&checked.kind, &Type::Bool) {
            return Ok(checked.node);
        }
        Err(Fault::new(part.at, format!("expected bool, found {}", self.shown(&checked.kind))))
    }

    fn conditional(&mut self, at: usize, parts: &[Expr; 3]) -> Result<Checked, Fault> {
        let [condition, then, otherwise] = parts;
        let condition = self.truth(condition)?;
        let (then, otherwise) = (self.check(then)?, self.check(otherwise)?);
        let result = self.bindings.fresh();
        if !self.bindings.assign_all(&[&then.kind, &otherwise.kind], &[&result, &result]) {
            let (then, otherwise) = (self.shown(&then.kind), self.shown(&otherwise.kind));
            let message =
                format!("both branches must have one type, found {then} and {otherwise}; dyn(...) hides a type");
            return Err(Fault::new(at, message));
        }
        Ok(Checked { kind: result, node: Node::Conditional(Box::new([condition, then.node, otherwise.node])) })
    }

    /// Computes a node whose parts are constants, so that the hot path does not. What has no value stays as it is and
    /// fails when it runs, as in cel-go.
    fn fold(&mut self, node: Node) -> Node {
        evaluate::constant(&node, &mut self.folding).map_or(node, Node::Constant)
    }

    /// A type as messages show it.
    fn shown(&self, kind: &Type) -> String {
        self.bindings.substitute(kind, true).to_string()
    }
}

/// `google.protobuf.Duration` and other names of types with dots.
fn type_name(expression: &Expr) -> Option<Checked> {
    let name = expression.qualified_name()?;
    functions::type_named(&name).map(type_constant)
}

fn type_constant(kind: Type) -> Checked {
    let value = Value::Type(kind.clone().into());
    Checked { kind: Type::Type(Box::new(kind)), node: Node::Constant(value) }
}

/// How many parts a type has, counted no further than past `limit`.
fn size(kind: &Type, limit: usize) -> usize {
    let mut count = 0;
    let mut open = vec![kind];
    while let Some(kind) = open.pop() {
        count += 1;
        if count > limit {
            break;
        }
        open.extend(kind.parts());
    }
    count
}

//! Lists and maps: their elements must have one type, exactly (Kubernetes turns on homogeneous literals).

use super::{Checked, Checker, unify::most_general};
use crate::cel::{
    Type, Value,
    compile_error::Fault,
    library::string_format,
    program::{self, Node},
    syntax::{Element, Entry, Expr},
};

/// The types of one literal's elements, keys or values, held against one another when all types are known.
pub(super) struct Aggregate {
    /// Where the first of them stands.
    list_at: Option<usize>,
    parts: Vec<(usize, Type)>,
    exempt: bool,
}

impl Checker {
    pub(super) fn list(&mut self, elements: &[Element]) -> Result<Checked, Fault> {
        let mut joined = Joined::default();
        let mut nodes = Vec::with_capacity(elements.len());
        for Element { optional, value } in elements {
            nodes.push(program::Element { optional: *optional, value: self.part(value, *optional, &mut joined)? });
        }
        let kind = joined.kind.clone().unwrap_or_else(|| self.bindings.fresh());
        self.remember(elements.first().map(|element| element.value.at), joined);
        let constant = nodes.iter().all(|element| matches!(element.value, Node::Constant(_)));
        let node = Node::List(nodes.into());
        Ok(Checked { kind: Type::list(kind), node: if constant { self.fold(node) } else { node } })
    }

    pub(super) fn map(&mut self, entries: &[Entry]) -> Result<Checked, Fault> {
        let (mut keys, mut values) = (Joined::default(), Joined::default());
        let mut nodes = Vec::with_capacity(entries.len());
        for Entry { optional, key, value } in entries {
            let key = self.part(key, false, &mut keys)?;
            let value = self.part(value, *optional, &mut values)?;
            nodes.push(program::Entry { optional: *optional, key, value });
        }
        let key = keys.kind.clone().unwrap_or_else(|| self.bindings.fresh());
        let value = values.kind.clone().unwrap_or_else(|| self.bindings.fresh());
        self.remember(None, keys);
        self.remember(None, values);
        let is_constant = |node: &Node| matches!(node, Node::Constant(_));
        let constant = nodes.iter().all(|entry| is_constant(&entry.key) && is_constant(&entry.value));
        let node = Node::Map(nodes.into());
        Ok(Checked { kind: Type::map(key, value), node: if constant { self.fold(node) } else { node } })
    }

    fn part(&mut self, part: &Expr, optional: bool, joined: &mut Joined) -> Result<Node, Fault> {
        let Checked { kind, node } = self.check(part)?;
        let kind = match kind {
            Type::Optional(value) if optional => *value,
            kind if optional && !kind.is_dynamic() => {
                return Err(Fault::new(part.at, format!("after `?` stands an optional, not {}", self.shown(&kind))));
            }
            kind => kind,
        };
        joined.kind = Some(match joined.kind.take() {
            None => kind.clone(),
            Some(before) if self.bindings.assign(&before, &kind) => most_general(&before, &kind).clone(),
            // Each clause of a format takes another type.
            Some(_) if self.exempt > 0 => Type::Dyn,
            Some(before) => return Err(self.mixed(part.at, &before, &kind)),
        });
        joined.parts.push((part.at, kind));
        Ok(node)
    }

    fn remember(&mut self, list_at: Option<usize>, joined: Joined) {
        self.aggregates.push(Aggregate { list_at, parts: joined.parts, exempt: self.exempt > 0 });
    }

    /// Holds every literal's types against one another, now that no type changes any more.
    pub(super) fn check_aggregates(&self) -> Result<(), Fault> {
        for aggregate in self.aggregates.iter().filter(|aggregate| !aggregate.exempt) {
            let mut parts = aggregate.parts.iter().map(|(at, kind)| (*at, self.bindings.substitute(kind, true)));
            let Some((_, first)) = parts.next() else {
                continue;
            };
            if let Some((at, other)) = parts.find(|(_, kind)| *kind != first) {
                return Err(self.mixed(at, &first, &other));
            }
        }
        Ok(())
    }

    /// Holds the arguments of a constant format against its clauses, as cel-go does before anything runs. A bare claim fits
    /// none, because it may be anything.
    pub(super) fn check_format(&self, receiver: Option<&Node>, arguments: &Expr) -> Result<(), Fault> {
        let crate::cel::syntax::Kind::List(elements) = &arguments.kind else {
            return Ok(());
        };
        let Some(Node::Constant(Value::String(format))) = receiver else {
            return Ok(());
        };
        let first = elements.first().map(|element| element.value.at);
        let list = self.aggregates.iter().rev().find(|aggregate| first.is_some() && aggregate.list_at == first);
        let parts: Vec<(usize, Type)> = list
            .map(|list| list.parts.iter().map(|(at, kind)| (*at, self.bindings.substitute(kind, true))).collect())
            .unwrap_or_default();
        if let Some((at, _)) = parts.iter().find(|(_, kind)| *kind == Type::Any) {
            return Err(Fault::new(*at, "format() must know the type of a claim; write string(...) around it"));
        }
        let kinds: Vec<&Type> = parts.iter().map(|(_, kind)| kind).collect();
        string_format::mismatch(format, &kinds).map_or(Ok(()), |(place, problem)| {
            Err(Fault::new(parts.get(place).map_or(arguments.at, |(at, _)| *at), problem.to_string()))
        })
    }

    fn mixed(&self, at: usize, before: &Type, kind: &Type) -> Fault {
        let (before, kind) = (self.shown(before), self.shown(kind));
        Fault::new(at, format!("the others here are {before}, this is {kind}; make all one type, as by dyn(...)"))
    }
}

/// The types met so far, and the one that covers them.
#[derive(Default)]
struct Joined {
    kind: Option<Type>,
    parts: Vec<(usize, Type)>,
}

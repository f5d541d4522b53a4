//! Calls: which overloads take the arguments, and what their result is.

use std::sync::Arc;

use super::{Checked, Checker, functions};
use crate::cel::{
    EvaluationError, Overload, Pattern, Type, Value,
    compile_error::Fault,
    program::{Call, Comparison, Node},
    syntax::{Expr, Kind},
};

/// The overloads that take the arguments, and what comes back.
pub(super) struct Resolved {
    pub(super) candidates: Vec<&'static Overload>,
    pub(super) result: Type,
}

impl Checker {
    pub(super) fn call(
        &mut self,
        at: usize,
        target: Option<&Expr>,
        function: &str,
        arguments: &[Expr],
    ) -> Result<Checked, Fault> {
        if let Some(target) = target
            && let Some(expanded) = self.macro_call(at, target, function, arguments)?
        {
            return Ok(expanded);
        }
        self.exempt += usize::from(function == "format");
        let called = self.plain_call(at, target, function, arguments);
        self.exempt -= usize::from(function == "format");
        called
    }

    fn plain_call(
        &mut self,
        at: usize,
        target: Option<&Expr>,
        function: &str,
        arguments: &[Expr],
    ) -> Result<Checked, Fault> {
        // `sets.contains(a, b)` is one name if there is such a function, else `contains` of `sets`.
        let qualified = target.and_then(Expr::qualified_name).map(|prefix| format!("{prefix}.{function}"));
        let (name, receiver) = match &qualified {
            Some(name) if !functions::overloads(name).is_empty() => (name.as_str(), None),
            _ => (function, target),
        };
        let mut kinds = Vec::new();
        let mut nodes = Vec::new();
        for part in receiver.into_iter().chain(arguments) {
            let checked = self.check(part)?;
            kinds.push(checked.kind);
            nodes.push(checked.node);
        }
        let resolved = self.resolve(at, name, receiver.is_some(), &kinds.iter().collect::<Vec<_>>())?;
        let kind = resolved.result.clone();
        if let ("format", true, [arguments]) = (name, receiver.is_some(), arguments) {
            self.check_format(nodes.first(), arguments)?;
        }
        let node = self.node(name, receiver.is_some(), resolved, nodes);
        let node = self.checked_literal(name, receiver.is_some(), arguments, node)?;
        Ok(Checked { kind, node })
    }

    /// The overloads of `name` that take arguments of these types.
    pub(super) fn resolve(
        &mut self,
        at: usize,
        name: &str,
        member: bool,
        arguments: &[&Type],
    ) -> Result<Resolved, Fault> {
        let overloads = functions::overloads(name);
        if overloads.is_empty() {
            return Err(Fault::new(at, format!("there is no function `{name}`")));
        }
        let mut found: Option<Resolved> = None;
        for overload in overloads.iter().filter(|overload| overload.member == member) {
            let mut letters = Vec::new();
            let parameters: Vec<Type> =
                overload.parameters.iter().map(|kind| self.instantiate(kind, &mut letters)).collect();
            let result = self.instantiate(&overload.result, &mut letters);
            if !self.bindings.assign_all(arguments, &parameters.iter().collect::<Vec<_>>()) {
                continue;
            }
            let result = self.bindings.substitute(&result, false);
            match &mut found {
                None => found = Some(Resolved { candidates: vec![overload], result }),
                Some(found) => {
                    found.candidates.push(overload);
                    if !found.result.is_dynamic() && found.result != result {
                        found.result = Type::Dyn;
                    }
                }
            }
        }
        found.ok_or_else(|| {
            let shown: Vec<String> = arguments.iter().map(|kind| self.shown(kind)).collect();
            Fault::new(at, no_overload(name, member, &shown))
        })
    }

    /// A declared type with a variable for each letter, the same for the same.
    fn instantiate(&mut self, kind: &Type, letters: &mut Vec<(char, Type)>) -> Type {
        if let Type::Parameter(letter) = kind {
            if let Some((_, variable)) = letters.iter().find(|(known, _)| known == letter) {
                return variable.clone();
            }
            let variable = self.bindings.fresh();
            letters.push((*letter, variable.clone()));
            return variable;
        }
        kind.with_parts(&mut |part| self.instantiate(part, letters))
    }

    fn node(&mut self, name: &str, member: bool, resolved: Resolved, nodes: Vec<Node>) -> Node {
        let nodes = match (name, <[Node; 1]>::try_from(nodes)) {
            ("!_", Ok([one])) => return Node::Not(Box::new(one)),
            ("dyn", Ok([one])) => return one,
            (_, Ok(one)) => Vec::from(one),
            (_, Err(nodes)) => nodes,
        };
        let nodes = match <[Node; 2]>::try_from(nodes) {
            Ok(pair) => match (name, member) {
                ("_==_", _) => return Node::Equal(Box::new(pair), false),
                ("_!=_", _) => return Node::Equal(Box::new(pair), true),
                ("_<_", _) => return Node::Compare(Box::new(pair), Comparison::Less),
                ("_<=_", _) => return Node::Compare(Box::new(pair), Comparison::LessOrEqual),
                ("_>_", _) => return Node::Compare(Box::new(pair), Comparison::Greater),
                ("_>=_", _) => return Node::Compare(Box::new(pair), Comparison::GreaterOrEqual),
                ("@in", _) => return Node::In(Box::new(pair)),
                ("or", true) => return Node::OptionalOr(Box::new(pair), false),
                ("orValue", true) => return Node::OptionalOr(Box::new(pair), true),
                _ => Vec::from(pair),
            },
            Err(nodes) => nodes,
        };
        let constant = nodes.iter().all(|node| matches!(node, Node::Constant(_)));
        let function = resolved.candidates[0].function;
        let call = Call { function, candidates: resolved.candidates.into(), arguments: nodes.into() };
        let node = Node::Call(Box::new(call));
        if constant { self.fold(node) } else { node }
    }

    /// Literals that are read only when the expression runs, read now: `int('x')` and `matches('(')` do not compile, in
    /// cel-go neither. A constant pattern is compiled here, once.
    fn checked_literal(&mut self, name: &str, member: bool, arguments: &[Expr], node: Node) -> Result<Node, Fault> {
        let literal = |place: usize| arguments.get(place).filter(|argument| matches!(argument.kind, Kind::Literal(_)));
        match name {
            "bool" | "bytes" | "double" | "duration" | "int" | "string" | "timestamp" | "uint"
                if !matches!(node, Node::Constant(_)) =>
            {
                match literal(0) {
                    Some(argument) => Err(Fault::new(argument.at, format!("not a valid {name}"))),
                    None => Ok(node),
                }
            }
            "matches" | "find" | "findAll" => {
                match literal(usize::from(!member)).map(|argument| (argument.at, &argument.kind)) {
                    Some((at, Kind::Literal(Value::String(source)))) => self.pattern(at, source, node),
                    _ => Ok(node),
                }
            }
            _ => Ok(node),
        }
    }

    /// Compiles a pattern that stands in the expression.
    fn pattern(&mut self, at: usize, source: &Arc<str>, node: Node) -> Result<Node, Fault> {
        let pattern = Pattern::new(source, &mut self.pattern_room).map_err(|error| match error {
            EvaluationError::TooLarge => {
                Fault::new(at, "the patterns here take too much memory; repeat less, and use classes smaller than \\pL")
            }
            _ => Fault::new(at, "not a valid pattern (RE2 syntax)"),
        })?;
        match node {
            Node::Call(mut call) if call.function == "matches" => match call.arguments.first_mut() {
                Some(text) => {
                    let text = std::mem::replace(text, Node::Root);
                    Ok(Node::Matches(Box::new((text, pattern))))
                }
                None => Ok(Node::Call(call)),
            },
            node => {
                self.patterns.push((source.clone(), pattern));
                Ok(node)
            }
        }
    }
}

fn no_overload(name: &str, member: bool, arguments: &[String]) -> String {
    let sign = name.trim_matches(|character| matches!(character, '_' | '@'));
    match arguments {
        [one] if !sign.starts_with(char::is_alphabetic) => format!("`{sign}` does not take {one}"),
        [left, right] if sign == "in" || !sign.starts_with(char::is_alphabetic) => {
            format!("`{sign}` does not take {left} and {right}; convert one, as in string(...) or int(...)")
        }
        [target, rest @ ..] if member => format!("`{name}` of {target} does not take ({})", rest.join(", ")),
        all => format!("`{name}` does not take ({})", all.join(", ")),
    }
}

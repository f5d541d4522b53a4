//! Macros: calls that bind names, expanded to folds.

use super::{Checked, Checker, unify::most_general};
use crate::cel::{
    Type,
    compile_error::Fault,
    program::{Fold, Gather, Node},
    syntax::{Expr, Kind},
};

/// Types that have an order, so that `sortBy` can sort by them.
const SORTABLE: [Type; 8] =
    [Type::Int, Type::Uint, Type::Double, Type::Bool, Type::Duration, Type::Timestamp, Type::String, Type::Bytes];

/// A macro: what it gathers, how many names it binds, and whether a filter stands before the body.
fn named(function: &str, arguments: usize) -> Option<(Gather, usize, bool)> {
    Some(match (function, arguments) {
        ("all", 2) => (Gather::All, 1, false),
        ("all", 3) => (Gather::All, 2, false),
        ("exists", 2) => (Gather::Exists, 1, false),
        ("exists", 3) => (Gather::Exists, 2, false),
        ("exists_one", 2) => (Gather::ExistsOne, 1, false),
        ("exists_one" | "existsOne", 3) => (Gather::ExistsOne, 2, false),
        ("filter", 2) => (Gather::Filter, 1, false),
        ("map", 2) => (Gather::List, 1, false),
        ("map", 3) => (Gather::List, 1, true),
        ("sortBy", 2) => (Gather::Sort, 1, false),
        ("transformList", 3) => (Gather::List, 2, false),
        ("transformList", 4) => (Gather::List, 2, true),
        ("transformMap", 3) => (Gather::Values, 2, false),
        ("transformMap", 4) => (Gather::Values, 2, true),
        ("transformMapEntry", 3) => (Gather::Entries, 2, false),
        ("transformMapEntry", 4) => (Gather::Entries, 2, true),
        _ => return None,
    })
}

impl Checker {
    /// The expansion of a call, if it is a macro's.
    pub(super) fn macro_call(
        &mut self,
        at: usize,
        target: &Expr,
        function: &str,
        arguments: &[Expr],
    ) -> Result<Option<Checked>, Fault> {
        if let ("optMap" | "optFlatMap", [name, body]) = (function, arguments) {
            return self.optional_map(at, target, variable(name)?, body, function == "optFlatMap").map(Some);
        }
        let Some((gather, names, filtered)) = named(function, arguments.len()) else {
            return Ok(None);
        };
        let variables: Vec<&str> = arguments[..names].iter().map(variable).collect::<Result<_, _>>()?;
        if let [first, second] = variables.as_slice()
            && first == second
        {
            return Err(Fault::new(arguments[1].at, format!("both variables are named `{first}`")));
        }
        // cel-go keeps what a macro has gathered under this name.
        if let Some(place) = variables.iter().position(|name| *name == "__result__") {
            return Err(Fault::new(arguments[place].at, "a macro's variable cannot be named `__result__`".to_owned()));
        }
        let range = self.check(target)?;
        if matches!(range.node, Node::Root) {
            let message =
                format!("the claims as a whole have no order, so `{function}` cannot go over them; name a claim");
            return Err(Fault::new(target.at, message));
        }
        let (first, second) = self.elements(at, function, &range.kind, names == 2)?;
        let outside = self.locals.len();
        let kinds = [Some(first.clone()), second].into_iter().flatten();
        self.locals.extend(variables.iter().map(|name| (*name).to_owned()).zip(kinds));
        let checked = self.body(gather, filtered, &arguments[names..], &range.kind, &first);
        self.locals.truncate(outside);
        let (kind, filter, body) = checked?;
        let fold = Fold { range: range.node, pair: names == 2, filter, body, gather };
        Ok(Some(Checked { kind, node: Node::Fold(Box::new(fold)) }))
    }

    /// The types of a macro's variables.
    fn elements(&mut self, at: usize, function: &str, range: &Type, pair: bool) -> Result<(Type, Option<Type>), Fault> {
        Ok(match range {
            Type::List(element) if pair => (Type::Int, Some((**element).clone())),
            Type::List(element) => ((**element).clone(), None),
            Type::Map(key, value) => ((**key).clone(), pair.then(|| (**value).clone())),
            Type::Dyn | Type::Variable(_) => {
                self.bindings.assign(&Type::Dyn, range);
                (Type::Dyn, pair.then_some(Type::Dyn))
            }
            Type::Any => {
                let message =
                    format!("`{function}` needs a list or map, and a claim may be anything; write dyn(...) around it");
                return Err(Fault::new(at, message));
            }
            other => {
                return Err(Fault::new(at, format!("`{function}` needs a list or map, found {}", self.shown(other))));
            }
        })
    }

    fn body(
        &mut self,
        gather: Gather,
        filtered: bool,
        arguments: &[Expr],
        range: &Type,
        first: &Type,
    ) -> Result<(Type, Option<Node>, Node), Fault> {
        let (filter, body) = match arguments {
            [filter, body] if filtered => (Some(self.truth(filter)?), body),
            [body, ..] => (None, body),
            [] => return Err(Fault::new(0, "a macro without a body")),
        };
        if matches!(gather, Gather::All | Gather::Exists | Gather::ExistsOne | Gather::Filter) {
            let body = self.truth(body)?;
            let kind = if gather == Gather::Filter { Type::list(first.clone()) } else { Type::Bool };
            return Ok((kind, filter, body));
        }
        let Checked { kind, node } = self.check(body)?;
        let result = match gather {
            Gather::Values => Type::map(first.clone(), kind),
            Gather::Entries => {
                let entry = Type::map(self.bindings.fresh(), self.bindings.fresh());
                if !self.bindings.assign(&kind, &entry) {
                    let found = self.shown(&kind);
                    return Err(Fault::new(body.at, format!("an entry is a map, as {{key: value}}; found {found}")));
                }
                self.bindings.substitute(&entry, false)
            }
            Gather::Sort => self.sorted(body.at, range, &kind)?,
            _ => Type::list(kind),
        };
        Ok((result, filter, node))
    }

    fn sorted(&mut self, at: usize, range: &Type, key: &Type) -> Result<Type, Fault> {
        if !SORTABLE.iter().any(|sortable| self.bindings.assign(key, sortable)) {
            let found = self.shown(key);
            return Err(Fault::new(at, format!("lists are sorted by numbers, texts, times or bools, not by {found}")));
        }
        if range.is_dynamic() {
            return Ok(range.clone());
        }
        let list = Type::list(self.bindings.fresh());
        if self.bindings.assign(range, &list) {
            return Ok(self.bindings.substitute(&list, false));
        }
        Err(Fault::new(at, format!("only a list can be sorted, not {}", self.shown(range))))
    }

    fn optional_map(
        &mut self,
        at: usize,
        target: &Expr,
        name: &str,
        body: &Expr,
        flat: bool,
    ) -> Result<Checked, Fault> {
        let target = self.check(target)?;
        let value = self.bindings.fresh();
        if !self.bindings.assign(&target.kind, &Type::optional(value.clone())) {
            let found = self.shown(&target.kind);
            return Err(Fault::new(at, format!("only an optional has this, not {found}; ask by .?name")));
        }
        let value = self.bindings.substitute(&value, false);
        self.locals.push((name.to_owned(), value));
        let checked = self.check(body);
        self.locals.pop();
        let Checked { kind, node } = checked?;
        let kind = if flat {
            let none = Type::optional(self.bindings.fresh());
            if !self.bindings.assign(&kind, &none) {
                let found = self.shown(&kind);
                return Err(Fault::new(
                    body.at,
                    format!("optFlatMap() gives an optional, found {found}; use optMap()"),
                ));
            }
            most_general(&kind, &none).clone()
        } else {
            Type::optional(kind)
        };
        Ok(Checked { kind, node: Node::OptionalMap(Box::new([target.node, node]), flat) })
    }
}

/// The name that a macro binds.
fn variable(argument: &Expr) -> Result<&str, Fault> {
    match &argument.kind {
        Kind::Identifier { name, absolute: false } => Ok(name),
        _ => Err(Fault::new(argument.at, "a macro's variable is a simple name")),
    }
}

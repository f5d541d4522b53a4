//! Programs to values. Every step is paid for before it is taken; errors are values until something needs them.

mod access;
mod fold;

use super::{
    Budget, EvaluationError, Map, Type, Value,
    equality::same_key,
    program::{Call, Comparison, Element, Entry, Node},
};

/// What a program computes over `root`, which is `claims` or `user`.
pub(super) fn run(node: &Node, root: &Value, budget: &mut Budget) -> Result<Value, EvaluationError> {
    Evaluation { root, locals: Vec::new(), budget }.evaluate(node)
}

/// The value of a node made of constants alone; `None` if it has none.
pub(super) fn constant(node: &Node, budget: &mut Budget) -> Option<Value> {
    Evaluation { root: &Value::Null, locals: Vec::new(), budget }.evaluate(node).ok()
}

/// One evaluation.
struct Evaluation<'a> {
    root: &'a Value,
    /// The values of the variables of the macros around, outermost first.
    locals: Vec<Value>,
    budget: &'a mut Budget,
}

impl Evaluation<'_> {
    fn evaluate(&mut self, node: &Node) -> Result<Value, EvaluationError> {
        self.budget.spend(1)?;
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Root => Ok(self.root.clone()),
            // The checker counts the places, so each is there.
            Node::Local(place) => self.locals.get(*place).cloned().ok_or(EvaluationError::NoSuchKey),
            Node::Select(select) => self.select(select),
            Node::Index(index) => self.index(index),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Not(operand) => match self.evaluate(operand)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                _ => Err(EvaluationError::NoSuchOverload("`!`")),
            },
            Node::And(parts) => self.connected(parts, false),
            Node::Or(parts) => self.connected(parts, true),
            Node::Conditional(parts) => self.conditional(parts),
            Node::Equal(pair, negated) => {
                let (left, right) = self.pair(pair)?;
                Ok(Value::Bool(left.equals(&right, self.budget)? != *negated))
            }
            Node::Compare(pair, comparison) => self.compare(pair, *comparison),
            Node::In(pair) => self.contains(pair),
            Node::Call(call) => self.call(call),
            Node::Matches(parts) => {
                let (text, pattern) = &**parts;
                match self.evaluate(text)? {
                    Value::String(text) => Ok(Value::Bool(pattern.search(&text, self.budget)?.is_match(&text))),
                    _ => Err(EvaluationError::NoSuchOverload("`matches`")),
                }
            }
            Node::OptionalOr(pair, unwrap) => self.optional_or(pair, *unwrap),
            Node::OptionalMap(pair, flat) => self.optional_map(pair, *flat),
            Node::Fold(fold) => self.fold(fold),
        }
    }

    /// `&&` (`decisive` false) or `||` (`decisive` true): one decisive part decides, whatever the others are or however
    /// they fail (cel-spec, "Logical operators").
    fn connected(&mut self, parts: &[Node], decisive: bool) -> Result<Value, EvaluationError> {
        let mut outcome = Ok(Value::Bool(!decisive));
        for part in parts {
            match self.truth(part) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(error) => absorb(&mut outcome, error)?,
            }
        }
        outcome
    }

    /// The value of a part that must be true or false.
    fn truth(&mut self, part: &Node) -> Result<bool, EvaluationError> {
        match self.evaluate(part)? {
            Value::Bool(value) => Ok(value),
            _ => Err(EvaluationError::NoSuchOverload("a condition")),
        }
    }

    fn conditional(&mut self, parts: &[Node; 3]) -> Result<Value, EvaluationError> {
        let [condition, then, otherwise] = parts;
        if self.truth(condition)? { self.evaluate(then) } else { self.evaluate(otherwise) }
    }

    fn pair(&mut self, pair: &[Node; 2]) -> Result<(Value, Value), EvaluationError> {
        let left = self.evaluate(&pair[0])?;
        Ok((left, self.evaluate(&pair[1])?))
    }

    fn compare(&mut self, pair: &[Node; 2], comparison: Comparison) -> Result<Value, EvaluationError> {
        let (left, right) = self.pair(pair)?;
        let order = left.compare(&right, self.budget)?;
        let order = order.ok_or(EvaluationError::BadArgument("NaN cannot be compared"))?;
        Ok(Value::Bool(match comparison {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }))
    }

    fn list(&mut self, elements: &[Element]) -> Result<Value, EvaluationError> {
        self.budget.build_elements(elements.len())?;
        let mut list = Vec::with_capacity(elements.len());
        for element in elements {
            let value = self.evaluate(&element.value)?;
            list.extend(if element.optional { present(value)? } else { Some(value) });
        }
        Ok(list.into())
    }

    fn map(&mut self, entries: &[Entry]) -> Result<Value, EvaluationError> {
        self.budget.build_elements(entries.len().saturating_mul(2))?;
        let mut map = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = self.evaluate(&entry.key)?;
            let value = self.evaluate(&entry.value)?;
            let Some(value) = (if entry.optional { present(value)? } else { Some(value) }) else {
                continue;
            };
            // Of two entries with one key the later counts, as in cel-go.
            match self.place(&map, &key)? {
                Some(place) => map[place] = (key, value),
                None => map.push((key, value)),
            }
        }
        Ok(Value::Map(map.into_iter().collect::<Map>().into()))
    }

    /// Adds an entry whose key must be new.
    fn insert(&mut self, map: &mut Vec<(Value, Value)>, key: Value, value: Value) -> Result<(), EvaluationError> {
        if self.place(map, &key)?.is_some() {
            return Err(EvaluationError::DuplicateKey);
        }
        map.push((key, value));
        Ok(())
    }

    /// Where an entry with this key stands.
    fn place(&mut self, map: &[(Value, Value)], key: &Value) -> Result<Option<usize>, EvaluationError> {
        if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::String(_)) {
            return Err(EvaluationError::NoSuchOverload("a map's key"));
        }
        self.budget.spend((map.len() as u64).div_ceil(4))?;
        Ok(map.iter().position(|(held, _)| same_key(held, key)))
    }

    fn call(&mut self, call: &Call) -> Result<Value, EvaluationError> {
        let mut few = [const { Value::Null }; 3];
        let mut many = Vec::new();
        let arguments = if let Some(few) = few.get_mut(..call.arguments.len()) {
            few
        } else {
            many.resize(call.arguments.len(), Value::Null);
            many.as_mut_slice()
        };
        for (argument, node) in arguments.iter_mut().zip(&call.arguments) {
            *argument = self.evaluate(node)?;
        }
        for overload in &call.candidates {
            if overload.parameters.iter().zip(arguments.iter()).all(|(kind, value)| takes(kind, value)) {
                return (overload.call)(arguments, self.budget);
            }
        }
        Err(EvaluationError::NoSuchOverload(call.function))
    }

    fn optional_or(&mut self, pair: &[Node; 2], unwrap: bool) -> Result<Value, EvaluationError> {
        match self.evaluate(&pair[0])? {
            Value::Optional(Some(value)) if unwrap => Ok(value.as_ref().clone()),
            Value::Optional(None) => self.evaluate(&pair[1]),
            Value::Optional(value) => Ok(Value::Optional(value)),
            _ => Err(EvaluationError::NoSuchOverload("`or`")),
        }
    }

    fn optional_map(&mut self, pair: &[Node; 2], flat: bool) -> Result<Value, EvaluationError> {
        let value = match self.evaluate(&pair[0])? {
            Value::Optional(Some(value)) => value.as_ref().clone(),
            Value::Optional(None) => return Ok(Value::Optional(None)),
            _ => return Err(EvaluationError::NoSuchOverload("`optMap`")),
        };
        self.locals.push(value);
        let mapped = self.evaluate(&pair[1]);
        self.locals.pop();
        mapped.map(|value| if flat { value } else { Value::Optional(Some(value.into())) })
    }
}

/// Keeps the first error of a connective or quantifier, in case that nothing decides it.
///
/// # Errors
/// What no operator may hide: the budget's end.
fn absorb(outcome: &mut Result<Value, EvaluationError>, error: EvaluationError) -> Result<(), EvaluationError> {
    if matches!(error, EvaluationError::TooCostly | EvaluationError::TooLarge) {
        return Err(error);
    }
    if outcome.is_ok() {
        *outcome = Err(error);
    }
    Ok(())
}

/// The value of an optional element, if it has one.
fn present(value: Value) -> Result<Option<Value>, EvaluationError> {
    match value {
        Value::Optional(value) => Ok(value.map(|value| value.as_ref().clone())),
        _ => Err(EvaluationError::NoSuchOverload("an optional element")),
    }
}

/// Whether a parameter of type `kind` takes `value`.
fn takes(kind: &Type, value: &Value) -> bool {
    match (kind, value) {
        (Type::Dyn | Type::Any | Type::Parameter(_), _)
        | (Type::Null, Value::Null)
        | (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(_))
        | (Type::Uint, Value::Uint(_))
        | (Type::Double, Value::Double(_))
        | (Type::String, Value::String(_))
        | (Type::Bytes, Value::Bytes(_))
        | (Type::Duration, Value::Duration(_))
        | (Type::Timestamp, Value::Timestamp(_))
        | (Type::Type(_), Value::Type(_))
        | (Type::Optional(_), Value::Optional(None)) => true,
        (Type::Opaque(name), Value::Opaque(value)) => value.type_name() == *name,
        (Type::Optional(kind), Value::Optional(Some(value))) => takes(kind, value),
        (Type::List(kind), Value::List(_)) if matches!(**kind, Type::Dyn | Type::Parameter(_)) => true,
        // As cel-go, by the first element: a function that meets another kind of element among the rest says so itself.
        (Type::List(kind), Value::List(elements)) => elements.first().is_none_or(|first| takes(kind, first)),
        // Whole tokens and users have no size and are no argument (kube-apiserver's lazy map).
        (Type::Map(..), Value::Map(map)) => map.keys() != super::map::Keys::Root,
        _ => false,
    }
}

#[cfg(test)]
mod tests;

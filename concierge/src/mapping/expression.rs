//! Expressions over claims and users: what they see of a token, and what may come of them.
//!
//! What a mapping may give is kube-apiserver's rule (kubernetes-authn 2.1): for groups and extra `""`, `[]` and `null` mean
//! that there is nothing, and empty strings in a list are dropped.

use std::{cell::OnceCell, fmt, sync::Arc};

use super::{MAX_GROUPS, Refusal, User};
use crate::{
    cel::{EvaluationError, Expression, Map, Value, Variables},
    jwt::{Json, Step, VerifiedClaims},
};

/// The claims as expressions see them: converted at the first expression, then shared by all, and not at all for an
/// authenticator without expressions.
pub(super) struct Claims<'a> {
    claims: &'a VerifiedClaims,
    variables: OnceCell<Variables>,
}

/// A rule that is false, or has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFailure {
    /// The rule.
    pub expression: String,
    /// What the administrator says of it.
    pub message: Option<String>,
    /// Why it has no answer; `None`: its answer is no.
    pub error: Option<EvaluationError>,
}

/// Why nothing can be made of a mapping expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingProblem {
    /// It has no value.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Its value is of a type that cannot be what it is mapped to.
    #[error("is {found}, expected {expected}")]
    WrongType {
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl<'a> Claims<'a> {
    pub(super) const fn new(claims: &'a VerifiedClaims) -> Self {
        Self { claims, variables: OnceCell::new() }
    }

    /// Whether the rule holds; an error is a no.
    pub(super) fn require(&self, rule: &Expression, message: Option<&str>) -> Result<(), Refusal> {
        holds(rule, message, self.variables()).map_err(Refusal::ClaimRuleFailed)
    }

    /// A username or uid: a string.
    pub(super) fn text(&self, mapping: &Expression, step: Step) -> Result<String, Refusal> {
        match self.evaluate(mapping, step)? {
            Value::String(text) => Ok(text.as_ref().to_owned()),
            other => Err(wrong(mapping, &other, "a string", step)),
        }
    }

    /// Groups.
    pub(super) fn groups(&self, mapping: &Expression) -> Result<Vec<String>, Refusal> {
        let groups = self.texts(mapping, Step::Groups)?;
        if groups.len() > MAX_GROUPS {
            return Err(Refusal::TooManyGroups { found: groups.len() });
        }
        Ok(groups)
    }

    /// Groups or the values of an extra attribute: a string, a list of strings, or nothing.
    pub(super) fn texts(&self, mapping: &Expression, step: Step) -> Result<Vec<String>, Refusal> {
        const EXPECTED: &str = "a string, a list of strings or null";
        let value = self.evaluate(mapping, step)?;
        let values = match &value {
            Value::Null => return Ok(Vec::new()),
            one @ Value::String(_) => std::slice::from_ref(one),
            Value::List(list) => list,
            other => return Err(wrong(mapping, other, EXPECTED, step)),
        };
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            match value.as_str() {
                Some("") => {}
                Some(text) => texts.push(text.to_owned()),
                None => return Err(wrong(mapping, value, "a string in the list", step)),
            }
        }
        Ok(texts)
    }

    fn evaluate(&self, mapping: &Expression, step: Step) -> Result<Value, Refusal> {
        mapping.evaluate(self.variables()).map_err(|error| failed(mapping, error.into(), step))
    }

    fn variables(&self) -> &Variables {
        self.variables.get_or_init(|| {
            Variables::of_claims(self.claims.members().iter().map(|(name, json)| (Arc::from(name), value(json))))
        })
    }
}

/// `userValidationRules`: whether each holds for `user`, in order.
pub(super) fn check_user(user: &User, rules: &[super::UserRule]) -> Result<(), Refusal> {
    if rules.is_empty() {
        return Ok(());
    }
    let variables = Variables::of_user(
        user.username().as_str(),
        user.uid().unwrap_or_default(),
        user.groups().iter().map(super::GroupName::as_str),
        user.extra().iter().map(|(key, values)| (key.as_str(), values.as_slice())),
    );
    rules.iter().try_for_each(|rule| {
        holds(&rule.expression, rule.message.as_deref(), &variables).map_err(Refusal::UserRuleFailed)
    })
}

fn holds(rule: &Expression, message: Option<&str>, variables: &Variables) -> Result<(), RuleFailure> {
    let error = match rule.holds(variables) {
        Ok(true) => return Ok(()),
        Ok(false) => None,
        Err(error) => Some(error),
    };
    Err(RuleFailure { expression: rule.source().to_owned(), message: message.map(str::to_owned), error })
}

fn wrong(mapping: &Expression, found: &Value, expected: &'static str, step: Step) -> Refusal {
    failed(mapping, MappingProblem::WrongType { found: found.type_of().to_string(), expected }, step)
}

fn failed(mapping: &Expression, problem: MappingProblem, step: Step) -> Refusal {
    Refusal::MappingFailed { expression: mapping.source().to_owned(), problem, step }
}

/// A claim's value: numbers are doubles, as kube-apiserver decodes them.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        // Every number that the strict parser keeps is a finite double.
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or_default()),
        Json::String(text) => text.as_str().into(),
        Json::Array(list) => list.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, json)| (name.into(), value(json))).collect();
            Value::Map(Map::of_json(members).into())
        }
    }
}

impl fmt::Display for RuleFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {:?}", self.expression)?;
        match &self.error {
            None => f.write_str(" does not hold")?,
            Some(error) => write!(f, " has no answer: {error}")?,
        }
        self.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

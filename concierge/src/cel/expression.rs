//! What the other rooms see of an expression: compile it once, ask it for each token.

use std::{fmt, sync::Arc};

use super::{
    Budget, CompileError, EvaluationError, Type, Value, Variables, check, compile_error::Fault, evaluate, syntax,
};

/// Which variable an expression sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `claims`, a `map(string, any)`: the claims of a verified token.
    Claims,
    /// `user`, a `kubernetes.UserInfo`: what the token was mapped to.
    User,
}

/// What a mapping expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The user's name: a string.
    Username,
    /// The user's groups: a string, a list of strings, or null.
    Groups,
    /// The user's stable identity: a string.
    Uid,
    /// Values under one key of the user's extra: a string, a list of strings, or null.
    Extra,
}

/// A compiled expression. Cloning is cheap. Two are equal if their sources are.
#[derive(Clone)]
pub struct Expression(Arc<Inner>);

struct Inner {
    source: String,
    scope: Scope,
    program: check::Program,
}

impl Expression {
    /// Compiles a rule. Its type must be exactly bool, as in kube-apiserver: `claims.flag` is `any` and is refused,
    /// `claims.flag == true` is a rule.
    ///
    /// # Errors
    /// Why the source is no rule, and how to mend it.
    pub fn rule(scope: Scope, source: &str) -> Result<Self, CompileError> {
        Self::compile(scope, source, |kind| match kind {
            Type::Bool => Ok(()),
            Type::Dyn | Type::Any => {
                Err(format!("a rule must be a bool, and this may be anything ({kind}); compare it: (...) == true"))
            }
            other => Err(format!("a rule must be a bool, and this is {other}")),
        })
    }

    /// Compiles a mapping over claims. Its type must be one that can be what it is mapped to; a claim may be anything, so
    /// what comes out is judged again for each token.
    ///
    /// # Errors
    /// Why the source is no such mapping, and how to mend it.
    pub fn mapping(target: Target, source: &str) -> Result<Self, CompileError> {
        Self::compile(Scope::Claims, source, |kind| {
            let text = |kind: &Type| matches!(kind, Type::String | Type::Dyn | Type::Any);
            match target {
                Target::Username | Target::Uid if text(kind) => Ok(()),
                Target::Username => Err(format!("a username must be a string, and this is {kind}")),
                Target::Uid => Err(format!("a uid must be a string, and this is {kind}")),
                Target::Groups | Target::Extra => match kind {
                    Type::Null => Ok(()),
                    Type::List(element) if text(element) => Ok(()),
                    kind if text(kind) => Ok(()),
                    other => Err(format!("here a string or a list of strings is needed, and this is {other}")),
                },
            }
        })
    }

    fn compile(
        scope: Scope,
        source: &str,
        accept: impl FnOnce(&Type) -> Result<(), String>,
    ) -> Result<Self, CompileError> {
        let compiled = syntax::parse(source).and_then(|tree| {
            let program = check::check(&tree, scope)?;
            accept(&program.kind).map_err(|message| Fault::new(0, message))?;
            Ok(program)
        });
        match compiled {
            Ok(program) => Ok(Self(Arc::new(Inner { source: source.to_owned(), scope, program }))),
            Err(fault) => Err(CompileError::at(source, fault.at, fault.message)),
        }
    }

    /// The source text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Which variable it sees.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.0.scope
    }

    /// Whether it names a claim of the token: `claims.name`, `claims.?name`, `has(claims.name)`, `claims["name"]`,
    /// `claims[?"name"]`, however deep inside. A member of another claim (`claims.other.claims.name`) is not meant, nor
    /// an index that is computed.
    #[must_use]
    pub fn mentions_claim(&self, name: &str) -> bool {
        self.0.program.mentioned.contains(name)
    }

    /// Its value over the variables of one token. What it costs is taken from the token's own allowance too.
    ///
    /// # Errors
    /// Why it has none; never what the token says.
    pub fn evaluate(&self, variables: &Variables) -> Result<Value, EvaluationError> {
        let program = &self.0.program;
        let mut budget = Budget::granted(variables.allowance(), program.patterns.clone());
        let value = evaluate::run(&program.node, variables.root(), &mut budget);
        variables.charge(budget.spent());
        value
    }

    /// Whether a rule holds.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn holds(&self, variables: &Variables) -> Result<bool, EvaluationError> {
        match self.evaluate(variables)? {
            Value::Bool(holds) => Ok(holds),
            _ => Err(EvaluationError::NoSuchOverload("a rule")),
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        (self.0.scope, &self.0.source) == (other.0.scope, &other.0.source)
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.0.source).finish()
    }
}

impl Scope {
    /// The name of the variable.
    pub(super) const fn variable(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::User => "user",
        }
    }

    /// Its type.
    pub(super) fn type_of_variable(self) -> Type {
        match self {
            Self::Claims => Type::map(Type::String, Type::Any),
            Self::User => Type::Object("kubernetes.UserInfo"),
        }
    }
}

#[cfg(test)]
mod tests;

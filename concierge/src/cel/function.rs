//! How a library declares its functions: one overload is one name with one list of parameter types.

use super::{Budget, EvaluationError, Type, Value};

/// One overload of one function. `a.split(',')` and `split(a, ',')` are two different things: the first is a member.
#[derive(Clone, Debug)]
pub struct Overload {
    /// The name, with its namespace if it has one: `split`, `sets.contains`, `ip.isCanonical`.
    pub function: &'static str,
    /// Whether the first parameter stands before the dot.
    pub member: bool,
    /// The types of the parameters, the receiver first.
    pub parameters: Vec<Type>,
    /// The type of what comes back.
    pub result: Type,
    /// Does the work. It is called only with values of the declared types; a [`Type::Dyn`], [`Type::Any`] or
    /// [`Type::Parameter`] may be anything.
    pub call: Call,
}

/// The work of a function. It pays from the budget before it works or builds.
pub type Call = fn(&[Value], &mut Budget) -> Result<Value, EvaluationError>;

impl Overload {
    /// `function(parameters...)`.
    #[must_use]
    pub fn global<const N: usize>(function: &'static str, parameters: [Type; N], result: Type, call: Call) -> Self {
        Self { function, member: false, parameters: parameters.into(), result, call }
    }

    /// `parameters[0].function(parameters[1..]...)`.
    #[must_use]
    pub fn member<const N: usize>(function: &'static str, parameters: [Type; N], result: Type, call: Call) -> Self {
        Self { function, member: true, parameters: parameters.into(), result, call }
    }
}

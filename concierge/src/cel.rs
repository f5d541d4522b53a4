//! Kubernetes' CEL: expressions over claims and users, compiled once, checked for their type, and bounded in cost.
//!
//! All of it is ours: the `cel` crate has no type check, no cost limit, little of Kubernetes' library, and a parser whose
//! stack a long expression can exhaust. Its grammar is what our parser is held against in tests.
//!
//! ```text
//! source -> syntax (tree) -> check (program: types, overloads, constants) -> Expression
//! claims or user -> Variables;   Expression + Variables -> evaluate (within a budget) -> Value
//! ```
//!
//! | file | duty |
//! |---|---|
//! | `expression`, `variables`, `compile_error` | what other rooms use |
//! | `syntax`, `check`, `program`, `evaluate` | from text to value |
//! | `value`, `map`, `opaque`, `types` | what expressions compute with, and its types |
//! | `timestamp`, `duration`, `calendar`, `zone` | times, lengths of time, and how they are written |
//! | `number`, `names`, `pattern` | doubles as text, escaped names, regular expressions, all as in Go |
//! | `quantity` | Kubernetes' numbers with units |
//! | `equality`, `ordering` | which values are equal, and which is the less |
//! | `function`, `library` | how functions are declared, and all of them, one file a library |
//! | `budget`, `error` | what one evaluation may cost, and why it has no value |

pub mod budget;
mod calendar;
mod check;
mod compile_error;
mod duration;
mod equality;
mod error;
mod evaluate;
mod expression;
mod function;
pub mod library;
mod map;
mod names;
mod number;
mod opaque;
mod ordering;
mod pattern;
mod program;
mod quantity;
mod syntax;
mod timestamp;
mod types;
mod value;
mod variables;
mod zone;

pub use self::{
    budget::Budget,
    compile_error::CompileError,
    error::EvaluationError,
    expression::{Expression, Scope, Target},
    function::{Call, Overload},
    map::Map,
    opaque::Opaque,
    pattern::Pattern,
    timestamp::Timestamp,
    types::Type,
    value::Value,
    variables::Variables,
};

//! Kubernetes' CEL: expressions over claims and users, compiled once, checked for their type, and bounded in cost.
//!
//! The `cel` crate parses (syntax and standard macros); types, functions, evaluation and budget are here, because the
//! crate has no type check, no cost limit and little of Kubernetes' library.
//!
//! | file | duty |
//! |---|---|
//! | `value`, `map`, `opaque`, `types` | what expressions compute with, and its types |
//! | `timestamp`, `duration`, `calendar`, `zone` | times, lengths of time, and how they are written |
//! | `equality`, `ordering` | which values are equal, and which is the less |
//! | `function`, `library` | how functions are declared, and all of them, one file a library |
//! | `budget`, `error` | what one evaluation may cost, and why it has no value |

pub mod budget;
mod calendar;
mod duration;
mod equality;
mod error;
mod function;
pub mod library;
mod map;
mod opaque;
mod ordering;
mod timestamp;
mod types;
mod value;
mod zone;

pub use self::{
    budget::Budget,
    error::EvaluationError,
    function::{Call, Overload},
    map::Map,
    opaque::Opaque,
    timestamp::Timestamp,
    types::Type,
    value::Value,
};

//! The record: what happened, to whom, why, and where it is written. Never a token in it.

pub mod chain;
pub mod checkpoint;
pub mod event;
pub mod folding;
pub mod otel;
pub mod rejections;
pub mod sink;
pub mod verify;

//! The record: what happened, to whom, why, and where it is written. Never a token in it.

pub mod chain;
pub mod checkpoint;
pub mod commands;
pub mod event;
pub mod folding;
pub mod follow;
pub mod otel;
pub mod read;
pub mod rejections;
pub mod show;
pub mod sink;
pub mod verify;

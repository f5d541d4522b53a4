//! Moving to Latchkey and back: what `convert` makes is held against kube-apiserver, and the guides are followed.

mod guides;
mod verdicts;

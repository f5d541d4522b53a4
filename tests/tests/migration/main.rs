//! Moving to Latchkey and back: what `convert` makes is held against kube-apiserver.

mod verdicts;

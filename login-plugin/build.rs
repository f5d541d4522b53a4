//! Links a release of the plugin for a quick start.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // At a fixed address, as kubectl and all of Go's programs are. A movable program has thousands of addresses in its
        // tables, which the loader writes anew at each start: each page of them is a page fault and a copy, and together they
        // cost more than everything that the plugin does on its warm path. Heap, stack and libraries still move.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

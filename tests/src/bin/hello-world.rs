//! The least that a program in Rust costs: a yardstick of the benchmarks.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "hello, world")
}

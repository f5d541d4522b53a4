//! The benchmarks: each figure beside a yardstick measured in the same run, never an absolute time alone.

mod judging;
mod row;

use std::{fs, path::PathBuf};

use anyhow::{Result, bail};
use clap::Parser;

use self::row::Row;

/// Measure Latchkey and print a table: figure, yardstick, goal, and whether the goal holds.
#[derive(Parser)]
struct Args {
    /// Only the benchmarks whose group has this name: judging
    name: Option<String>,
    /// Also write the rows as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Benchmarks that share their material, by the name they are asked for.
type Group = (&'static str, fn() -> Result<Vec<Row>>);

fn main() -> Result<()> {
    let args = Args::parse();
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; its figures say nothing (use --release)");
    }
    let groups: [Group; 1] = [("judging", judging::run)];
    let mut rows = Vec::new();
    for (name, run) in groups {
        if args.name.as_deref().is_none_or(|wanted| wanted == name) {
            eprintln!("measuring {name} ...");
            rows.extend(run()?);
        }
    }
    if rows.is_empty() {
        let names: Vec<&str> = groups.iter().map(|(name, _)| *name).collect();
        bail!("no benchmark of that name; there are: {}", names.join(", "));
    }
    print(&rows);
    if let Some(file) = args.json {
        fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is this program's data")]
fn print(rows: &[Row]) {
    println!("{:<38} {:>10} {:<4} {:<5}  yardstick, goal", "what", "figure", "unit", "holds");
    for row in rows {
        let holds = if row.holds { "yes" } else { "NO" };
        println!("{:<38} {:>10.2} {:<4} {holds:<5}  {}; {}", row.name, row.figure, row.unit, row.yardstick, row.goal);
    }
}

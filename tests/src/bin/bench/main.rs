//! The benchmarks: each figure beside a yardstick measured in the same run, never an absolute time alone.

mod audit;
mod exchange;
mod idle;
mod judging;
mod plugin;
mod review;
mod row;
mod stand;

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use self::{row::Row, stand::Stand};

/// Measure Latchkey and print a table: figure, yardstick, goal, and whether the goal holds.
#[derive(Parser)]
struct Args {
    /// Only this benchmark
    name: Option<Name>,
    /// Also write the rows as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Judging a token, against the bare signature verification
    Judging,
    /// The audit log: its chain and verification against plain SHA-256, and what recording adds to an exchange
    Audit,
    /// Memory of a concierge at rest
    Idle,
    /// The plugin's warm call
    Plugin,
    /// Exchanges through the API server's aggregation layer
    Exchange,
    /// Token reviews, against kube-apiserver's own JWT authentication
    Review,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build; its figures say nothing (use --release)");
    }
    let wanted = |name: Name| args.name.is_none_or(|only| only == name);
    let mut rows = Vec::new();
    if wanted(Name::Judging) {
        eprintln!("judging ...");
        rows.extend(judging::run()?);
    }
    if wanted(Name::Audit) {
        eprintln!("audit ...");
        rows.extend(audit::run()?);
        rows.extend(audit::recording().await?);
    }
    if [Name::Idle, Name::Plugin, Name::Exchange, Name::Review].into_iter().any(wanted) {
        eprintln!("starting a cluster, an issuer and a concierge ...");
        let stand = Stand::start().await?;
        if wanted(Name::Idle) {
            rows.extend(idle::run(&stand)?);
        }
        if wanted(Name::Plugin) {
            eprintln!("plugin ...");
            rows.extend(plugin::run(&stand).await?);
        }
        if wanted(Name::Exchange) {
            eprintln!("exchange ...");
            rows.extend(exchange::run(&stand).await?);
        }
        if wanted(Name::Review) {
            eprintln!("review ...");
            rows.extend(review::run(&stand).await?);
        }
    }
    ensure!(!rows.is_empty(), "nothing was measured");
    print(&rows);
    if let Some(file) = args.json {
        fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is this program's data")]
fn print(rows: &[Row]) {
    println!("{:<36} {:>10} {:<4} {:<5}  yardstick; goal", "what", "figure", "unit", "holds");
    for row in rows {
        let holds = if row.holds { "yes" } else { "NO" };
        println!("{:<36} {:>10.2} {:<4} {holds:<5}  {}; {}", row.name, row.figure, row.unit, row.yardstick, row.goal);
    }
}

//! Writes the files of `deploy/` that follow from others; `--check` only says which ones are not what they should be.

use std::process::ExitCode;

use anyhow::Result;
use latchkey_e2e::deploygen::Written;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "what differs is what it is asked for")]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check"] => true,
        _ => {
            eprintln!("usage: cargo deploygen [--check]");
            return Ok(ExitCode::from(64));
        }
    };
    let written = Written::make().await?;
    let differences = written.differences()?;
    for difference in &differences {
        println!("{difference}");
    }
    if check {
        return Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    written.write()?;
    Ok(ExitCode::SUCCESS)
}

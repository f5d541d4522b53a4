//! Stands in for a browser and the person before it: opens a URL, fills in the login form, follows the redirects.

use std::{fs, path::PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;
use latchkey_e2e::login::Login;

/// Log in at the test issuer as a person would.
#[derive(Parser)]
struct Args {
    /// PEM file of the issuer's CA
    #[arg(long)]
    ca: PathBuf,
    /// Who logs in
    #[arg(long)]
    user: String,
    /// With which password
    #[arg(long)]
    password: String,
    /// The page that a browser would be sent to
    url: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let login = Login::new(&fs::read_to_string(args.ca)?)?;
    let (status, _) = login.complete(&args.url, &args.user, &args.password).await?;
    ensure!(status.is_success(), "the last page of the login has status {status}");
    Ok(())
}

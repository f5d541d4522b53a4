//! The cluster's etcd: one member, its data thrown away.

use std::path::Path;

use anyhow::Result;

use super::START_LIMIT;
use crate::{child::Child, folder::TempFolder, place::Place};

/// Ports to try: another process may bind a free port before etcd does.
const TRIES: usize = 5;

pub(super) struct Etcd {
    child: Child,
    url: String,
    health: String,
}

impl Etcd {
    /// Starts etcd and waits for its `/health`.
    pub(super) async fn start(program: &Path, folder: &TempFolder, place: &Place) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let mut etcd = Self::spawn(program, folder, place, attempt)?;
            match etcd.healthy().await {
                Ok(()) => return Ok(etcd),
                Err(error) if attempt < TRIES && etcd.child.last_words().contains("address already in use") => {
                    eprintln!("etcd's port was taken meanwhile, trying another: {}", error.root_cause());
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// `http://127.0.0.1:port`, in a node too: who reaches it may do everything.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    fn spawn(program: &Path, folder: &TempFolder, place: &Place, attempt: usize) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", place.port(2379)?);
        let mut command = place.command(program);
        // From outside a node nobody reaches its loopback, so its health has an address of its own.
        let health = if place.is_node() { format!("http://{}:2381", place.address()) } else { url.clone() };
        if place.is_node() {
            command.arg(format!("--listen-metrics-urls={health}"));
        }
        command
            .arg(format!("--data-dir={}", folder.path().join(format!("etcd-{attempt}")).display()))
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            // Nobody joins; port 0 keeps two clusters apart.
            .arg("--listen-peer-urls=http://127.0.0.1:0")
            // The data is thrown away: waiting for the disk would buy nothing.
            .args(["--unsafe-no-fsync", "--log-level=warn"]);
        let child = Child::spawn(&format!("etcd-{attempt}"), command, folder.path())?;
        Ok(Self { child, url, health })
    }

    async fn healthy(&mut self) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        self.child.answers(&http, &format!("{}/health", self.health), START_LIMIT).await
    }
}

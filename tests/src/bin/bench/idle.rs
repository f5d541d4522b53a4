//! What a concierge costs while nobody logs in.

use anyhow::Result;

use super::{row::Row, stand::Stand};

/// Resident memory after the cluster has come to rest.
pub(crate) fn run(stand: &Stand) -> Result<Vec<Row>> {
    Ok(vec![Row::bound("idle memory of the concierge", "MiB", stand.concierge_rss_mib()?, 20.0)])
}

//! What seals the audit log and names people in it: keys from the Secret or from files, and
//! the heads of other replicas.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use tokio::sync::watch;

use crate::{
    audit::{
        checkpoint::Keys,
        event::{Names, OtherHead, Privacy},
    },
    config::AuditKeys,
    controllers::audit_key::{self, KeyFault},
};

/// Where the sinks and the recorder look; who writes holds a clone.
#[derive(Clone, Debug)]
pub(super) struct Seals {
    pub(super) names: Names,
    pub(super) keys: watch::Sender<Option<Arc<Keys>>>,
    pub(super) privacy: watch::Sender<Privacy>,
    pub(super) others: watch::Sender<Arc<[OtherHead]>>,
}

/// A key is a few hundred bytes; what is far longer is another file.
const FILE_LIMIT: u64 = 16 * 1024;

impl Seals {
    /// Reads the keys that come from files. With an API server they are in a Secret instead, which all replicas share.
    pub(super) async fn open(settings: &AuditKeys, has_api_server: bool) -> Result<Self, anyhow::Error> {
        let AuditKeys { names, names_key, signing_key } = settings;
        let from_files = names_key.is_some() || signing_key.is_some();
        if has_api_server && from_files {
            anyhow::bail!(
                "--audit-signing-key and --audit-names-key are for a concierge without an API server; with one the keys \
                 stand in the Secret {}, where they can be replaced",
                audit_key::NAME
            );
        }
        let keys = read(signing_key.as_deref(), "--audit-signing-key", audit_key::signing_key).await?;
        let name_key = read(names_key.as_deref(), "--audit-names-key", audit_key::name_key).await?;
        if !has_api_server && keys.is_none() {
            tracing::warn!(
                "Audit checkpoints are not signed: without --audit-signing-key the log shows what was changed in its \
                 middle, but not that its end was cut off or that it was written anew"
            );
        }
        Ok(Self {
            names: *names,
            keys: watch::Sender::new(keys.map(Arc::new)),
            privacy: watch::Sender::new(Privacy::new(*names, name_key)),
            others: watch::Sender::new(Arc::default()),
        })
    }
}

async fn read<T>(
    file: Option<&Path>,
    flag: &'static str,
    read: fn(&[u8]) -> Result<T, KeyFault>,
) -> Result<Option<T>, anyhow::Error> {
    let Some(file) = file else { return Ok(None) };
    let about = || format!("{flag} {}", file.display());
    let size = tokio::fs::metadata(file).await.with_context(about)?.len();
    anyhow::ensure!(size <= FILE_LIMIT, "{}: {size} bytes, expected at most {FILE_LIMIT}", about());
    let bytes = zeroize::Zeroizing::new(tokio::fs::read(file).await.with_context(about)?);
    read(&bytes).map(Some).with_context(about)
}

//! The flags of what seals the audit log and names people in it.

use std::path::PathBuf;

use crate::{audit::event::Names, config::AuditKeys};

/// By what the log is signed, and how people are named.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct AuditKeyArgs {
    /// How people are named in audit records: `plain` (as they are), `balanced` (as they are where a token of another
    /// cluster was shown, else by a keyed hash that still joins), `hashed`, or `off`.
    #[arg(long = "audit-names", env = "LATCHKEY_AUDIT_NAMES", value_name = "HOW", default_value_t)]
    names: Names,

    /// Without an API server: the key by which names are hashed, 32 bytes or more, such as `openssl rand -hex 32` writes.
    /// Clusters that share it write the same word for the same person. With an API server it stands in the Secret
    /// latchkey-audit-key.
    #[arg(long = "audit-names-key", env = "LATCHKEY_AUDIT_NAMES_KEY", value_name = "FILE")]
    names_key: Option<PathBuf>,

    /// Without an API server: the key that signs the audit log's checkpoints, as `openssl genpkey -algorithm ed25519`
    /// writes it (PKCS#8, PEM). Without it nothing is signed. With an API server the Secret latchkey-audit-key holds one,
    /// which the concierge makes and replaces.
    #[arg(long = "audit-signing-key", env = "LATCHKEY_AUDIT_SIGNING_KEY", value_name = "FILE")]
    signing_key: Option<PathBuf>,
}

impl From<AuditKeyArgs> for AuditKeys {
    fn from(typed: AuditKeyArgs) -> Self {
        let AuditKeyArgs { names, names_key, signing_key } = typed;
        Self { names, names_key, signing_key }
    }
}

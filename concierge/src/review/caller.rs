//! Who may ask: the API server, by its client certificate.

use std::sync::Arc;

use http::Extensions;
use tokio::sync::watch;

use super::respond::Problem;
use crate::{
    time::UnixTime,
    tls::client_chain::{CertificatePool, ClientChain},
};

/// The authorities of the moment, and whom of those whom they vouch for.
#[derive(Clone, Debug)]
pub struct Callers {
    pool: watch::Receiver<Arc<CertificatePool>>,
    names: Vec<String>,
}

impl Callers {
    /// Those with a certificate of `pool` for one of the common names `names`, or for any if there are none: then the
    /// authority must be one that signs for API servers only.
    #[must_use]
    pub const fn new(pool: watch::Receiver<Arc<CertificatePool>>, names: Vec<String>) -> Self {
        Self { pool, names }
    }

    pub(super) fn admit(&self, extensions: &Extensions, now: UnixTime) -> Result<(), Problem> {
        let chain = extensions.get::<ClientChain>().ok_or(Problem::NoCertificate)?;
        let leaf = self.pool.borrow().verify(chain, now).map_err(Problem::BadCertificate)?;
        if self.names.is_empty() || self.names.iter().any(|name| name == leaf.common_name()) {
            Ok(())
        } else {
            Err(Problem::OtherName)
        }
    }
}

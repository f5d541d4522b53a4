//! The files that the `TokenReview` listener is made of, read again as they change: a static pod has no API to keep its
//! certificates for it, and whoever rotates them does not restart us.

use std::{path::PathBuf, sync::Arc};

use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    runtime::metrics::Metrics,
    tls::{
        client_chain::{CertificatePool, PoolError},
        file_watch::{self, FileWatch},
        server::ServingCertificate,
        serving_files::{ServingFilesError, certified, read},
        validity::Validity,
    },
};

/// Where they are.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM bundle of the authorities that vouch for the API server.
    pub client_ca: PathBuf,
    /// Certificate chain and key, both PEM; `None`: the concierge's own serving certificate.
    pub serving: Option<(PathBuf, PathBuf)>,
}

/// What is in them, kept current by [`Watcher::run`].
#[derive(Debug)]
pub struct Loaded {
    /// The authorities.
    pub pool: watch::Receiver<Arc<CertificatePool>>,
    /// The serving certificate, if it comes from files.
    pub serving: Option<ServingCertificate>,
    /// Keeps both current.
    pub watcher: Watcher,
}

/// The task that looks at the files.
#[derive(Debug)]
pub struct Watcher {
    files: FileWatch<Files>,
    metrics: Metrics,
    pool: watch::Sender<Arc<CertificatePool>>,
    serving: watch::Sender<Option<Arc<CertifiedKey>>>,
}

/// Why the files cannot be used. No key is ever in it.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Not a bundle.
    #[error("{file}: {error}")]
    ClientCa {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: PoolError,
    },
    /// Cannot be read, or not a certificate and its key.
    #[error(transparent)]
    Serving(#[from] ServingFilesError),
}

/// Their bytes, the key's among them.
#[derive(PartialEq, Eq)]
pub struct Contents {
    client_ca: Vec<u8>,
    serving: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

/// What they mean.
pub struct Parsed {
    pool: Arc<CertificatePool>,
    /// When the first of the authorities ends.
    client_ca: Option<Validity>,
    serving: Option<Arc<CertifiedKey>>,
}

// === impl Files ===

impl Files {
    /// Reads them for the first time; `metrics` learns when each certificate in them ends.
    ///
    /// # Errors
    /// When one cannot be read, or is not what it should be.
    pub async fn load(self, metrics: Metrics) -> Result<Loaded, FilesError> {
        let (files, parsed) = FileWatch::begin(self).await?;
        parsed.tell(&metrics);
        let from_files = parsed.serving.is_some();
        let ((pool_sender, pool), (serving_sender, serving)) =
            (watch::channel(parsed.pool), watch::channel(parsed.serving));
        let watcher = Watcher { files, metrics, pool: pool_sender, serving: serving_sender };
        Ok(Loaded { pool, serving: from_files.then_some(serving), watcher })
    }
}

impl file_watch::Files for Files {
    const OF: &'static str = "the TokenReview listener";
    type Contents = Contents;
    type Parsed = Parsed;
    type Error = FilesError;

    async fn read(&self) -> Result<Contents, FilesError> {
        let serving = match &self.serving {
            Some((certificate, key)) => Some((read(certificate).await?, Zeroizing::new(read(key).await?))),
            None => None,
        };
        Ok(Contents { client_ca: read(&self.client_ca).await?, serving })
    }

    fn parse(&self, contents: &Contents) -> Result<Parsed, FilesError> {
        let pool = CertificatePool::from_pem(&String::from_utf8_lossy(&contents.client_ca))
            .map_err(|error| FilesError::ClientCa { file: self.client_ca.clone(), error })?;
        let serving = match (&self.serving, &contents.serving) {
            (Some((certificate, key)), Some((chain, secret))) => {
                let certified = certified(chain, secret).map_err(|why| ServingFilesError::Pair {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    why,
                })?;
                Some(Arc::new(certified))
            }
            _ => None,
        };
        let client_ca = Validity::of_bundle(&contents.client_ca);
        Ok(Parsed { pool: Arc::new(pool), client_ca, serving })
    }
}

// === impl Parsed ===

impl Parsed {
    fn tell(&self, metrics: &Metrics) {
        Validity::tell(self.client_ca, "review-client-ca", metrics);
        let serving = self.serving.as_ref().and_then(|serving| Validity::of_chain(&serving.cert));
        Validity::tell(serving, "review-serving", metrics);
    }
}

// === impl Watcher ===

impl Watcher {
    /// Looks until `stop`. What cannot be used is told once, and what was there before stays in use.
    pub async fn run(mut self, stop: CancellationToken) {
        let _: Option<()> = stop.run_until_cancelled(self.look()).await;
    }

    async fn look(&mut self) {
        loop {
            if let Some(found) = self.files.look().await {
                found.tell(&self.metrics);
                self.pool.send_replace(found.pool);
                self.serving.send_replace(found.serving);
                tracing::info!("The files of the TokenReview listener changed");
            }
        }
    }
}

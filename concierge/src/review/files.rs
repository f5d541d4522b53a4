//! The files that the `TokenReview` listener is made of, read again as they change: a static pod has no API to keep its
//! certificates for it, and whoever rotates them does not restart us.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{fs, sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{
    runtime::metrics::Metrics,
    tls::{
        client_chain::{CertificatePool, PoolError},
        server::ServingCertificate,
        validity::Validity,
    },
};

/// How often the files are looked at. A mounted Secret changes by a swapped link, which no watch on a file sees.
const LOOK: Duration = Duration::from_secs(10);

/// Largest file that is read: a bundle of a hundred authorities has a tenth of it.
const MAX_BYTES: u64 = 1024 * 1024;

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
    files: Files,
    seen: Contents,
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
    /// Not a certificate and its key.
    #[error("{certificate} and {key}: expected a certificate chain and its key in PEM: {why}")]
    Serving {
        /// The file of the chain.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        why: String,
    },
    /// Cannot be read.
    #[error("cannot read {file}: {error}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

#[derive(PartialEq, Eq)]
struct Contents {
    client_ca: Vec<u8>,
    serving: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

struct Parsed {
    pool: Arc<CertificatePool>,
    serving: Option<Arc<CertifiedKey>>,
}

// === impl Files ===

impl Files {
    /// Reads them for the first time; `metrics` learns when each certificate in them ends.
    ///
    /// # Errors
    /// When one cannot be read, or is not what it should be.
    pub async fn load(self, metrics: Metrics) -> Result<Loaded, FilesError> {
        let seen = self.read().await?;
        let parsed = self.parse(&seen)?;
        tell(&seen, &parsed, &metrics);
        let from_files = parsed.serving.is_some();
        let ((pool_sender, pool), (serving_sender, serving)) =
            (watch::channel(parsed.pool), watch::channel(parsed.serving));
        let watcher = Watcher { files: self, seen, metrics, pool: pool_sender, serving: serving_sender };
        Ok(Loaded { pool, serving: from_files.then_some(serving), watcher })
    }

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
                let certified = certified(chain, secret).map_err(|why| FilesError::Serving {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    why,
                })?;
                Some(Arc::new(certified))
            }
            _ => None,
        };
        Ok(Parsed { pool: Arc::new(pool), serving })
    }
}

fn tell(contents: &Contents, parsed: &Parsed, metrics: &Metrics) {
    Validity::tell(Validity::of_bundle(&contents.client_ca), "review-client-ca", metrics);
    let serving = parsed.serving.as_ref().and_then(|serving| Validity::of_chain(&serving.cert));
    Validity::tell(serving, "review-serving", metrics);
}

async fn read(file: &Path) -> Result<Vec<u8>, FilesError> {
    let unreadable = |error| FilesError::Unreadable { file: file.to_owned(), error };
    let size = fs::metadata(file).await.map_err(unreadable)?.len();
    if size > MAX_BYTES {
        return Err(unreadable(std::io::Error::other(format!("has {size} bytes, expected {MAX_BYTES} at most"))));
    }
    fs::read(file).await.map_err(unreadable)
}

fn certified(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    if chain.is_empty() {
        return Err("there is no certificate".to_owned());
    }
    // The error of a key could quote it.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "the key cannot be read".to_owned())?;
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|e| e.to_string())?;
    Ok(certified)
}

// === impl Watcher ===

impl Watcher {
    /// Looks until `stop`. What cannot be used is told once, and what was there before stays in use.
    pub async fn run(mut self, stop: CancellationToken) {
        let _: Option<()> = stop.run_until_cancelled(self.look()).await;
    }

    async fn look(&mut self) {
        let mut told = false;
        loop {
            sleep(LOOK).await;
            match self.again().await {
                Ok(changed) => {
                    told = false;
                    if changed {
                        tracing::info!("The files of the TokenReview listener changed");
                    }
                }
                Err(error) if !told => {
                    told = true;
                    tracing::warn!(%error, "Cannot use the files of the TokenReview listener, keeping what they held");
                }
                Err(_) => {}
            }
        }
    }

    async fn again(&mut self) -> Result<bool, FilesError> {
        let contents = self.files.read().await?;
        if contents == self.seen {
            return Ok(false);
        }
        let parsed = self.files.parse(&contents)?;
        tell(&contents, &parsed, &self.metrics);
        self.pool.send_replace(parsed.pool);
        self.serving.send_replace(parsed.serving);
        self.seen = contents;
        Ok(true)
    }
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contents")
    }
}

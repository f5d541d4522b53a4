//! A serving certificate out of files, read again as they change: a mounted Secret that cert-manager or somebody else fills.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{fs::File, io::AsyncReadExt as _, sync::watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    file_watch::{FileWatch, Files},
    handover::Handover,
    server::ServingCertificate,
    validity::Validity,
};
use crate::{credential::pem, runtime::metrics::Metrics, time::Clock};

/// Largest file that is read: a bundle of a hundred authorities has a tenth of it.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where they are. The names are those of a Secret of type `kubernetes.io/tls` as cert-manager fills it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingFiles {
    /// `tls.crt`: the chain, PEM.
    pub certificate: PathBuf,
    /// `tls.key`: its key, PEM.
    pub key: PathBuf,
    /// `ca.crt`: whom clients must trust, PEM; `None`: they learn it from somebody else.
    pub authority: Option<PathBuf>,
}

/// What is in them, kept current by [`Watcher::run`].
#[derive(Debug)]
pub struct Loaded {
    /// What to show.
    pub certificate: ServingCertificate,
    /// What clients must trust, PEM; `None`: somebody else tells them.
    pub bundle: watch::Receiver<Option<String>>,
    /// Keeps both current.
    pub watcher: Watcher,
}

/// The task that looks at the files.
#[derive(Debug)]
pub struct Watcher {
    files: FileWatch<ServingFiles>,
    handover: Handover,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    certificate: watch::Sender<Option<Arc<CertifiedKey>>>,
    bundle: watch::Sender<Option<String>>,
}

/// Why the files cannot be used. No key is ever in it.
#[derive(Debug, thiserror::Error)]
pub enum ServingFilesError {
    /// Not a bundle.
    #[error("{file}: expected the certificates of one or more authorities in PEM")]
    Authority {
        /// The file.
        file: PathBuf,
    },
    /// Not a certificate and its key.
    #[error("{certificate} and {key}: expected a certificate chain and its key in PEM: {why}")]
    Pair {
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

/// Their bytes, the key's among them.
#[derive(PartialEq, Eq)]
pub struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    authority: Option<Vec<u8>>,
}

/// What they mean.
pub struct Parsed {
    certificate: Arc<CertifiedKey>,
    /// Empty where there is no file of authorities.
    authorities: Vec<CertificateDer<'static>>,
}

// === impl ServingFiles ===

impl ServingFiles {
    /// Reads them for the first time; `metrics` learns when each certificate in them ends. By `clock` one authority follows
    /// another.
    ///
    /// # Errors
    /// When one cannot be read, or is not what it should be.
    pub async fn load(self, clock: Arc<dyn Clock>, metrics: Metrics) -> Result<Loaded, ServingFilesError> {
        let (files, Parsed { certificate, authorities }) = FileWatch::begin(self).await?;
        let handover = Handover::new(certificate, authorities);
        let (certificate_sender, certificate) = watch::channel(None);
        let (bundle_sender, mut bundle) = watch::channel(None);
        let mut watcher =
            Watcher { files, handover, clock, metrics, certificate: certificate_sender, bundle: bundle_sender };
        watcher.publish();
        // Whoever waits for a change finds the first bundle, too.
        bundle.mark_changed();
        Ok(Loaded { certificate, bundle, watcher })
    }
}

impl Files for ServingFiles {
    const OF: &'static str = "the serving certificate";
    type Contents = Contents;
    type Parsed = Parsed;
    type Error = ServingFilesError;

    async fn read(&self) -> Result<Contents, ServingFilesError> {
        let authority = match &self.authority {
            Some(file) => Some(read(file).await?),
            None => None,
        };
        let (certificate, key) = (read(&self.certificate).await?, Zeroizing::new(read(&self.key).await?));
        Ok(Contents { certificate, key, authority })
    }

    fn parse(&self, contents: &Contents) -> Result<Parsed, ServingFilesError> {
        let certificate = certified(&contents.certificate, &contents.key).map_err(|why| ServingFilesError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            why,
        })?;
        let authorities = match (&self.authority, &contents.authority) {
            (Some(file), Some(bytes)) => {
                authorities(bytes).ok_or_else(|| ServingFilesError::Authority { file: file.clone() })?
            }
            _ => Vec::new(),
        };
        Ok(Parsed { certificate: Arc::new(certificate), authorities })
    }
}

/// Reads a file of certificates or a key.
///
/// # Errors
/// When it cannot be read, or has more than 1 MiB.
pub async fn read(file: &Path) -> Result<Vec<u8>, ServingFilesError> {
    let unreadable = |error| ServingFilesError::Unreadable { file: file.to_owned(), error };
    let file = File::open(file).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than may be. What the file says of its own length is not asked: it may grow, or be a device.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(std::io::Error::other(format!("expected {MAX_BYTES} bytes at most, found more"))));
    }
    Ok(bytes)
}

/// A chain and its key, both PEM, as rustls takes them.
///
/// # Errors
/// Why they are none, without a word of the key.
pub fn certified(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    if chain.is_empty() {
        return Err("there is no certificate".to_owned());
    }
    // The error of a key could quote it.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "the key cannot be read".to_owned())?;
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|e| e.to_string())?;
    Ok(certified)
}

/// The certificates of a bundle and nothing else: the API server refuses an `APIService` with any other, everybody may read what
/// stands there, and a file that somebody put together may hold a key as well.
fn authorities(bytes: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

// === impl Watcher ===

impl Watcher {
    /// Looks until `stop`. What cannot be used is told once, and what was there before stays in use.
    pub async fn run(mut self, stop: CancellationToken) {
        let _: Option<()> = stop.run_until_cancelled(self.look()).await;
    }

    async fn look(&mut self) {
        loop {
            let found = self.files.look().await;
            let now = self.clock.now();
            if let Some(Parsed { certificate, authorities }) = found {
                self.handover.take(certificate, authorities, now);
                if self.handover.is_waiting() {
                    tracing::info!(
                        "Serving certificate of another authority found; shown once clients had time to trust it"
                    );
                }
            }
            self.handover.tick(now);
            self.publish();
        }
    }

    fn publish(&mut self) {
        let Self { handover, metrics, certificate, bundle, .. } = self;
        let wanted: String = handover.bundle().map(|authority| pem::encode("CERTIFICATE", authority)).collect();
        let wanted = Some(wanted).filter(|text| !text.is_empty());
        bundle.send_if_modified(|known| {
            let changed = *known != wanted;
            if changed {
                let validity = wanted.as_ref().and_then(|text| Validity::of_bundle(text.as_bytes()));
                Validity::tell(validity, "serving-ca", metrics);
                *known = wanted;
            }
            changed
        });
        certificate.send_if_modified(|known| {
            let changed = known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, handover.shown()));
            if changed {
                tracing::info!("Serving certificate loaded from its files");
                Validity::tell(Validity::of_chain(&handover.shown().cert), "serving", metrics);
                *known = Some(Arc::clone(handover.shown()));
            }
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use uuid::Uuid;

    use super::{
        super::handover::{SPREAD, STAY},
        *,
    };
    use crate::{
        time::{ManualClock, UnixTime},
        tls::file_watch::LOOK,
    };

    const NOON: UnixTime = UnixTime::from_secs(1_795_262_400);

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("latchkey-serving-{}", Uuid::new_v4()));
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn files(&self) -> ServingFiles {
            ServingFiles {
                certificate: self.0.join("tls.crt"),
                key: self.0.join("tls.key"),
                authority: Some(self.0.join("ca.crt")),
            }
        }

        /// As a kubelet does with a new version of a Secret: everything at once.
        fn fill(&self, name: &str) -> String {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
            fs::write(self.0.join("tls.crt"), certificate.pem()).unwrap();
            fs::write(self.0.join("tls.key"), key.serialize_pem()).unwrap();
            // By mistake, with its key.
            fs::write(self.0.join("ca.crt"), certificate.pem() + &key.serialize_pem()).unwrap();
            certificate.pem()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_served_and_told_and_what_is_broken_is_not() {
        let folder = Folder::new();
        let first = folder.fill("first.example");
        let (metrics, clock) = (Metrics::new(), Arc::new(ManualClock::new(NOON)));
        let Loaded { mut certificate, mut bundle, watcher } =
            folder.files().load(clock.clone(), metrics.clone()).await.unwrap();
        assert!(bundle.has_changed().unwrap(), "whoever waits for the bundle is told of the first one");
        assert_eq!(bundle.borrow_and_update().as_ref(), Some(&first), "without the key");
        let text = metrics.encode(UnixTime::from_secs(0));
        assert!(text.contains(r#"certificate="serving""#) && text.contains(r#"certificate="serving-ca""#), "{text}");

        let stop = CancellationToken::new();
        let task = tokio::spawn(watcher.run(stop.clone()));
        let served = certificate.borrow_and_update().clone().unwrap();
        fs::write(folder.0.join("tls.key"), "no key").unwrap();
        tokio::time::sleep(LOOK * 3).await;
        assert!(!certificate.has_changed().unwrap() && !bundle.has_changed().unwrap());

        let second = folder.fill("second.example");
        bundle.changed().await.unwrap();
        assert_eq!(*bundle.borrow_and_update(), Some(second.clone() + &first));
        assert!(!certificate.has_changed().unwrap(), "no client can trust it yet");
        clock.set(NOON.plus(SPREAD));
        certificate.changed().await.unwrap();
        assert_ne!(certificate.borrow_and_update().clone().unwrap().cert, served.cert);
        clock.set(NOON.plus(STAY));
        bundle.changed().await.unwrap();
        assert_eq!(bundle.borrow_and_update().as_ref(), Some(&second));
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn the_first_look_says_what_is_wrong_and_never_the_key() {
        let folder = Folder::new();
        let clock = || Arc::new(ManualClock::new(NOON));
        let load = || folder.files().load(clock(), Metrics::new());
        let text = load().await.unwrap_err().to_string();
        assert!(text.starts_with("cannot read ") && text.contains("ca.crt"), "{text}");

        folder.fill("one.example");
        for (file, wrong, expected) in [
            ("ca.crt", "nothing", "expected the certificates of one or more authorities in PEM"),
            ("tls.crt", "nothing", "there is no certificate"),
            ("tls.key", "SECRET", "the key cannot be read"),
            ("tls.crt", &" ".repeat(1024 * 1024 + 1), "expected 1048576 bytes at most, found more"),
        ] {
            let good = fs::read(folder.0.join(file)).unwrap();
            fs::write(folder.0.join(file), wrong).unwrap();
            let text = load().await.unwrap_err().to_string();
            assert!(text.contains(expected) && !text.contains("SECRET"), "{file}: {text}");
            fs::write(folder.0.join(file), good).unwrap();
        }
        let endless = ServingFiles { certificate: "/dev/zero".into(), ..folder.files() };
        let text = endless.load(clock(), Metrics::new()).await.unwrap_err().to_string();
        assert!(text.contains("found more"), "{text}");
        let key = KeyPair::generate().unwrap().serialize_pem();
        fs::write(folder.0.join("tls.key"), &key).unwrap();
        assert!(matches!(load().await.unwrap_err(), ServingFilesError::Pair { .. }), "somebody else's key");
        folder.fill("one.example");
        let without = ServingFiles { authority: None, ..folder.files() };
        assert_eq!(*without.load(clock(), Metrics::new()).await.unwrap().bundle.borrow(), None);
    }
}

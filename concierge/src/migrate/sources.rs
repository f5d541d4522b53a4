//! The only door of a conversion: what the command line names, read within bounds.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::ConvertError;
use crate::convert::MAX_MANIFEST_BYTES;

/// Most files of one call: a fleet's authenticators, one in each.
const MAX_FILES: usize = 256;

/// What is said of a bundle with a key in it.
pub(super) const HOLDS_KEY: &str = "holds a private key too, and whoever may read the result would read it: leave the \
                                    certificates alone in it";

/// Whether somebody put a private key (RFC 7468 sections 10, 11, and its older forms) beside certificates.
pub(super) fn holds_key(pem: &str) -> bool {
    pem.lines().any(|line| line.contains("-----BEGIN ") && line.contains("PRIVATE KEY"))
}

/// The files, standard input, and the certificate authorities that stand elsewhere.
pub(super) struct Sources<'a, R> {
    files: &'a [PathBuf],
    ca_file: Option<&'a Path>,
    input: Option<R>,
}

impl<'a, R: Read> Sources<'a, R> {
    pub(super) const fn new(files: &'a [PathBuf], ca_file: Option<&'a Path>, input: R) -> Self {
        Self { files, ca_file, input: Some(input) }
    }

    /// The one text that there is to be, and what to call it.
    pub(super) fn only(&mut self) -> Result<(String, String), ConvertError> {
        match self.files {
            [] => self.read(Path::new("-")),
            [file] => self.read(file),
            several => Err(ConvertError::Unusable(format!("expected one file, found {}", several.len()))),
        }
    }

    /// Every text.
    pub(super) fn all(&mut self) -> Result<Vec<(String, String)>, ConvertError> {
        if self.files.len() > MAX_FILES {
            return Err(ConvertError::Unusable(format!("more than {MAX_FILES} files")));
        }
        match self.files {
            [] => self.read(Path::new("-")).map(|one| vec![one]),
            files => files.iter().map(|file| self.read(file)).collect(),
        }
    }

    /// The certificate authorities of `--ca-file`, else of the file that the input itself names.
    pub(super) fn ca_bundle(&mut self, named: Option<&Path>) -> Result<Option<String>, ConvertError> {
        let hint = "it lies where kube-apiserver runs; give a copy of it by --ca-file";
        let (place, text) = match (self.ca_file, named) {
            (Some(file), _) => self.read(file)?,
            (None, Some(file)) => {
                self.read(file).map_err(|error| ConvertError::Unusable(format!("--oidc-ca-file: {error}: {hint}")))?
            }
            (None, None) => return Ok(None),
        };
        // An empty bundle would be none at all on the other side, and everybody whom the system trusts would count.
        if CertificateDer::from_pem_slice(text.as_bytes()).is_err() {
            return Err(ConvertError::Unusable(format!("{place}: expected certificate authorities in PEM")));
        }
        if holds_key(&text) {
            return Err(ConvertError::Unusable(format!("{place}: {HOLDS_KEY}")));
        }
        Ok(Some(text))
    }

    /// Refuses `--ca-file` where it would change nothing: whoever gives it believes that nobody else is trusted.
    pub(super) fn refuse_ca_file(&self, why: &str) -> Result<(), ConvertError> {
        match self.ca_file {
            None => Ok(()),
            Some(_) => Err(ConvertError::Unusable(format!("--ca-file: {why}"))),
        }
    }

    fn read(&mut self, path: &Path) -> Result<(String, String), ConvertError> {
        let mut text = String::new();
        // One byte more than may be: then it is known to be too long, and what reads it says so.
        let limit = MAX_MANIFEST_BYTES as u64 + 1;
        let (place, read) = if path.as_os_str() == "-" {
            let input = self.input.take();
            let input =
                input.ok_or_else(|| ConvertError::Unusable("standard input can be read once only".to_owned()))?;
            ("standard input".to_owned(), input.take(limit).read_to_string(&mut text))
        } else {
            let read = File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text));
            (path.display().to_string(), read)
        };
        match read {
            Err(error) => Err(ConvertError::Unusable(format!("{place}: {error}"))),
            Ok(_) if text.len() > MAX_MANIFEST_BYTES => {
                Err(ConvertError::Unusable(format!("{place}: more than {MAX_MANIFEST_BYTES} bytes")))
            }
            Ok(_) => Ok((place, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_bundle_with_a_key_in_it_goes_nowhere() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["ca".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let path = std::env::temp_dir().join(format!("latchkey-bundle-{}.pem", uuid::Uuid::new_v4()));
        let bundle = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let read = Sources::new(&[], Some(&path), std::io::empty()).ca_bundle(None);
            std::fs::remove_file(&path).unwrap();
            read.map_err(|error| error.to_string())
        };
        assert_eq!(bundle(&certificate), Ok(Some(certificate.clone())));
        let words = bundle(&(certificate + &key.serialize_pem())).unwrap_err();
        assert!(words.contains("holds a private key too") && !words.contains("BEGIN"), "{words}");
    }
}

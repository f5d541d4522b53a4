//! Generations of an authority as a Secret holds them: read, step on, write back. No network here.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::ByteString;
use zeroize::Zeroizing;

use crate::{
    credential::{
        AuthorityCertificate, AuthorityError, CertificateAuthority, NewAuthority, SerialBytes, SignError,
        succession::{Generations, Step, Term, Terms},
    },
    time::UnixTime,
};

/// The key under which every authority Secret has its whole bundle, for those who mount it.
pub(super) const BUNDLE: &str = "ca.crt";

/// Says that the object is ours to change. A Secret of this name without it was brought by an admin.
pub(super) const MANAGED_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "latchkey-concierge");

/// Under which keys a Secret holds which generation.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) current: (&'static str, &'static str),
    pub(super) next: (&'static str, &'static str),
    /// A certificate only: nobody signs with a previous key.
    pub(super) previous: &'static str,
}

/// One authority with the texts it was read from.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    certificate_pem: String,
    key_pem: SecretText,
    pub(super) authority: Arc<CertificateAuthority>,
}

/// A key as PEM, zeroed when dropped and never printed.
#[derive(Clone)]
struct SecretText(Zeroizing<String>);

/// Everything that one Secret holds of an authority.
#[derive(Clone, Debug, Default)]
pub(super) struct Succession {
    pub(super) current: Option<Stored>,
    /// Why there is no current one although something stands in its place.
    pub(super) fault: Option<AuthorityError>,
    pub(super) next: Option<Stored>,
    pub(super) previous: Option<AuthorityCertificate>,
}

// === impl Succession ===

impl Succession {
    pub(super) fn read(data: &BTreeMap<String, ByteString>, layout: &Layout) -> Self {
        let text = |key: &str| data.get(key).map_or("", |value| std::str::from_utf8(&value.0).unwrap_or(""));
        let pair = |(certificate, key): (&str, &str)| Stored::read(text(certificate), text(key));
        let (current, fault) = match pair(layout.current) {
            Ok(stored) => (Some(stored), None),
            Err(fault) => (None, Some(fault)),
        };
        // A current certificate whose key was lost signs nothing more, but its leaves may live.
        let orphan = || AuthorityCertificate::from_pem(text(layout.current.0)).ok().filter(|_| current.is_none());
        let previous = AuthorityCertificate::from_pem(text(layout.previous)).ok().or_else(orphan);
        Self { fault, next: pair(layout.next).ok(), previous, current }
    }

    pub(super) fn generations(&self) -> Generations {
        let of = |certificate: &AuthorityCertificate| Term {
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        };
        Generations {
            current: self.current.as_ref().map(|stored| of(stored.authority.certificate())),
            next: self.next.as_ref().map(|stored| of(stored.authority.certificate())),
            previous: self.previous.as_ref().map(of),
        }
    }

    /// Takes one step. `name` becomes the common name of a new authority; the day it is made on is added, so that people
    /// can tell generations apart.
    pub(super) fn take(
        &mut self,
        step: Step,
        terms: &Terms,
        name: &str,
        serial: SerialBytes,
        now: UnixTime,
    ) -> Result<(), SignError> {
        match step {
            Step::Rest(_) => {}
            Step::ForgetPrevious => self.previous = None,
            Step::MakeFirst => {
                self.retire_current(now);
                self.current = Some(Stored::make(terms, name, serial, now)?);
                self.fault = None;
            }
            Step::MakeNext => self.next = Some(Stored::make(terms, name, serial, now)?),
            Step::Promote => {
                self.retire_current(now);
                self.current = self.next.take();
                self.fault = None;
            }
        }
        Ok(())
    }

    fn retire_current(&mut self, now: UnixTime) {
        let retired = self.current.take().map(|stored| stored.authority.certificate().clone());
        if let Some(retired) = retired.filter(|certificate| now < certificate.not_after()) {
            self.previous = Some(retired);
        }
    }

    /// PEM of all that is to be trusted: the signer first, then the next, then the previous.
    pub(super) fn bundle(&self) -> String {
        let pairs = [self.current.as_ref(), self.next.as_ref()];
        let certificates = pairs.into_iter().flatten().map(|stored| stored.authority.certificate());
        certificates.chain(self.previous.as_ref()).map(AuthorityCertificate::pem).collect()
    }

    pub(super) fn write(&self, layout: &Layout) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, value: &str| data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        for (stored, (certificate, key)) in [(&self.current, layout.current), (&self.next, layout.next)] {
            if let Some(stored) = stored {
                put(certificate, &stored.certificate_pem);
                put(key, &stored.key_pem.0);
            }
        }
        if let Some(previous) = &self.previous {
            put(layout.previous, &previous.pem());
        }
        put(BUNDLE, &self.bundle());
        data
    }
}

// === impl Stored ===

impl Stored {
    fn read(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let authority = CertificateAuthority::from_pem(certificate, key)?;
        Ok(Self {
            certificate_pem: certificate.to_owned(),
            key_pem: SecretText(Zeroizing::new(key.to_owned())),
            authority: Arc::new(authority),
        })
    }

    fn make(terms: &Terms, name: &str, serial: SerialBytes, now: UnixTime) -> Result<Self, SignError> {
        let term = terms.term(now);
        let day = now.to_string();
        let name = format!("{name}, made {}", day.split('T').next().unwrap_or_default());
        let NewAuthority { certificate_pem, key_pem } =
            NewAuthority::generate(&name, serial, term.not_before, term.not_after)?;
        // What was just written can be read back, unless the library is broken.
        Self::read(&certificate_pem, &key_pem).map_err(|_| SignError)
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LAYOUT: Layout =
        Layout { current: ("tls.crt", "tls.key"), next: ("next.crt", "next.key"), previous: "previous.crt" };
    const TERMS: Terms = Terms { life: Duration::from_hours(24 * 365), overlap: Duration::from_hours(1) };
    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn step(succession: &mut Succession, step: Step, now: UnixTime) {
        let serial = [now.as_secs().to_le_bytes()[0]; 16];
        succession.take(step, &TERMS, "test", serial, now).unwrap();
    }

    fn through_a_secret(succession: &Succession) -> Succession {
        Succession::read(&succession.write(&LAYOUT), &LAYOUT)
    }

    fn certificates(bundle: &str) -> usize {
        bundle.matches("BEGIN CERTIFICATE").count()
    }

    #[test]
    fn a_whole_succession_survives_the_secret_at_every_step() {
        let mut succession = Succession::default();
        step(&mut succession, Step::MakeFirst, NOW);
        let first = through_a_secret(&succession).current.unwrap().authority.certificate().clone();
        assert_eq!(certificates(&succession.bundle()), 1);

        let later = NOW.plus(Duration::from_hours(24 * 250));
        step(&mut succession, Step::MakeNext, later);
        let read = through_a_secret(&succession);
        assert_eq!(read.generations(), succession.generations());
        assert_eq!(read.current.as_ref().unwrap().authority.certificate(), &first, "the old one still signs");
        assert_eq!(certificates(&read.bundle()), 2);

        step(&mut succession, Step::Promote, later.plus(Duration::from_hours(2)));
        let read = through_a_secret(&succession);
        assert_eq!(read.previous.as_ref(), Some(&first));
        assert!(read.next.is_none());
        assert_eq!(read.bundle(), succession.bundle());
        assert!(!succession.write(&LAYOUT).contains_key("next.key"));
        let keys =
            succession.write(&LAYOUT).values().filter(|value| value.0.starts_with(b"-----BEGIN PRIVATE")).count();
        assert_eq!(keys, 1, "the retired key is gone");

        step(&mut succession, Step::ForgetPrevious, later.plus(Duration::from_hours(24 * 200)));
        assert_eq!(certificates(&through_a_secret(&succession).bundle()), 1);
    }

    #[test]
    fn a_certificate_that_lost_its_key_is_still_trusted_until_it_ends() {
        let mut succession = Succession::default();
        step(&mut succession, Step::MakeFirst, NOW);
        let mut data = succession.write(&LAYOUT);
        data.remove("tls.key");
        let mut broken = Succession::read(&data, &LAYOUT);
        assert_eq!(broken.fault, Some(AuthorityError::KeyUnsuitable));
        assert_eq!(TERMS.step(&broken.generations(), true, NOW), Step::MakeFirst);
        step(&mut broken, Step::MakeFirst, NOW.plus(Duration::from_secs(1)));
        assert_eq!(certificates(&through_a_secret(&broken).bundle()), 2);
    }

    #[test]
    fn garbage_is_an_empty_succession_and_nothing_is_printed() {
        for (certificate, key) in [(&b""[..], &b""[..]), (b"\xff\xfe", b"\0"), (b"-----BEGIN CERTIFICATE-----", b"x")] {
            let data = BTreeMap::from([
                ("tls.crt".to_owned(), ByteString(certificate.to_vec())),
                ("tls.key".to_owned(), ByteString(key.to_vec())),
            ]);
            assert_eq!(Succession::read(&data, &LAYOUT).generations(), Generations::default());
        }
        let mut succession = Succession::default();
        step(&mut succession, Step::MakeFirst, NOW);
        assert!(!format!("{succession:?}").contains("PRIVATE"));
    }
}

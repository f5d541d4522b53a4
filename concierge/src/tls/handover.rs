//! From one authority to the next without a refused connection: which certificate is shown, and whom clients are told to trust
//! meanwhile. Pure.
//!
//! A new certificate by the same authority is shown at once. One by another authority arrives in a mounted Secret together with
//! that authority, in each replica at another moment, while the API server may ask any of them. So clients are told of the new
//! authority first, the certificate is shown later, and the old authority goes last.

use std::{mem, sync::Arc, time::Duration};

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, UnixTime as PkiTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::time::UnixTime;

/// Until the replica that tells clients has seen what this one sees: a kubelet looks at a Secret every 60 to 90 s, and the one
/// that it then finds may be a minute old.
pub(super) const SPREAD: Duration = Duration::from_mins(3);

/// How long an authority that the files no longer name stays trusted: the last replica sees the change one [`SPREAD`] after the
/// first, and shows the old certificate for another.
pub(super) const STAY: Duration = Duration::from_mins(10);

/// Most authorities that stay: whoever changes them faster than this in [`STAY`] tries something out.
const MOST: usize = 16;

/// Where one installation stands between its authorities.
#[derive(Debug)]
pub(super) struct Handover {
    shown: Arc<CertifiedKey>,
    /// What is shown next.
    waiting: Option<Arc<CertifiedKey>>,
    /// Whom the files say to trust; empty: they say nothing.
    trusted: Vec<Told>,
    /// Whom they said to trust before, and until when that holds.
    leaving: Vec<(Told, UnixTime)>,
}

/// An authority of which clients are told.
#[derive(Clone, Debug)]
struct Told {
    authority: CertificateDer<'static>,
    /// Since when; whoever changes the files again does not make it younger.
    since: UnixTime,
}

impl Handover {
    /// At the start there is nothing before: what the files say holds.
    pub(super) fn new(certificate: Arc<CertifiedKey>, trusted: Vec<CertificateDer<'static>>) -> Self {
        let since = UnixTime::from_secs(0);
        let trusted = trusted.into_iter().map(|authority| Told { authority, since }).collect();
        Self { shown: certificate, waiting: None, trusted, leaving: Vec::new() }
    }

    /// The files say something else from `now` on.
    pub(super) fn take(
        &mut self,
        certificate: Arc<CertifiedKey>,
        trusted: Vec<CertificateDer<'static>>,
        now: UnixTime,
    ) {
        let since = |authority: &CertificateDer<'static>| {
            let known = self.told().find(|told| told.authority == *authority);
            known.map_or(now, |told| told.since)
        };
        let trusted =
            trusted.into_iter().map(|authority| Told { since: since(&authority), authority }).collect::<Vec<_>>();
        let until = now.plus(STAY);
        let before = mem::replace(&mut self.trusted, trusted);
        self.leaving.extend(before.into_iter().map(|told| (told, until)));
        self.leaving.retain(|(told, _)| !self.trusted.iter().any(|stays| stays.authority == told.authority));
        let surplus = self.leaving.len().saturating_sub(MOST);
        self.leaving.drain(..surplus);
        self.waiting = Some(certificate);
        self.show(now);
    }

    /// What time brings: the certificate that waits is shown, authorities that leave are gone.
    pub(super) fn tick(&mut self, now: UnixTime) {
        self.leaving.retain(|(_, until)| now < *until);
        self.show(now);
    }

    /// Shows what waits once everybody has had time to learn of an authority that vouches for it. One that none of them vouches
    /// for is put off for as long as the other is trusted; keeping one that clients refuse, or only now hear of, would gain
    /// nothing.
    fn show(&mut self, now: UnixTime) {
        let is_due = |certificate: &Arc<CertifiedKey>| {
            let learnt = self.told().filter(|told| told.since.plus(SPREAD) <= now).map(|told| &told.authority);
            let before = self.told().filter(|told| told.since < now).map(|told| &told.authority);
            vouches(learnt, &certificate.cert, now) || !vouches(before, &self.shown.cert, now)
        };
        if self.waiting.as_ref().is_some_and(is_due)
            && let Some(certificate) = self.waiting.take()
        {
            self.shown = certificate;
        }
    }

    fn told(&self) -> impl Iterator<Item = &Told> {
        self.trusted.iter().chain(self.leaving.iter().map(|(told, _)| told))
    }

    /// What to show.
    pub(super) const fn shown(&self) -> &Arc<CertifiedKey> {
        &self.shown
    }

    /// Whether another certificate is to be shown later.
    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whom clients must trust, those that stay before those that leave.
    pub(super) fn bundle(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.told().map(|told| &told.authority)
    }
}

/// Whether one of the authorities makes a client trust this server's chain. The name is not looked at: it is the same for all.
fn vouches<'a>(
    authorities: impl Iterator<Item = &'a CertificateDer<'static>>,
    chain: &[CertificateDer<'static>],
    now: UnixTime,
) -> bool {
    let anchors: Vec<_> = authorities.filter_map(|one| webpki::anchor_from_trusted_cert(one).ok()).collect();
    let Some((Ok(leaf), intermediates)) = chain.split_first().map(|(leaf, rest)| (EndEntityCert::try_from(leaf), rest))
    else {
        return false;
    };
    let now = PkiTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or(0)));
    let usage = KeyUsage::server_auth();
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, intermediates, now, usage, None, None).is_ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
    use rustls::crypto::aws_lc_rs;
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    const NOON: UnixTime = UnixTime::from_secs(1_795_262_400);

    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new(name: &str) -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        fn trusted(&self) -> CertificateDer<'static> {
            self.0.der().clone()
        }

        fn certificate(&self, until_year: i32) -> Arc<CertifiedKey> {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec!["one.example".to_owned()]).unwrap();
            params.not_after = date_time_ymd(until_year, 1, 1);
            let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            Arc::new(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).unwrap())
        }
    }

    fn told(handover: &Handover) -> Vec<CertificateDer<'static>> {
        handover.bundle().cloned().collect()
    }

    #[test]
    fn another_authority_is_told_first_its_certificate_shown_later_and_the_old_one_goes_last() {
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let (first, second) = (old.certificate(2099), new.certificate(2099));
        let mut handover = Handover::new(Arc::clone(&first), vec![old.trusted()]);
        handover.take(Arc::clone(&second), vec![new.trusted()], NOON);
        let second_before = |span: Duration| NOON.plus(span.saturating_sub(Duration::from_secs(1)));
        for (now, shown, bundle) in [
            (NOON, &first, vec![new.trusted(), old.trusted()]),
            (second_before(SPREAD), &first, vec![new.trusted(), old.trusted()]),
            (NOON.plus(SPREAD), &second, vec![new.trusted(), old.trusted()]),
            (second_before(STAY), &second, vec![new.trusted(), old.trusted()]),
            (NOON.plus(STAY), &second, vec![new.trusted()]),
        ] {
            handover.tick(now);
            assert!(Arc::ptr_eq(handover.shown(), shown), "{now:?}");
            assert_eq!(told(&handover), bundle, "{now:?}");
            assert_eq!(handover.is_waiting(), Arc::ptr_eq(shown, &first));
        }
    }

    #[test]
    fn what_clients_trust_already_is_shown_at_once_and_so_is_anything_in_place_of_what_they_refuse() {
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let renewed = old.certificate(2099);
        let mut handover = Handover::new(old.certificate(2099), vec![old.trusted()]);
        handover.take(Arc::clone(&renewed), vec![old.trusted()], NOON);
        assert!(Arc::ptr_eq(handover.shown(), &renewed) && told(&handover) == [old.trusted()]);

        let announced = new.certificate(2099);
        handover.take(Arc::clone(&renewed), vec![old.trusted(), new.trusted()], NOON);
        handover.take(Arc::clone(&announced), vec![old.trusted(), new.trusted()], NOON.plus(SPREAD));
        assert!(Arc::ptr_eq(handover.shown(), &announced), "both were trusted before");

        for useless in [old.certificate(2020), new.certificate(2099)] {
            let mut handover = Handover::new(useless, vec![old.trusted()]);
            handover.take(Arc::clone(&announced), vec![new.trusted()], NOON);
            assert!(Arc::ptr_eq(handover.shown(), &announced));
        }
        let mut untold = Handover::new(old.certificate(2099), Vec::new());
        untold.take(Arc::clone(&announced), Vec::new(), NOON);
        assert!(Arc::ptr_eq(untold.shown(), &announced), "somebody else tells clients whom to trust");
    }

    #[test]
    fn an_authority_that_was_told_of_a_moment_ago_is_not_known_to_everybody_yet() {
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let (first, second) = (old.certificate(2099), new.certificate(2099));
        let mut handover = Handover::new(Arc::clone(&first), vec![old.trusted()]);
        let both = || vec![old.trusted(), new.trusted()];
        handover.take(Arc::clone(&first), both(), NOON);
        handover.take(Arc::clone(&second), both(), NOON.plus(Duration::from_secs(10)));
        assert!(Arc::ptr_eq(handover.shown(), &first) && handover.is_waiting());
        handover.tick(NOON.plus(SPREAD));
        assert!(Arc::ptr_eq(handover.shown(), &second), "told of since noon, and not since the certificate came");
    }

    #[test]
    fn a_certificate_that_none_of_the_authorities_signed_is_put_off_while_the_other_is_trusted() {
        let (old, new, other) = (Authority::new("old"), Authority::new("new"), Authority::new("other"));
        let (first, second) = (old.certificate(2099), other.certificate(2099));
        let mut handover = Handover::new(Arc::clone(&first), vec![old.trusted()]);
        handover.take(Arc::clone(&second), vec![new.trusted()], NOON);
        handover.tick(NOON.plus(SPREAD));
        assert!(Arc::ptr_eq(handover.shown(), &first), "clients trust it, and not the other");
        handover.tick(NOON.plus(STAY));
        assert!(Arc::ptr_eq(handover.shown(), &second), "now they trust neither");
    }

    #[test]
    fn whoever_changes_it_again_does_not_lose_the_authority_of_what_is_shown() {
        let authorities = ["a", "b", "c"].map(Authority::new);
        let [a, b, c] = &authorities;
        let (first, last) = (a.certificate(2099), c.certificate(2099));
        let mut handover = Handover::new(Arc::clone(&first), vec![a.trusted()]);
        handover.take(b.certificate(2099), vec![b.trusted()], NOON);
        handover.take(Arc::clone(&last), vec![c.trusted()], NOON.plus(Duration::from_secs(10)));
        assert_eq!(told(&handover), [c.trusted(), a.trusted(), b.trusted()]);
        assert!(Arc::ptr_eq(handover.shown(), &first));
        handover.tick(NOON.plus(SPREAD));
        assert!(Arc::ptr_eq(handover.shown(), &first), "of the last one nobody was told before ten past");
        handover.tick(NOON.plus(SPREAD + Duration::from_secs(10)));
        assert!(Arc::ptr_eq(handover.shown(), &last));
        for number in 0..MOST * 2 {
            let next = Authority::new(&number.to_string());
            handover.take(next.certificate(2099), vec![next.trusted()], NOON);
        }
        assert_eq!(told(&handover).len(), MOST + 1);
    }
}

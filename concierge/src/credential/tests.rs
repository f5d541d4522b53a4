//! Certificates seen by others: x509-parser reads them back, webpki verifies them as a TLS server would.

use std::time::Duration;

use proptest::prelude::*;
use rustls_pki_types::{CertificateDer, UnixTime as PkiTime, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer as _};

use super::{certificate::mint_for, *};

const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
const SERIAL: SerialBytes = [0xff; 16];

fn authority() -> CertificateAuthority {
    let new = NewAuthority::generate(
        "Latchkey test authority",
        [7; 16],
        NOW.minus(BACKDATE),
        NOW.plus(Duration::from_hours(24 * 365)),
    )
    .unwrap();
    CertificateAuthority::from_pem(&new.certificate_pem, &new.key_pem).unwrap()
}

fn subject(common_name: &str, groups: &[&str]) -> Subject {
    Subject { common_name: common_name.into(), organizations: groups.iter().map(|&group| group.into()).collect() }
}

fn lifetime() -> Lifetime {
    Lifetime::choose(StrategyKind::ClientCertificateAuthority, None)
}

fn der(credential: &Credential) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(credential.certificate_pem.as_bytes()).unwrap()
}

fn verify(leaf: &CertificateDer<'_>, authority: &AuthorityCertificate, at: UnixTime) -> Result<(), webpki::Error> {
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    let anchor = webpki::anchor_from_trusted_cert(&root).unwrap();
    webpki::EndEntityCert::try_from(leaf)
        .unwrap()
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &[],
            PkiTime::since_unix_epoch(Duration::from_secs(at.as_secs().try_into().unwrap())),
            webpki::KeyUsage::client_auth(),
            None,
            None,
        )
        .map(|_| ())
}

#[test]
fn a_minted_certificate_says_just_what_it_should() {
    let authority = authority();
    let jane = subject("jane", &["zeta", "alpha"]);
    let credential = mint_for(&jane, &authority, None, lifetime(), SERIAL, NOW).unwrap();
    let der = der(&credential);
    let (rest, leaf) = X509Certificate::from_der(&der).unwrap();
    assert!(rest.is_empty());
    assert_eq!(leaf.version(), x509_parser::x509::X509Version::V3);
    assert_eq!(leaf.subject().to_string(), "O=zeta, O=alpha, CN=jane");
    assert_eq!(leaf.issuer().to_string(), "CN=Latchkey test authority");
    assert_eq!(leaf.validity().not_before.timestamp(), NOW.as_secs() - 300);
    assert_eq!(leaf.validity().not_after.timestamp(), NOW.as_secs() + 300);
    assert_eq!(leaf.raw_serial()[0], 0x7f, "positive");
    assert_eq!(hex::encode(leaf.raw_serial()), credential.serial);
    assert!(!leaf.is_ca());
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.flags == 1, "digitalSignature alone");
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && !purposes.server_auth && !purposes.any && purposes.other.is_empty());
    let identifiers: Vec<_> = leaf
        .iter_extensions()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref().map(|key| key.0),
            ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
            _ => None,
        })
        .collect();
    assert_eq!(identifiers.len(), 2);
    assert_ne!(identifiers[0], identifiers[1]);
    assert_eq!(verify(&der, authority.certificate(), NOW), Ok(()));
    assert!(verify(&der, authority.certificate(), NOW.plus(Duration::from_secs(301))).is_err(), "over");
}

#[test]
fn the_key_in_the_answer_fits_the_certificate() {
    let credential = mint_for(&Subject::probe(), &authority(), None, lifetime(), SERIAL, NOW).unwrap();
    let key = rcgen::KeyPair::from_pem(credential.private_key_pem.as_ref().unwrap()).unwrap();
    let der = der(&credential);
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(leaf.public_key().raw, rcgen::PublicKeyData::subject_public_key_info(&key));
}

#[test]
fn a_client_that_brings_its_key_gets_no_key_back_and_its_subject_is_ignored() {
    let laptop = ClientKey::generate().unwrap();
    let request = CertificateRequest::build(&subject("somebody", &["else"]), &laptop).unwrap();
    let jane = subject("jane", &["developers"]);
    let credential = mint_for(&jane, &authority(), Some(&request), lifetime(), SERIAL, NOW).unwrap();
    assert!(credential.private_key_pem.is_none());
    let der = der(&credential);
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(Subject::read(leaf.subject()), Some(jane));
    assert_eq!(leaf.public_key().raw, request.public_key_der());
}

#[test]
fn nothing_outlives_its_authority_and_a_dead_one_mints_nothing() {
    let ends = NOW.plus(Duration::from_mins(2));
    let new = NewAuthority::generate("short", SERIAL, NOW, ends).unwrap();
    let authority = CertificateAuthority::from_pem(&new.certificate_pem, &new.key_pem).unwrap();
    let mint_at = |now| mint_for(&Subject::probe(), &authority, None, lifetime(), SERIAL, now);
    let credential = mint_at(NOW).unwrap();
    assert_eq!((credential.not_after, credential.clamped), (ends, Some(Clamp::AuthorityEnds)));
    assert_eq!(mint_at(ends.minus(Duration::from_secs(30))).unwrap_err(), MintError::AuthorityNotInForce);
    assert_eq!(mint_at(ends.plus(Duration::from_secs(30))).unwrap_err(), MintError::AuthorityNotInForce);
    assert_eq!(mint_at(NOW.minus(Duration::from_secs(1))).unwrap_err(), MintError::AuthorityNotInForce);
}

#[test]
fn an_authority_brought_by_an_admin_may_have_any_usual_key() {
    for algorithm in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256]
    {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        let authority = CertificateAuthority::from_pem(&certificate, &key.serialize_pem()).unwrap();
        let credential = mint_for(&subject("jane", &["a"]), &authority, None, lifetime(), SERIAL, NOW).unwrap();
        assert_eq!(verify(&der(&credential), authority.certificate(), NOW), Ok(()), "{algorithm:?}");
    }
}

#[test]
fn a_broken_authority_is_told_apart() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = |is_ca| {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = is_ca;
        params.self_signed(&key).unwrap().pem()
    };
    let good = certificate(rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let large_curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap().serialize_pem();
    let key = key.serialize_pem();
    for (certificate, key, expected) in [
        (String::new(), &key, AuthorityError::NotPem),
        (format!("{good}{good}"), &key, AuthorityError::NotPem),
        (pem::encode("CERTIFICATE", b"nonsense"), &key, AuthorityError::Malformed),
        (certificate(rcgen::IsCa::NoCa), &key, AuthorityError::NotAnAuthority),
        (good.clone(), &String::new(), AuthorityError::KeyUnsuitable),
        (good.clone(), &large_curve, AuthorityError::KeyUnsuitable),
        (good, &other_key, AuthorityError::KeyDiffers),
    ] {
        assert_eq!(CertificateAuthority::from_pem(&certificate, key).unwrap_err(), expected);
    }
}

#[test]
fn what_a_signer_made_is_taken_only_if_it_is_what_was_asked_for() {
    let impostor = authority();
    let jane = subject("jane", &["b", "a"]);
    let laptop = ClientKey::generate().unwrap();
    let request = CertificateRequest::build(&jane, &laptop).unwrap();
    let lifetime = Lifetime::choose(StrategyKind::CertificateSigningRequestAPI, None);
    let signed = |subject: &Subject, request: &CertificateRequest, seconds: u64| {
        let der = impostor
            .sign_client(
                subject,
                request.public_key_der(),
                SERIAL,
                NOW.minus(BACKDATE),
                NOW.plus(Duration::from_secs(seconds)),
            )
            .unwrap();
        pem::encode("CERTIFICATE", &der)
    };
    let judge =
        |pem: &str, now| accept(pem.as_bytes(), &jane, &request, lifetime, now).map(|credential| credential.not_after);
    // Go writes all O into one SET, in DER's order.
    let sorted = subject("jane", &["a", "b"]);
    assert_eq!(judge(&signed(&sorted, &request, 600), NOW), Ok(NOW.plus(Duration::from_mins(10))));
    assert_eq!(judge(&signed(&subject("jane", &["a", "b", "c"]), &request, 600), NOW), Err(SignerFault::OtherSubject));
    assert_eq!(judge(&signed(&subject("joan", &["a", "b"]), &request, 600), NOW), Err(SignerFault::OtherSubject));
    let stranger = CertificateRequest::build(&jane, &ClientKey::generate().unwrap()).unwrap();
    assert_eq!(judge(&signed(&jane, &stranger, 600), NOW), Err(SignerFault::OtherKey));
    assert_eq!(judge(&signed(&jane, &request, 86_400), NOW), Err(SignerFault::TooLong(86_700)));
    assert_eq!(judge(&signed(&jane, &request, 600), NOW.plus(Duration::from_mins(10))), Err(SignerFault::Over));
    assert_eq!(judge("", NOW), Err(SignerFault::Malformed));
    assert_eq!(judge(&pem::encode("CERTIFICATE", b"nonsense"), NOW), Err(SignerFault::Malformed));
    let server = impostor
        .sign_server(&["jane".into()], request.public_key_der(), SERIAL, NOW, NOW.plus(Duration::from_mins(10)))
        .unwrap();
    assert!(matches!(
        judge(&pem::encode("CERTIFICATE", &server), NOW),
        Err(SignerFault::OtherPurpose | SignerFault::OtherSubject)
    ));
}

#[test]
fn a_serial_is_printed_without_the_sign_byte() {
    // ecdsa-with-SHA256 and serial 0x80... as other signers make them; ours never begin with a high bit.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x80, 0x01]));
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let (made, asked) = {
        let laptop = ClientKey::generate().unwrap();
        let asked = CertificateRequest::build(&subject("jane", &[]), &laptop).unwrap();
        let public = rcgen::SubjectPublicKeyInfo::from_der(asked.public_key_der()).unwrap();
        let ca = rcgen::Issuer::new(rcgen::CertificateParams::default(), key);
        params.not_before = rcgen::date_time_ymd(2026, 11, 21);
        params.not_after = rcgen::date_time_ymd(2026, 11, 22);
        (params.signed_by(&public, &ca).unwrap().pem(), asked)
    };
    let day = Lifetime::choose(StrategyKind::CertificateSigningRequestAPI, Some(Duration::from_hours(24)));
    let credential = accept(made.as_bytes(), &subject("jane", &[]), &asked, day, NOW).unwrap();
    assert_eq!(credential.serial, "8001");
}

#[test]
fn a_serving_certificate_serves_its_names_and_no_client() {
    let authority = authority();
    let names = ["api.latchkey.svc".to_owned(), "api.latchkey.svc.cluster.local".to_owned()];
    let made = serve(&authority, &names, SERIAL, NOW).unwrap();
    let leaf = CertificateDer::from_pem_slice(made.certificate_pem.as_bytes()).unwrap();
    let end_entity = webpki::EndEntityCert::try_from(&leaf).unwrap();
    for name in &names {
        let name = rustls_pki_types::ServerName::try_from(name.as_str()).unwrap();
        assert_eq!(end_entity.verify_is_valid_for_subject_name(&name), Ok(()));
    }
    assert!(verify(&leaf, authority.certificate(), NOW).is_err(), "not for clients");
}

#[test]
fn debug_output_carries_no_key() {
    let credential = mint_for(&Subject::probe(), &authority(), None, lifetime(), SERIAL, NOW).unwrap();
    let printed = format!("{credential:?} {:?}", authority());
    assert!(!printed.contains("PRIVATE") && !printed.contains("BEGIN"), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the mapping lets through (anything but control characters) comes back from the certificate unchanged.
    #[test]
    fn user_and_groups_survive_the_certificate(
        name in "[^\\p{C}]{1,128}",
        groups in prop::collection::vec("[^\\p{C}]{1,64}", 0..40),
    ) {
        let subject = Subject { common_name: name, organizations: groups };
        let credential = mint_for(&subject, &authority(), None, lifetime(), SERIAL, NOW).unwrap();
        let der = der(&credential);
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        prop_assert_eq!(Subject::read(leaf.subject()), Some(subject));
        prop_assert_eq!(leaf.raw_serial().len(), 16);
    }

    #[test]
    fn no_text_makes_the_request_parser_panic(text in ".{0,400}", der in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(CertificateRequest::parse(&text).is_err());
        prop_assert!(CertificateRequest::parse(&pem::encode("CERTIFICATE REQUEST", &der)).is_err());
    }

    /// A request with one byte changed is refused, or it is still the same request.
    #[test]
    fn no_changed_byte_goes_unseen(at in 0_usize..200, change in 1_u8..=255) {
        let built = CertificateRequest::build(&subject("jane", &["developers"]), &ClientKey::generate().unwrap()).unwrap();
        let mut bytes = CertificateDer::from(
            rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(built.pem().as_bytes()).unwrap().to_vec(),
        ).to_vec();
        let at = at % bytes.len();
        bytes[at] ^= change;
        if let Ok(changed) = CertificateRequest::parse(&pem::encode("CERTIFICATE REQUEST", &bytes)) {
            prop_assert_eq!(changed.subject(), built.subject());
            prop_assert_eq!(changed.public_key_der(), built.public_key_der());
        }
    }
}

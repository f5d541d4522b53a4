//! The exchange through the API server's aggregation layer, against the cryptography that it cannot do without.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use latchkey_e2e::site::{AUTHENTICATOR, Site};
use serde_json::{Value, json};

use super::{
    row::Row,
    stand::{Stand, USER},
};

/// As in the goal.
const CONNECTIONS: usize = 64;
/// Enough for a second of CPU, so that the kernel's ticks of 10 ms do not show.
const EXCHANGES: usize = 4_000;
/// Until connections, caches and the verdict's code are warm.
const WARM_UP: usize = 256;

/// Exchanges per second, and CPU of the concierge for one.
pub(crate) async fn run(stand: &Stand) -> Result<Vec<Row>> {
    let bare = bare_cryptography()?;
    // A token of its own for each: a verdict is remembered, and people do not send the same token thousands of times.
    let bodies: Vec<String> = (0..WARM_UP + EXCHANGES)
        .map(|_| {
            let token = stand.issuer.id_token(USER, &Site::audience(stand.site.name))?;
            Ok(request(&token)?.to_string())
        })
        .collect::<Result<_>>()?;
    let (warm_up, measured) = bodies.split_at(WARM_UP);
    exchange_all(stand, warm_up).await?;
    let (cpu, start) = (stand.concierge_cpu_micros()?, Instant::now());
    exchange_all(stand, measured).await?;
    let elapsed = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = measured.len() as f64;
    let each = (stand.concierge_cpu_micros()? - cpu) / count;
    Ok(vec![
        Row::ratio("CPU of an exchange", "us", each, ("RS256 verify + P-256 verify + P-256 sign", bare), 2.5),
        Row::plain("exchanges through the aggregator", "/s", count / elapsed, "64 connections, all on this machine"),
    ])
}

async fn exchange_all(stand: &Stand, bodies: &[String]) -> Result<()> {
    let url = format!(
        "{}/apis/login.concierge.latchkey.dev/v1alpha1/tokencredentialrequests",
        stand.site.cluster.server_url()
    );
    let ca = reqwest::Certificate::from_pem(stand.site.cluster.ca_pem().as_bytes())?;
    let next = Arc::new(AtomicUsize::new(0));
    let bodies: Arc<[String]> = bodies.into();
    let workers = (0..CONNECTIONS).map(|_| {
        let client = reqwest::Client::builder().tls_certs_only([ca.clone()]).http1_only().build();
        let (next, bodies, url) = (Arc::clone(&next), Arc::clone(&bodies), url.clone());
        tokio::spawn(async move {
            let client = client?;
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let answer: Value = client
                    .post(&url)
                    .header("content-type", "application/json")
                    .body(body.clone())
                    .send()
                    .await?
                    .json()
                    .await?;
                let granted = answer["status"]["credential"]["clientCertificateData"].is_string();
                ensure!(granted, "an exchange was not granted: {answer}");
            }
            Ok(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.context("a worker panicked")??;
    }
    Ok(())
}

fn request(token: &str) -> Result<Value> {
    static CSR: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    if CSR.get().is_none() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        // Somebody may have been faster; either will do.
        let _ = CSR.set(rcgen::CertificateParams::default().serialize_request(&key)?.pem()?);
    }
    let csr = CSR.get().context("just made")?;
    Ok(json!({
        "apiVersion": "login.concierge.latchkey.dev/v1alpha1",
        "kind": "TokenCredentialRequest",
        "spec": {
            "token": token,
            "authenticator": {
                "apiGroup": "authentication.concierge.latchkey.dev", "kind": "JWTAuthenticator", "name": AUTHENTICATOR,
            },
            "certificateSigningRequest": csr,
        },
    }))
}

/// Microseconds for what no implementation can leave out: the token's signature, the certificate request's own
/// signature, and the signature on the certificate.
pub(crate) fn bare_cryptography() -> Result<f64> {
    const MESSAGE: &[u8; 1_000] = &[7; 1_000];
    const TIMES: u32 = 2_000;
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let mut rsa_signature = vec![0; rsa.public_modulus_len()];
    rsa.sign(&RSA_PKCS1_SHA256, &random, MESSAGE, &mut rsa_signature)?;
    let public: PublicKeyComponents<Vec<u8>> = rsa.public_key().into();
    let rsa_public = public.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)?;
    let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    let ecdsa_public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, ecdsa.public_key().as_ref())?;
    let ecdsa_signature = ecdsa.sign(&random, MESSAGE)?;
    let start = Instant::now();
    for _ in 0..TIMES {
        black_box(rsa_public.verify_sig(MESSAGE, &rsa_signature))?;
        black_box(ecdsa_public.verify_sig(MESSAGE, ecdsa_signature.as_ref()))?;
        black_box(ecdsa.sign(&random, MESSAGE))?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES))
}

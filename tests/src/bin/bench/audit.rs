//! What the chain and the tree add to a record, and how fast logs are verified: both beside plain SHA-256 of the same bytes.

use std::{hint::black_box, time::Instant};

use anyhow::{Result, ensure};
use aws_lc_rs::digest::{Context, SHA256};
use latchkey_concierge::audit::{
    chain::{Chain, Identity},
    verify::{Demands, Verdict, Verifier},
};

use super::row::{Row, median};

/// Records in the log: some 80 MB, far more than any cache holds.
const RECORDS: u64 = 100_000;

/// Runs of each figure.
const RUNS: usize = 7;

/// A refusal as it is recorded, but for its time and its number.
const BODY: &str = r#""kind":"token.refused","severity":"high","code":"audience-other-cluster","auditID":"5c1e6a1c-3f0e-4f4e-9a55-0d0b1d0c5f3e","surface":"exchange","authenticator":{"kind":"JWTAuthenticator","name":"corp","uid":"0b9d3b0e-6a43-4d1c-8f0c-8d1f0a5b7c11","generation":4},"peer":{"ip":"10.3.4.5","port":51234},"userAgent":"kubectl-latchkey/0.3.0 (darwin/arm64)","token":{"fingerprint":"sha256:9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c9f2c","alg":"RS256","kid":"2026-10","typ":"JWT","bytes":1187},"verified":{"iss":"https://idp.example","sub":"00u1","aud":["k8s-staging"],"iat":1795222800,"exp":1795226400},"claimedCluster":"staging-eu","state":"live","latencyUs":312"#;

#[expect(clippy::cast_precision_loss, reason = "a hundred million at most")]
pub(crate) fn run() -> Result<Vec<Row>> {
    let identity = Identity { cluster: "prod-eu".into(), replica: "latchkey-7c9f-2k".into(), life: 1_795_222_800_000 };
    let bodies: Vec<String> = (0..RECORDS)
        .map(|number| format!("\"time\":\"2026-11-21T01:02:03.{:06}Z\",{BODY}", number % 1_000_000))
        .collect();
    let mut log = Vec::new();
    let mut chained = Vec::new();
    for _ in 0..RUNS {
        log.clear();
        let start = Instant::now();
        let mut chain = Chain::new(&identity, None);
        chain.append(0, br#""time":"2026-11-21T01:02:03.000000Z","kind":"audit.started""#, &mut log);
        for (number, body) in (1_u64..).zip(&bodies) {
            chain.append(number, body.as_bytes(), &mut log);
        }
        black_box(chain.root());
        chained.push(start.elapsed().as_secs_f64() * 1e6 / RECORDS as f64);
    }
    let megabytes = log.len() as f64 / 1e6;
    let (mut hashed, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        for line in log.split_inclusive(|byte| *byte == b'\n') {
            let mut context = Context::new(&SHA256);
            context.update(line);
            black_box(context.finish());
        }
        hashed.push(megabytes / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut verifier = Verifier::new(Demands::default());
        verifier.begin("log");
        log.chunks(256 * 1024).for_each(|block| verifier.feed(block));
        let report = verifier.finish();
        rates.push(megabytes / start.elapsed().as_secs_f64());
        ensure!(report.verdict == Verdict::Intact && report.lines == RECORDS + 1, "the log of the benchmark verifies");
    }
    let (rate, hashed) = (median(rates), median(hashed));
    Ok(vec![
        Row::bound("audit: line, chain and tree for a record", "us", median(chained), 3.0),
        Row {
            name: "audit: verifying a log, one core",
            figure: rate,
            unit: "MB/s",
            yardstick: format!("plain SHA-256 of its lines: {hashed:.0} MB/s; ratio {:.3}", rate / hashed),
            goal: "over 200 MB/s".to_owned(),
            holds: rate > 200.0,
        },
    ])
}

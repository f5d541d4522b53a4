//! What the chain and the tree add to a record, what recording adds to an exchange, and how fast logs are verified.

use std::{
    fs,
    hint::black_box,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{Context, SHA256};
use latchkey_concierge::{
    audit::{
        chain::{Chain, Identity},
        event::{Event, Exchange, Outcome},
        sink::{AuditLog, Destination, FileSettings, Fsync, Settings, Sinks},
        verify::{Demands, Verdict, Verifier},
    },
    authn::{self, Reason},
    jwt::{HeaderFacts, TokenFacts, VerifiedFacts},
    secret::TokenFingerprint,
    time::{ManualClock, UnixTime},
};
use tokio_util::sync::CancellationToken;

use super::{
    exchange::bare_cryptography,
    row::{Row, median},
    stand::cpu_micros,
};

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
    let (mut hashed, mut verified) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        for line in log.split_inclusive(|byte| *byte == b'\n') {
            let mut context = Context::new(&SHA256);
            context.update(line);
            black_box(context.finish());
        }
        hashed.push(megabytes / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut walk = Verifier::new(Demands::default());
        walk.begin("log");
        log.chunks(256 * 1024).for_each(|block| walk.feed(block));
        let report = walk.finish();
        verified.push(megabytes / start.elapsed().as_secs_f64());
        ensure!(report.verdict == Verdict::Intact && report.lines == RECORDS + 1, "the log of the benchmark verifies");
    }
    let (verified, hashed) = (median(verified), median(hashed));
    Ok(vec![
        Row::bound("audit: line, chain and tree for a record", "us", median(chained), 3.0),
        Row {
            name: "audit: verifying a log, one core",
            figure: verified,
            unit: "MB/s",
            yardstick: format!("plain SHA-256 of its lines: {hashed:.0} MB/s; ratio {:.3}", verified / hashed),
            goal: "over 200 MB/s".to_owned(),
            holds: verified > 200.0,
        },
    ])
}

/// Asking the machine for it costs some tens of nanoseconds, which are not missed here.
const NOW: UnixTime = UnixTime::from_secs(1_795_222_800);

/// Grants that are recorded, and how many at a time: as many as the exchange's benchmark has connections.
const GRANTS: u32 = 100_000;
const AT_ONCE: u32 = 64;

/// CPU that recording adds to an exchange: each grant from its facts to its line, awaited as an exchange awaits it; beside
/// the cryptography that the exchange cannot do without. Once as into standard output (what is no regular file is written to
/// the same way), and once into a file in memory that is not synced, for that is the disk's time.
pub(crate) async fn recording() -> Result<Vec<Row>> {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = parent.join(format!("latchkey-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let streamed = record_all("/dev/null".into()).await;
    let filed = record_all(folder.join("audit.jsonl")).await;
    fs::remove_dir_all(&folder)?;
    let ((cpu, wall), (file_cpu, file_wall)) = (streamed?, filed?);
    let bare = bare_cryptography()?;
    let bound = Row::bound("audit: CPU that recording adds to an exchange", "us", cpu, 10.0);
    let yardstick =
        format!("RS256 verify + P-256 verify + P-256 sign: {bare:.1} us; {wall:.1} us of time, {AT_ONCE} at once");
    let about = format!("{file_wall:.1} us of time; in memory, not synced");
    Ok(vec![Row { yardstick, ..bound }, Row::plain("audit: the same into a file", "us", file_cpu, &about)])
}

/// Microseconds of CPU and of time for each grant.
async fn record_all(path: PathBuf) -> Result<(f64, f64)> {
    let identity = Identity { cluster: "prod-eu".into(), replica: "latchkey-7c9f-2k".into(), life: 1_795_222_800_000 };
    let file = Destination::File(FileSettings { rotate_bytes: u64::MAX, ..FileSettings::new(path) });
    let settings =
        Settings { fsync: Fsync::Off, ..Settings::new(identity, vec![file], Arc::new(ManualClock::new(NOW))) };
    let (log, sinks) = Sinks::open(settings).await?;
    let writing = tokio::spawn(sinks.run(CancellationToken::new()));
    grant_all(&log, AT_ONCE * 16).await?;
    let (cpu, start) = (cpu_micros(std::process::id())?, Instant::now());
    grant_all(&log, GRANTS).await?;
    let wall = start.elapsed().as_secs_f64() * 1e6;
    let cpu = cpu_micros(std::process::id())? - cpu;
    drop(log);
    writing.await.context("the log's task panicked")??;
    Ok((cpu / f64::from(GRANTS), wall / f64::from(GRANTS)))
}

async fn grant_all(log: &AuditLog, count: u32) -> Result<()> {
    let workers = (0..AT_ONCE).map(|_| {
        let log = log.clone();
        tokio::spawn(async move {
            for _ in 0..count / AT_ONCE {
                log.record(grant()).await?;
            }
            anyhow::Ok(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.context("a worker panicked")??;
    }
    Ok(())
}

/// A good exchange, with as many facts as a token of usual size has.
fn grant() -> Event {
    let verdict =
        authn::Verdict { facts: facts().into(), authenticator: None, outcome: Err(Reason::AuthenticatorUnknown) };
    let exchange = Exchange {
        audit_id: "5c1e6a1c-3f0e-4f4e-9a55-0d0b1d0c5f3e",
        peer: Some(([10, 3, 4, 5], 51_234).into()),
        forwarded: None,
        user_agent: Some("kubectl-latchkey/0.3.0 (darwin/arm64)"),
        verdict: &verdict,
        outcome: Outcome::Accepted,
        latency: Duration::from_micros(312),
    };
    Event::exchange(NOW, &exchange)
}

fn facts() -> TokenFacts {
    let text = |text: &str| Some(text.to_owned());
    TokenFacts {
        bytes: 1_187,
        fingerprint: Some(TokenFingerprint::of(&[7; 800])),
        header: Some(HeaderFacts { alg: "RS256".to_owned(), kid: text("2026-10"), typ: text("JWT") }),
        signed: true,
        claimed: None,
        verified: Some(VerifiedFacts {
            iss: text("https://idp.example"),
            sub: text("00u1a2b3c4d5e6f7"),
            aud: vec!["k8s-prod-eu".to_owned()],
            azp: text("k8s-prod-eu"),
            jti: text("AT.8xk2p7n2q9c4v8x5"),
            sid: text("102a9c4v8x5b3m6z"),
            iat: Some(1_795_222_800),
            exp: Some(1_795_226_400),
            auth_time: Some(1_795_222_790),
        }),
    }
}

//! A flood of forged tokens beside people who log in and a thief who tries true tokens of another cluster: every login is
//! answered, every replay is recorded under its cluster, the flood is counted to the last token, and neither the log, nor
//! the objects, nor the memory grows with it. `LATCHKEY_LONG=1` makes it last.

use std::{
    cell::Cell,
    collections::BTreeSet,
    env, fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::try_join_all;
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

/// How long the flood lasts, in a hurry and with time.
const SHORT: Duration = Duration::from_secs(8);
const LONG: Duration = Duration::from_mins(1);

/// Forgers at work at once. The test has one thread, so all of them together have one core.
const FORGERS: usize = 32;

/// The pace of those who log in, and of the thief.
const LOGIN_EVERY: Duration = Duration::from_millis(50);
const REPLAY_EVERY: Duration = Duration::from_millis(200);

/// As in the flood of made-up key ids: what an allocator holds on to, with the rings of the audit log beside it.
const GROWTH_KIB: u64 = 16 * 1024;

/// Most `TokenRejection` objects that may exist.
const MOST_OBJECTS: usize = 200;

/// How many are left where there were too many.
const KEPT_OBJECTS: usize = 180;

/// Longest line of the audit log.
const LINE: u64 = 8 * 1024;

/// Rejections are written every ten seconds at most, and the machine is busy.
const OBJECTS_LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_flood_hides_no_replay_and_delays_no_login() -> Result<()> {
    let lasts = if env::var_os("LATCHKEY_LONG").is_some() { LONG } else { SHORT };
    let work = TempFolder::new("flood-replays")?;
    let mut site = Site::start("production", work.path()).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let (staging, production) = (Site::audience("staging"), Site::audience("production"));
    site.fleet(&[("staging", &staging), ("production", &production)]).await?;
    site.trust(&issuer).await?;
    // Straight to the concierge: the API server in between would be the first to tire.
    let mut doors = Vec::new();
    for _ in 0..FORGERS + 2 {
        doors.push(Exchanger::straight(&site.cluster, &site.concierge).await?);
    }
    let (people, thief) = (doors.pop().context("a door")?, doors.pop().context("a door")?);
    ensure!(people.exchange(&issuer.id_token("bob", &production)?).await?.is_granted());

    let (begin, forged) = (Instant::now(), Cell::new(0_u64));
    // A good token of a sibling's whose signature is another's: nothing of it may be believed.
    let claims = issuer.claims("ann", &staging)?;
    let template = issuer.draft(&claims).sign()?;
    let (signed, _) = template.rsplit_once('.').context("a token")?;
    let flood = try_join_all(doors.iter().map(async |door| {
        while begin.elapsed() < lasts {
            forged.set(forged.get() + 1);
            door.exchange(&forgery(signed, forged.get())).await?.refused()?;
        }
        anyhow::Ok(())
    }));
    let logins = async {
        let mut pace = interval(LOGIN_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut granted, mut longest, mut settled, mut most) = (BTreeSet::new(), Duration::ZERO, None, 0);
        while begin.elapsed() < lasts {
            pace.tick().await;
            let token = issuer.id_token("bob", &production)?;
            let asked = Instant::now();
            let answer = people.exchange(&token).await?;
            longest = longest.max(asked.elapsed());
            ensure!(answer.is_granted(), "a login during the flood: {}", answer.body["status"]);
            granted.insert(answer.audit_id()?.to_owned());
            if begin.elapsed() > lasts / 5 {
                let now = site.concierge.resident_kib()?;
                settled.get_or_insert(now);
                most = most.max(now);
            }
        }
        anyhow::Ok((granted, longest, settled.context("nobody logged in after the first fifth")?, most))
    };
    let replays = async {
        let mut pace = interval(REPLAY_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused = BTreeSet::new();
        while begin.elapsed() < lasts {
            pace.tick().await;
            let mut claims = issuer.claims("ann", &staging)?;
            claims["sub"] = format!("victim-{}", refused.len()).into();
            let answer = thief.exchange(&issuer.mint(&claims)?).await?;
            answer.refused()?;
            refused.insert(answer.audit_id()?.to_owned());
        }
        anyhow::Ok(refused)
    };
    let (_, (granted, longest, settled, most), replayed) = tokio::try_join!(flood, logins, replays)?;
    let (took, forged) = (begin.elapsed(), forged.get());

    let metrics = site.concierge.metrics().await?;
    let counted = sum(&metrics, "latchkey_cross_cluster_rejections_total{", "claimed_cluster=\"staging\"")?;
    ensure!(counted == replayed.len() as u64, "{counted} counted, {} replays", replayed.len());
    let (objects, total) = rejections(&site, replayed.len()).await?;
    site.concierge.stop().await?;
    let bytes = fs::metadata(site.concierge.audit_file())?.len();
    println!(
        "flood: {forged} forged tokens in {took:.1?} ({} a second) beside {} logins (the longest took {longest:.0?}) and {} \
         replays; {objects} objects count {total} replays; log of {bytes} bytes; {settled} KiB resident after the first fifth \
         and {most} KiB at most then (at most {GROWTH_KIB} KiB more)",
        u128::from(forged) * 1_000 / took.as_millis().max(1),
        granted.len(),
        replayed.len(),
    );
    let lines = site.concierge.audit_lines()?;
    let with_code = |code: &'static str| lines.iter().filter(move |line| line["code"] == code);
    let id = |line: &Value| line["auditID"].as_str().unwrap_or_default().to_owned();
    ensure!(granted.is_subset(&with_code("granted").map(id).collect()), "a login without its record");
    let recorded: Vec<String> = with_code("audience-other-cluster").map(id).collect();
    ensure!(recorded.len() == replayed.len() && recorded.into_iter().collect::<BTreeSet<_>>() == replayed);
    ensure!(with_code("audience-other-cluster").all(|line| line["claimedCluster"] == "staging"));
    let noise: u64 = with_code("signature-invalid").map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    ensure!(noise == forged, "{noise} of {forged} forged tokens are recorded");
    ensure!(lines.iter().all(|line| line["kind"] != "audit.gap"), "something was lost");
    // What was not the flood's, a record for each; and of the flood a first one, one for every thousand, one a minute.
    let most_lines = (granted.len() + replayed.len()) as u64 + forged / 1_000 + took.as_secs() / 60 + 64;
    ensure!(lines.len() as u64 <= most_lines, "{} lines, at most {most_lines}", lines.len());
    ensure!(bytes <= most_lines * LINE, "{bytes} bytes");
    ensure!(most <= settled + GROWTH_KIB, "{most} KiB resident, {settled} KiB after the first fifth");
    ensure!(forged > FORGERS as u64 && granted.len() > 1 && replayed.len() > 1);
    Ok(())
}

/// A signature of its own for each, and none that holds.
fn forgery(signed: &str, number: u64) -> String {
    let mut signature = [0x5a; 256];
    signature[..8].copy_from_slice(&number.to_be_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The objects, once they have caught up: their number, and the replays that they count together.
async fn rejections(site: &Site, replays: usize) -> Result<(usize, u64)> {
    eventually("the rejections to be written", OBJECTS_LIMIT, async || {
        let objects = site.rejections().await?;
        ensure!(objects.len() <= MOST_OBJECTS, "{} objects", objects.len());
        ensure!(objects.iter().all(|object| object["status"]["authenticator"] == AUTHENTICATOR));
        let total: u64 = objects.iter().filter_map(|object| object["status"]["count"].as_u64()).sum();
        ensure!(objects.len() >= replays.min(KEPT_OBJECTS), "{} objects for {replays} replays", objects.len());
        Ok((objects.len(), total))
    })
    .await
}

/// All series of a name that have a label, added up.
fn sum(metrics: &str, name: &str, label: &str) -> Result<u64> {
    let series = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
    let values = series.map(|line| Ok(line.rsplit_once(' ').context("a value")?.1.parse::<u64>()?));
    values.sum()
}

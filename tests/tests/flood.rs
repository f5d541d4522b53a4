//! Forged tokens with made-up key ids, as many as one core can send: the identity provider hardly notices, people log in
//! all the while, and the concierge grows no fatter. `LATCHKEY_LONG=1` makes it last.

use std::{
    cell::Cell,
    env,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::try_join_all;
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions, KEYS},
    site::Site,
};
use serde_json::json;

/// How long the flood lasts, in a hurry and with time.
const SHORT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(30);

/// Forgers at work at once. The test has one thread, so all of them together have one core.
const FORGERS: usize = 32;

/// Between two fetches that unknown keys bring about, and how many may follow each other at once after a quiet time.
const INTERVAL: Duration = Duration::from_secs(10);
const BURST: u64 = 3;

/// What the process may grow by once connections, buffers and workers are there, which takes the first fifth of the flood.
/// A refused token leaves one of 1,024 remembered key ids (1 MiB if each had its longest) and a record in the audit's
/// queue of bounded length; nothing else remembers it. The rest is what an allocator holds on to under 32 connections.
const GROWTH_KIB: u64 = 16 * 1024;

#[tokio::test]
async fn a_flood_of_made_up_key_ids_costs_the_issuer_and_the_people_next_to_nothing() -> Result<()> {
    let lasts = if env::var_os("LATCHKEY_LONG").is_some() { LONG } else { SHORT };
    let work = TempFolder::new("flood")?;
    let site = Site::start("staging", work.path()).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    site.trust(&issuer).await?;
    let audience = Site::audience("staging");
    let template = issuer.id_token("ann", &audience)?;
    let (_, rest) = template.split_once('.').context("a token")?;
    // Straight to the concierge: the API server in between would be the first to tire.
    let mut doors = Vec::new();
    for _ in 0..=FORGERS {
        doors.push(Exchanger::straight(&site.cluster, &site.concierge).await?);
    }
    let people = doors.pop().context("a door for people")?;
    ensure!(people.exchange(&issuer.id_token("bob", &audience)?).await?.is_granted());

    let (fetched, begin, sent) = (issuer.requests(KEYS), Instant::now(), Cell::new(0_usize));
    let flood = try_join_all(doors.iter().map(async |door| {
        while begin.elapsed() < lasts {
            sent.set(sent.get() + 1);
            door.exchange(&forged(rest, sent.get())).await?.refused()?;
        }
        anyhow::Ok(())
    }));
    let logins = async {
        let (mut admitted, mut settled, mut most) = (0, None, 0);
        while begin.elapsed() < lasts {
            let answer = people.exchange(&issuer.id_token("bob", &audience)?).await?;
            ensure!(answer.is_granted(), "a login during the flood: {}", answer.body["status"]);
            admitted += 1;
            if begin.elapsed() > lasts / 5 {
                let now = site.concierge.resident_kib()?;
                settled.get_or_insert(now);
                most = most.max(now);
            }
        }
        anyhow::Ok((admitted, settled.context("nobody logged in after the first fifth")?, most))
    };
    let (_, (admitted, settled, most)) = tokio::try_join!(flood, logins)?;

    let (took, fetched, sent) = (begin.elapsed(), issuer.requests(KEYS) - fetched, sent.get());
    let allowed = BURST + took.as_secs() / INTERVAL.as_secs() + 1;
    println!(
        "flood: {sent} forged tokens in {took:.1?}: {fetched} fetches (at most {allowed}), {admitted} logins admitted, \
         {settled} KiB resident after the first fifth and {most} KiB at most then (at most {GROWTH_KIB} KiB more)"
    );
    ensure!(fetched <= allowed, "{fetched} fetches, {allowed} allowed");
    ensure!(sent > FORGERS && admitted > 0);
    ensure!(most <= settled + GROWTH_KIB, "{most} KiB resident, {settled} KiB after the first fifth");
    let suppressed = metric(&site.concierge.metrics().await?, "latchkey_keys_fetch_suppressed_total")?;
    ensure!(suppressed > 0, "nothing was suppressed");
    Ok(())
}

/// The rest of a good token behind a header that names a key which never was.
fn forged(rest: &str, number: usize) -> String {
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": format!("made-up-{number}")});
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

fn metric(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(value.trim().parse()?)
}

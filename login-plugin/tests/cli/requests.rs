//! How many requests each way to a credential costs: no flow makes one that it does not need.

use serde_json::json;

use crate::plugin::{Laptop, credential, log_in};
use crate::site::{Exchange, Site};
use crate::workload::good;

/// Discovery documents, key sets, device codes, tokens, exchanges.
type Requests = [usize; 5];

fn so_far(site: &Site) -> Requests {
    site.seen(|seen| {
        [seen.discovery, seen.key_sets, seen.device_requests.len(), seen.token_requests.len(), seen.exchanges.len()]
    })
}

fn age(laptop: &Laptop, directory: &str, seconds: i64) {
    laptop.edit(directory, |entry| {
        for field in ["received_at", "usable_until"] {
            entry[field] = json!(entry[field].as_i64().unwrap() - seconds);
        }
    });
}

#[tokio::test]
async fn each_flow_makes_the_requests_it_needs_and_no_other() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let direct = || credential(&laptop, &site).with("--no-exchange");
    let mut table: Vec<(&str, Requests)> = Vec::new();
    let mut before = so_far(&site);
    let mut row = |flow: &'static str| {
        let now = so_far(&site);
        let mut spent = now;
        spent.iter_mut().zip(before).for_each(|(count, earlier)| *count -= earlier);
        table.push((flow, spent));
        before = now;
    };

    run.end_with_login(&site).await.credential();
    row("first login in a browser");
    run.end().await.credential();
    row("warm");
    age(&laptop, "credentials", 3600);
    run.end().await.credential();
    row("credential past, ID token good");
    age(&laptop, "credentials", 3600);
    age(&laptop, "sessions", 3600);
    run.end().await.credential();
    row("ID token past, refresh token good");
    direct().end().await.credential();
    row("same login, cluster that takes the ID token itself");

    // Another computer, with a code.
    site.behave(|behaviour| behaviour.device = true);
    let other = Laptop::new();
    let mut running = credential(&other, &site).set("LATCHKEY_FLOW", "device").start();
    running.line_with("WDJB-MJHT").await.unwrap();
    running.end().await.credential();
    row("first login with a code");

    let third = Laptop::new();
    let mut running = credential(&third, &site).start();
    let url = running.url().await.unwrap();
    log_in(&site, &url).await;
    running.end().await.credential();
    row("first login on yet another computer");

    // A job with a token of its own asks no provider.
    std::fs::write(laptop.path("token"), good("job")).unwrap();
    let job = credential(&laptop, &site).with(&format!("--token-file={}", laptop.path("token").display()));
    job.end().await.credential();
    row("a job's token");
    job.end().await.credential();
    row("the same token again");

    // Kubernetes' own signer wants the subject in the request, and says which.
    site.behave(|behaviour| behaviour.exchange = Exchange::CertificateForSubject);
    let fourth = Laptop::new();
    let run = credential(&fourth, &site);
    run.end_with_login(&site).await.credential();
    row("first login to a cluster that minds the subject");
    age(&fourth, "credentials", 3600);
    run.end().await.credential();
    row("credential past, subject known");

    eprintln!("{:<56}discovery  keys  codes  tokens  exchanges", "requests of");
    for (flow, [discovery, keys, codes, tokens, exchanges]) in &table {
        eprintln!("{flow:<56}{discovery:>9}{keys:>6}{codes:>7}{tokens:>8}{exchanges:>11}");
    }
    assert_eq!(
        table,
        [
            // discovery, keys, device codes, tokens, exchanges
            ("first login in a browser", [1, 1, 0, 1, 1]),
            ("warm", [0, 0, 0, 0, 0]),
            ("credential past, ID token good", [0, 0, 0, 0, 1]),
            ("ID token past, refresh token good", [0, 0, 0, 1, 1]),
            ("same login, cluster that takes the ID token itself", [0, 0, 0, 0, 0]),
            ("first login with a code", [1, 1, 1, 1, 1]),
            ("first login on yet another computer", [1, 1, 0, 1, 1]),
            ("a job's token", [0, 0, 0, 0, 1]),
            ("the same token again", [0, 0, 0, 0, 0]),
            ("first login to a cluster that minds the subject", [1, 1, 0, 1, 2]),
            ("credential past, subject known", [0, 0, 0, 0, 1]),
        ]
    );
}

//! Beside the stock program itself, in turns and at once on the same files. `PINNIPED_CLI` says where it is: its module is
//! not in every module proxy, so nothing here builds it.

use std::fs;
use std::path::PathBuf;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::pinniped::{oidc, stock_site, time};
use crate::plugin::{Laptop, Run, browser, get, log_in, redirect};
use crate::site::{Site, now};

fn stock() -> PathBuf {
    std::env::var_os("PINNIPED_CLI").expect("PINNIPED_CLI names the stock program").into()
}

async fn stock_answers(run: &Run<'_>) -> Value {
    run.start_as(&stock()).end().await.credential()
}

/// The stock program logs in, with a person who follows the link.
async fn stock_logs_in(run: &Run<'_>, site: &Site) -> Value {
    let mut running = run.start_as(&stock());
    let url = running.url().await.unwrap();
    let callback = redirect(site, &url).await;
    assert_eq!(get(&browser(site), &callback).await.status, StatusCode::OK);
    running.end().await.credential()
}

/// As an hour later: the ID token is past, and so is the credential.
fn an_hour_later(laptop: &Laptop) {
    laptop.change("sessions.yaml", "sessions", |entry| {
        entry["tokens"]["id"]["expiryTimestamp"] = json!(time(now() - 1));
    });
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
}

#[tokio::test]
#[ignore = "needs the stock program in PINNIPED_CLI"]
async fn its_login_is_ours_and_ours_is_its() {
    let site = stock_site();
    // Its own rule: an ID token is good while it has ten minutes left.
    site.behave(|behaviour| behaviour.id_token_lifetime = 3600);
    let laptop = Laptop::new();
    let run = oidc(&laptop, &site);
    let by_stock = stock_logs_in(&run, &site).await;
    assert_eq!(run.end().await.credential(), by_stock, "the credential is found under the same name");
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 0), "so is the login");

    an_hour_later(&laptop);
    let by_us = run.end().await.credential();
    assert_eq!(stock_answers(&run).await, by_us);
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    stock_answers(&run).await;
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1), "the stock program uses what we refreshed");

    for turn in 2..6 {
        an_hour_later(&laptop);
        if turn % 2 == 0 {
            stock_answers(&run).await
        } else {
            run.end().await.credential()
        };
        assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, turn), "in turns, each rotated token is found");
    }
}

#[tokio::test]
#[ignore = "needs the stock program in PINNIPED_CLI"]
async fn our_login_alone_is_enough_for_it() {
    let (site, laptop) = (stock_site(), Laptop::new());
    site.behave(|behaviour| behaviour.id_token_lifetime = 3600);
    let run = oidc(&laptop, &site);
    let mut running = run.start();
    let url = running.url().await.unwrap();
    log_in(&site, &url).await;
    let by_us = running.end().await.credential();
    assert_eq!(stock_answers(&run).await, by_us);
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    stock_answers(&run).await;
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 0));
}

#[tokio::test]
#[ignore = "needs the stock program in PINNIPED_CLI"]
async fn both_at_once_lose_nothing_of_the_files() {
    let (site, laptop) = (stock_site(), Laptop::new());
    site.behave(|behaviour| behaviour.id_token_lifetime = 3600);
    let run = oidc(&laptop, &site);
    stock_logs_in(&run, &site).await;
    // Each with a credential of its own name, so that every run reads and writes both files.
    let runs: Vec<Run<'_>> =
        (0..12).map(|number| oidc(&laptop, &site).with(&format!("--concierge-namespace=n{number}"))).collect();
    let all = runs.iter().enumerate().map(|(number, run)| async move {
        if number % 2 == 0 { stock_answers(run).await } else { run.end().await.credential() }
    });
    let answers: Vec<Value> = futures_join(all).await;
    assert_eq!(answers.len(), 12);
    assert_eq!(laptop.yaml("credentials.yaml")["credentials"].as_array().unwrap().len(), 13);
    assert_eq!(laptop.yaml("sessions.yaml")["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 0));
    for (number, run) in runs.iter().enumerate() {
        let again = if number % 2 == 1 { stock_answers(run).await } else { run.end().await.credential() };
        assert_eq!(again, answers[number], "what one kept, the other finds");
    }
}

/// All of them at once, the answers in their order.
async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, answer) in all.iter_mut().filter(|(_, answer)| answer.is_none()) {
            if let std::task::Poll::Ready(done) = one.as_mut().poll(context) {
                *answer = Some(done);
            }
        }
        if all.iter().all(|(_, answer)| answer.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, answer)| answer).collect()
}

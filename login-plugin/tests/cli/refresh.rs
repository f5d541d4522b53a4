//! Sessions that live on: refresh, rotation, and what a failure may cost.

use serde_json::{Value, json};

use crate::plugin::{Laptop, Run, credential};
use crate::site::{Refresh, Site};

/// Logged in an hour ago: credential and ID token are past, the refresh token is there.
async fn an_hour_after_login<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    let run = credential(laptop, site);
    run.end_with_login(site).await.credential();
    for directory in ["sessions", "credentials"] {
        laptop.edit(directory, |entry| {
            for field in ["received_at", "usable_until"] {
                entry[field] = json!(entry[field].as_i64().unwrap() - 3600);
            }
        });
    }
    run
}

fn refresh_token(laptop: &Laptop) -> Value {
    let text = std::fs::read_to_string(laptop.entry("sessions", "json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["refresh_token"].clone()
}

#[tokio::test]
async fn expired_tokens_are_refreshed_without_a_word_and_the_rotated_one_is_kept() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let before = refresh_token(&laptop);
    let ended = run.end().await;
    ended.credential();
    assert_eq!(ended.said, "");
    assert_ne!(refresh_token(&laptop), before);
    let seen = site.seen(|seen| (seen.logins, seen.refreshes, seen.discovery));
    assert_eq!(seen, (1, 1, 1), "discovery came from the cache");
}

#[tokio::test]
async fn a_refresh_asks_for_no_scope_that_the_login_was_not_granted() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.granted = Some("openid"));
    for _ in 0..2 {
        let ended = an_hour_after_login(&laptop, &site).await.end().await;
        ended.credential();
    }
    assert!(site.seen(|seen| seen.authorizations[0]["scope"].contains("offline_access")), "more was asked for");
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 2));
}

#[tokio::test]
async fn ten_at_once_are_one_refresh() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let all: Vec<_> = (0..10).map(|_| run.start()).collect();
    let mut answers = Vec::new();
    for running in all {
        let ended = running.end().await;
        ended.credential();
        answers.push(ended.stdout);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!((site.seen(|seen| (seen.logins, seen.refreshes)), site.exchanges()), ((1, 1), 2));
}

#[tokio::test]
async fn a_provider_that_is_not_well_costs_nobody_a_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let before = refresh_token(&laptop);
    site.behave(|behaviour| behaviour.refresh = Refresh::NotWell);
    let ended = run.end().await;
    assert!(ended.failure(6).contains("503"), "{ended:?}");
    assert_eq!(refresh_token(&laptop), before);
    site.behave(|behaviour| behaviour.refresh = Refresh::Rotates);
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn a_provider_that_is_away_costs_nobody_a_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let before = refresh_token(&laptop);
    drop(site);
    let ended = run.end().await;
    assert!(ended.failure(6).contains("cannot reach the identity provider"), "{ended:?}");
    assert_eq!(refresh_token(&laptop), before);
}

#[tokio::test]
async fn only_invalid_grant_ends_a_session() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    site.behave(|behaviour| behaviour.refresh = Refresh::InvalidGrant);
    run.end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (2, 1));
}

#[tokio::test]
async fn another_user_from_a_refresh_is_a_new_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    site.behave(|behaviour| behaviour.subject = "mallory");
    let ended = run.end_with_login(&site).await;
    ended.credential();
    assert!(ended.said.contains("another user"), "{ended:?}");
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn a_refresh_without_an_id_token_leads_to_a_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    site.behave(|behaviour| behaviour.refresh_gives_id_token = false);
    run.end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn a_refreshed_token_is_judged_like_the_first() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let before = site.exchanges();
    site.behave(|behaviour| behaviour.audiences = json!(["staging", "production"]));
    let ended = run.end().await;
    assert!(ended.failure(4).contains("audience-shared"), "{ended:?}");
    assert_eq!(site.exchanges(), before);
}

#[tokio::test]
async fn keys_that_were_rotated_are_fetched_once() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    site.behave(|behaviour| behaviour.rotated = true);
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes, seen.discovery)), (1, 1, 2));
}

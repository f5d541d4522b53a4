//! Sessions that live on: refresh, rotation, and what a failure may cost.

use std::fs;

use serde_json::{Value, json};

use crate::plugin::{Laptop, Run, credential};
use crate::site::{Exchange, Refresh, Site};

/// Logged in an hour ago: credential and ID token are past, the refresh token is there.
async fn an_hour_after_login<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    let run = credential(laptop, site);
    run.end_with_login(site).await.credential();
    make_old(laptop);
    run
}

fn make_old(laptop: &Laptop) {
    for directory in ["sessions", "credentials"] {
        laptop.edit(directory, |entry| {
            for field in ["received_at", "usable_until"] {
                entry[field] = json!(entry[field].as_i64().unwrap() - 3600);
            }
        });
    }
}

/// Received long enough ago that a second question of the same program means something.
fn make_suspect(laptop: &Laptop) {
    laptop.edit("credentials", |entry| entry["received_at"] = json!(entry["received_at"].as_i64().unwrap() - 60));
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
async fn a_refresh_without_an_id_token_leads_to_one_login_and_is_not_tried_at_each_call() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    site.behave(|behaviour| behaviour.refresh_gives_id_token = false);
    // Nobody may log in here, five times over, as in one `kubectl get`.
    for _ in 0..5 {
        let nobody = credential(&laptop, &site).set("LATCHKEY_FLOW", "none");
        nobody.end().await.failure(3);
    }
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1), "asked once, for all of them");
    assert_eq!(refresh_token(&laptop), "refresh-2", "the rotated one is kept for a provider that learns it");
    run.end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (2, 1));
    make_old(&laptop);
    site.behave(|behaviour| behaviour.refresh_gives_id_token = true);
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (2, 2), "and a new login is a new chance");
}

#[tokio::test]
async fn where_only_another_login_can_pass_the_command_for_it_is_named() {
    let hint = "another login may pass: kubectl latchkey login --force, with --kubeconfig and --context";
    for useless in [false, true] {
        let (site, laptop) = (Site::start(), Laptop::new());
        let run = credential(&laptop, &site);
        run.end_with_login(&site).await.credential();
        std::fs::remove_file(laptop.entry("credentials", "json")).unwrap();
        site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
        assert!(!run.end().await.failure(5).contains(hint), "refreshed, and refused all the same");
        laptop.a_minute_after_the_refusal();
        laptop.edit("sessions", |session| {
            if useless {
                session["refresh_is_useless"] = true.into();
            } else {
                session["refresh_token"] = serde_json::Value::Null;
            }
        });
        let said = run.end().await;
        assert!(said.failure(5).contains(hint), "{said:?}");
        assert_eq!(site.seen(|seen| seen.logins), 1);
    }
}

#[tokio::test]
async fn the_old_id_token_serves_while_it_is_good() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.refresh_gives_id_token = false);
    let run = credential(&laptop, &site).with("--no-exchange");
    let first = run.end_with_login(&site).await;
    make_suspect(&laptop);
    let second = run.end().await;
    second.credential();
    assert_eq!((second.stdout, second.said.as_str()), (first.stdout, ""));
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
}

#[tokio::test]
async fn an_id_token_that_is_repeated_for_ever_is_none() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    site.behave(|behaviour| behaviour.refreshed_lifetime = Some(-60));
    run.end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (2, 1));
}

#[tokio::test]
async fn a_refresh_token_that_is_not_replaced_stays() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.refresh_gives_refresh_token = false);
    for _ in 0..3 {
        let ended = an_hour_after_login(&laptop, &site).await.end().await;
        ended.credential();
        assert_eq!(refresh_token(&laptop), "refresh-1");
    }
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 3));
}

#[tokio::test]
async fn another_login_at_the_provider_is_a_new_login_here() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.authenticated_at = Some(1000));
    let run = an_hour_after_login(&laptop, &site).await;
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1), "the same time, the same login");
    make_old(&laptop);
    site.behave(|behaviour| behaviour.authenticated_at = Some(2000));
    let ended = run.end_with_login(&site).await;
    ended.credential();
    assert!(ended.said.contains("another login"), "{ended:?}");
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (2, 2));
}

#[tokio::test]
async fn a_nonce_in_a_refreshed_token_has_to_be_the_one_of_the_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let sent = site.seen(|seen| seen.authorizations[0]["nonce"].clone());
    site.behave(|behaviour| behaviour.nonce = Some(String::leak(sent)));
    run.end().await.credential();
    make_old(&laptop);
    let before = site.exchanges();
    site.behave(|behaviour| behaviour.nonce = Some("another"));
    let ended = run.end().await;
    assert!(ended.failure(4).contains("nonce"), "{ended:?}");
    assert_eq!(site.exchanges(), before);
    // A login of an earlier release kept none.
    laptop.edit("sessions", |entry| drop(entry.as_object_mut().unwrap().remove("nonce")));
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn a_token_that_somebody_else_rotated_is_used_before_a_session_is_given_up() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    // Another computer with the same home has refreshed, without a lock that both see.
    let rotated = fs::read(laptop.entry("sessions", "json")).unwrap();
    laptop.edit("sessions", |entry| entry["refresh_token"] = json!("refresh-0"));
    let stale = fs::read(laptop.entry("sessions", "json")).unwrap();
    assert_ne!(stale, rotated);
    let path = laptop.entry("sessions", "json");
    site.behave(|behaviour| behaviour.before_refusal = Some((path.clone(), rotated)));
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 2));
    assert_eq!(refresh_token(&laptop), "refresh-2");
}

#[tokio::test]
async fn what_somebody_else_got_meanwhile_is_not_refreshed_again() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let path = laptop.entry("sessions", "json");
    run.end().await.credential();
    let fresh = fs::read(&path).unwrap();
    make_old(&laptop);
    laptop.edit("sessions", |entry| {
        entry["refresh_token"] = json!("refresh-0");
        entry["id_token"] = json!("old");
    });
    site.behave(|behaviour| behaviour.before_refusal = Some((path.clone(), fresh)));
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 2), "one for each of the two");
}

#[tokio::test]
async fn a_refused_token_is_replaced_in_silence_where_the_server_takes_it_itself() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site).with("--no-exchange");
    let first = run.end_with_login(&site).await;
    // The same program again, at once: kubectl that reads standard input, or kube-rs.
    assert_eq!(run.end().await.stdout, first.stdout);
    make_suspect(&laptop);
    let second = run.end().await;
    second.credential();
    assert_eq!(second.said, "");
    assert_ne!(second.stdout, first.stdout);
    assert_eq!(run.end().await.stdout, second.stdout, "once in ten seconds");
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
    // Nothing better is to be had: what is there is given, and the provider is left alone for ten seconds.
    site.behave(|behaviour| behaviour.refresh = Refresh::NotWell);
    make_suspect(&laptop);
    for _ in 0..3 {
        assert_eq!(run.end().await.stdout, second.stdout);
    }
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 2));
    // Nor is suspicion ever answered with a browser.
    site.behave(|behaviour| behaviour.refresh = Refresh::InvalidGrant);
    make_suspect(&laptop);
    laptop.edit("credentials", |entry| entry["suspected_at"] = Value::Null);
    assert_eq!(run.end().await.stdout, second.stdout);
    assert_eq!(site.seen(|seen| (seen.logins, seen.authorizations.len())), (1, 1));
}

#[tokio::test]
async fn fifty_at_once_with_no_grace_for_rotated_tokens_lose_nothing() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_after_login(&laptop, &site).await;
    let all: Vec<_> = (0..50).map(|_| run.start()).collect();
    let mut answers = Vec::new();
    for running in all {
        let ended = running.end().await;
        ended.credential();
        answers.push(ended.stdout);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "fifty equal answers");
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes, seen.authorizations.len())), (1, 1, 1));
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

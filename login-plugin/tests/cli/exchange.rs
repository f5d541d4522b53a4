//! The exchange from outside: what the cluster may answer, and what the plugin makes of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plugin::{Laptop, credential, exec_info};
use crate::site::{Exchange, Refresh, Site, base64, now};

fn make_suspect(laptop: &Laptop) {
    // Received long enough ago that a second question of the same program means something.
    laptop.edit("credentials", |entry| entry["received_at"] = json!(entry["received_at"].as_i64().unwrap() - 60));
}

#[tokio::test]
async fn the_request_names_the_authenticator_and_brings_a_key_of_this_computer() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let answer = credential(&laptop, &site).end_with_login(&site).await.credential();
    let request = site.seen(|seen| seen.exchanges[0].clone());
    assert_eq!(request["apiVersion"], "login.concierge.latchkey.dev/v1alpha1");
    assert_eq!(
        request["spec"]["authenticator"],
        json!({"apiGroup": "authentication.concierge.latchkey.dev", "kind": "JWTAuthenticator", "name": "people"})
    );
    assert_eq!(request["spec"]["token"].as_str().unwrap().matches('.').count(), 2);
    // The site sent no key, so this one was made here; rcgen reads it as PKCS#8.
    let key = answer["status"]["clientKeyData"].as_str().unwrap();
    assert!(rcgen::KeyPair::from_pem(key).is_ok());
}

#[tokio::test]
async fn a_cluster_that_minds_the_subject_is_asked_twice_once() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::CertificateForSubject);
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    assert_eq!(site.exchanges(), 2);
    std::fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    run.end().await.credential();
    assert_eq!(site.exchanges(), 3, "the subject is remembered");
    let requests: Vec<Value> = site.seen(|seen| seen.exchanges.clone());
    assert_ne!(requests[0]["spec"]["certificateSigningRequest"], requests[1]["spec"]["certificateSigningRequest"]);
}

#[tokio::test]
async fn a_key_made_by_the_server_is_taken() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::ServerKey);
    let answer = credential(&laptop, &site).end_with_login(&site).await.credential();
    assert!(answer["status"]["clientKeyData"].as_str().unwrap().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_token_is_taken_alone() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::Token);
    let answer = credential(&laptop, &site).end_with_login(&site).await.credential();
    let status = answer["status"].as_object().unwrap();
    assert_eq!(status.keys().collect::<Vec<_>>(), ["expirationTimestamp", "token"]);
    assert_eq!(status["token"], "cluster-token");
}

#[tokio::test]
async fn a_refusal_names_the_audit_record_and_opens_no_second_browser() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    let run = credential(&laptop, &site);
    let mut running = run.start();
    let url = running.url().await.unwrap();
    let last = crate::plugin::log_in(&site, &url).await;
    assert!(last.body.contains("Not logged in") && last.body.contains("audit-42"), "{}", last.body);
    let ended = running.end().await;
    let said = ended.failure(5);
    assert!(said.contains("authentication failed") && said.contains("audit-42"), "{said}");
    laptop.a_minute_after_the_refusal();
    run.end().await.failure(5);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1), "a fresh token was tried, nobody was asked");
}

/// kubectl runs us five times for one command that fails (kubernetes/kubernetes#78321).
#[tokio::test]
async fn one_program_is_refused_once_however_often_it_asks() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    let run = credential(&laptop, &site);
    let first = run.end_with_login(&site).await;
    let first = first.failure(5);
    let told = first.find("error: ").map(|at| &first[at..]);
    assert!(told.is_some_and(|told| told.contains("audit-42")), "{first}");
    for _ in 0..4 {
        assert_eq!(Some(run.end().await.failure(5)), told, "the same words");
    }
    assert_eq!((site.exchanges(), site.seen(|seen| seen.refreshes)), (1, 0), "nobody was asked again");
    site.behave(|behaviour| behaviour.exchange = Exchange::Certificate);
    laptop.a_minute_after_the_refusal();
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn an_api_server_that_knows_no_anonymous_is_explained() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::AnonymousForbidden);
    let ended = credential(&laptop, &site).end_with_login(&site).await;
    let said = ended.failure(5);
    assert!(said.contains("refuses anonymous requests") && said.contains("`anonymous.conditions`"), "{said}");
}

#[tokio::test]
async fn a_cluster_that_is_not_well_is_tried_again_without_a_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::NotWell);
    let run = credential(&laptop, &site);
    let ended = run.end_with_login(&site).await;
    assert!(ended.failure(6).contains("no endpoints"), "{ended:?}");
    site.behave(|behaviour| behaviour.exchange = Exchange::Certificate);
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn a_busy_cluster_is_asked_again_as_it_says() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.turned_away = vec![(503, Some("0")), (429, Some("1")), (429, Some("0"))]);
    let began = Instant::now();
    let ended = credential(&laptop, &site).end_with_login(&site).await;
    ended.credential();
    assert!(began.elapsed() >= Duration::from_secs(1), "not before it says");
    assert!(!ended.said.contains("busy"), "nobody sits there: {ended:?}");
    let requests: Vec<Value> = site.seen(|seen| seen.exchanges.clone());
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| *request == requests[0]), "the same question each time");
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn a_cluster_that_stays_busy_is_asked_four_times() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.turned_away = vec![(429, Some("0")); 9]);
    let run = credential(&laptop, &site);
    let ended = run.end_with_login(&site).await;
    let said = ended.failure(6);
    assert!(said.contains("too busy to exchange the login: too many requests are in hand"), "{said}");
    assert!(said.contains("hint: your login is kept; try again in a minute"), "{said}");
    assert_eq!(site.exchanges(), 4);
    site.behave(|behaviour| behaviour.turned_away.clear());
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

/// A client waits for us and holds a lock meanwhile.
#[tokio::test]
async fn a_wait_that_is_too_long_or_not_told_in_seconds_is_none() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    for (status, retry_after) in [
        (429, None),
        (429, Some("11")),
        (429, Some("18446744073709551615")),
        (429, Some("Wed, 21 Oct 2015 07:28:00 GMT")),
        (503, None),
        (500, Some("0")),
    ] {
        std::fs::remove_file(laptop.entry("credentials", "json")).unwrap();
        let before = site.exchanges();
        site.behave(|behaviour| behaviour.turned_away = vec![(status, retry_after)]);
        run.end().await.failure(6);
        assert_eq!(site.exchanges(), before + 1, "{status} {retry_after:?}");
        run.end().await.credential();
    }
}

#[tokio::test]
async fn clock_of_the_laptop_wrong_by_an_hour() {
    for clock_ahead in [-3600, 3600] {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| behaviour.clock_ahead = clock_ahead);
        let run = credential(&laptop, &site);
        let before = now();
        let first = run.end_with_login(&site).await;
        let answer = first.credential();
        let direction = if clock_ahead > 0 { "behind" } else { "ahead of" };
        assert!(first.said.contains(&format!("60 min {direction}")), "{first:?}");
        let expires = answer["status"]["expirationTimestamp"].as_str().unwrap();
        let expires = expires.parse::<jiff::Timestamp>().unwrap().as_second();
        let left = expires - before;
        assert!((560..=590).contains(&left), "by this computer's clock ten minutes less the margin: {left}");
        assert_eq!(run.end().await.stdout, first.stdout, "no loop");
        assert_eq!((site.seen(|seen| (seen.logins, seen.refreshes)), site.exchanges()), ((1, 0), 1));
    }
}

#[tokio::test]
async fn an_expiry_too_near_is_left_out_and_nothing_is_kept() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.certificate_lifetime = 3);
    let run = credential(&laptop, &site);
    let answer = run.end_with_login(&site).await.credential();
    assert_eq!(answer["status"].get("expirationTimestamp"), None);
    run.end().await.credential();
    assert_eq!((site.seen(|seen| seen.logins), site.exchanges()), (1, 2));
}

#[tokio::test]
async fn a_program_that_asks_again_gets_a_new_credential_in_silence() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let first = run.end_with_login(&site).await;
    make_suspect(&laptop);
    let second = run.end().await;
    second.credential();
    assert_ne!(second.stdout, first.stdout);
    assert_eq!(second.said, "");
    // Young again: not suspected for ten seconds.
    assert_eq!(run.end().await.stdout, second.stdout);
    assert_eq!((site.seen(|seen| seen.logins), site.exchanges()), (1, 2));
}

#[tokio::test]
async fn suspicion_never_opens_a_browser() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let first = run.end_with_login(&site).await;
    make_suspect(&laptop);
    site.behave(|behaviour| behaviour.refresh = Refresh::InvalidGrant);
    laptop.edit("sessions", |entry| entry["usable_until"] = json!(0));
    let second = run.end().await;
    second.credential();
    assert_eq!(second.stdout, first.stdout, "nothing better is to be had");
    assert_eq!(second.said, "");
}

#[tokio::test]
async fn a_suspected_credential_that_the_cluster_refuses_to_renew_is_dropped() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    make_suspect(&laptop);
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    run.end().await.failure(5);
    site.behave(|behaviour| behaviour.exchange = Exchange::Certificate);
    laptop.a_minute_after_the_refusal();
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn a_login_is_not_taken_to_another_server() {
    let (site, elsewhere, laptop) = (Site::start(), Site::start(), Laptop::new());
    credential(&laptop, &site).end_with_login(&site).await.credential();
    let moved = credential(&laptop, &site)
        .with(&format!("--concierge-endpoint={}", elsewhere.url()))
        .with(&format!("--concierge-ca-data={}", base64(&elsewhere.roots)));
    let ended = moved.end().await;
    let said = ended.failure(2);
    assert!(said.contains(&elsewhere.url()) && said.contains(&site.url()), "{said}");
    assert_eq!(elsewhere.exchanges(), 0);
    // The way out that the hint names.
    std::fs::remove_file(laptop.entry("sessions", "server")).unwrap();
    moved.end().await.credential();
    assert_eq!(elsewhere.exchanges(), 1);
}

/// With `--no-exchange` the client takes the token to whatever server its kubeconfig names.
#[tokio::test]
async fn a_token_is_handed_out_only_for_the_server_that_the_login_belongs_to() {
    let (site, elsewhere, laptop) = (Site::start(), Site::start(), Laptop::new());
    credential(&laptop, &site).end_with_login(&site).await.credential();
    let direct = || credential(&laptop, &site).with("--no-exchange");
    let asked_by = |info: String| direct().set("KUBERNETES_EXEC_INFO", info);
    let hostile = || exec_info(&elsewhere, "v1");
    for round in ["cold", "warm"] {
        let ended = asked_by(hostile()).end().await;
        let said = ended.failure(2);
        assert!(said.contains(&elsewhere.url()) && said.contains(&site.url()), "{round}: {said}");
        // An option that names the right server does not lead the client there.
        let disguised = asked_by(hostile())
            .with(&format!("--concierge-endpoint={}", site.url()))
            .with(&format!("--concierge-ca-data={}", base64(&site.roots)));
        assert!(disguised.end().await.failure(2).contains(&elsewhere.url()), "{round}");
        let mut info: Value = serde_json::from_str(&exec_info(&site, "v1")).unwrap();
        info["spec"]["cluster"]["tls-server-name"] = json!("elsewhere.test");
        assert!(asked_by(info.to_string()).end().await.failure(2).contains("another tls-server-name"), "{round}");
        info["spec"].as_object_mut().unwrap().remove("cluster");
        assert!(asked_by(info.to_string()).end().await.failure(2).contains("provideClusterInfo"), "{round}");
        // Some clients never say where they go, and no kubeconfig makes kubectl one of them.
        direct().set("KUBERNETES_EXEC_INFO", "").end().await.credential();
        direct().end().await.credential();
    }
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

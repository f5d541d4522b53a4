//! The login with a code from outside, where somebody reads what is said: what is shown, asked and told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::plugin::{Laptop, Run, credential};
use crate::site::{Poll, Site};

fn by_code<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    credential(laptop, site).set("LATCHKEY_FLOW", "device")
}

fn with_codes(polls: Vec<Poll>) -> Site {
    let site = Site::start();
    site.behave(|behaviour| {
        behaviour.device = true;
        behaviour.polls = polls;
    });
    site
}

#[tokio::test]
async fn code_and_page_are_shown_and_the_login_goes_on_once_it_was_entered() {
    let (site, laptop) = (with_codes(vec![Poll::Refused("authorization_pending")]), Laptop::new());
    let run = by_code(&laptop, &site).with("--scopes=email");
    let ended = run.end().await;
    ended.credential();
    let lines: Vec<&str> = ended.said.lines().collect();
    assert_eq!(
        lines,
        [
            "Log in to Staging: visit this page in a browser on any device, and enter the code.",
            "",
            &format!("    {}/device", site.issuer()),
            "",
            "    WDJB-MJHT",
            "",
            "The code is good for 10 minutes. Enter it only if you ran this command yourself.",
        ]
    );
    let scope = site.seen(|seen| seen.device_requests[0]["scope"].clone());
    for wanted in ["openid", "email", "offline_access"] {
        assert!(scope.split(' ').any(|scope| scope == wanted), "{scope}");
    }
    assert_eq!(site.seen(|seen| (seen.authorizations.len(), seen.polled.len())), (0, 2));
    std::fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.device_requests.len()), 1, "and it is kept like any other login");
}

#[tokio::test]
async fn a_provider_that_stumbles_is_asked_again() {
    let site = with_codes(vec![Poll::Dropped, Poll::Status(503, Some("1"))]);
    by_code(&Laptop::new(), &site).end().await.credential();
    assert_eq!(site.seen(|seen| seen.polled.len()), 3);
}

/// Between the polls, in whole seconds.
fn pauses(site: &Site) -> Vec<u64> {
    let polled = site.seen(|seen| seen.polled.clone());
    polled.windows(2).map(|pair| pair[1].duration_since(pair[0]).unwrap().as_secs()).collect()
}

#[tokio::test]
async fn each_request_to_slow_down_counts_and_for_good() {
    let site = with_codes(vec![Poll::Refused("slow_down"), Poll::Refused("slow_down")]);
    by_code(&Laptop::new(), &site).end().await.credential();
    // The interval is one second.
    let pauses = pauses(&site);
    assert!(pauses.len() == 2 && pauses[0] >= 6 && pauses[1] >= 11, "{pauses:?}");
}

#[tokio::test]
async fn googles_spelling_is_understood_and_no_interval_means_five_seconds() {
    let site = with_codes(Vec::new());
    let page = format!("{}/google", site.issuer());
    site.behave(|behaviour| {
        behaviour.device_answer = json!({"interval": null, "verification_uri": null, "verification_url": page,
            "verification_uri_complete": null});
    });
    let began = Instant::now();
    let ended = by_code(&Laptop::new(), &site).end().await;
    ended.credential();
    assert!(ended.said.contains(&format!("\n    {page}\n")), "{ended:?}");
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(site.seen(|seen| seen.polled.len()), 1);
}

#[tokio::test]
async fn a_provider_that_gives_no_code_is_quoted_safely() {
    let site = with_codes(Vec::new());
    site.behave(|behaviour| behaviour.device_refusal = Some("unauthorized_client"));
    let ended = by_code(&Laptop::new(), &site).end().await;
    let said = ended.failure(4);
    assert!(said.contains("refused (unauthorized_client): ask \\u{1b}[2J us"), "{said}");
    assert!(said.contains("authorization code grant"), "{said}");
    assert_eq!(site.seen(|seen| (seen.polled.len(), seen.logins)), (0, 0));
}

#[tokio::test]
async fn a_provider_that_never_recovers_is_given_up_when_the_code_is_over() {
    let trouble = [Poll::Status(500, None), Poll::Dropped, Poll::Status(429, Some("1"))];
    let site = with_codes(trouble.into_iter().cycle().take(30).collect());
    site.behave(|behaviour| behaviour.device_answer = json!({"expires_in": 4}));
    let began = Instant::now();
    let ended = by_code(&Laptop::new(), &site).end().await;
    assert!(ended.failure(3).contains("within 4 seconds"), "{ended:?}");
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(site.seen(|seen| (2..=4).contains(&seen.polled.len())), "longer pauses each time");
}

#[tokio::test]
async fn who_says_no_is_believed() {
    let site = with_codes(vec![Poll::Refused("access_denied")]);
    let ended = by_code(&Laptop::new(), &site).end().await;
    let said = ended.failure(4);
    assert!(said.contains("the login to Staging was refused where the code was entered"), "{said}");
}

#[tokio::test]
async fn a_code_that_has_expired_ends_the_login_where_nobody_can_press_a_key() {
    let site = with_codes(vec![Poll::Refused("expired_token")]);
    let ended = by_code(&Laptop::new(), &site).end().await;
    assert!(ended.failure(3).contains("you did not finish the login to Staging"), "{ended:?}");
    assert_eq!(site.seen(|seen| seen.device_requests.len()), 1);
    // By our own clock, for a provider that would have us ask for ever.
    let site = with_codes(vec![Poll::Refused("authorization_pending"); 50]);
    site.behave(|behaviour| behaviour.device_answer = json!({"expires_in": 2}));
    let ended = by_code(&Laptop::new(), &site).end().await;
    assert!(ended.failure(3).contains("within 2 seconds"), "{ended:?}");
}

#[tokio::test]
async fn another_account_gets_nowhere_by_code_either() {
    let (site, laptop) = (with_codes(Vec::new()), Laptop::new());
    let ended = by_code(&laptop, &site).with("--account=ann@example.com").end().await;
    let said = ended.failure(4);
    assert!(said.contains("jane@example.com") && said.contains("account ann@example.com"), "{said}");
    assert_eq!(site.exchanges(), 0);
}

#[tokio::test]
async fn a_code_that_nobody_could_read_is_not_asked_for() {
    let (site, laptop) = (with_codes(Vec::new()), Laptop::new());
    let mut unread = by_code(&laptop, &site);
    unread.arguments.retain(|argument| argument != "--skip-browser");
    assert!(unread.end().await.failure(3).contains("nobody would read the device code here"));
    let quiet = by_code(&laptop, &site).set("LATCHKEY_QUIET", "1").end().await;
    assert!(quiet.failure(3).contains("LATCHKEY_QUIET would hide the device code"), "{quiet:?}");
    let forbidden = by_code(&Laptop::new(), &site).with("--forbid-flows=device").end().await;
    assert!(forbidden.failure(3).contains("the way in by device is forbidden for this cluster"), "{forbidden:?}");
    assert_eq!(site.seen(|seen| seen.device_requests.len()), 0);
}

#[tokio::test]
async fn a_provider_without_codes_is_named_where_there_is_no_other_way() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let ended = by_code(&laptop, &site).end().await;
    assert!(ended.failure(3).contains("the identity provider has no login by device code"), "{ended:?}");
}

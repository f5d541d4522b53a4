//! The login in the browser from outside: what may come to the callback, and what the person sees.

use std::fs;

use reqwest::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use reqwest::{Method, StatusCode, Url};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::background::age;
use crate::plugin::{Laptop, browser, credential, get, log_in, page, redirect};
use crate::site::{Site, parameters};

#[tokio::test]
async fn asks_with_pkce_state_and_nonce_and_shows_who_is_in() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut running = credential(&laptop, &site).with("--scopes=email").start();
    let url = running.url().await.unwrap();
    let last = log_in(&site, &url).await;
    running.end().await.credential();
    let asked = parameters(url.query().unwrap());
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["client_id"], "staging");
    let mut scopes: Vec<&str> = asked["scope"].split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["email", "offline_access", "openid"]);
    assert!(asked["state"].len() >= 43 && asked["nonce"].len() >= 43 && asked["state"] != asked["nonce"]);
    let back = Url::parse(&asked["redirect_uri"]).unwrap();
    assert_eq!((back.host_str(), back.path()), (Some("127.0.0.1"), "/callback"));
    for words in ["Staging", "jane@example.com", "You can close this tab"] {
        assert!(last.body.contains(words), "{}", last.body);
    }
    assert_eq!(last.headers[CACHE_CONTROL], "no-store");
    assert_eq!(last.headers[REFERRER_POLICY], "no-referrer");
    assert_eq!(last.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = last.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
}

#[tokio::test]
async fn wrong_state_sent_to_the_callback() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut running = credential(&laptop, &site).start();
    let url = running.url().await.unwrap();
    let right = redirect(&site, &url).await;
    let browser = browser(&site);
    for query in [
        None,
        Some("code=stolen"),
        Some("code=stolen&state=wrong"),
        Some("error=access_denied"),
        Some("error=access_denied&state=wrong"),
    ] {
        let mut wrong = right.clone();
        wrong.set_query(query);
        let answer = get(&browser, &wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query:?}");
        assert!(!answer.body.contains("stolen"), "nothing is repeated");
    }
    assert!(running.line_with("does not belong to this login").await.is_some());
    assert_eq!(get(&browser, &right).await.status, StatusCode::SEE_OTHER, "and the right one still finds us");
    running.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn noise_at_the_listener_ends_nothing() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut running = credential(&laptop, &site).start();
    let url = running.url().await.unwrap();
    let right = redirect(&site, &url).await;
    let browser = browser(&site);
    for (method, path, status) in [
        (Method::GET, "/", StatusCode::NOT_FOUND),
        (Method::GET, "/favicon.ico", StatusCode::NOT_FOUND),
        (Method::GET, "/done/guess", StatusCode::NOT_FOUND),
        (Method::HEAD, "/callback", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "/callback", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = page(browser.request(method.clone(), right.join(path).unwrap())).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let rebound = page(browser.get(right.clone()).header(HOST, "evil.example")).await;
    assert_eq!(rebound.status, StatusCode::FORBIDDEN, "DNS rebinding");
    // A slow one is left hanging, and is in nobody's way.
    let port = right.port().unwrap();
    let mut slow = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    slow.write_all(b"GET /callback?code=").await.unwrap();
    log_in(&site, &url).await;
    running.end().await.credential();
}

#[tokio::test]
async fn a_form_post_and_its_preflight_are_taken_from_the_issuer_only() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut running = credential(&laptop, &site).start();
    let url = running.url().await.unwrap();
    let right = redirect(&site, &url).await;
    let mut bare = right.clone();
    bare.set_query(None);
    let browser = browser(&site);
    let form = right.query().unwrap().to_owned();
    let post = |origin: &str| {
        let request = browser.post(bare.clone()).header(ORIGIN, origin).body(form.clone());
        page(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"))
    };
    let preflight = |origin: &str| page(browser.request(Method::OPTIONS, bare.clone()).header(ORIGIN, origin));
    assert_eq!(preflight("https://evil.example").await.status, StatusCode::FORBIDDEN);
    let welcome = preflight(&site.url()).await;
    assert_eq!(welcome.status, StatusCode::NO_CONTENT);
    assert_eq!(welcome.headers[ACCESS_CONTROL_ALLOW_ORIGIN], site.url());
    assert_eq!(welcome.headers["access-control-allow-private-network"], "true");
    assert_eq!(post("https://evil.example").await.status, StatusCode::FORBIDDEN);
    let (first, second) = tokio::join!(post(&site.url()), post("null"));
    assert_eq!((first.status, second.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
    assert_eq!(first.location(&bare), second.location(&bare), "the same answer twice, the same page twice");
    get(&browser, &first.location(&bare)).await;
    running.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1, "and one exchange of the code");
}

#[tokio::test]
async fn localhost_is_bound_in_both_families() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut running = credential(&laptop, &site).with("--redirect-host=localhost").start();
    let url = running.url().await.unwrap();
    let back = Url::parse(&parameters(url.query().unwrap())["redirect_uri"]).unwrap();
    assert_eq!(back.host_str(), Some("localhost"));
    let port = back.port().unwrap();
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    let has_ipv6 = tokio::net::TcpListener::bind(("::1", 0)).await.is_ok();
    assert_eq!(tokio::net::TcpStream::connect(("::1", port)).await.is_ok(), has_ipv6);
    log_in(&site, &url).await;
    running.end().await.credential();
}

/// The redirect address of a login that was just begun.
async fn redirect_address(running: &mut crate::plugin::Running) -> (Url, Url) {
    let url = running.url().await.unwrap();
    let back = Url::parse(&parameters(url.query().unwrap())["redirect_uri"]).unwrap();
    (url, back)
}

#[tokio::test]
async fn a_port_in_use_is_skipped_or_named() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let squatter = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = squatter.local_addr().unwrap().port();
    let ended = credential(&laptop, &site).with(&format!("--redirect-ports={port}")).end().await;
    let said = ended.failure(1);
    assert!(said.contains(&format!("on 127.0.0.1, ports {port}")) && said.contains("--redirect-ports"), "{said}");
    let other = Laptop::new();
    let run = credential(&other, &site).with(&format!("--redirect-ports={port},0"));
    run.end_with_login(&site).await.credential();
}

/// Somebody else would get the browser's answer on the other family.
#[tokio::test]
async fn a_port_that_somebody_has_on_the_other_family_is_not_taken_for_localhost() {
    let Ok(squatter) = tokio::net::TcpListener::bind(("::1", 0)).await else { return };
    let (site, laptop) = (Site::start(), Laptop::new());
    let port = squatter.local_addr().unwrap().port();
    let run = credential(&laptop, &site).with("--redirect-host=localhost").with(&format!("--redirect-ports={port},0"));
    let mut running = run.start();
    let (url, back) = redirect_address(&mut running).await;
    assert_ne!(back.port(), Some(port));
    log_in(&site, &url).await;
    running.end().await.credential();
}

#[tokio::test]
async fn hosts_and_paths_are_those_that_the_client_is_registered_with() {
    let Ok(_) = tokio::net::TcpListener::bind(("::1", 0)).await else { return };
    let squatter = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (site, laptop) = (Site::start(), Laptop::new());
    let port = squatter.local_addr().unwrap().port();
    let run = credential(&laptop, &site)
        .with("--redirect-host=127.0.0.1,[::1]")
        .with(&format!("--redirect-ports={port}"))
        .with("--redirect-path=/oauth2/back");
    let mut running = run.start();
    let (url, back) = redirect_address(&mut running).await;
    assert_eq!(
        back.as_str(),
        format!("http://[::1]:{port}/oauth2/back"),
        "the second host, where the first has no port"
    );
    // A browser that knows nothing but IPv6 finds us.
    log_in(&site, &url).await;
    running.end().await.credential();
}

#[tokio::test]
async fn a_tab_that_was_left_behind_is_told_so_on_a_page() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut running = credential(&laptop, &site).start();
    let (url, mut stale) = redirect_address(&mut running).await;
    stale.set_query(Some("code=old-code&state=of-another-login"));
    let told = get(&browser(&site), &stale).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    assert!(told.headers[CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
    assert_eq!(told.headers[CACHE_CONTROL], "no-store");
    assert!(told.body.contains("This tab belongs to another login") && !told.body.contains("old-code"), "{told:?}");
    log_in(&site, &url).await;
    running.end().await.credential();
}

#[tokio::test]
async fn another_account_than_the_one_asked_for_gets_nowhere_and_is_told_how_to_switch() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.subject = "bob");
    let mut running = credential(&laptop, &site).with("--account=jane@example.com").start();
    let url = running.url().await.unwrap();
    assert_eq!(parameters(url.query().unwrap())["login_hint"], "jane@example.com");
    let last = log_in(&site, &url).await;
    for words in ["Another account", "bob@example.com", "jane@example.com", "--prompt=select_account"] {
        assert!(last.body.contains(words), "{words}: {}", last.body);
    }
    let ended = running.end().await;
    let said = ended.failure(4);
    assert!(said.contains("bob@example.com") && said.contains("account jane@example.com"), "{said}");
    assert!(said.contains("--prompt=select_account"), "{said}");
    assert_eq!(site.exchanges(), 0);
    let kept = fs::read_dir(laptop.path("cache/sessions")).unwrap();
    assert!(kept.into_iter().all(|entry| entry.unwrap().path().extension().is_none_or(|it| it != "json")));
    // The right one, and by another of its names.
    site.behave(|behaviour| behaviour.subject = "jane");
    age(&laptop.entry("sessions", "failed"), 15);
    age(&laptop.entry("sessions", "unanswered"), 60);
    credential(&laptop, &site).with("--account=JANE@example.com").end_with_login(&site).await.credential();
    let other = Laptop::new();
    let run = credential(&other, &site).with("--account=work").with("--login-hint=jane");
    run.end_with_login(&site).await.credential();
}

#[tokio::test]
async fn another_person_than_before_is_named() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    laptop.edit("sessions", |session| session["usable_until"] = session["received_at"].clone());
    site.behave(|behaviour| {
        behaviour.subject = "bob";
        behaviour.refresh = crate::site::Refresh::InvalidGrant;
    });
    let mut running = run.start();
    let url = running.url().await.unwrap();
    let last = log_in(&site, &url).await;
    assert!(last.body.contains("bob@example.com") && last.body.contains("jane@example.com"), "{}", last.body);
    let ended = running.end().await;
    ended.credential();
    assert!(
        ended.said.contains("You are bob@example.com at Staging now; so far you were jane@example.com"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_refusal_is_told_in_the_terminal_and_on_the_page() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut running = credential(&laptop, &site).start();
    let url = running.url().await.unwrap();
    let asked = parameters(url.query().unwrap());
    let mut callback = Url::parse(&asked["redirect_uri"]).unwrap();
    callback
        .query_pairs_mut()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>alert(1)</script>\u{1b}[2J")
        .append_pair("iss", &site.issuer())
        .append_pair("state", &asked["state"]);
    let browser = browser(&site);
    let last = get(&browser, &get(&browser, &callback).await.location(&callback)).await;
    assert!(last.body.contains("access_denied") && !last.body.contains("<script"), "{}", last.body);
    let ended = running.end().await;
    let said = ended.failure(4);
    assert!(said.contains("access_denied") && !said.contains('\u{1b}'), "{said}");
    assert_eq!((site.seen(|seen| seen.logins), site.exchanges()), (0, 0));
}

#[tokio::test]
async fn an_answer_of_another_issuer_stops_the_login_and_its_code_goes_nowhere() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.announces_iss = false);
    let mut running = credential(&laptop, &site).start();
    let url = running.url().await.unwrap();
    let mut callback = redirect(&site, &url).await;
    callback.query_pairs_mut().append_pair("iss", "https://evil.example");
    get(&browser(&site), &callback).await;
    let ended = running.end().await;
    assert!(ended.failure(4).contains("https://evil.example"), "{ended:?}");
    assert_eq!(site.seen(|seen| seen.logins), 0);
}

#[tokio::test]
async fn a_token_that_must_not_be_used_never_reaches_the_cluster() {
    type Change = fn(&mut crate::site::Behaviour);
    let cases: [(&str, Change, &str); 10] = [
        ("another audience", |it| it.audiences = json!("production"), "audience-mismatch"),
        ("two audiences", |it| it.audiences = json!(["staging", "production"]), "audience-shared"),
        ("no audience", |it| it.audiences = json!([]), "audience-missing"),
        ("another party", |it| it.authorized_party = Some("mallory"), "authorized-party-mismatch"),
        ("another nonce", |it| it.nonce = Some("replayed"), "nonce"),
        ("expired", |it| it.id_token_lifetime = -1, "expired"),
        ("spoilt signature", |it| it.spoil_signature = true, "ignature"),
        ("alg none", |it| it.token_header = json!({"alg": "none"}), "ID token"),
        ("alg HS256", |it| it.token_header = json!({"alg": "HS256", "kid": "1"}), "ID token"),
        ("another access token", |it| it.at_hash = Some("AAAAAAAAAAAAAAAAAAAAAA"), "at_hash"),
    ];
    for (name, change, words) in cases {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(change);
        let mut running = credential(&laptop, &site).start();
        let url = running.url().await.unwrap();
        let last = log_in(&site, &url).await;
        let ended = running.end().await;
        let said = ended.failure(4);
        assert!(said.contains(words), "{name}: {said}");
        assert!(last.body.contains("Not logged in"), "{name}: {}", last.body);
        assert_eq!(site.exchanges(), 0, "{name}");
    }
}

#[tokio::test]
async fn the_chosen_browser_gets_the_url_as_one_argument_and_not_our_standard_output() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let opened = laptop.path("opened");
    let script = format!(
        "#!/bin/sh\necho noise; echo noise >&2\nprintf '%s\\n' \"$#\" \"$@\" > {0}.part\nmv {0}.part {0}\n",
        opened.display()
    );
    let program = laptop.executable("a browser", &script);
    let mut run = credential(&laptop, &site).set("LATCHKEY_BROWSER", program.to_str().unwrap());
    run.arguments.retain(|argument| argument != "--skip-browser");
    let mut running = run.start();
    let url = running.url().await.unwrap();
    log_in(&site, &url).await;
    let ended = running.end().await;
    ended.credential();
    assert!(!ended.said.contains("noise"), "{ended:?}");
    // It was started before the URL was shown, and may still be writing.
    let written = async {
        loop {
            match fs::read_to_string(&opened) {
                Ok(text) => break text,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let written = tokio::time::timeout(std::time::Duration::from_secs(30), written).await.unwrap();
    assert_eq!(written, format!("1\n{url}\n"));
}

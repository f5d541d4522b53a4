//! Providers that misbehave, have odd ways, or want a secret: what the plugin makes of each.

use std::fs;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, credential, log_in};
use crate::site::{Refresh, Site, base64};

/// Nothing of the login reached the cluster.
async fn refused_at_login(site: &Site, run: &Run<'_>, status: i32, words: &str) {
    let before = site.exchanges();
    let ended = run.end_with_login(site).await;
    assert!(ended.failure(status).contains(words), "{words}: {ended:?}");
    assert_eq!(site.exchanges(), before, "the cluster must not see the token");
}

/// Logged in, and all that was given is past its time.
async fn an_hour_later<'a>(run: Run<'a>, laptop: &Laptop, site: &Site) -> Run<'a> {
    run.end_with_login(site).await.credential();
    make_old(laptop);
    run
}

/// Lets the client's secret be shown, as a person does: by a login at a time of their own.
async fn allow_secret(run: &Run<'_>, site: &Site) -> Ended {
    let typed =
        [format!("--concierge-endpoint={}", site.url()), format!("--concierge-ca-data={}", base64(&site.roots))];
    let mut arguments: Vec<String> = run.arguments.iter().cloned().chain(typed).collect();
    "login".clone_into(&mut arguments[0]);
    Run { laptop: run.laptop, arguments, environment: run.environment.clone() }.end_with_login(site).await
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

fn session(laptop: &Laptop) -> Value {
    serde_json::from_str(&fs::read_to_string(laptop.entry("sessions", "json")).unwrap()).unwrap()
}

#[tokio::test]
async fn documents_that_cannot_be_trusted_are_not_used() {
    let laptop = Laptop::new();
    let cases = [
        (json!({"issuer": "https://other.example"}), "is of issuer \"https://other.example\""),
        (json!({"token_endpoint": "http://127.0.0.1/token"}), "is not https"),
        (json!({"authorization_endpoint": "http://127.0.0.1/authorize"}), "is not https"),
        (json!({"jwks_uri": "http://127.0.0.1/keys"}), "is not https"),
        (json!({"jwks_uri": null}), "is not readable"),
    ];
    for (metadata, words) in cases {
        let site = Site::start();
        site.behave(|behaviour| behaviour.metadata = metadata.clone());
        let ended = credential(&laptop, &site).end().await;
        assert!(ended.failure(4).contains(words), "{metadata}: {ended:?}");
    }
}

#[tokio::test]
async fn a_key_set_that_cannot_be_had_stops_a_login_and_costs_nobody_a_kept_one() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.keys_outage = true);
    let ended = credential(&laptop, &site).end().await;
    assert!(ended.failure(6).contains("503"), "{ended:?}");
    site.behave(|behaviour| behaviour.keys_outage = false);
    // The first attempt speaks for its program for a while; another computer does not wait.
    let laptop = Laptop::new();
    let run = an_hour_later(credential(&laptop, &site), &laptop, &site).await;
    site.behave(|behaviour| {
        behaviour.keys_outage = true;
        behaviour.rotated = true;
    });
    let ended = run.end().await;
    assert!(ended.failure(6).contains("503"), "the key is new, and cannot be had: {ended:?}");
    assert_eq!(session(&laptop)["refresh_token"], "refresh-2", "what the provider rotated meanwhile is kept");
    site.behave(|behaviour| behaviour.keys_outage = false);
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 2));
}

#[tokio::test]
async fn keys_may_roll_from_rsa_to_elliptic_curves() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.rsa = true);
    let run = an_hour_later(credential(&laptop, &site), &laptop, &site).await;
    site.behave(|behaviour| behaviour.rsa = false);
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes, seen.discovery, seen.key_sets)), (1, 1, 2, 2));
}

#[tokio::test]
async fn signatures_that_prove_nothing_are_refused() {
    for (header, words) in [
        (json!({"alg": "none"}), "ID token must not be used"),
        (json!({"alg": "HS256", "kid": "1"}), "ID token must not be used"),
        (json!({"alg": "ES256", "kid": "unknown"}), "ID token must not be used"),
        (json!({"alg": "ES256", "kid": "1", "crit": ["b64"]}), "ID token"),
    ] {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| behaviour.token_header = header.clone());
        refused_at_login(&site, &credential(&laptop, &site), 4, words).await;
        assert!(site.seen(|seen| seen.key_sets) <= 2, "{header}: the keys are fetched again at most once");
    }
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.spoil_signature = true);
    refused_at_login(&site, &credential(&laptop, &site), 4, "ID token must not be used").await;
}

#[tokio::test]
async fn a_token_for_two_is_refused_with_and_without_an_authorized_party() {
    for party in [None, Some("staging"), Some("production")] {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| {
            behaviour.audiences = json!(["staging", "production"]);
            behaviour.authorized_party = party;
        });
        refused_at_login(&site, &credential(&laptop, &site), 4, "audience-shared").await;
    }
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.authorized_party = Some("production"));
    refused_at_login(&site, &credential(&laptop, &site), 4, "authorized-party-mismatch").await;
}

/// Zitadel writes the project into each token beside the client.
#[tokio::test]
async fn a_token_for_a_named_other_too_is_used_if_it_was_made_for_this_client() {
    let with = |audiences: Value, party: Option<&'static str>| {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| (behaviour.audiences, behaviour.authorized_party) = (audiences, party));
        (site, laptop)
    };
    for (audiences, party, code) in [
        (json!(["staging", "project"]), None, "authorized-party-mismatch"),
        (json!(["staging", "project"]), Some("production"), "authorized-party-mismatch"),
        (json!(["staging", "project", "production"]), Some("staging"), "audience-shared"),
        (json!(["project"]), Some("staging"), "audience-mismatch"),
    ] {
        let (site, laptop) = with(audiences, party);
        let run = credential(&laptop, &site).with("--additional-audiences=project");
        refused_at_login(&site, &run, 4, code).await;
    }
    let (site, laptop) = with(json!(["staging", "project"]), Some("staging"));
    let run = an_hour_later(credential(&laptop, &site).with("--additional-audiences=project"), &laptop, &site).await;
    run.end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1), "renewed without a word");
    // Whoever names nobody has another login.
    refused_at_login(&site, &credential(&laptop, &site), 4, "audience-shared").await;
}

#[tokio::test]
async fn a_response_in_the_name_of_another_issuer_is_not_redeemed() {
    for announces in [true, false] {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| {
            behaviour.announces_iss = true;
            behaviour.metadata = json!({"authorization_response_iss_parameter_supported": announces});
            behaviour.response_issuer = Some("https://evil.example");
        });
        let mut running = credential(&laptop, &site).start();
        let url = running.url().await.unwrap();
        log_in(&site, &url).await;
        let ended = running.end().await;
        assert!(ended.failure(4).contains("evil.example"), "{ended:?}");
        assert_eq!(site.seen(|seen| (seen.logins, seen.token_requests.len())), (0, 0), "the code went nowhere");
    }
}

#[tokio::test]
async fn a_clients_secret_is_shown_where_the_provider_takes_it_and_nowhere_else() {
    let secret = "s3cr3t-of-the-client";
    for methods in [Value::Null, json!(["client_secret_basic", "client_secret_post"]), json!(["client_secret_post"])] {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| {
            behaviour.client_secret = Some(secret);
            behaviour.metadata = json!({"token_endpoint_auth_methods_supported": methods});
        });
        let file = laptop.path("secret");
        fs::write(&file, format!("{secret}\n")).unwrap();
        let from_file = credential(&laptop, &site).with(&format!("--client-secret-file={}", file.display()));
        assert!(allow_secret(&from_file, &site).await.status.success());
        let run = an_hour_later(from_file, &laptop, &site).await;
        // The same login, with the secret elsewhere: where it is does not matter to it.
        let from_environment =
            credential(&laptop, &site).with("--client-secret-env=SECRET").set("SECRET", format!(" {secret} "));
        let ended = from_environment.end().await;
        ended.credential();
        assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1), "{methods}");
        assert!(!ended.said.contains(secret));
        drop(run);
        let kept = fs::read_to_string(laptop.entry("sessions", "json")).unwrap();
        assert!(!kept.contains(secret), "it is kept in one place only, and that is not ours");
    }
}

/// A kubeconfig of somebody else may name any file, and a provider that collects what is in it.
#[tokio::test]
async fn what_a_kubeconfig_calls_a_secret_is_shown_nowhere_before_a_person_allows_it() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.client_secret = Some("s3cr3t"));
    fs::write(laptop.path("secret"), "s3cr3t\n").unwrap();
    let from_file =
        || credential(&laptop, &site).with(&format!("--client-secret-file={}", laptop.path("secret").display()));
    let from_variable = || credential(&laptop, &site).with("--client-secret-env=SECRET").set("SECRET", "s3cr3t");
    for (run, place) in [(from_file(), "/secret"), (from_variable(), "the variable SECRET")] {
        let ended = run.end().await;
        let said = ended.failure(3);
        assert!(said.contains(place) && said.contains("nobody has allowed that"), "{said}");
        assert!(said.contains("kubectl latchkey login") && !said.contains("s3cr3t"), "{said}");
    }
    assert_eq!(site.seen(|seen| (seen.discovery, seen.logins, seen.token_requests.len())), (0, 0, 0));
    let allowed = allow_secret(&from_file(), &site).await;
    assert!(allowed.status.success() && allowed.said.contains("is shown to"), "{allowed:?}");
    from_file().end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
    // Elsewhere nobody has allowed anything, whatever the client is called there.
    let other = Site::start();
    let elsewhere = credential(&laptop, &other).with("--client-secret-env=SECRET").set("SECRET", "s3cr3t");
    elsewhere.end().await.failure(3);
    assert_eq!(other.seen(|seen| (seen.discovery, seen.token_requests.len())), (0, 0));
}

#[tokio::test]
async fn a_rotated_or_missing_secret_logs_nobody_out() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.client_secret = Some("old"));
    let with = |secret: &str| credential(&laptop, &site).with("--client-secret-env=SECRET").set("SECRET", secret);
    assert!(allow_secret(&with("old"), &site).await.status.success());
    an_hour_later(with("old"), &laptop, &site).await;
    let before = session(&laptop);
    site.behave(|behaviour| behaviour.client_secret = Some("new"));
    let ended = with("old").end().await;
    assert!(ended.failure(4).contains("invalid_client"), "{ended:?}");
    let ended = with("").end().await;
    assert!(ended.failure(2).contains("variable SECRET, which is not set"), "{ended:?}");
    assert_eq!(session(&laptop), before);
    with("new").end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
}

#[tokio::test]
async fn a_provider_that_takes_no_secret_is_not_shown_one() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.metadata = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]}));
    let run = credential(&laptop, &site).with("--client-secret-env=SECRET").set("SECRET", "s3cr3t");
    assert_eq!(allow_secret(&run, &site).await.status.code(), Some(2));
    refused_at_login(&site, &run, 2, "neither in a header nor in a form").await;
    assert_eq!(site.seen(|seen| seen.token_requests.len()), 0);
}

#[tokio::test]
async fn what_the_tokens_are_for_is_said_with_each_request_that_brings_any() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site)
        .with("--resource=https://staging.example")
        .with("--request-audience=staging-api")
        .with("--prompt=select_account")
        .with("--login-hint=jane@example.com")
        .with("--extra-params=tenant=blue");
    let run = an_hour_later(run, &laptop, &site).await;
    run.end().await.credential();
    let asked = site.seen(|seen| seen.authorizations[0].clone());
    let requests = site.seen(|seen| seen.token_requests.clone());
    assert_eq!(requests.len(), 2, "a login and a refresh");
    for request in requests.iter().chain([&asked]) {
        assert_eq!(request["resource"], "https://staging.example");
        assert_eq!(request["audience"], "staging-api");
    }
    assert_eq!((asked["prompt"].as_str(), asked["login_hint"].as_str()), ("select_account", "jane@example.com"));
    assert_eq!(asked["tenant"], "blue");
    for request in requests {
        assert!(["prompt", "login_hint", "tenant"].iter().all(|name| !request.contains_key(*name)), "{request:?}");
    }
}

#[tokio::test]
async fn a_provider_is_asked_for_a_refresh_token_in_its_own_way() {
    let cases = [
        ("generic", None, None, "offline_access openid"),
        ("google", Some("offline"), Some("consent"), "openid"),
        ("cognito", None, None, "openid"),
        ("gitlab", None, None, "openid"),
        ("oidc-provider", None, Some("consent"), "offline_access openid"),
    ];
    for (name, access_type, prompt, scopes) in cases {
        let (site, laptop) = (Site::start(), Laptop::new());
        let provider = format!("--provider={name}");
        credential(&laptop, &site).with(&provider).end_with_login(&site).await.credential();
        let asked = site.seen(|seen| seen.authorizations[0].clone());
        assert_eq!(asked.get("access_type").map(String::as_str), access_type, "{name}");
        assert_eq!(asked.get("prompt").map(String::as_str), prompt, "{name}");
        let mut found: Vec<&str> = asked["scope"].split(' ').collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), scopes, "{name}");
        assert_eq!(asked["code_challenge_method"], "S256", "{name}: whatever discovery says or does not say");
        // The name is no part of whose login it is: naming the provider logs nobody out.
        make_old(&laptop);
        credential(&laptop, &site).end().await.credential();
        assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1), "{name}");
    }
}

#[tokio::test]
async fn whoever_wrote_the_kubeconfig_knows_better_than_a_profile() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site)
        .with("--provider=google")
        .with("--prompt=select_account")
        .with("--extra-params=access_type=online")
        .with("--scopes=offline_access")
        .with("--redirect-host=localhost");
    run.end_with_login(&site).await.credential();
    let asked = site.seen(|seen| seen.authorizations[0].clone());
    assert_eq!((asked["prompt"].as_str(), asked["access_type"].as_str()), ("select_account", "online"));
    assert!(asked["scope"].contains("offline_access") && asked["redirect_uri"].contains("//localhost:"), "{asked:?}");
}

#[tokio::test]
async fn a_provider_that_compares_ports_is_sent_to_one_of_three() {
    let (site, laptop) = (Site::start(), Laptop::new());
    credential(&laptop, &site).with("--provider=okta").end_with_login(&site).await.credential();
    let back = site.seen(|seen| seen.authorizations[0]["redirect_uri"].clone());
    let expected = ["28467", "28571", "28673"].map(|port| format!("http://127.0.0.1:{port}/callback"));
    assert!(expected.contains(&back), "{back}");
    let ended = credential(&laptop, &site).with("--provider=nobody").end().await;
    assert!(ended.failure(2).contains("\"nobody\" is no profile"), "{ended:?}");
}

#[tokio::test]
async fn an_access_token_goes_to_a_cluster_that_takes_it() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| {
        behaviour.access_claims = Some(json!({"aud": "api"}));
        behaviour.token_header = json!({"alg": "ES256", "kid": "1", "typ": "at+jwt"});
        behaviour.refresh_gives_id_token = false;
    });
    // ID tokens of type at+jwt are odd, but say nothing else than JWTs do.
    site.behave(|behaviour| behaviour.token_header = json!({"alg": "ES256", "kid": "1"}));
    let run = || credential(&laptop, &site).with("--token-kind=access").with("--audience=api");
    an_hour_later(run(), &laptop, &site).await;
    let first = site.seen(|seen| seen.exchanges[0]["spec"]["token"].clone());
    let claims = claims(first.as_str().unwrap());
    assert_eq!((claims["aud"].as_str(), claims["jti"].as_str()), (Some("api"), Some("1")));
    run().end().await.credential();
    let second = site.seen(|seen| seen.exchanges[1]["spec"]["token"].clone());
    assert_eq!(self::claims(second.as_str().unwrap())["jti"], "2", "no ID token came, and none was needed");
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
    let session = session(&laptop);
    let lifetime = session["usable_until"].as_i64().unwrap() - session["received_at"].as_i64().unwrap();
    assert_eq!(lifetime, 270, "the access token's five minutes less the margin, not the ID token's ten");
}

#[tokio::test]
async fn access_tokens_that_a_cluster_could_not_judge_are_refused_here() {
    let cases = [
        (None, "opaque, not a JWT"),
        (Some(json!({"aud": ["staging", "api"]})), "audience-shared"),
        (Some(json!({"aud": null})), "audience-missing"),
        (Some(json!({"iss": "https://other.example"})), "names issuer \"https://other.example\""),
        (Some(json!({"exp": 1000})), "has expired already"),
        (Some(json!({"exp": null})), "does not say when it expires"),
        (Some(json!({"nbf": crate::site::now() + 3600})), "seconds in the future"),
        (Some(json!({"client_id": "production"})), "authorized-party-mismatch"),
        (Some(json!({"sub": "mallory"})), "two people"),
    ];
    for (claims, words) in cases {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| behaviour.access_claims = claims);
        refused_at_login(&site, &credential(&laptop, &site).with("--token-kind=access"), 4, words).await;
    }
}

#[tokio::test]
async fn other_refusals_than_an_invalid_grant_end_no_session() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = an_hour_later(credential(&laptop, &site), &laptop, &site).await;
    let before = session(&laptop);
    for (refresh, status) in [
        (Refresh::Refused("invalid_client"), 4),
        (Refresh::Refused("invalid_scope"), 4),
        (Refresh::Refused("unauthorized_client"), 4),
        (Refresh::Refused("temporarily_unavailable"), 6),
        (Refresh::Status(404), 4),
        (Refresh::Status(429), 6),
        (Refresh::Status(502), 6),
    ] {
        site.behave(|behaviour| behaviour.refresh = refresh);
        let ended = run.end().await;
        ended.failure(status);
        assert_eq!(session(&laptop), before, "{refresh:?}");
    }
    assert_eq!(site.seen(|seen| seen.authorizations.len()), 1, "no browser was asked for");
    for code in ["interaction_required", "login_required"] {
        site.behave(|behaviour| behaviour.refresh = Refresh::Refused(code));
        run.end_with_login(&site).await.credential();
        make_old(&laptop);
    }
    assert_eq!(site.seen(|seen| seen.logins), 3);
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

//! Kubeconfigs of Pinniped's CLI at a Pinniped Supervisor: passwords, the browser, and tokens traded for the cluster's.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::pinniped::{answer, oidc, stock_site};
use crate::plugin::{Laptop, Run, log_in};
use crate::site::{CLIENT, Site};

/// A Supervisor with one directory behind it, which prefers this flow.
fn supervisor(flow: &str) -> Site {
    let site = stock_site();
    let endpoint = format!("{}/upstreams", site.issuer());
    site.behave(|behaviour| {
        behaviour.metadata = json!({
            "discovery.supervisor.pinniped.dev/v1alpha1": {"pinniped_identity_providers_endpoint": endpoint},
        });
        behaviour.upstreams =
            json!({"pinniped_identity_providers": [{"name": "corp", "type": "ldap", "flows": [flow, "other"]}]});
    });
    site
}

fn at_supervisor<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    oidc(laptop, site)
        .with("--request-audience=this-cluster")
        .with("--upstream-identity-provider-name=corp")
        .with("--upstream-identity-provider-type=ldap")
}

#[tokio::test]
async fn a_supervisor_takes_name_and_password_and_trades_the_token_for_the_clusters() {
    let (site, laptop) = (supervisor("cli_password"), Laptop::new());
    let run = at_supervisor(&laptop, &site).set("PINNIPED_USERNAME", "jane").set("PINNIPED_PASSWORD", "pa ss");
    answer(&run.end().await);
    let asked = site.seen(|seen| seen.authorizations[0].clone());
    assert_eq!((asked[":pinniped-username"].as_str(), asked[":pinniped-password"].as_str()), ("jane", "pa ss"));
    assert_eq!((asked["pinniped_idp_name"].as_str(), asked["pinniped_idp_type"].as_str()), ("corp", "ldap"));
    assert_eq!(asked["redirect_uri"], "http://127.0.0.1:0/callback");
    let traded = site.seen(|seen| seen.token_requests[1].clone());
    assert_eq!(traded["audience"], "this-cluster");
    let token = site.seen(|seen| seen.exchanges[0]["spec"]["token"].as_str().unwrap().to_owned());
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap()["aud"], "this-cluster");

    let sessions = laptop.yaml("sessions.yaml");
    let session = &sessions["sessions"][0];
    assert_eq!(session["key"]["upstream_provider_name"], "corp");
    assert_eq!(session["tokens"]["id"]["claims"]["aud"], CLIENT, "the traded token is not kept");
    assert!(session["tokens"]["access"]["expiryTimestamp"].is_string());
    // Another cluster of the same Supervisor: the same login.
    answer(&at_supervisor(&laptop, &site).with("--request-audience=that-cluster").end().await);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 0));
    // Without the access token, which ends after minutes, the refresh token brings another.
    laptop.change("sessions.yaml", "sessions", |entry| {
        entry["tokens"].as_object_mut().unwrap().remove("access");
    });
    fs::remove_file(laptop.pinniped("credentials.yaml")).unwrap();
    answer(&run.end().await);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
    let refresh =
        site.seen(|seen| seen.token_requests.iter().find(|form| form["grant_type"] == "refresh_token").cloned());
    assert_eq!(refresh.unwrap().get("scope"), None, "what was granted is not known from the file");
}

#[tokio::test]
async fn a_password_goes_to_a_supervisor_only_and_never_into_words() {
    let (site, laptop) = (supervisor("cli_password"), Laptop::new());
    let nobody = at_supervisor(&laptop, &site).end().await;
    assert!(nobody.failure(3).contains("no terminal to ask for name and password"), "{nobody:?}");
    let unknown = at_supervisor(&laptop, &site).with("--upstream-identity-provider-name=other").end().await;
    assert!(unknown.failure(4).contains("no upstream identity provider \"other\""), "{unknown:?}");

    site.behave(|behaviour| behaviour.metadata = json!({}));
    // Not the documents of before.
    let laptop = Laptop::new();
    let run = at_supervisor(&laptop, &site)
        .with("--upstream-identity-provider-flow=cli_password")
        .set("PINNIPED_USERNAME", "jane")
        .set("PINNIPED_PASSWORD", "hunter2");
    let ended = run.end().await;
    let said = ended.failure(4);
    assert!(said.contains("is no Pinniped Supervisor") && !said.contains("hunter2"), "{said}");
    assert_eq!(site.seen(|seen| seen.authorizations.len()), 0);
}

#[tokio::test]
async fn a_supervisor_that_prefers_the_browser_gets_one_and_its_address_may_stay_hidden() {
    let (site, laptop) = (supervisor("browser_authcode"), Laptop::new());
    let run = at_supervisor(&laptop, &site);
    answer(&run.end_with_login(&site).await);
    let asked = site.seen(|seen| seen.authorizations[0].clone());
    assert_eq!((asked["pinniped_idp_name"].as_str(), asked.get(":pinniped-username")), ("corp", None));

    let laptop = Laptop::new();
    let opened = laptop.path("opened");
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" > {0}.half; mv {0}.half {0}\n", opened.display());
    let browser = laptop.executable("browser", &script);
    let mut run = at_supervisor(&laptop, &site)
        .set("PINNIPED_SKIP_PRINT_LOGIN_URL", "true")
        .set("LATCHKEY_BROWSER", browser.to_string_lossy());
    run.arguments.retain(|argument| argument != "--skip-browser");
    let running = run.start();
    let written = async {
        loop {
            match fs::read_to_string(&opened) {
                Ok(url) => break url,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let url = tokio::time::timeout(std::time::Duration::from_secs(30), written).await.unwrap();
    log_in(&site, &reqwest::Url::parse(url.trim()).unwrap()).await;
    let ended = running.end().await;
    answer(&ended);
    assert!(!ended.said.contains("https://"), "{}", ended.said);
}

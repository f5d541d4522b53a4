//! `explain`: what is told of a refusal, and of a reason's code.

use serde_json::json;

use crate::people_login::{laptop, stanza, verb, with_person};
use crate::site::{Exchange, Site};

#[tokio::test]
async fn a_refusal_is_explained_with_what_the_administrator_needs() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    let before = verb(&laptop, &["explain"]).end().await;
    assert!(before.status.success(), "{before:?}");
    assert!(before.stdout.contains("Login:    none is kept; `kubectl latchkey login` makes one\n"), "{before:?}");
    assert!(before.stdout.ends_with("Refused:  never, as far as this computer knows\n"), "{before:?}");
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    let refused = with_person(verb(&laptop, &["login"]).start(), &site).await;
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    let told = verb(&laptop, &["explain"]).end().await.stdout;
    for words in [
        "Context:  staging\n",
        &format!(" at {}, JWTAuthenticator people\n", site.url()),
        &format!("Asks for: a token for \"staging\", of {}\n", site.issuer()),
        "Login:    as jane@example.com\n",
        &format!("Token:    for [\"staging\"], by {}\n          about jane\n", site.issuer()),
        "Check:    the token is for what this kubeconfig asks for and no more, so it is sent there\n",
        "          \"authentication failed\"\n",
        "\n  latchkey-concierge audit show --audit-id audit-42 audit.jsonl\n",
        "\n  kubectl latchkey rejections\n",
    ] {
        assert!(told.contains(words), "{words:?} in\n{told}");
    }
    assert!(!told.contains("since then"), "{told}");
    site.behave(|behaviour| behaviour.exchange = Exchange::Certificate);
    laptop.edit_extension("credentials", "refused", |refusal| refusal["at"] = 1000.into());
    assert!(verb(&laptop, &["login"]).end().await.status.success());
    let told = verb(&laptop, &["explain"]).end().await.stdout;
    assert!(told.contains("since then it has let you in\n"), "{told}");
    assert_eq!(site.seen(|seen| seen.logins), 1, "nobody was asked");
}

#[tokio::test]
async fn what_silences_the_plugin_is_named_first_and_no_line_is_too_wide() {
    let site = Site::start();
    let mut user =
        stanza(&site, &["--audience=a-name-as-long-as-people-make-them-where-names-are-made-of-regions-and-of-stages"]);
    user["token"] = json!("SECRET");
    user["client-certificate-data"] = json!("SECRET");
    let laptop = laptop(&site, &[("staging", user)]);
    let path = laptop.path("kubeconfig").display().to_string();
    let told = verb(&laptop, &["explain", "--kubeconfig", &path, "--context=staging"]).end().await;
    assert!(told.status.success(), "{told:?}");
    let told = told.stdout;
    let is_one_word = |line: &str| line.trim().split(' ').count() == 1;
    assert!(told.lines().all(|line| line.chars().count() <= 100 || is_one_word(line)), "{told}");
    let login = format!("`kubectl latchkey login --kubeconfig {path} --context staging`");
    let unwrapped = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains(&login), "{told}");
    let words = "Beware: the user in the kubeconfig has token, client-certificate-data as well: kubectl uses that";
    assert!(unwrapped.contains(words) && !told.contains("SECRET"), "{told}");
}

#[tokio::test]
async fn a_login_that_would_go_to_another_server_is_said_to_stay() {
    let site = Site::start();
    let elsewhere = stanza(&site, &["--concierge-endpoint=https://127.0.0.1:9"]);
    let laptop = laptop(&site, &[("staging", stanza(&site, &[])), ("astray", elsewhere)]);
    verb(&laptop, &["login", "--context", "staging"]).end_with_login(&site).await;
    let told = verb(&laptop, &["explain", "--context", "astray"]).end().await.stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        &format!("to https://127.0.0.1:9/, and so far it was used with {}/: the token is not sent ", site.url()),
        "it is the token of context \"staging\" as well, whose server is another one",
    ] {
        assert!(told.contains(words), "{words:?} in\n{told}");
    }
    assert!(!told.contains("so it is sent there"), "{told}");
}

/// The kubeconfig of somebody else asks for the very token of staging: its two audiences in another order.
#[tokio::test]
async fn a_token_for_two_stays_with_the_server_of_either_audience() {
    let site = Site::start();
    site.behave(|behaviour| {
        (behaviour.audiences, behaviour.authorized_party) = (json!(["staging", "project"]), Some("staging"));
    });
    let evil = ["--audience=project", "--additional-audiences=staging", "--concierge-endpoint=https://127.0.0.1:9"];
    let users = [("staging", stanza(&site, &["--additional-audiences=project"])), ("evil", stanza(&site, &evil))];
    let laptop = laptop(&site, &users);
    verb(&laptop, &["login", "--context", "staging"]).end_with_login(&site).await;
    let refused = verb(&laptop, &["login", "--context", "evil"]).end().await;
    let words = format!("to https://127.0.0.1:9/, and so far it was used with {}/", site.url());
    assert!(refused.failure(2).contains(&words), "{refused:?}");
    assert_eq!(site.seen(|seen| seen.logins), 1, "nobody was asked for a second token");
    let twice = verb(&laptop, &["login", "--context", "staging"]).end().await;
    assert!(twice.status.success(), "{twice:?}");
}

#[tokio::test]
async fn a_reason_is_explained_by_its_code() {
    let site = Site::start();
    let laptop = laptop(&site, &[("aws", json!({"exec": {"command": "aws"}}))]);
    let told = verb(&laptop, &["explain", "audience-other-cluster"]).end().await;
    assert!(told.status.success(), "{told:?}");
    assert!(told.stdout.starts_with("audience-other-cluster\n\n  The token is genuine, and it was made for another"));
    assert!(told.stdout.lines().all(|line| line.chars().count() <= 92), "{told:?}");
    let unknown = verb(&laptop, &["explain", "audience-wrong"]).end().await;
    assert!(unknown.failure(2).contains("\"audience-wrong\" is no reason of a refusal"), "{unknown:?}");
    let other = verb(&laptop, &["explain"]).end().await;
    assert!(other.failure(2).contains("does not log in by this plugin"), "{other:?}");
}

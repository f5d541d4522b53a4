//! `token --decode`.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::people_login::{laptop, stanza, verb, with_person};
use crate::site::Site;

#[tokio::test]
async fn claims_are_shown_and_the_token_is_not() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    let none = verb(&laptop, &["token", "--decode"]).end().await;
    assert!(none.failure(3).contains("no login of staging is kept"), "{none:?}");
    with_person(verb(&laptop, &["login"]).start(), &site).await;
    let shown = verb(&laptop, &["token", "--decode"]).end().await;
    let claims: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&claims["aud"], &claims["sub"]), (&"staging".into(), &"jane".into()));
    assert!(shown.said.starts_with("For: staging\n") && shown.said.contains("\nexp: ends 20"), "{shown:?}");
    let bare = verb(&laptop, &["token"]).end().await;
    assert!(bare.failure(2).contains("never the token itself"), "{bare:?}");
}

#[tokio::test]
async fn a_token_may_be_piped_in() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    // {"aud":["a","b\u001b[2J"],"exp":1000}
    for (token, status) in [("e30.eyJhdWQiOlsiYSIsImJcdTAwMWJbMkoiXSwiZXhwIjoxMDAwfQ.c2lnbmF0dXJl\n", 0), ("opaque", 2)]
    {
        let mut command = verb(&laptop, &["token", "--decode", "--stdin"]).command();
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).await.unwrap();
        let ended = child.wait_with_output().await.unwrap();
        let (stdout, said) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(status), "{said}");
        assert!(!stdout.contains("c2lnbmF0dXJl") && !stdout.contains('\u{1b}') && !said.contains('\u{1b}'));
        if status == 0 {
            assert!(said.starts_with("For: a, b\\u{1b}[2J\nexp: ends 1970-01-01T00:16:40Z, "), "{said}");
        } else {
            assert!(said.contains("that is no JWT") && !said.contains("opaque"), "{said}");
        }
    }
}

//! What each command says when all is well, as a person gets it, compared with stored files as errors are.

use std::fs;

use crate::people_login::{laptop, stanza, verb};
use crate::plugin::{Laptop, Run};
use crate::site::Site;
use crate::snapshots::Snapshots;

/// A kubectl that knows nothing, so that nothing of this machine's is in the output.
fn without_kubectl(laptop: &Laptop) -> String {
    let bin = laptop.path("bin");
    fs::create_dir_all(&bin).unwrap();
    format!("{}:/usr/bin:/bin", bin.display())
}

#[tokio::test]
async fn what_is_said_when_all_is_well() {
    let site = Site::start();
    site.behave(|behaviour| {
        behaviour.revocation = Some(200);
        behaviour.end_session = true;
    });
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    let mut snapshots = Snapshots::new(&site, &laptop);
    for (name, arguments) in [
        ("ok-status-none", "status"),
        ("ok-explain-before", "explain"),
        ("ok-login", "login"),
        ("ok-login-again", "login"),
        ("ok-status", "status"),
        ("ok-status-check", "status --check"),
        ("ok-explain", "explain"),
        ("ok-explain-code", "explain audience-other-cluster"),
        ("ok-token", "token --decode"),
        ("ok-logout", "logout --end-session"),
        ("ok-logout-again", "logout"),
        ("ok-logout-all", "logout --all"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let run = verb(&laptop, &arguments).set("PATH", without_kubectl(&laptop));
        snapshots.succeeds(name, run).await;
    }
    snapshots.end();
}

/// In Pinniped's clothes it has Pinniped's words.
#[tokio::test]
async fn what_is_typed_wrong_in_pinnipeds_way() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut snapshots = Snapshots::new(&site, &laptop);
    for (name, arguments) in [
        ("pinniped-oidc-no-issuer", "login oidc"),
        ("pinniped-oidc-unknown-flag", "login oidc --issuer=https://idp.example --no-such-flag"),
        ("pinniped-oidc-no-authenticator", "login oidc --issuer=https://idp.example --enable-concierge"),
        ("pinniped-static-no-token", "login static"),
        ("pinniped-static-variable", "login static --token-env=NO_SUCH_VARIABLE"),
    ] {
        let run = snapshots.run(arguments);
        snapshots.fails(name, run).await;
    }
    snapshots.end();
}

#[tokio::test]
async fn no_port_is_left_for_the_answer() {
    let squatter = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = squatter.local_addr().unwrap().port();
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut snapshots = Snapshots::new(&site, &laptop).naming(port.to_string(), "<port>");
    let run: Run<'_> = snapshots.credential().with(&format!("--redirect-ports={port}"));
    snapshots.fails("login-no-port-left", run).await;
    snapshots.end();
}

#[tokio::test]
async fn nothing_to_show_is_said_with_what_to_do() {
    let site = Site::start();
    let laptop = laptop(&site, &[("staging", stanza(&site, &[]))]);
    let mut snapshots = Snapshots::new(&site, &laptop);
    for (name, arguments) in [
        ("token-without-login", "token --decode --context staging"),
        ("status-check-without-login", "status --check"),
        ("logout-unknown-context", "logout --context production"),
        ("explain-unknown-code", "explain audience-wrong"),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        snapshots.fails(name, verb(&laptop, &arguments)).await;
    }
    snapshots.end();
}

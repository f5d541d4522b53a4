//! Fifty at once: one login or one refresh for all of them, with locks and on file systems that have none.

use std::iter;

use futures::future::join_all;

use crate::killed::under_strace;
use crate::plugin::{Ended, Laptop, Run, credential};
use crate::site::Site;

const CROWD: usize = 50;

/// Where the second use of a refresh token ends the login.
fn strict() -> Site {
    let site = Site::start();
    site.behave(|behaviour| behaviour.reuse_ends_the_family = true);
    site
}

fn same_answers(all: &[Ended]) {
    for ended in all {
        ended.credential();
        assert_eq!(ended.stdout, all[0].stdout);
    }
}

/// Credential and ID token are past, so that each of the crowd comes to refresh.
async fn expired<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    let lifetimes = |seconds| {
        site.behave(|behaviour| (behaviour.id_token_lifetime, behaviour.certificate_lifetime) = (seconds, seconds));
    };
    lifetimes(4);
    let run = credential(laptop, site);
    run.end_with_login(site).await.credential();
    lifetimes(600);
    run
}

#[tokio::test]
async fn fifty_from_an_empty_cache_are_one_login() {
    let (site, laptop) = (strict(), Laptop::new());
    let run = credential(&laptop, &site);
    let all = join_all(iter::repeat_with(|| run.end_with_login(&site)).take(CROWD)).await;
    same_answers(&all);
    let seen = site.seen(|seen| (seen.authorizations.len(), seen.logins, seen.refreshes, seen.discovery));
    assert_eq!((seen, site.exchanges()), ((1, 1, 0, 1), 1));
}

#[tokio::test]
async fn fifty_with_an_expired_login_are_one_refresh_where_reuse_ends_it() {
    let (site, laptop) = (strict(), Laptop::new());
    let run = expired(&laptop, &site).await;
    let all = join_all(iter::repeat_with(|| run.end()).take(CROWD)).await;
    same_answers(&all);
    let seen = site.seen(|seen| (seen.logins, seen.refreshes, seen.discovery));
    assert_eq!((seen, site.exchanges()), ((1, 1, 1), 2));
    // And the token that was rotated is the one that was kept.
    std::fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    site.behave(|behaviour| behaviour.id_token_lifetime = 600);
    run.end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
}

#[tokio::test]
async fn a_crowd_is_one_refresh_without_locks_too() {
    let (site, laptop) = (strict(), Laptop::new());
    let run = expired(&laptop, &site).await;
    let without_locks = || under_strace(&run, &["trace=flock", "inject=flock:error=ENOLCK"]);
    let Some(first) = without_locks() else { return };
    let rest = iter::repeat_with(|| without_locks().unwrap()).take(9);
    let all = join_all(iter::once(first).chain(rest).map(|command| Run::end_command(command, &site))).await;
    same_answers(&all);
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
    let left = std::fs::read_dir(laptop.path("cache/sessions")).unwrap();
    let leases = left.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "lease"));
    assert_eq!(leases.count(), 0, "a lease is given back");
}

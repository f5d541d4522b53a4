//! `token --decode`: what a token says of itself, never the token.

use std::io::{self, Read as _};

use zeroize::Zeroizing;

use super::chosen::{Chosen, in_use};
use super::table::span;
use super::{World, data, print, typed};
use crate::args::TokenArgs;
use crate::cache::{Cache, Keys};
use crate::failure::{Failure, Status};
use crate::output::Printable;
use crate::time::UnixTime;
use crate::unverified_claims::UnverifiedClaims;

/// The largest that a concierge reads is far smaller.
const TOKEN_MAX_BYTES: u64 = 1024 * 1024;

/// Times among the registered claims (RFC 7519 section 4.1, OIDC Core 1.0 section 2).
const TIMES: [(&str, &str); 4] = [("auth_time", "logged in"), ("iat", "made"), ("nbf", "good from"), ("exp", "ends")];

/// Prints the claims, and says in words what people look for.
///
/// # Errors
/// When there is no token, or it cannot be read.
pub(super) fn run(args: &TokenArgs, world: World<'_>) -> Result<(), Failure> {
    let claims = if args.stdin { of_stdin()? } else { of_login(args, world)? };
    let now = world.clock.now();
    world.output.say(&format!("For: {}", Printable(&claims.audiences().join(", "))));
    for (claim, words) in TIMES {
        if let Some(at) = claims.all().get(claim).and_then(serde_json::Value::as_i64).map(UnixTime::from_secs) {
            let ahead = at.since(now);
            let when =
                if ahead > 0 { format!("in {}", span(ahead)) } else { format!("{} ago", span(ahead.saturating_neg())) };
            world.output.say(&format!("{claim}: {words} {at}, {when}"));
        }
    }
    print(&data::json(claims.all()))
}

fn of_login(args: &TokenArgs, world: World<'_>) -> Result<UnverifiedClaims, Failure> {
    let Chosen { config, .. } = in_use(&args.kubectl, world)?;
    let cache = Cache::new(&config.places, config.store, world.clock, world.output);
    let cluster = &config.answering.cluster_name;
    let session = cache.session(&Keys::new(&config).session).ok_or_else(|| {
        Failure::new(Status::LoginNeeded, format!("no login of {cluster} is kept")).hint(typed::login(&args.kubectl))
    })?;
    let token = session.cluster_token(config.provider.token_kind);
    UnverifiedClaims::read(token.expose()).ok_or_else(unreadable)
}

fn of_stdin() -> Result<UnverifiedClaims, Failure> {
    let mut token = Zeroizing::new(String::new());
    let read = io::stdin().lock().take(TOKEN_MAX_BYTES).read_to_string(&mut token);
    read.map_err(|error| Failure::new(Status::General, format!("cannot read standard input: {error}")))?;
    UnverifiedClaims::read(token.trim()).ok_or_else(unreadable)
}

fn unreadable() -> Failure {
    Failure::new(Status::Usage, "that is no JWT: expected three parts with dots between them, and JSON in the second")
}

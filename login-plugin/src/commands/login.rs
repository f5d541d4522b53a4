//! `login`: for a person at a time of their own, to one cluster or to all of them.

mod client_secret;

use super::chosen::{Chosen, Unclear, chosen};
use super::credential::{self, Arrived};
use super::table::span;
use super::{World, runtime};
use crate::args::LoginArgs;
use crate::cache::{EntryName, Keys};
use crate::failure::{Failure, Status};
use crate::output::{Output, Printable};
use crate::time::UnixTime;

/// Logs in, and says who, where and until when.
///
/// # Errors
/// When some login did not succeed: the others are made all the same.
pub(super) fn run(args: &LoginArgs, world: World<'_>) -> Result<(), Failure> {
    let LoginArgs { choice, force, set_client_secret } = args;
    world.output.settle(world.environment.switch("LATCHKEY_QUIET"), true);
    let logins = chosen(choice, world)?;
    if *set_client_secret {
        return client_secret::set(logins, world);
    }
    let runtime = runtime()?;
    let asked = logins.len();
    let mut done = Done::default();
    let mut failures = Vec::new();
    for login in logins {
        let outcome = login.and_then(|mut login| {
            if choice.credential.flow.is_some() {
                // Typed just now, for this one login.
                login.config.login.flow = choice.credential.flow;
            }
            let outcome = runtime.block_on(done.log_in(&login, *force, world));
            outcome.map_err(|failure| Unclear { context: login.context.unwrap_or_default(), failure })
        });
        match outcome {
            Ok(()) => {}
            Err(Unclear { failure, .. }) if asked == 1 => return Err(failure),
            Err(unclear) => {
                Output::remark(&format!("{}: {}", Printable(&unclear.context), unclear.failure));
                failures.push(unclear.failure.status);
            }
        }
    }
    match failures.first() {
        None => Ok(()),
        Some(status) => Err(Failure::new(*status, format!("{} of {asked} logins did not succeed", failures.len()))),
    }
}

/// What happened to each login so far: several contexts may share one, and nobody is asked twice.
#[derive(Debug, Default)]
struct Done {
    made: Vec<EntryName>,
    failed: Vec<(EntryName, Failure)>,
}

impl Done {
    async fn log_in(&mut self, login: &Chosen, force: bool, world: World<'_>) -> Result<(), Failure> {
        let session = Keys::new(&login.config).session;
        if let Some((_, failure)) = self.failed.iter().find(|(name, _)| *name == session) {
            return Err(failure.clone());
        }
        let anew = force && !self.made.contains(&session);
        let world = World { environment: &login.environment, ..world };
        match credential::log_in(&login.config, world, anew).await {
            Ok(arrived) => {
                self.made.push(session);
                world.output.say(&line(&arrived, &login.config.answering.cluster_name, world.clock.now()));
                Ok(())
            }
            Err(failure) => {
                // The provider let them in, or was not asked: another cluster may take the same login.
                if !matches!(failure.status, Status::ClusterRefused | Status::Unreachable | Status::Usage) {
                    self.failed.push((session, failure.clone()));
                }
                Err(failure)
            }
        }
    }
}

/// Who, where, until when.
fn line(arrived: &Arrived, cluster: &str, now: UnixTime) -> String {
    let Arrived { identity, usable_until, renewable } = arrived;
    let left = span(usable_until.since(now));
    let then = if *renewable { ", then renewed by itself" } else { ", then you log in again" };
    format!("Logged in to {} as {} until {usable_until} ({left}{then})", Printable(cluster), Printable(identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_who_where_and_until_when() {
        let arrived = |renewable| Arrived {
            identity: "jane\u{1b}@example.com".to_owned(),
            usable_until: UnixTime::from_secs(1_782_000_600),
            renewable,
        };
        let now = UnixTime::from_secs(1_782_000_000);
        assert_eq!(
            line(&arrived(true), "Staging", now),
            "Logged in to Staging as jane\\u{1b}@example.com until 2026-06-21T00:10:00Z (10m, then renewed by itself)"
        );
        assert!(line(&arrived(false), "Staging", now).ends_with("(10m, then you log in again)"));
    }
}

//! `logout`: forgets a login here at once, and has the provider withdraw it.

use std::time::Duration;

use super::chosen::{Chosen, Unclear, chosen};
use super::{World, runtime};
use crate::args::{Choice, CredentialArgs, LogoutArgs, Store};
use crate::browser::Browser;
use crate::cache::{Cache, EntryName, KeptSession, Keys, Session};
use crate::config::{CredentialConfig, Places, Settings};
use crate::environment::Environment;
use crate::exec_credential::ExecInfo;
use crate::failure::Failure;
use crate::oidc::{Provider, Revoked};
use crate::output::{Output, Printable};
use crate::platform::desktop;

/// Somebody may be renewing the login; nobody waits longer than that to get rid of it.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// What became of a login.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// There was none.
    NotKept,
    /// Here it is gone; what the provider did.
    Gone(AtProvider),
}

/// What the provider did.
#[derive(Debug, PartialEq, Eq)]
enum AtProvider {
    /// It has nothing to withdraw, or was not to be told.
    NotTold,
    /// It withdrew the refresh token.
    Withdrawn,
    /// It withdraws none: there the login ends by itself.
    NotOffered,
}

/// Logs out, and says of each login what became of it.
///
/// # Errors
/// When a provider could not be told. The login is gone from here all the same.
pub(super) fn run(args: &LogoutArgs, world: World<'_>) -> Result<(), Failure> {
    world.output.settle(world.environment.switch("LATCHKEY_QUIET"), true);
    let logins = if args.all { every_one(args, world) } else { chosen(&args.choice, world)? };
    let runtime = runtime()?;
    let asked = logins.len();
    let mut seen: Vec<EntryName> = Vec::new();
    let mut failures = Vec::new();
    for login in logins {
        let outcome = login.and_then(|login| {
            let keys = Keys::new(&login.config);
            if seen.contains(&keys.session) {
                return Ok(());
            }
            seen.push(keys.session.clone());
            let outcome = runtime.block_on(one(&login, &keys, args, world));
            outcome.map_err(|failure| Unclear { context: login.context.unwrap_or_default(), failure })
        });
        match outcome {
            Ok(()) => {}
            Err(Unclear { failure, .. }) if asked == 1 => return Err(failure),
            Err(unclear) => {
                Output::remark(&unclear.failure.to_string());
                failures.push(unclear.failure.status);
            }
        }
    }
    match failures.first() {
        None => Ok(()),
        Some(status) => Err(Failure::new(*status, format!("{} of {asked} logins: see above", failures.len()))),
    }
}

async fn one(login: &Chosen, keys: &Keys, args: &LogoutArgs, world: World<'_>) -> Result<(), Failure> {
    let Chosen { config, environment, .. } = login;
    let cache = Cache::new(&config.places, config.store, world.clock, world.output);
    let cluster = Printable(&config.answering.cluster_name).to_string();
    let session = {
        // Whoever renews the login right now must not write it back afterwards.
        let _lock = cache.lock(&keys.session, LOCK_PATIENCE).await;
        let is_kept = cache.sessions().iter().any(|kept| kept.name == keys.session);
        // Sealed with a key that is not to be had it can still be forgotten.
        let session = is_kept.then(|| cache.session(&keys.session));
        cache.forget(&keys.session);
        cache.drop_credential(&keys.credential);
        session
    };
    let ended = match session {
        None => Ended::NotKept,
        Some(None) => Ended::Gone(AtProvider::NotTold),
        Some(Some(session)) => {
            let told = tell(config, keys, &cache, &session, args, (environment, world)).await;
            Ended::Gone(told.map_err(|failure| Failure {
                message: format!(
                    "the login of {cluster} is forgotten here, but {} could not be told: {}",
                    host(&config.provider.issuer),
                    failure.message
                ),
                hint: Some("there it ends by itself; or end it on the provider's own pages".to_owned()),
                ..failure
            })?)
        }
    };
    world.output.say(&match ended {
        Ended::NotKept => format!("No login of {cluster} is kept here"),
        Ended::Gone(AtProvider::NotTold) => format!("Logged out of {cluster} on this computer"),
        Ended::Gone(AtProvider::Withdrawn) => {
            format!("Logged out of {cluster}, here and at {}", host(&config.provider.issuer))
        }
        Ended::Gone(AtProvider::NotOffered) => format!(
            "Logged out of {cluster} on this computer; {} withdraws no logins, there it ends by itself",
            host(&config.provider.issuer)
        ),
    });
    Ok(())
}

/// Tells the provider, and opens its log-out page if that is wanted.
async fn tell(
    config: &CredentialConfig,
    keys: &Keys,
    cache: &Cache<'_>,
    session: &Session,
    args: &LogoutArgs,
    (environment, world): (&Environment, World<'_>),
) -> Result<AtProvider, Failure> {
    let refresh_token = session.refresh_token.as_ref().filter(|_| !args.no_revoke);
    if refresh_token.is_none() && !args.end_session {
        return Ok(AtProvider::NotTold);
    }
    let provider = Provider::discover(&config.provider, cache, &keys.discovery, world.clock).await?;
    let revoked = match refresh_token {
        None => Ok(AtProvider::NotTold),
        Some(token) => provider.revoke(token).await.map(|revoked| match revoked {
            Revoked::Done => AtProvider::Withdrawn,
            Revoked::NotOffered => AtProvider::NotOffered,
        }),
    };
    if args.end_session {
        match provider.end_session_url(&session.id_token) {
            None => world.output.say(&format!("{} has no log-out page", host(&config.provider.issuer))),
            Some(url) => {
                let browser = Browser::chosen(environment)
                    .or_else(|| Browser::of_environment(environment, desktop::system(), true));
                let opened = browser.filter(|_| !config.login.skip_browser).is_some_and(|browser| browser.open(&url));
                let way = if opened { "opening browser. If nothing opens:" } else { "visit" };
                world.output.invite(&format!("Log out at {}: {way} {url}", host(&config.provider.issuer)));
            }
        }
    }
    Ok(revoked?)
}

/// Every login that is kept. The contexts know best how to reach a provider; of the others the label may tell enough, and
/// those of which it does not are forgotten at once.
fn every_one(args: &LogoutArgs, world: World<'_>) -> Vec<Result<Chosen, Unclear>> {
    let places = Places::new(world.environment);
    let cache = Cache::new(&places, Store::Auto, world.clock, world.output);
    let sessions = cache.sessions();
    if sessions.is_empty() {
        world.output.say("No login is kept here.");
    }
    let choice = Choice { all_contexts: true, ..args.choice.clone() };
    // No context at all is no reason to keep a login.
    let of_contexts = chosen(&choice, world).unwrap_or_default();
    let mut of_contexts: Vec<Chosen> = of_contexts.into_iter().flatten().collect();
    let mut logins = Vec::new();
    for session in sessions {
        let used = of_contexts.iter().position(|chosen| Keys::new(&chosen.config).session == session.name);
        let orphan = Orphan(session);
        match used.map(|position| of_contexts.swap_remove(position)).or_else(|| orphan.chosen(world.environment)) {
            Some(chosen) => logins.push(Ok(chosen)),
            None => orphan.forget(&cache, world),
        }
    }
    logins
}

/// A login that no context uses.
struct Orphan(KeptSession);

impl Orphan {
    /// The settings, if the label tells all that the login's name was made of.
    fn chosen(&self, environment: &Environment) -> Option<Chosen> {
        let label = &self.0.label;
        let args = CredentialArgs {
            issuer: Some(label.issuer.clone()),
            client_id: Some(label.client_id.clone()),
            audience: Some(label.audience.clone()),
            account: label.account.clone(),
            cluster_name: Some(label.cluster_name.clone()),
            no_exchange: Some(true),
            ..CredentialArgs::default()
        };
        match Settings::new(args, ExecInfo::default(), environment).ok()? {
            Settings::Person(config) if Keys::new(&config).session == self.0.name => Some(Chosen {
                context: None,
                config: *config,
                environment: Environment::Process,
                silencers: Vec::new(),
            }),
            _ => None,
        }
    }

    fn forget(&self, cache: &Cache<'_>, world: World<'_>) {
        cache.forget(&self.0.name);
        let KeptSession { label, identity, .. } = &self.0;
        world.output.say(&format!(
            "Logged out of {} ({}) on this computer; no context uses it, so the provider is not told",
            Printable(if label.cluster_name.is_empty() { "a cluster" } else { &label.cluster_name }),
            Printable(identity)
        ));
    }
}

/// The provider's host, which is what people know it by.
fn host(issuer: &str) -> String {
    let url = reqwest::Url::parse(issuer).ok();
    url.and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or_else(|| Printable(issuer).to_string())
}

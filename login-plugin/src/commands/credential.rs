//! `credential`: answers a Kubernetes client from the cache, or takes the long way once for everybody who waits.

pub(super) mod workload;

use std::time::Duration;

use super::{World, print, runtime};
use crate::args::CredentialArgs;
use crate::cache::{
    Cache, EntryName, HeldCredential, Keys, KnownServer, LastRefusal, Lock, Session, Waited, roots_fingerprint,
};
use crate::config::{CredentialConfig, Destination, Settings, WorkloadConfig};
use crate::environment::Environment;
use crate::exchange::{self, ExchangeError, Exchanged};
use crate::exec_credential::{Credential, ExecInfo, answer};
use crate::expiry;
use crate::failure::{Failure, Status};
use crate::flows;
use crate::output::Printable;
use crate::platform::process::ProcessIdentity;
use crate::platform::sudo;
use crate::result_page::Page;
use crate::session::{ClusterToken, Context, Effort, Usable};
use crate::time::UnixTime;

/// A credential this young is not suspected, whoever asks for it again: `kubectl apply -f -` runs us twice, kube-rs three
/// times. Also the most often that suspicion may cost a round trip.
const SUSPICION_PAUSE_SECONDS: i64 = 10;

/// The holder of the lock may wait for a person five minutes; then it needs the cluster's answer.
const LOCK_PATIENCE: Duration = Duration::from_mins(6);

/// What is printed.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The thing itself.
    pub(super) credential: Credential,
    /// The last second in which to use it, by this computer's clock; unknown where nobody said it.
    pub(super) usable_until: Option<UnixTime>,
}

/// What a login brought, for a person.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The name that people know.
    pub(super) identity: String,
    /// The last second in which the provider's token is used without a refresh.
    pub(super) usable_until: UnixTime,
    /// Whether it goes on by itself after that.
    pub(super) renewable: bool,
}

impl From<HeldCredential> for Outcome {
    fn from(held: HeldCredential) -> Self {
        Self { credential: held.credential, usable_until: Some(held.usable_until) }
    }
}

/// Prints an `ExecCredential`.
///
/// # Errors
/// When there is no credential to be had.
pub(super) fn run(args: CredentialArgs, world: World<'_>) -> Result<(), Failure> {
    let World { environment, output, .. } = world;
    let exec = ExecInfo::read(environment)?;
    output.settle(environment.switch("LATCHKEY_QUIET"), exec.interactive);
    output.keep_the_answer_alone();
    match Settings::new(args, exec, environment)? {
        Settings::Person(config) => person(&config, world).map_err(|failure| under_sudo(failure, environment)),
        Settings::Workload(config) => job(&config, world),
    }
}

/// Out of line for the same reason as [`long_way`].
#[inline(never)]
fn job(config: &WorkloadConfig, world: World<'_>) -> Result<(), Failure> {
    workload::run(config, world)
}

/// Root has another home, no browser and no session bus: the login that the person has is not seen from there.
fn under_sudo(failure: Failure, environment: &Environment) -> Failure {
    match sudo::caller(environment).filter(|_| failure.status == Status::LoginNeeded) {
        Some(caller) => {
            let caller = Printable(&caller).to_string();
            failure.hint(format!(
                "this runs as root by sudo, where the login of {caller} is not used; run it without sudo"
            ))
        }
        None => failure,
    }
}

fn person(config: &CredentialConfig, world: World<'_>) -> Result<(), Failure> {
    let World { clock, environment, output } = world;
    let keys = Keys::new(config);
    let cache = Cache::new(&config.places, config.store, clock, output);
    let parent = ProcessIdentity::of_parent();
    let context = Context { config, keys: &keys, cache: &cache, clock, environment, output, parent };
    hand_over(&context, outcome(&context)?)
}

/// What the cache has, or the long way brings.
///
/// # Errors
/// When there is no credential to be had.
pub(super) fn outcome(context: &Context<'_>) -> Result<Outcome, Failure> {
    // Where the server is known it is in the name of what is kept; where it is not, it has to be looked at.
    if matches!(context.config.destination, Destination::Direct(None)) {
        check_server(context)?;
    }
    match context.cache.credential(&context.keys.credential, context.clock.now()) {
        // The warm path: no runtime, no TLS, no lock, no network.
        Some(held)
            if !is_suspect(context.cache, &context.keys.credential, &held, context.parent, context.clock.now()) =>
        {
            Ok(held.into())
        }
        held => long_way(context, held),
    }
}

/// Out of line, and not for its size alone: the frame that holds everything a login needs is ten pages, and a function that
/// has it touches them all, on the warm path too. A page's first touch costs as much as twenty system calls.
#[cold]
#[inline(never)]
fn long_way(context: &Context<'_>, suspect: Option<HeldCredential>) -> Result<Outcome, Failure> {
    runtime()?.block_on(obtain(context, suspect))
}

/// A login for a person who asks for one, tried out at the cluster; `anew` if the one that is kept will not do.
///
/// # Errors
/// When nobody logged in, or the cluster takes no login.
pub(super) async fn log_in(config: &CredentialConfig, world: World<'_>, anew: bool) -> Result<Arrived, Failure> {
    let World { clock, environment, output } = world;
    let keys = Keys::new(config);
    let cache = Cache::new(&config.places, config.store, clock, output);
    let parent = ProcessIdentity::of_parent();
    let context = Context { config, keys: &keys, cache: &cache, clock, environment, output, parent };
    let (_lock, _waited) = lock(&context).await?;
    // Whoever asks is here: what nobody answered before does not count.
    cache.drop_failed_attempt(&keys.session);
    cache.drop_unanswered(&keys.person);
    cache.ask_keyring_again();
    if let Some(place) = config.provider.loose_secret() {
        // No link: nobody is to open it.
        let issuer = config.provider.issuer.trim_start_matches("https://");
        output.say(&format!("The secret in {place} is shown to {} from now on", Printable(issuer)));
        cache.let_show_secret(&keys.client);
    }
    let effort = if anew { Effort::LoginAnyway } else { Effort::Login { waiting_since: None } };
    let (_outcome, session) = ask(&context, effort).await.map_err(|failure| under_sudo(failure, environment))?;
    let Session { identity, usable_until, refresh_token, .. } = session;
    Ok(Arrived { identity, usable_until, renewable: refresh_token.is_some() })
}

/// client-go runs us again when the server answered 401, and does not say why. If the same process asks again, the
/// credential may have been refused, although it looks good from here.
fn is_suspect(
    cache: &Cache<'_>,
    name: &EntryName,
    held: &HeldCredential,
    parent: ProcessIdentity,
    now: UnixTime,
) -> bool {
    let last = held.suspected_at.map_or(held.received_at, |suspected| suspected.max(held.received_at));
    !(0..SUSPICION_PAUSE_SECONDS).contains(&now.since(last)) && cache.was_asked_by(name, parent)
}

fn hand_over(context: &Context<'_>, outcome: Outcome) -> Result<(), Failure> {
    let Outcome { credential, usable_until } = outcome;
    let now = context.clock.now();
    let expires = usable_until.and_then(|until| expiry::announced(until, now));
    print(answer(context.config.answering.api_version, &credential, expires).expose())?;
    if expires.is_some() {
        context.cache.note_asked(&context.keys.credential, context.parent, now);
    }
    Ok(())
}

/// The cold path, one process at a time for each session. `suspect` is a credential that may have been refused.
async fn obtain(context: &Context<'_>, suspect: Option<HeldCredential>) -> Result<Outcome, Failure> {
    let began = context.clock.now();
    let (_lock, waited) = match lock(context).await {
        Ok(locked) => locked,
        Err(failure) => return suspect.map(Outcome::from).ok_or(failure),
    };
    // Somebody may have finished what we wanted to begin.
    if let Some(found) = context.cache.credential(&context.keys.credential, context.clock.now())
        && suspect.as_ref() != Some(&found)
    {
        return Ok(found.into());
    }
    // kubectl runs us five times for one command that fails: each time would be a refresh and two refusals in the log.
    let waiting_since = waited.then_some(began);
    if let Some(failure) = context.cache.refused_just_now(&context.keys.credential, context.parent, waiting_since) {
        return Err(failure);
    }
    check_secret(context)?;
    let effort = match &suspect {
        // Never answer suspicion with a browser.
        Some(_) => match context.config.destination {
            // Nothing stands between the login's token and the server: if something was refused, it was that token.
            Destination::Direct(_) => Effort::Anew,
            Destination::Exchange(_) => Effort::Silent,
        },
        None => Effort::Login { waiting_since },
    };
    match (ask(context, effort).await.map(|(outcome, _session)| outcome), suspect) {
        (Err(failure), Some(held)) if failure.status != Status::ClusterRefused => {
            // It looked good, and nothing better is to be had: the cluster decides. Not asked again at each call.
            drop(failure);
            let held = HeldCredential { suspected_at: Some(context.clock.now()), ..held };
            context.cache.keep_credential(&context.keys.credential, &held, context.clock.now());
            Ok(held.into())
        }
        (Err(failure), Some(_)) => {
            context.cache.drop_credential(&context.keys.credential);
            Err(failure)
        }
        (asked, _) => asked,
    }
}

/// The login's lock, where there is a place for one, and whether it was waited for.
async fn lock(context: &Context<'_>) -> Result<(Option<Lock>, bool), Failure> {
    match context.cache.lock(&context.keys.session, LOCK_PATIENCE).await {
        Some(Waited::Locked { lock, waited }) => Ok((Some(lock), waited)),
        Some(Waited::TimedOut(holder)) => {
            let holder = holder.unwrap_or_else(|| "unknown".to_owned());
            let cluster = &context.config.answering.cluster_name;
            let what = format!("another login to {cluster} (process {holder}) did not finish within 6 minutes");
            Err(Failure::new(Status::LoginNeeded, what).hint("finish or end that one, then try again"))
        }
        None => Ok((None, false)),
    }
}

/// Session, exchange, and the word to the browser.
async fn ask(context: &Context<'_>, effort: Effort) -> Result<(Outcome, Session), Failure> {
    check_server(context)?;
    let Usable { session, is_new, page, instead_of } = context.usable_session(effort).await?;
    let identity = session.identity.clone();
    let exchanged = exchange_session(context, session, is_new).await;
    if let Some(page) = page {
        let cluster = context.config.answering.cluster_name.clone();
        page.show(match &exchanged {
            Ok(_) => Page::Success { cluster, identity, instead_of, provider: provider_host(context) },
            Err(failure) => flows::failure_page(&cluster, failure),
        })
        .await;
    }
    let (Exchanged { credential, received_at, usable_until, subject: _ }, session) = exchanged?;
    let now = context.clock.now();
    if let Some(usable_until) = usable_until.filter(|until| expiry::is_usable(received_at, *until, now)) {
        let held = HeldCredential {
            received_at,
            usable_until,
            suspected_at: None,
            session: Some(context.keys.session.clone()),
            credential,
        };
        context.cache.keep_credential(&context.keys.credential, &held, now);
        return Ok((held.into(), session));
    }
    Ok((Outcome { credential, usable_until }, session))
}

async fn exchange_session(
    context: &Context<'_>,
    session: Session,
    is_new: bool,
) -> Result<(Exchanged, Session), Failure> {
    let mut session = session;
    let mut exchanged = attempt(context, &session).await;
    let is_refused = match &exchanged {
        Ok(exchanged) => matches!(exchanged, Err(ExchangeError::Refused { .. })),
        Err(failure) => failure.status == Status::ProviderRefused,
    };
    // A kept token may be signed by a key that was withdrawn, or hold groups of yesterday. A new one may pass.
    if is_refused
        && !is_new
        && let Ok(Some(refreshed)) = context.refreshed(session.clone()).await
    {
        session = refreshed;
        exchanged = attempt(context, &session).await;
    }
    let error = match exchanged? {
        Ok(exchanged) => {
            if exchanged.subject != session.certificate_subject {
                session.certificate_subject.clone_from(&exchanged.subject);
                context.cache.keep_session(&context.keys.session, &session);
            }
            remember_server(context);
            return Ok((exchanged, session));
        }
        Err(error) => error,
    };
    let ExchangeError::Refused { message, audit_id } = &error else { return Err(error.into()) };
    let CredentialConfig { answering, destination, .. } = context.config;
    let refusal = LastRefusal {
        session: Some(context.keys.session.clone()),
        ..LastRefusal::new(context.clock.now(), answering, destination, message, audit_id.as_deref())
    };
    let mut failure = Failure::from(error);
    // Nothing but a person brings another token.
    if !is_new
        && (session.refresh_token.is_none() || session.refresh_is_useless)
        && let Some(hint) = &mut failure.hint
    {
        hint.push_str(
            "; another login may pass: kubectl latchkey login --force, with --kubeconfig and --context as for kubectl",
        );
    }
    context.cache.keep_last_refusal(&context.keys.credential, &refusal.told(context.parent, &failure));
    Err(failure)
}

/// Failures of the provider, which trades tokens in some places, on the outside; those of the cluster on the inside.
async fn attempt(context: &Context<'_>, session: &Session) -> Result<Result<Exchanged, ExchangeError>, Failure> {
    let ClusterToken { token, received_at, usable_until } = context.cluster_token(session).await?;
    Ok(match &context.config.destination {
        Destination::Direct(_) => Ok(Exchanged {
            credential: Credential::Token { token },
            received_at,
            usable_until: Some(usable_until),
            subject: None,
        }),
        Destination::Exchange(concierge) => {
            let remembered = session.certificate_subject.as_ref();
            exchange::exchange(concierge, &token, remembered, context.clock, context.output).await
        }
    })
}

/// A client's secret from a file or a variable is shown only to a provider where a person logged in at a time of their own:
/// a kubeconfig of somebody else could name any file, and a provider that collects it without a question.
fn check_secret(context: &Context<'_>) -> Result<(), Failure> {
    let provider = &context.config.provider;
    let Some(place) = provider.loose_secret().filter(|_| !context.cache.may_show_secret(&context.keys.client)) else {
        return Ok(());
    };
    let issuer = Printable(&provider.issuer);
    Err(Failure::new(
        Status::LoginNeeded,
        format!("this kubeconfig shows the secret in {place} to {issuer}, and so far nobody has allowed that"),
    )
    .hint("if you trust it, run once: kubectl latchkey login, with --kubeconfig and --context as for kubectl"))
}

fn check_server(context: &Context<'_>) -> Result<(), Failure> {
    astray(context.config, context.cache, context.keys).map_or(Ok(()), Err)
}

/// A login is taken only to the server it was first taken to: a kubeconfig of somebody else could name another server,
/// with roots to match, and collect the token. A token for several audiences is as good as that of each: whoever asks for
/// the two of a known login in another order asks for the same token.
pub(super) fn astray(config: &CredentialConfig, cache: &Cache<'_>, keys: &Keys) -> Option<Failure> {
    std::iter::once(&keys.server).chain(&keys.servers_besides).find_map(|name| astray_of(name, config, cache))
}

/// Whether it goes elsewhere than the login whose server has this name.
fn astray_of(name: &EntryName, config: &CredentialConfig, cache: &Cache<'_>) -> Option<Failure> {
    let known = cache.known_server(name)?;
    let difference = match this_server(config) {
        Some(here) if here.is_same(&known) => return None,
        // Some clients never say where they go: nobody else's kubeconfig can choose those for us.
        None if !config.answering.client_speaks => return None,
        None => format!(
            "to a server that it does not tell (provideClusterInfo is not true), and so far it was used with {}",
            known.endpoint
        ),
        Some(here) if known.endpoint != here.endpoint => {
            format!("to {}, and so far it was used with {}", here.endpoint, known.endpoint)
        }
        Some(here) if known.roots != here.roots => {
            format!("with other root certificates than before ({})", known.endpoint)
        }
        Some(_) => format!("with another tls-server-name than before ({})", known.endpoint),
    };
    let provider = &config.provider;
    let failure = Failure::new(
        Status::Usage,
        format!(
            "this kubeconfig sends the login of client {:?} at {} {difference}",
            provider.client_id, provider.issuer
        ),
    );
    Some(match cache.known_server_path(name) {
        Some(path) => failure.hint(format!("if the cluster really changed, remove {}", path.display())),
        None => failure,
    })
}

fn remember_server(context: &Context<'_>) {
    if context.cache.known_server(&context.keys.server).is_none_or(|known| known.name.is_none())
        && let Some(here) = this_server(context.config)
    {
        context.cache.keep_known_server(&context.keys.server, &here);
    }
}

/// The server that sees the token; unknown where the client takes the token itself and does not say where.
fn this_server(config: &CredentialConfig) -> Option<KnownServer> {
    let server = config.destination.server()?;
    let name = server.tls_server_name.as_deref().or_else(|| server.endpoint.host_str());
    Some(KnownServer {
        endpoint: server.endpoint.to_string(),
        roots: roots_fingerprint(server.roots.as_deref()),
        name: name.map(ToOwned::to_owned),
    })
}

fn provider_host(context: &Context<'_>) -> String {
    let issuer = &context.config.provider.issuer;
    reqwest::Url::parse(issuer)
        .ok()
        .and_then(|url| url.host_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| issuer.clone())
}

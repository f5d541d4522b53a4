//! `status`: which logins are kept, without a network and without a keyring.

use serde::Serialize;

use super::chosen::{Chosen, in_use};
use super::table::{aligned, cell, span};
use super::{World, data, typed};
use crate::args::{Format, StatusArgs, Store};
use crate::cache::{Cache, EntryName, Kept, KeptSession, Keys};
use crate::config::Places;
use crate::failure::{Failure, Status};
use crate::time::UnixTime;

/// What `-o json` and `-o yaml` show. Names do not change.
#[derive(Serialize)]
struct Answer {
    sessions: Vec<Shown>,
}

/// A login for people and programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    cluster: String,
    identity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    provider: String,
    client: String,
    audience: String,
    state: State,
    valid_until: String,
    renewable: bool,
    kept: &'static str,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<String>,
    #[serde(skip)]
    seconds_left: i64,
    #[serde(skip)]
    pause: Option<i64>,
}

/// What a login is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The token can be used.
    Valid,
    /// It has ended, and a new one comes without a word.
    Renews,
    /// It has ended, and the person has to log in.
    Ended,
}

impl State {
    fn of(session: &KeptSession, now: UnixTime) -> Self {
        match session {
            _ if session.usable_until.since(now) > 0 => Self::Valid,
            KeptSession { renewable: true, .. } => Self::Renews,
            KeptSession { renewable: false, .. } => Self::Ended,
        }
    }
}

/// Shows the logins, or says whether one is needed.
///
/// # Errors
/// When a login is needed and that was the question.
pub(super) fn run(args: &StatusArgs, world: World<'_>) -> Result<(), Failure> {
    if args.check {
        return check(args, world);
    }
    let places = Places::new(world.environment);
    let cache = Cache::new(&places, Store::Auto, world.clock, world.output);
    let now = world.clock.now();
    let shown = |session: KeptSession| {
        let person = EntryName::of_person(&session.label.issuer, session.label.account.as_deref());
        let pause = cache.unanswered(&person).and_then(|unanswered| unanswered.pause(now));
        Shown::new(session, pause, now)
    };
    let answer = Answer { sessions: cache.sessions().into_iter().map(shown).collect() };
    if answer.sessions.is_empty() && args.format == Format::Text {
        world.output.say("No login is kept here.");
        return Ok(());
    }
    data::show(&answer, args.format, || table(&answer.sessions))
}

fn check(args: &StatusArgs, world: World<'_>) -> Result<(), Failure> {
    let Chosen { config, .. } = in_use(&args.kubectl, world)?;
    let keys = Keys::new(&config);
    let cache = Cache::new(&config.places, config.store, world.clock, world.output);
    let now = world.clock.now();
    let is_good = |session: &KeptSession| session.name == keys.session && State::of(session, now) != State::Ended;
    if cache.credential(&keys.credential, now).is_some() || cache.sessions().iter().any(is_good) {
        return Ok(());
    }
    let cluster = &config.answering.cluster_name;
    Err(Failure::new(Status::LoginNeeded, format!("login to {cluster} is needed")).hint(typed::login(&args.kubectl)))
}

fn table(sessions: &[Shown]) -> String {
    let has_accounts = sessions.iter().any(|session| session.account.is_some());
    let has_pauses = sessions.iter().any(|session| session.pause.is_some());
    let row = |cells: [String; 7], account: String, paused: String| {
        let [cluster, identity, rest @ ..] = cells;
        let account = has_accounts.then_some(account);
        let paused = has_pauses.then_some(paused);
        [cluster, identity].into_iter().chain(account).chain(rest).chain(paused).collect::<Vec<String>>()
    };
    let head = ["CLUSTER", "IDENTITY", "PROVIDER", "VALID-FOR", "UNTIL", "RENEWS", "KEPT"].map(ToOwned::to_owned);
    let rows = sessions.iter().map(|session| {
        let valid_for = match session.state {
            State::Valid => span(session.seconds_left),
            State::Renews => "renews".to_owned(),
            State::Ended => "ended".to_owned(),
        };
        let provider = session.provider.strip_prefix("https://").unwrap_or(&session.provider).trim_end_matches('/');
        let cells = [
            cell(&session.cluster),
            cell(&session.identity),
            cell(provider),
            valid_for,
            session.valid_until.clone(),
            if session.renewable { "yes" } else { "no" }.to_owned(),
            session.kept.to_owned(),
        ];
        row(cells, cell(session.account.as_deref().unwrap_or_default()), session.pause.map(span).unwrap_or_default())
    });
    let rows: Vec<Vec<String>> =
        [row(head, "ACCOUNT".to_owned(), "PAUSED".to_owned())].into_iter().chain(rows).collect();
    aligned(&rows)
}

impl Shown {
    fn new(session: KeptSession, pause: Option<i64>, now: UnixTime) -> Self {
        let state = State::of(&session, now);
        let KeptSession { label, identity, usable_until, renewable, kept, path, .. } = session;
        Self {
            cluster: label.cluster_name,
            identity,
            account: label.account,
            provider: label.issuer,
            client: label.client_id,
            audience: label.audience,
            state,
            valid_until: usable_until.to_string(),
            renewable,
            kept: match kept {
                Kept::Plain => "plain",
                Kept::Sealed => "sealed",
            },
            file: path.display().to_string(),
            paused_until: pause.map(|seconds| now.plus(seconds).to_string()),
            seconds_left: usable_until.since(now),
            pause,
        }
    }
}

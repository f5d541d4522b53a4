//! What runs and what stands for each authenticator: the keeper of its keys, its entry in the index, its write under way.
//!
//! Authenticators whose keys come from the same place share one keeper, so an issuer is asked once for all of them.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::watches::Kind;
use crate::{
    controllers::jwt_authenticator::{
        Source, Word,
        keeper::{Keeper, KeeperId, Surroundings},
    },
    fleet::Siblings,
    idp::{
        http::{IssuerClient, Limits},
        issuer::{IssuerReport, LastGood},
        proxy::Proxies,
    },
    index::{AuthenticatorName, RefreshRequest},
};

/// Requests that may wait for a keeper; it takes them up faster than they come, also during an attempt.
const REQUESTS: usize = 64;

/// Kept keys that may wait for a keeper. Authenticators of one source have much the same; the newest serve.
const REMEMBERED: usize = 8;

/// First and last wait before a status that could not be written is written again; each doubles.
const WRITE_AGAIN_FIRST: Duration = Duration::from_secs(1);
const WRITE_AGAIN_LAST: Duration = Duration::from_mins(1);

/// All of them.
#[derive(Debug)]
pub(super) struct Members {
    around: Surroundings,
    proxies: Proxies,
    keepers: JoinSet<()>,
    next_keeper: u64,
    /// The sources that are being asked, each by one keeper. There are as many as authenticators at most, so they are
    /// looked through one by one.
    sources: BTreeMap<KeeperId, Asked>,
    /// Which of them each authenticator's keys come from.
    asked: BTreeMap<String, KeeperId>,
    published: BTreeMap<String, Published>,
    writes: BTreeMap<(Kind, String), Write>,
    again_at: BTreeMap<(Kind, String), Instant>,
}

/// Whether a status may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// Yes; it counts as under way.
    Now,
    /// Another write is under way, or the last one failed a moment ago. It will come up again.
    NotNow,
}

/// Whether the index must be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Publish {
    /// It shows this already.
    No,
    /// Yes, and nobody need be told: newer keys of the same authenticator, or another list of siblings.
    Quietly,
    /// Yes: another generation, or whether anybody is admitted has changed.
    Aloud,
}

/// What the index is to show.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) uid: &'a str,
    pub(super) generation: i64,
    pub(super) siblings: &'a Siblings,
    /// Whether anybody is admitted.
    pub(super) admits: bool,
}

/// A source that is being asked.
#[derive(Debug)]
struct Asked {
    source: Source,
    word: Word,
    /// How many words were heard.
    words: u64,
    /// `None`: no client could be made.
    keeper: Option<Running>,
}

#[derive(Debug)]
struct Running {
    requests: mpsc::Sender<RefreshRequest>,
    remembered: mpsc::Sender<LastGood>,
    /// Ends the keeper when it goes.
    _stop: DropGuard,
}

/// What the index shows.
#[derive(Debug, PartialEq, Eq)]
struct Published {
    uid: String,
    generation: i64,
    /// Whose tokens it tells by name and never lets in.
    siblings: Siblings,
    /// By what it admits; `None` admits nobody.
    admits_by: Option<By>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// By this word of this keeper.
    Keeper(KeeperId, u64),
    /// By keys in the spec, which change only with its generation.
    Spec,
}

#[derive(Debug, Default)]
struct Write {
    under_way: bool,
    failures: u32,
    again_at: Option<Instant>,
}

// === impl Members ===

impl Members {
    pub(super) fn new(around: Surroundings, proxies: Proxies) -> Self {
        Self {
            around,
            proxies,
            keepers: JoinSet::new(),
            next_keeper: 0,
            sources: BTreeMap::new(),
            asked: BTreeMap::new(),
            published: BTreeMap::new(),
            writes: BTreeMap::new(),
            again_at: BTreeMap::new(),
        }
    }

    /// The source that is being asked for an authenticator, and its latest word.
    pub(super) fn asked(&self, name: &str) -> Option<(&Source, &Word)> {
        self.asked_for(name).map(|(_, asked)| (&asked.source, &asked.word))
    }

    /// From now on `source` is asked for `name`, and no other; `true` if that changed anything. If it is being asked
    /// already for another authenticator, its latest word is there at once.
    pub(super) fn ask(&mut self, name: &AuthenticatorName, source: Option<&Source>) -> bool {
        if self.asked(name.as_str()).map(|(asked, _)| asked) == source {
            return false;
        }
        self.leave(name.as_str());
        if let Some(source) = source {
            let known = self.sources.iter().find(|(_, asked)| asked.source == *source).map(|(id, _)| *id);
            let id = known.unwrap_or_else(|| self.start(source));
            self.asked.insert(name.as_str().to_owned(), id);
        }
        true
    }

    /// Nothing is asked for `name` any more; a keeper that nobody needs any more ends by its guard.
    fn leave(&mut self, name: &str) {
        let Some(id) = self.asked.remove(name) else { return };
        if !self.asked.values().any(|other| *other == id) {
            self.sources.remove(&id);
        }
    }

    fn start(&mut self, source: &Source) -> KeeperId {
        let id = KeeperId(self.next_keeper);
        self.next_keeper += 1;
        let bundle = source.bundle.as_ref().map(crate::convert::Bundle::certificates);
        let (word, keeper) = match IssuerClient::through(&self.proxies, bundle, Limits::default()) {
            Ok(client) => (Word::Report(IssuerReport::default()), Some(self.run(id, source, client))),
            Err(problem) => (Word::NoClient(problem.to_string()), None),
        };
        self.sources.insert(id, Asked { source: source.clone(), word, words: 0, keeper });
        id
    }

    fn run(&mut self, id: KeeperId, source: &Source, client: IssuerClient) -> Running {
        let (sender, requests) = mpsc::channel(REQUESTS);
        let (remember, remembered) = mpsc::channel(REMEMBERED);
        let stop = CancellationToken::new();
        let (issuer, from, around) = (source.issuer.clone(), source.from.clone(), self.around.clone());
        let keeper = Keeper { id, issuer, from, remembered, client, requests, around };
        self.keepers.spawn(keeper.run(stop.clone()));
        Running { requests: sender, remembered: remember, _stop: stop.drop_guard() }
    }

    /// Hands the keeper of `name` the keys that were kept for it.
    pub(super) fn remember(&self, name: &str, last: LastGood) {
        if let Some((_, Asked { keeper: Some(keeper), .. })) = self.asked_for(name)
            && keeper.remembered.try_send(last).is_err()
        {
            tracing::debug!(authenticator = name, "Kept keys passed over: there are others of the same issuer");
        }
    }

    /// Takes a keeper's report in, and returns the authenticators that it concerns: none, if the keeper was ended
    /// meanwhile.
    pub(super) fn reported(&mut self, keeper: KeeperId, report: IssuerReport) -> Vec<String> {
        let Some(asked) = self.sources.get_mut(&keeper) else { return Vec::new() };
        asked.word = Word::Report(report);
        asked.words += 1;
        self.asked.iter().filter(|(_, id)| **id == keeper).map(|(name, _)| name.clone()).collect()
    }

    /// Hands a request for keys to the keeper it concerns.
    ///
    /// # Errors
    /// The request, if nobody can serve it: there is no keeper, or too many requests wait for it.
    pub(super) fn forward(&self, request: RefreshRequest) -> Result<(), RefreshRequest> {
        match self.asked_for(request.authenticator.as_str()).and_then(|(_, asked)| asked.keeper.as_ref()) {
            None => Err(request),
            Some(keeper) => keeper.requests.try_send(request).map_err(mpsc::error::TrySendError::into_inner),
        }
    }

    fn asked_for(&self, name: &str) -> Option<(KeeperId, &Asked)> {
        let id = *self.asked.get(name)?;
        Some((id, self.sources.get(&id)?))
    }

    /// Waits for a keeper's end; `None` while there are no keepers.
    pub(super) async fn join_next(&mut self) -> Option<Result<(), JoinError>> {
        self.keepers.join_next().await
    }

    /// Whether every keeper has ended its first attempt.
    pub(super) fn all_answered(&self) -> bool {
        self.sources.values().all(|asked| asked.keeper.is_none() || asked.words > 0)
    }

    /// Whether the index must be changed so that it shows this; it counts as shown from now on.
    pub(super) fn shall_publish(&mut self, name: &str, next: &Shown<'_>) -> Publish {
        let Shown { uid, generation, siblings, admits } = *next;
        let by = self.asked_for(name).map_or(By::Spec, |(keeper, asked)| By::Keeper(keeper, asked.words));
        let (uid, siblings) = (uid.to_owned(), siblings.clone());
        let next = Published { uid, generation, siblings, admits_by: admits.then_some(by) };
        let change = match self.published.get(name) {
            Some(known) if *known == next => Publish::No,
            Some(known)
                if (&known.uid, known.generation, known.admits_by.is_some())
                    == (&next.uid, next.generation, next.admits_by.is_some()) =>
            {
                Publish::Quietly
            }
            Some(_) | None => Publish::Aloud,
        };
        if change != Publish::No {
            self.published.insert(name.to_owned(), next);
        }
        change
    }

    /// Whether the status may be written now.
    pub(super) fn may_write(&mut self, kind: Kind, name: &str, now: Instant) -> Writing {
        let write = self.writes.entry((kind, name.to_owned())).or_default();
        if write.under_way || write.again_at.is_some_and(|at| now < at) {
            return Writing::NotNow;
        }
        write.under_way = true;
        write.again_at = None;
        Writing::Now
    }

    /// A write has ended.
    pub(super) fn wrote(&mut self, kind: Kind, name: &str, failed: bool, now: Instant) {
        let Some(write) = self.writes.get_mut(&(kind, name.to_owned())) else { return };
        write.under_way = false;
        if failed {
            let wait = WRITE_AGAIN_FIRST.saturating_mul(1 << write.failures.min(16)).min(WRITE_AGAIN_LAST);
            write.failures = write.failures.saturating_add(1);
            write.again_at = Some(now + wait);
        } else {
            *write = Write::default();
        }
    }

    /// The authenticator is to be planned for again after this long.
    pub(super) fn again_in(&mut self, kind: Kind, name: &str, wait: Option<Duration>) {
        let key = (kind, name.to_owned());
        match wait {
            Some(wait) => self.again_at.insert(key, Instant::now() + wait),
            None => self.again_at.remove(&key),
        };
    }

    /// Those whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Kind, String)> {
        let mut due: Vec<_> = self.again_at.extract_if(.., |_, at| *at <= now).map(|(key, _)| key).collect();
        for (key, write) in &mut self.writes {
            if write.again_at.is_some_and(|at| at <= now) {
                write.again_at = None;
                due.push(key.clone());
            }
        }
        due
    }

    /// When the next time comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let writes = self.writes.values().filter_map(|write| write.again_at);
        self.again_at.values().copied().chain(writes).min()
    }

    /// The object is gone.
    pub(super) fn forget(&mut self, kind: Kind, name: &str) {
        let key = (kind, name.to_owned());
        self.writes.remove(&key);
        self.again_at.remove(&key);
        match kind {
            Kind::Jwt => {
                self.leave(name);
                self.published.remove(name);
            }
            Kind::Webhook => {}
        }
    }
}

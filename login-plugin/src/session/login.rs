//! The login itself: whether one may be tried now, who must wait for whom, and what is remembered of how it ended.

use super::{Context, Usable};
use crate::cache::{FailedAttempt, Lock, Session, Unanswered, Waited};
use crate::config::{SupervisorFlow, SupervisorLogin};
use crate::failure::Failure;
use crate::flows::{self, LoggedIn, NotLoggedIn, Place, Reader, Way};
use crate::notification;
use crate::oidc::Provider;
use crate::output::Output;
use crate::platform::{desktop, terminal};
use crate::time::UnixTime;

/// A clock this wrong breaks other things than ours, and is worth a word.
const SKEW_WORTH_A_WORD_SECONDS: i64 = 60;

/// Who was logged in before.
#[derive(Debug)]
pub(super) struct Predecessor {
    subject: String,
    name: String,
}

impl From<&Session> for Predecessor {
    fn from(session: &Session) -> Self {
        Self { subject: session.subject.clone(), name: session.identity.clone() }
    }
}

impl Context<'_> {
    /// Lets the person log in, if that is possible here and not too much to ask.
    pub(super) async fn log_in(
        &self,
        waiting_since: Option<UnixTime>,
        before: Option<Predecessor>,
    ) -> Result<Usable, Failure> {
        let cluster = &self.config.answering.cluster_name;
        if let Some(attempt) = self.cache.failed_attempt(&self.keys.session)
            && attempt.still_speaks(self.parent, waiting_since, self.clock.now())
        {
            return Err(attempt.failure);
        }
        if let Some(supervisor) = &self.config.login.supervisor {
            let mut provider = self.provider().await?;
            if provider.supervisor_flow(supervisor).await? == SupervisorFlow::Password {
                return self.log_in_by_password(supervisor, &mut provider).await;
            }
        }
        let place = Place::new(self.environment, desktop::system(), self.reader());
        let mut way = flows::choose(&self.config.login, place)
            .map_err(|impossible| flows::impossible(cluster, &impossible.to_string()))?;
        // Ten clusters in one program are ten logins, and one person: they come one after the other.
        let _alone = if way.is_in_background() { self.only_one_in_background().await? } else { None };
        let earlier = self.cache.unanswered(&self.keys.person);
        self.spare(&mut way, earlier)?;

        let mut provider = self.provider().await?;
        let background = way.is_in_background();
        if background {
            self.cache.keep_unanswered(&self.keys.person, &Unanswered::begun(earlier, self.clock.now()));
        }
        match flows::log_in(way, &mut provider, self.config, self.clock, self.output).await {
            Ok(LoggedIn { tokens, page }) => {
                self.cache.drop_failed_attempt(&self.keys.session);
                self.cache.drop_unanswered(&self.keys.person);
                self.mention_skew(tokens.identity.local_ahead);
                let session = self.session_of(tokens);
                self.cache.keep_session(&self.keys.session, &session);
                // Another program's file may not say whose login it kept.
                let before = before.filter(|before| !before.subject.is_empty());
                let instead_of = before.filter(|before| before.subject != session.subject).map(|before| before.name);
                if let Some(name) = &instead_of {
                    self.output.say(&format!("You are {} at {cluster} now; so far you were {name}", session.identity));
                }
                Ok(Usable { session, is_new: true, page, instead_of })
            }
            Err(NotLoggedIn { failure, unanswered }) => {
                let now = self.clock.now();
                // In the background a refusal counts too: a browser that is logged in to the wrong account answers by itself,
                // and the program that asked asks again.
                if unanswered || background {
                    self.cache.keep_unanswered(&self.keys.person, &Unanswered::given_up(earlier, !background, now));
                }
                if unanswered && background && !self.output.is_quiet() {
                    notification::show(
                        &format!("Nobody logged in to {cluster}"),
                        "kubectl asks again later. To log in now: kubectl latchkey login",
                    );
                }
                let attempt = FailedAttempt { at: now, parent: self.parent, failure };
                self.cache.keep_failed_attempt(&self.keys.session, &attempt);
                Err(attempt.failure)
            }
        }
    }

    /// Where a Pinniped Supervisor takes name and password itself, no browser has a part in it.
    async fn log_in_by_password(
        &self,
        supervisor: &SupervisorLogin,
        provider: &mut Provider<'_>,
    ) -> Result<Usable, Failure> {
        let at_terminal = self.reader() == Reader::AtTerminal;
        match flows::password::log_in(supervisor, provider, self.config, self.environment, at_terminal).await {
            Ok(tokens) => {
                self.cache.drop_failed_attempt(&self.keys.session);
                let session = self.session_of(tokens);
                self.cache.keep_session(&self.keys.session, &session);
                Ok(Usable { session, is_new: true, page: None, instead_of: None })
            }
            Err(NotLoggedIn { failure, .. }) => {
                let attempt = FailedAttempt { at: self.clock.now(), parent: self.parent, failure };
                self.cache.keep_failed_attempt(&self.keys.session, &attempt);
                Err(attempt.failure)
            }
        }
    }

    /// Who reads what we say. Standard input is ours only if the client says so and the terminal agrees.
    fn reader(&self) -> Reader {
        if self.config.answering.interactive && terminal::is_ours() {
            Reader::AtTerminal
        } else if !self.output.is_quiet() && terminal::is_shared(&Output::standard_error()) {
            Reader::Watching
        } else {
            Reader::Nobody
        }
    }

    /// Waits until no other cluster's login in the background waits for this person.
    async fn only_one_in_background(&self) -> Result<Option<Lock>, Failure> {
        let patience = flows::BACKGROUND_TIMEOUT;
        match self.cache.lock(&self.keys.person, patience).await {
            Some(Waited::Locked { lock, waited: _ }) => Ok(Some(lock)),
            Some(Waited::TimedOut(holder)) => {
                let holder = holder.unwrap_or_else(|| "unknown".to_owned());
                let why = format!("another login of yours waits in the browser (process {holder})");
                Err(flows::impossible(&self.config.answering.cluster_name, &why))
            }
            None => Ok(None),
        }
    }

    /// Nobody answered the last login: in the background there is none for a while, and no tab opens by itself elsewhere.
    fn spare(&self, way: &mut Way, earlier: Option<Unanswered>) -> Result<(), Failure> {
        let Some(earlier) = earlier else { return Ok(()) };
        let Some(pause) = earlier.pause(self.clock.now()) else { return Ok(()) };
        if way.is_in_background() {
            let why = format!("the last one came to nothing, so no browser opens for another {pause} seconds");
            return Err(flows::impossible(&self.config.answering.cluster_name, &why));
        }
        // A loop in a forgotten terminal would open a tab every five minutes, all night.
        if earlier.was_at_terminal() && way.open_nothing() {
            self.output.say("Nobody answered the last login, so no tab is opened for this one");
        }
        Ok(())
    }

    fn mention_skew(&self, local_ahead: i64) {
        if local_ahead.abs() >= SKEW_WORTH_A_WORD_SECONDS {
            let direction = if local_ahead > 0 { "ahead of" } else { "behind" };
            let minutes = (local_ahead.abs() + 30) / 60;
            self.output.warn(&format!(
                "this computer's clock is about {minutes} min {direction} the identity provider's; expiry is reckoned by the servers' clocks"
            ));
        }
    }
}

//! A session at the provider that can be used now: kept, refreshed, or made by a login. Called under the session's lock.

use crate::args::TokenKind;
use crate::cache::{Cache, FailedAttempt, Keys, Session, SessionLabel};
use crate::config::CredentialConfig;
use crate::environment::Environment;
use crate::expiry;
use crate::failure::{Failure, Status};
use crate::flows::{self, LoggedIn, PendingPage};
use crate::oidc::{Identity, OidcError, Provider, Tokens};
use crate::output::{Output, Printable};
use crate::platform::process::ProcessIdentity;
use crate::platform::terminal;
use crate::secret::Secret;
use crate::time::{Clock, UnixTime};

/// A clock this wrong breaks other things than ours, and is worth a word.
const SKEW_WORTH_A_WORD_SECONDS: i64 = 60;

/// One token may have been rotated by somebody else while we tried the old one; twice is a provider's mistake.
const REFRESH_ATTEMPTS_MAX: u32 = 2;

/// Everything a run on the cold path works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// The settings.
    pub(crate) config: &'a CredentialConfig,
    /// Names of what is kept.
    pub(crate) keys: &'a Keys,
    /// What is kept.
    pub(crate) cache: &'a Cache<'a>,
    /// The time.
    pub(crate) clock: &'a dyn Clock,
    /// The environment.
    pub(crate) environment: &'a Environment,
    /// Where words go.
    pub(crate) output: &'a Output,
    /// Who asks.
    pub(crate) parent: ProcessIdentity,
}

/// A usable session and how it came.
#[derive(Debug)]
pub(crate) struct Usable {
    /// The session.
    pub(crate) session: Session,
    /// Whether its ID token was made just now.
    pub(crate) is_new: bool,
    /// The browser that waits to hear the end, after a login.
    pub(crate) page: Option<PendingPage>,
}

/// What may be done to get a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Nothing that a person would notice.
    Silent,
    /// A login, if need be. With the time since when we waited for another process, if we did.
    Login {
        /// See above.
        waiting_since: Option<UnixTime>,
    },
}

impl Context<'_> {
    /// A session whose ID token is good now.
    ///
    /// # Errors
    /// When there is none and the effort does not bring one.
    pub(crate) async fn usable_session(&self, effort: Effort) -> Result<Usable, Failure> {
        if let Some(session) = self.cache.session(&self.keys.session) {
            if expiry::is_usable(session.received_at, session.usable_until, self.clock.now()) {
                return Ok(Usable { session, is_new: false, page: None });
            }
            if let Some(session) = self.refreshed(session).await? {
                return Ok(Usable { session, is_new: true, page: None });
            }
        }
        match effort {
            Effort::Silent => Err(Failure::new(
                Status::LoginNeeded,
                format!("login to {} is needed", self.config.answering.cluster_name),
            )),
            Effort::Login { waiting_since } => self.log_in(waiting_since).await,
        }
    }

    /// The session with a new ID token; none if the provider has ended it, or gives no ID tokens on refresh.
    ///
    /// # Errors
    /// When the provider is away or sends something that must not be used. That costs nobody a login.
    pub(crate) async fn refreshed(&self, session: Session) -> Result<Option<Session>, Failure> {
        let mut session = session;
        let Some(mut refresh_token) = session.refresh_token.clone() else { return Ok(None) };
        let mut provider = self.provider().await?;
        for _ in 0..REFRESH_ATTEMPTS_MAX {
            match provider.refresh(&refresh_token, session.scopes.as_deref()).await {
                Ok(grant) => {
                    if let Some(rotated) = &grant.refresh_token {
                        // Before anything that can fail: the old one may be dead already.
                        session.refresh_token = Some(rotated.clone());
                        self.cache.keep_session(&self.keys.session, &session);
                    }
                    let Some(identity) = provider.judge(&grant).await? else { return Ok(None) };
                    if identity.subject != session.subject {
                        self.output.warn("the identity provider answered for another user; a new login is needed");
                        self.cache.drop_session(&self.keys.session);
                        return Ok(None);
                    }
                    let tokens = Tokens {
                        identity,
                        refresh_token: session.refresh_token.take(),
                        scopes: session.scopes.take(),
                        access_token: grant.access_token(),
                    };
                    let session =
                        Session { certificate_subject: session.certificate_subject.take(), ..self.session_of(tokens) };
                    self.cache.keep_session(&self.keys.session, &session);
                    return Ok(Some(session));
                }
                Err(OidcError::InvalidGrant) => {
                    // Somebody without our lock (another machine on a shared home) may have rotated it meanwhile.
                    match self.cache.session(&self.keys.session) {
                        Some(Session { refresh_token: Some(other), .. }) if other != refresh_token => {
                            refresh_token = other;
                        }
                        _ => break,
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.cache.drop_session(&self.keys.session);
        Ok(None)
    }

    async fn log_in(&self, waiting_since: Option<UnixTime>) -> Result<Usable, Failure> {
        let cluster = &self.config.answering.cluster_name;
        let earlier = self.cache.failed_attempt(&self.keys.session);
        if let Some(attempt) = &earlier
            && attempt.still_speaks(self.parent, waiting_since, self.clock.now())
        {
            return Err(attempt.failure.clone());
        }
        let interactive = self.config.answering.interactive && terminal::is_ours();
        let way = flows::choose(&self.config.login, self.environment, interactive, cluster)?;
        if way.background
            && let Some(pause) = earlier.as_ref().and_then(|attempt| attempt.background_pause(self.clock.now()))
        {
            return Err(Failure::new(
                Status::LoginNeeded,
                format!(
                    "login to {cluster} is needed; nobody answered the last one, so no browser opens for another {pause} seconds"
                ),
            )
            .hint("run any kubectl command with this kubeconfig in a terminal to log in now"));
        }
        let mut provider = self.provider().await?;
        match flows::log_in(&way, &mut provider, self.config, self.output).await {
            Ok(LoggedIn { tokens, page }) => {
                self.cache.drop_failed_attempt(&self.keys.session);
                self.mention_skew(tokens.identity.local_ahead);
                let session = self.session_of(tokens);
                self.cache.keep_session(&self.keys.session, &session);
                Ok(Usable { session, is_new: true, page: Some(page) })
            }
            Err(failure) => {
                let ignored = way.background && failure.status == Status::LoginNeeded;
                let before = earlier.map_or(0, |attempt| attempt.ignored_in_background);
                let attempt = FailedAttempt {
                    at: self.clock.now(),
                    parent: self.parent,
                    failure: failure.clone(),
                    ignored_in_background: if ignored { before.saturating_add(1) } else { before },
                };
                self.cache.keep_failed_attempt(&self.keys.session, &attempt);
                Err(failure)
            }
        }
    }

    async fn provider(&self) -> Result<Provider<'_>, Failure> {
        let Self { config, cache, keys, clock, .. } = self;
        Ok(Provider::discover(&config.provider, cache, &keys.discovery, *clock).await?)
    }

    fn session_of(&self, tokens: Tokens) -> Session {
        let Tokens { identity, refresh_token, scopes, access_token } = tokens;
        let Identity { id_token, received_at, usable_until, subject, name, local_ahead: _ } = identity;
        Session {
            received_at,
            usable_until,
            id_token,
            // What nobody needs is not kept.
            access_token: (self.config.provider.token_kind == TokenKind::Access).then_some(access_token),
            refresh_token,
            scopes,
            subject,
            identity: Printable(&name).to_string(),
            certificate_subject: None,
            label: self.label(),
        }
    }

    fn label(&self) -> SessionLabel {
        let CredentialConfig { answering, provider, .. } = self.config;
        SessionLabel {
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            audience: provider.audience.clone(),
            account: provider.account.clone(),
            cluster_name: answering.cluster_name.clone(),
        }
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

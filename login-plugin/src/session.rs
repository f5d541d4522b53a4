//! A session at the provider that can be used now: kept, refreshed, or made by a login. Called under the session's lock.

mod login;

use self::login::Predecessor;
use crate::args::TokenKind;
use crate::cache::{Cache, Keys, Session, SessionLabel};
use crate::config::CredentialConfig;
use crate::environment::Environment;
use crate::expiry;
use crate::failure::{Failure, Status};
use crate::flows::PendingPage;
use crate::oidc::{Identity, OidcError, Origin, Provider, Renewed, Tokens, Traded};
use crate::output::{Output, Printable};
use crate::platform::process::ProcessIdentity;
use crate::secret::Secret;
use crate::time::{Clock, UnixTime};

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
    /// The name of another person, who was logged in before.
    pub(crate) instead_of: Option<String>,
}

/// The token for the cluster.
#[derive(Debug)]
pub(crate) struct ClusterToken {
    /// The token.
    pub(crate) token: Secret,
    /// When it came, by this computer's clock.
    pub(crate) received_at: UnixTime,
    /// The last second in which to use it, by this computer's clock.
    pub(crate) usable_until: UnixTime,
}

/// What may be done to get a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Nothing that a person would notice, and not the kept token: it may have been refused.
    Anew,
    /// Nothing that a person would notice.
    Silent,
    /// A login, if need be. With the time since when we waited for another process, if we did.
    Login {
        /// See above.
        waiting_since: Option<UnixTime>,
    },
    /// A login, whatever is kept: the person asks for another.
    LoginAnyway,
}

impl Context<'_> {
    /// A session whose token for the cluster is good now.
    ///
    /// # Errors
    /// When there is none and the effort does not bring one.
    pub(crate) async fn usable_session(&self, effort: Effort) -> Result<Usable, Failure> {
        let kept = self.cache.session(&self.keys.session);
        let before = kept.as_ref().map(Predecessor::from);
        if let Some(session) = kept.filter(|_| effort != Effort::LoginAnyway) {
            if effort != Effort::Anew && self.is_usable(&session) {
                return Ok(Usable { session, is_new: false, page: None, instead_of: None });
            }
            if let Some(session) = self.refreshed(session).await? {
                return Ok(Usable { session, is_new: true, page: None, instead_of: None });
            }
        }
        match effort {
            Effort::Anew | Effort::Silent => Err(Failure::new(
                Status::LoginNeeded,
                format!("login to {} is needed", self.config.answering.cluster_name),
            )),
            Effort::Login { waiting_since } => self.log_in(waiting_since, before).await,
            Effort::LoginAnyway => self.log_in(None, before).await,
        }
    }

    /// The session with a new token for the cluster; none if the provider has ended it, or gives none on refresh.
    ///
    /// # Errors
    /// When the provider is away or sends something that must not be used. That costs nobody a login.
    pub(crate) async fn refreshed(&self, session: Session) -> Result<Option<Session>, Failure> {
        let mut session = session;
        if session.refresh_token.is_none() || session.refresh_is_useless {
            return Ok(None);
        }
        let mut provider = self.provider().await?;
        for _ in 0..REFRESH_ATTEMPTS_MAX {
            let Some(refresh_token) = session.refresh_token.clone() else { return Ok(None) };
            match provider.refresh(&refresh_token, session.scopes.as_deref()).await {
                Ok(grant) => {
                    if let Some(rotated) = &grant.refresh_token {
                        // Before anything that can fail: the old one may be dead already.
                        session.refresh_token = Some(rotated.clone());
                        self.cache.keep_session(&self.keys.session, &session);
                    }
                    let renewed = provider.judge(grant, session.origin()).await?;
                    return Ok(self.renewed(session, renewed));
                }
                Err(OidcError::InvalidGrant) => match self.cache.session(&self.keys.session) {
                    // Somebody without our lock (another machine on a shared home) may have rotated it meanwhile.
                    Some(other) if other.refresh_token.as_ref() != Some(&refresh_token) => {
                        if other.id_token != session.id_token && self.is_usable(&other) {
                            return Ok(Some(other));
                        }
                        session = other;
                    }
                    // It is the one that failed, and nobody has another.
                    Some(_) => {
                        self.cache.drop_session(&self.keys.session);
                        return Ok(None);
                    }
                    None => return Ok(None),
                },
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The token that goes to the cluster. Where it has to be traded for the access token (RFC 8693), that is done now.
    ///
    /// # Errors
    /// When the provider refuses to trade, or is away.
    pub(crate) async fn cluster_token(&self, session: &Session) -> Result<ClusterToken, Failure> {
        let provider = &self.config.provider;
        let (Some(audience), Some(access_token)) = (&provider.exchange_audience, &session.access_token) else {
            let token = session.cluster_token(provider.token_kind).clone();
            return Ok(ClusterToken { token, received_at: session.received_at, usable_until: session.usable_until });
        };
        let Traded { token, received_at, usable_until } = self.provider().await?.trade(access_token, audience).await?;
        Ok(ClusterToken { token, received_at, usable_until })
    }

    /// Keeps what a refresh brought, if it is of any use.
    fn renewed(&self, session: Session, renewed: Renewed) -> Option<Session> {
        let session = match renewed {
            Renewed::Tokens(tokens) => {
                let tokens = Tokens {
                    // What was not sent again stays as it was (RFC 6749 section 6).
                    refresh_token: tokens.refresh_token.or(session.refresh_token),
                    scopes: session.scopes,
                    ..*tokens
                };
                let now = self.session_of(tokens);
                Session {
                    certificate_subject: session.certificate_subject,
                    // Those of the login, as long as there is no other login.
                    nonce: session.nonce.or(now.nonce),
                    authenticated_at: session.authenticated_at.or(now.authenticated_at),
                    ..now
                }
            }
            Renewed::Access { access_token, received_at, usable_until } => {
                Session { access_token: Some(access_token), received_at, usable_until, ..session }
            }
            Renewed::Nothing => {
                let session = Session { refresh_is_useless: true, ..session };
                self.cache.keep_session(&self.keys.session, &session);
                return None;
            }
            Renewed::Other => {
                self.output
                    .warn("the identity provider answered for another user or another login; a new login is needed");
                self.cache.drop_session(&self.keys.session);
                return None;
            }
        };
        self.cache.keep_session(&self.keys.session, &session);
        Some(session)
    }

    fn is_usable(&self, session: &Session) -> bool {
        expiry::is_usable(session.received_at, session.usable_until, self.clock.now())
    }

    async fn provider(&self) -> Result<Provider<'_>, Failure> {
        let Self { config, cache, keys, clock, .. } = self;
        Ok(Provider::discover(&config.provider, cache, &keys.discovery, *clock).await?)
    }

    fn session_of(&self, tokens: Tokens) -> Session {
        let Tokens { identity, refresh_token, scopes, access_token, access_usable_until } = tokens;
        let Identity { id_token, received_at, usable_until, subject, name, local_ahead: _, nonce, authenticated_at } =
            identity;
        let provider = &self.config.provider;
        // What nobody needs is not kept.
        let is_wanted = provider.token_kind == TokenKind::Access || provider.exchange_audience.is_some();
        Session {
            received_at,
            usable_until: access_usable_until.filter(|_| is_wanted).unwrap_or(usable_until),
            id_token,
            access_token: is_wanted.then_some(access_token),
            refresh_token,
            nonce,
            authenticated_at,
            refresh_is_useless: false,
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
}

impl Session {
    /// What a refresh has to fit.
    fn origin(&self) -> Origin<'_> {
        Origin { subject: &self.subject, nonce: self.nonce.as_deref(), authenticated_at: self.authenticated_at }
    }
}

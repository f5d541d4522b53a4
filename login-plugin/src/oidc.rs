//! OIDC: authorization code with PKCE, device code, refresh, revocation, and the judgement of tokens. The only user of
//! `openidconnect`.

mod access_token;
mod device;
mod documents;
mod ending;
mod error;
mod grant;
mod id_token;
mod requests;
mod supervisor;
mod token_exchange;

use std::cell::OnceCell;
use std::time::Duration;

use openidconnect::{CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier};
use reqwest::Url;

use self::access_token::AccessIdentity;
pub(crate) use self::device::{DeviceAttempt, DevicePoll};
use self::documents::Metadata;
pub(crate) use self::ending::Revoked;
pub(crate) use self::error::OidcError;
pub(crate) use self::grant::Grant;
pub(crate) use self::id_token::check_audience;
use self::id_token::{ExpectedNonce, Verification};
use self::requests::{Declined, Form};
pub(crate) use self::token_exchange::Traded;
use crate::args::TokenKind;
use crate::cache::{Cache, EntryName};
use crate::config::{OFFLINE_ACCESS, ProviderConfig};
use crate::output::Printable;
use crate::providers::RefreshBy;
use crate::secret::Secret;
use crate::time::{Clock, UnixTime};
use crate::transport::{Route, Transport};
use crate::unverified_claims::UnverifiedClaims;

/// For one request to the provider and its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of randomness in `state` and `nonce`: 256 bits, as the PKCE verifier has.
const RANDOM_BYTES: u32 = 32;

/// An identity provider, discovered.
#[derive(Debug)]
pub(crate) struct Provider<'a> {
    config: &'a ProviderConfig,
    cache: &'a Cache<'a>,
    documents: &'a EntryName,
    clock: &'a dyn Clock,
    transport: Transport,
    metadata: Metadata,
    keys_are_new: bool,
    secret: OnceCell<Secret>,
}

/// One attempt to log in: what was sent, and what the answer has to fit.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Where the person has to go.
    pub(crate) url: Url,
    /// Returned with the answer; whatever does not carry it is not for us.
    pub(crate) state: Secret,
    redirect_uri: String,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
}

/// What a login brought, judged.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Who it is, with the token that says so.
    pub(crate) identity: Identity,
    /// To stay logged in; some providers give none.
    pub(crate) refresh_token: Option<Secret>,
    /// What was granted, if the provider said so. A refresh may ask for no more.
    pub(crate) scopes: Option<Vec<String>>,
    /// Judged where the cluster takes it in place of the ID token.
    pub(crate) access_token: Secret,
    /// The last local second in which to use the access token, if that is known.
    pub(crate) access_usable_until: Option<UnixTime>,
}

/// A judged ID token.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The token.
    pub(crate) id_token: Secret,
    /// When it came, by this computer's clock.
    pub(crate) received_at: UnixTime,
    /// The last second in which to use it, by this computer's clock.
    pub(crate) usable_until: UnixTime,
    /// The provider's immutable name of the person.
    pub(crate) subject: String,
    /// The name that people know.
    pub(crate) name: String,
    /// How far this computer's clock is ahead of the provider's, in seconds.
    pub(crate) local_ahead: i64,
    /// What ties it to one login; no secret.
    pub(crate) nonce: Option<String>,
    /// When the person showed who they are, by the provider's clock: `auth_time`.
    pub(crate) authenticated_at: Option<i64>,
}

/// What is known of the login that a refresh goes on with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// The provider's immutable name of the person.
    pub(crate) subject: &'a str,
    /// The nonce in the first ID token, if it is known.
    pub(crate) nonce: Option<&'a str>,
    /// `auth_time` in the first ID token, if it had one.
    pub(crate) authenticated_at: Option<i64>,
}

/// What a refresh brought, judged.
#[derive(Debug)]
pub(crate) enum Renewed {
    /// No ID token, but the access token that the cluster takes.
    Access {
        /// The token.
        access_token: Secret,
        /// When it came, by this computer's clock.
        received_at: UnixTime,
        /// The last second in which to use it, by this computer's clock.
        usable_until: UnixTime,
    },
    /// Nothing that the cluster takes. OIDC Core 1.0 section 12.2 allows an answer without an ID token.
    Nothing,
    /// Tokens of another person, or of the same one after another login at the provider.
    Other,
    /// Everything.
    Tokens(Box<Tokens>),
}

impl<'a> Provider<'a> {
    /// Learns about the provider from the cache or over the network.
    ///
    /// # Errors
    /// When it cannot be reached, or must not be used.
    pub(crate) async fn discover(
        config: &'a ProviderConfig,
        cache: &'a Cache<'a>,
        documents: &'a EntryName,
        clock: &'a dyn Clock,
    ) -> Result<Self, OidcError> {
        let route = Route { roots: config.roots.as_deref(), timeout: REQUEST_TIMEOUT, ..Route::default() };
        let transport = Transport::new(route).map_err(|error| OidcError::Metadata(error.to_string()))?;
        let found = documents::discover(&config.issuer, &transport, cache, documents, clock).await?;
        Ok(Self {
            config,
            cache,
            documents,
            clock,
            transport,
            metadata: found.metadata,
            keys_are_new: found.keys_are_new,
            secret: OnceCell::new(),
        })
    }

    /// Prepares a login that answers to `redirect_uri`.
    ///
    /// # Errors
    /// When the provider's own address makes no usable URL.
    pub(crate) fn attempt(&self, redirect_uri: &str) -> Result<Attempt, OidcError> {
        if Url::parse(redirect_uri).is_err() {
            return Err(OidcError::Metadata(format!("redirect address {redirect_uri:?} is no URL")));
        }
        // Always, whatever the provider announces: those that do not know PKCE ignore it (RFC 9700 section 2.1.1).
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256_len(RANDOM_BYTES);
        let (state, nonce) = (CsrfToken::new_random_len(RANDOM_BYTES), Nonce::new_random_len(RANDOM_BYTES));
        let mut url = self.metadata.authorization_endpoint().url().clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &self.scopes().join(" "))
            .append_pair("state", state.secret())
            .append_pair("nonce", nonce.secret())
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", challenge.method().as_str())
            .extend_pairs(self.targets())
            .extend_pairs(self.wishes())
            .extend_pairs(self.parameters());
        // `response_mode=form_post` is not asked for: then the address bar would hold no code, and pasting the redirect
        // is the way out when the browser cannot reach us. The loopback leads away from the code at once instead.
        Ok(Attempt {
            url,
            state: Secret::from(state.secret().as_str()),
            redirect_uri: redirect_uri.to_owned(),
            nonce,
            verifier,
        })
    }

    /// Trades the code for tokens and judges them.
    ///
    /// # Errors
    /// When the provider refuses, is away, or sends a token that must not be used.
    pub(crate) async fn redeem(&mut self, attempt: Attempt, code: &Secret) -> Result<Tokens, OidcError> {
        let endpoint = self.token_endpoint()?;
        let form = Form::default()
            .with("grant_type", "authorization_code")
            .with("code", code.expose())
            .with("redirect_uri", attempt.redirect_uri)
            .with("code_verifier", attempt.verifier.secret().as_str());
        let form = self.targets().fold(form, |form, (name, value)| form.with(name, value));
        let answer = self.post(&endpoint, form).await.map_err(|declined| match declined {
            Declined::Refused { code, description: None } if code == "invalid_grant" => {
                Declined::Refused { code, description: Some("it did not take the authorization code".to_owned()) }
            }
            other => other,
        });
        let answer = answer.map_err(|declined| declined.into_error(&endpoint))?;
        self.judge_login(Grant::read(&answer)?, ExpectedNonce::Sent(&attempt.nonce)).await
    }

    /// Trades the refresh token for new ones. What comes back has to be kept before it is judged. `granted` are the scopes
    /// that the provider named at the login; an empty list stands for those of a login that somebody else made.
    ///
    /// # Errors
    /// When the provider refuses or is away.
    pub(crate) async fn refresh(&self, refresh_token: &Secret, granted: Option<&[String]>) -> Result<Grant, OidcError> {
        let endpoint = self.token_endpoint()?;
        // An empty list: nobody knows. Then nothing is said, which means all of it.
        let is_unknown = granted.is_some_and(<[String]>::is_empty);
        // Nothing that was not granted (RFC 6749 section 6): a provider that dropped a scope at the login refuses it here.
        // With `openid`: some providers send no ID token otherwise.
        let may_ask =
            |scope: &&str| *scope == "openid" || granted.is_none_or(|granted| granted.iter().any(|one| one == scope));
        let scopes: Vec<&str> = self.scopes().into_iter().filter(may_ask).collect();
        let form = Form::default().with("grant_type", "refresh_token").with("refresh_token", refresh_token.expose());
        let form = if is_unknown { form } else { form.with("scope", scopes.join(" ")) };
        let form = self.targets().fold(form, |form, (name, value)| form.with(name, value));
        match self.post(&endpoint, form).await {
            Ok(answer) => Grant::read(&answer),
            // OIDC Core 1.0 section 3.1.2.6 has the last two.
            Err(Declined::Refused { code, .. })
                if matches!(code.as_str(), "invalid_grant" | "interaction_required" | "login_required") =>
            {
                Err(OidcError::InvalidGrant)
            }
            Err(declined) => Err(declined.into_error(&endpoint)),
        }
    }

    /// Judges what a refresh brought, against the login that it goes on with.
    ///
    /// # Errors
    /// When a token must not be used, or the keys cannot be fetched.
    pub(crate) async fn judge(&mut self, grant: Grant, origin: Origin<'_>) -> Result<Renewed, OidcError> {
        let mut grant = grant;
        // Some providers repeat the ID token of the login, for ever: that is as good as none.
        grant.id_token = grant.id_token.filter(|token| {
            let expires = UnverifiedClaims::read(token.expose()).and_then(|claims| claims.expires());
            expires.is_none_or(|expires| expires > grant.clocks.server)
        });
        let nonce = origin.nonce.map(|nonce| Nonce::new(nonce.to_owned()));
        let expected = nonce.as_ref().map_or(ExpectedNonce::Any, ExpectedNonce::Kept);
        let identity = self.judge_id_token(&grant, expected).await?;
        let access = self.judge_access_token(&grant).await?;
        let subjects = [
            identity.as_ref().map(|identity| identity.subject.as_str()),
            access.as_ref().and_then(|access| access.subject.as_deref()),
        ];
        // Another program's file may not say whose login it keeps.
        let is_known = !origin.subject.is_empty();
        let is_other = is_known && subjects.into_iter().flatten().any(|subject| subject != origin.subject);
        // OIDC Core 1.0 section 12.2: a refresh goes on with one login, and that has one time.
        let is_later = identity
            .as_ref()
            .and_then(|identity| identity.authenticated_at)
            .zip(origin.authenticated_at)
            .is_some_and(|(now, then)| now != then);
        Ok(match (identity, access) {
            _ if is_other || is_later => Renewed::Other,
            (Some(identity), access) => Renewed::Tokens(Box::new(Tokens::new(identity, access, grant))),
            (None, Some(access)) => Renewed::Access {
                received_at: grant.clocks.local,
                usable_until: access.usable_until,
                access_token: grant.access_token,
            },
            // What is traded for the cluster's token need not be a JWT.
            (None, None) if self.config.exchange_audience.is_some() => match grant.access_usable_until() {
                Some(usable_until) => {
                    Renewed::Access { received_at: grant.clocks.local, usable_until, access_token: grant.access_token }
                }
                None => Renewed::Nothing,
            },
            (None, None) => Renewed::Nothing,
        })
    }

    /// Whether each authorization response carries `iss` (RFC 9207).
    pub(crate) fn announces_iss(&self) -> bool {
        self.metadata.additional_metadata().authorization_response_iss_parameter_supported
    }

    /// The issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.config.issuer
    }

    /// Web origins that may post a response to us: the issuer's and the login page's.
    pub(crate) fn origins(&self) -> Vec<String> {
        [self.metadata.issuer().url(), self.metadata.authorization_endpoint().url()]
            .into_iter()
            .map(|url| url.origin().ascii_serialization())
            .collect()
    }

    /// Judges what a login brought.
    async fn judge_login(&mut self, grant: Grant, nonce: ExpectedNonce<'_>) -> Result<Tokens, OidcError> {
        let identity = self.judge_id_token(&grant, nonce).await?.ok_or_else(|| {
            OidcError::Token("the identity provider sent no ID token, although scope openid was asked for".to_owned())
        })?;
        let access = self.judge_access_token(&grant).await?;
        if access
            .as_ref()
            .and_then(|access| access.subject.as_ref())
            .is_some_and(|subject| *subject != identity.subject)
        {
            return Err(OidcError::Token("the identity provider's two tokens are of two people".to_owned()));
        }
        Ok(Tokens::new(identity, access, grant))
    }

    async fn judge_id_token(&mut self, grant: &Grant, nonce: ExpectedNonce<'_>) -> Result<Option<Identity>, OidcError> {
        let Some(id_token) = &grant.id_token else { return Ok(None) };
        self.with_keys(|config, metadata| id_token::verify(id_token, config, metadata, grant, nonce)).await.map(Some)
    }

    /// Nothing where the cluster does not get it: then it is not ours to look into (RFC 9068 section 6).
    async fn judge_access_token(&mut self, grant: &Grant) -> Result<Option<AccessIdentity>, OidcError> {
        if self.config.token_kind != TokenKind::Access {
            return Ok(None);
        }
        let (token, clocks) = (&grant.access_token, grant.clocks);
        self.with_keys(|config, metadata| access_token::verify(token, &config.audience, config, metadata, clocks))
            .await
            .map(Some)
    }

    /// Judges with the keys we have, and once more with new ones where a key is missing: the provider may have changed
    /// them since we fetched them. Once in each run.
    async fn with_keys<T>(
        &mut self,
        judge: impl Fn(&ProviderConfig, &Metadata) -> Result<T, Verification>,
    ) -> Result<T, OidcError> {
        match judge(self.config, &self.metadata) {
            Err(Verification::UnknownKey(_)) if !self.keys_are_new => {
                self.metadata =
                    documents::renew(&self.config.issuer, &self.transport, self.cache, self.documents, self.clock)
                        .await?;
                self.keys_are_new = true;
                judge(self.config, &self.metadata)
            }
            judged => judged,
        }
        .map_err(|(Verification::UnknownKey(words) | Verification::Refused(words))| OidcError::Token(words))
    }

    fn token_endpoint(&self) -> Result<Url, OidcError> {
        endpoint("token_endpoint", self.metadata.token_endpoint().map(|url| url.url().as_str()))
    }

    /// Scopes to ask for, `openid` first.
    fn scopes(&self) -> Vec<&str> {
        let supported = self.metadata.scopes_supported();
        let is_listed =
            |scope: &&String| supported.is_some_and(|list| list.iter().any(|listed| listed.as_str() == scope.as_str()));
        let wanted = self.config.scopes.iter().filter(|scope| *scope != "openid");
        // Some list what they refuse. Whoever knows better names it in `--scopes`.
        let is_taken = |scope: &&String| *scope != OFFLINE_ACCESS || self.config.profile.refresh_by == RefreshBy::Scope;
        let optional = self.config.optional_scopes.iter().filter(is_listed).filter(is_taken);
        let optional = optional.filter(|scope| !self.config.scopes.contains(*scope));
        std::iter::once("openid").chain(wanted.chain(optional).map(String::as_str)).collect()
    }

    /// What the tokens are for: with each request that brings any (RFC 8707 sections 2.1 and 2.2), and the `audience` that
    /// some providers take in its place.
    fn targets(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let config = self.config;
        let audience = config.request_audience.as_deref().map(|audience| ("audience", audience));
        audience.into_iter().chain(config.resources.iter().map(|resource| ("resource", resource.as_str())))
    }

    /// What the login page should know about the person.
    fn wishes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let hint = self.config.login_hint.as_deref().map(|hint| ("login_hint", hint));
        let prompt = self.config.prompt.as_deref().map(|prompt| ("prompt", prompt));
        hint.into_iter().chain(prompt)
    }

    /// Whatever else the provider or the person who wrote the kubeconfig wants in each request that begins a login.
    fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.config.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Tokens {
    fn new(identity: Identity, access: Option<AccessIdentity>, grant: Grant) -> Self {
        let access_usable_until = access.map(|access| access.usable_until).or_else(|| grant.access_usable_until());
        let Grant { refresh_token, scopes, access_token, .. } = grant;
        Self { identity, refresh_token, scopes, access_token, access_usable_until }
    }
}

/// An endpoint by its name in the discovery document. Only https: what goes there is secret.
fn endpoint(name: &str, url: Option<&str>) -> Result<Url, OidcError> {
    let url = url.ok_or_else(|| OidcError::Metadata(format!("its discovery document names no {name}")))?;
    Url::parse(url)
        .ok()
        .filter(|url| url.scheme() == "https" && url.host_str().is_some())
        .ok_or_else(|| OidcError::Metadata(format!("its {name} {} is not https", Printable(url))))
}

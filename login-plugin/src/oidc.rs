//! OIDC: authorization code with PKCE, refresh, and the judgement of ID tokens. The only user of `openidconnect`.

mod client;
mod documents;
mod id_token;

use std::time::Duration;

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreIdToken, CoreTokenResponse};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ConfigurationError, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, Scope, StandardErrorResponse, TokenResponse as _,
};
use reqwest::Url;
use thiserror::Error;

use self::client::{Http, HttpError};
use self::documents::Metadata;
use self::id_token::{ExpectedNonce, Verification};
use crate::cache::{Cache, EntryName};
use crate::config::ProviderConfig;
use crate::expiry::Clocks;
use crate::output::Printable;
use crate::secret::Secret;
use crate::time::{Clock, UnixTime};
use crate::transport::{Route, Transport};

/// For one request to the provider and its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of randomness in `state` and `nonce`: 256 bits, as the PKCE verifier has.
const RANDOM_BYTES: u32 = 32;

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// Why the provider gave us nothing that may be used.
#[derive(Debug, Error)]
pub(crate) enum OidcError {
    /// The refresh token is dead (RFC 6749 section 5.2); the only failure that ends a session.
    #[error("the session has ended at the identity provider")]
    InvalidGrant,
    /// What it says about itself makes no sense.
    #[error("the identity provider cannot be used: {0}")]
    Metadata(String),
    /// It said no.
    #[error("the identity provider refused ({error}){}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The code, already safe to print.
        error: String,
        /// Its words, already safe to print.
        description: Option<String>,
    },
    /// Its token must not be used.
    #[error("{0}")]
    Token(String),
    /// It cannot be reached, or is not well.
    #[error("cannot reach the identity provider at {tried}: {what}")]
    Unreachable {
        /// The address.
        tried: String,
        /// What happened.
        what: String,
    },
}

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

/// What the token endpoint sent, not yet judged.
#[derive(Debug)]
pub(crate) struct Grant {
    /// To be kept before anything else can fail: the old one may be dead already.
    pub(crate) refresh_token: Option<Secret>,
    /// What was granted, if the provider said so. It must when that is not what was asked for (RFC 6749 section 5.1).
    scopes: Option<Vec<String>>,
    id_token: Option<CoreIdToken>,
    access_token: AccessToken,
    clocks: Clocks,
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
    /// For clusters that take it in place of the ID token.
    pub(crate) access_token: Secret,
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
}

impl Grant {
    /// The access token, as it came.
    pub(crate) fn access_token(&self) -> Secret {
        Secret::from(self.access_token.secret().as_str())
    }
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
        })
    }

    /// Prepares a login that answers to `redirect_uri`.
    ///
    /// # Errors
    /// When the provider's own address makes no usable URL.
    pub(crate) fn attempt(&self, redirect_uri: &str) -> Result<Attempt, OidcError> {
        let client = self.client(Some(redirect_uri))?;
        // Always, whatever the provider announces: those that do not know PKCE ignore it (RFC 9700 section 2.1.1).
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256_len(RANDOM_BYTES);
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new_random_len(RANDOM_BYTES),
                || Nonce::new_random_len(RANDOM_BYTES),
            )
            .add_scopes(self.scopes())
            .set_pkce_challenge(challenge)
            .url();
        let mut url = url;
        self.wishes().for_each(|(name, value)| drop(url.query_pairs_mut().append_pair(name, value)));
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

    /// Trades the code for tokens and judges the ID token.
    ///
    /// # Errors
    /// When the provider refuses, is away, or sends a token that must not be used.
    pub(crate) async fn redeem(&mut self, attempt: Attempt, code: &Secret) -> Result<Tokens, OidcError> {
        let client = self.client(Some(&attempt.redirect_uri))?;
        let http = self.http();
        let answer = client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .map_err(|error| no_token_endpoint(&error))?
            .set_pkce_verifier(attempt.verifier)
            .request_async(&http)
            .await;
        let grant = self.token_answer(answer, http.clocks()).map_err(|error| match error {
            // Here it is the code that was not taken; there is no session yet that could have ended.
            OidcError::InvalidGrant => OidcError::Refused {
                error: "invalid_grant".to_owned(),
                description: Some("it did not take the authorization code".to_owned()),
            },
            other => other,
        })?;
        let identity = self.judge_token(&grant, ExpectedNonce::Sent(&attempt.nonce)).await?.ok_or_else(|| {
            OidcError::Token("the identity provider sent no ID token, although scope openid was asked for".to_owned())
        })?;
        let access_token = grant.access_token();
        let Grant { refresh_token, scopes, .. } = grant;
        Ok(Tokens { identity, refresh_token, scopes, access_token })
    }

    /// Trades the refresh token for new ones. What comes back has to be kept before it is judged. `granted` are the scopes
    /// that the provider named at the login.
    ///
    /// # Errors
    /// When the provider refuses or is away.
    pub(crate) async fn refresh(&self, refresh_token: &Secret, granted: Option<&[String]>) -> Result<Grant, OidcError> {
        let client = self.client(None)?;
        let token = RefreshToken::new(refresh_token.expose().to_owned());
        let http = self.http();
        // Nothing that was not granted (RFC 6749 section 6): a provider that dropped a scope at the login refuses it here.
        let scopes = self.scopes().filter(|scope| granted.is_none_or(|granted| granted.contains(scope)));
        let answer = client
            .exchange_refresh_token(&token)
            .map_err(|error| no_token_endpoint(&error))?
            // With `openid`: some providers send no ID token otherwise.
            .add_scopes(scopes.chain([Scope::new("openid".to_owned())]))
            .request_async(&http)
            .await;
        self.token_answer(answer, http.clocks())
    }

    /// Judges the ID token of a refresh, if there is one.
    ///
    /// # Errors
    /// When the token must not be used, or the keys cannot be fetched.
    pub(crate) async fn judge(&mut self, grant: &Grant) -> Result<Option<Identity>, OidcError> {
        self.judge_token(grant, ExpectedNonce::Any).await
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

    async fn judge_token(&mut self, grant: &Grant, nonce: ExpectedNonce<'_>) -> Result<Option<Identity>, OidcError> {
        let Some(id_token) = &grant.id_token else { return Ok(None) };
        match id_token::verify(id_token, self.config, &self.metadata, grant, nonce) {
            // The provider may have changed its keys since we fetched them. Once.
            Err(Verification::UnknownKey(_)) if !self.keys_are_new => {
                self.metadata =
                    documents::renew(&self.config.issuer, &self.transport, self.cache, self.documents, self.clock)
                        .await?;
                self.keys_are_new = true;
                id_token::verify(id_token, self.config, &self.metadata, grant, nonce)
            }
            verified => verified,
        }
        .map(Some)
        .map_err(|(Verification::UnknownKey(words) | Verification::Refused(words))| OidcError::Token(words))
    }

    fn client(&self, redirect_uri: Option<&str>) -> Result<Client, OidcError> {
        let client_id = ClientId::new(self.config.client_id.clone());
        let client = CoreClient::from_provider_metadata(self.metadata.clone(), client_id, None)
            // A public client has nothing to authenticate with; its id goes into the body.
            .set_auth_type(AuthType::RequestBody);
        match redirect_uri {
            None => Ok(client),
            Some(uri) => RedirectUrl::new(uri.to_owned())
                .map(|uri| client.set_redirect_uri(uri))
                .map_err(|error| OidcError::Metadata(format!("redirect address {uri:?} is no URL: {error}"))),
        }
    }

    /// Scopes to ask for besides `openid`, which the crate adds.
    fn scopes(&self) -> impl Iterator<Item = Scope> {
        let supported = self.metadata.scopes_supported();
        let optional =
            self.config.optional_scopes.iter().filter(move |scope| {
                supported.is_some_and(|list| list.iter().any(|listed| listed.as_str() == **scope))
            });
        let wanted = self.config.scopes.iter().filter(|scope| *scope != "openid");
        let optional = optional.filter(|scope| !self.config.scopes.contains(*scope));
        wanted.chain(optional).map(|scope| Scope::new(scope.clone()))
    }

    /// Parameters beyond those of the protocol, for every request that begins a login.
    fn wishes(&self) -> impl Iterator<Item = (&str, &str)> {
        let config = self.config;
        let named = [
            ("audience", config.request_audience.as_deref()),
            ("login_hint", config.login_hint.as_deref()),
            ("prompt", config.prompt.as_deref()),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let resources = config.resources.iter().map(|resource| ("resource", resource.as_str()));
        let others = config.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        named.chain(resources).chain(others)
    }

    fn http(&self) -> Http<'_> {
        Http::new(&self.transport, self.clock)
    }

    fn token_answer(
        &self,
        answer: Result<CoreTokenResponse, TokenRequestError>,
        clocks: Option<Clocks>,
    ) -> Result<Grant, OidcError> {
        let answer = answer.map_err(|error| self.token_error(error))?;
        let now = self.clock.now();
        Ok(Grant {
            refresh_token: answer.refresh_token().map(|token| Secret::from(token.secret().as_str())),
            scopes: answer.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
            id_token: answer.id_token().cloned(),
            access_token: answer.access_token().clone(),
            clocks: clocks.unwrap_or(Clocks { local: now, server: now }),
        })
    }

    fn token_error(&self, error: TokenRequestError) -> OidcError {
        let tried = || {
            let endpoint = self.metadata.token_endpoint().map_or_else(|| self.issuer(), |url| url.url().as_str());
            Printable(endpoint).to_string()
        };
        match error {
            RequestTokenError::ServerResponse(response) => {
                let code = response.error().as_ref().to_owned();
                match code.as_str() {
                    // OIDC Core 1.0 section 3.1.2.6 has the last two.
                    "invalid_grant" | "interaction_required" | "login_required" => OidcError::InvalidGrant,
                    "temporarily_unavailable" | "server_error" => {
                        OidcError::Unreachable { tried: tried(), what: format!("it answered {code}") }
                    }
                    _ => OidcError::Refused {
                        error: Printable(&code).to_string(),
                        description: response.error_description().map(|text| Printable(text).to_string()),
                    },
                }
            }
            RequestTokenError::Request(error) => OidcError::Unreachable { tried: tried(), what: error.to_string() },
            // The body holds tokens, and words about it may quote them: only the place is shown.
            RequestTokenError::Parse(error, _) => OidcError::Token(format!(
                "the identity provider's answer is not readable at {:?}",
                Printable(&error.path().to_string()).to_string()
            )),
            RequestTokenError::Other(_) => {
                OidcError::Token("the identity provider's answer is not readable".to_owned())
            }
        }
    }
}

type TokenRequestError = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

fn no_token_endpoint(error: &ConfigurationError) -> OidcError {
    OidcError::Metadata(format!("its discovery document names no token endpoint: {error}"))
}

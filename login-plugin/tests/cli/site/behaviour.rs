//! How the tests' server behaves, and what it has seen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::CLIENT;

/// How the server behaves. The defaults are those of a well-behaved one.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug)]
pub(crate) struct Behaviour {
    /// The server's clock, as seconds ahead of this computer's. Date headers, tokens and certificates follow it.
    pub(crate) clock_ahead: i64,
    pub(crate) audiences: Value,
    pub(crate) authorized_party: Option<&'static str>,
    pub(crate) nonce: Option<&'static str>,
    pub(crate) subject: &'static str,
    /// Seconds.
    pub(crate) id_token_lifetime: i64,
    pub(crate) token_header: Value,
    pub(crate) spoil_signature: bool,
    /// Sign with the second key, and publish only that one.
    pub(crate) rotated: bool,
    pub(crate) announces_iss: bool,
    pub(crate) refresh: Refresh,
    /// Whether a spent refresh token that comes again ends the login: no refresh until there is a new one.
    pub(crate) reuse_ends_the_family: bool,
    pub(crate) refresh_gives_id_token: bool,
    /// Whether a refresh brings a new refresh token. Without, the old one stays good.
    pub(crate) refresh_gives_refresh_token: bool,
    /// Seconds that the ID token of a refresh lives, if not as long as others.
    pub(crate) refreshed_lifetime: Option<i64>,
    /// Written to this file just before a refresh is refused: somebody else was quicker.
    pub(crate) before_refusal: Option<(PathBuf, Vec<u8>)>,
    /// `auth_time` in ID tokens.
    pub(crate) authenticated_at: Option<i64>,
    /// Claims of the access token, beyond and in place of the usual ones; opaque without.
    pub(crate) access_claims: Option<Value>,
    /// Sign with an RSA key of 2048 bits, and publish only that one.
    pub(crate) rsa: bool,
    /// The key set cannot be had.
    pub(crate) keys_outage: bool,
    /// Members of the discovery document in place of the usual ones; null takes one out.
    pub(crate) metadata: Value,
    /// The login page knows no redirect address of ours.
    pub(crate) refuses_redirects: bool,
    /// What the concierge's API says to a request without a token.
    pub(crate) without_token: u16,
    /// What the authorization response says in `iss`, where not the truth.
    pub(crate) response_issuer: Option<&'static str>,
    /// The client's secret, which is then wanted; taken in the header, or in the form where the discovery document says so.
    pub(crate) client_secret: Option<&'static str>,
    /// Offer the device flow.
    pub(crate) device: bool,
    /// The request for a device code is refused with this error, though the flow is offered.
    pub(crate) device_refusal: Option<&'static str>,
    /// Members of the answer to the request for a device code in place of the usual ones; null takes one out.
    pub(crate) device_answer: Value,
    /// What the polls are told, one after the other; after that, tokens.
    pub(crate) polls: Vec<Poll>,
    /// How the requests for a job's token fail, the last one first.
    pub(crate) job_token_failures: Vec<u16>,
    /// Offer revocation (RFC 7009), and how it is answered.
    pub(crate) revocation: Option<u16>,
    /// Offer the page that ends the session.
    pub(crate) end_session: bool,
    /// What stands behind it, as a Pinniped Supervisor lists it at `/idp/upstreams`.
    pub(crate) upstreams: Value,
    /// Audiences of a token from an exchange (RFC 8693), where not the one asked for.
    pub(crate) traded_audiences: Option<Value>,
    /// The scopes that a login is granted, where not all that were asked for.
    pub(crate) granted: Option<&'static str>,
    pub(crate) at_hash: Option<&'static str>,
    pub(crate) exchange: Exchange,
    /// How exchanges are turned away before one is judged, by status and `Retry-After`, the last one first.
    pub(crate) turned_away: Vec<(u16, Option<&'static str>)>,
    /// Seconds.
    pub(crate) certificate_lifetime: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    InvalidGrant,
    NotWell,
    Rotates,
    /// Refused with this code and status 400.
    Refused(&'static str),
    /// This status, and nothing that could be read.
    Status(u16),
}

/// What a poll for a device login is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// The connection ends without an answer.
    Dropped,
    /// Refused with this code: `authorization_pending`, `slow_down`, `access_denied`, `expired_token` or another.
    Refused(&'static str),
    /// This status and `Retry-After`, and nothing that could be read.
    Status(u16, Option<&'static str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The certificate is for the key of the request.
    Certificate,
    /// As the signer of a Kubernetes cluster: only a request with the right subject is signed.
    CertificateForSubject,
    /// As a stock Pinniped concierge: the request's own field is not known.
    ServerKey,
    Token,
    /// The same, and nothing about its end.
    TokenWithoutEnd,
    Refused,
    AnonymousForbidden,
    NotWell,
}

/// What has happened at the server.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) discovery: usize,
    pub(crate) key_sets: usize,
    /// Forms that came to the token endpoint; header `Authorization` under `:authorization`.
    pub(crate) token_requests: Vec<BTreeMap<String, String>>,
    /// Forms that came to the device authorization endpoint.
    pub(crate) device_requests: Vec<BTreeMap<String, String>>,
    /// When each poll came, by the wall.
    pub(crate) polled: Vec<SystemTime>,
    /// What was asked of GitHub; header `Authorization` under `:authorization`.
    pub(crate) job_tokens: Vec<BTreeMap<String, String>>,
    /// Tokens that were to be revoked.
    pub(crate) revoked: Vec<String>,
    pub(crate) logins: usize,
    pub(crate) refreshes: usize,
    pub(crate) exchanges: Vec<Value>,
    pub(crate) authorizations: Vec<BTreeMap<String, String>>,
    pub(crate) unexpected: Vec<String>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            clock_ahead: 0,
            refuses_redirects: false,
            without_token: 422,
            audiences: json!(CLIENT),
            authorized_party: None,
            nonce: None,
            subject: "jane",
            id_token_lifetime: 600,
            token_header: json!({"alg": "ES256", "kid": "1", "typ": "JWT"}),
            spoil_signature: false,
            rotated: false,
            announces_iss: true,
            refresh: Refresh::Rotates,
            reuse_ends_the_family: false,
            refresh_gives_id_token: true,
            refresh_gives_refresh_token: true,
            refreshed_lifetime: None,
            before_refusal: None,
            authenticated_at: None,
            access_claims: None,
            rsa: false,
            keys_outage: false,
            metadata: json!({}),
            response_issuer: None,
            client_secret: None,
            device: false,
            device_refusal: None,
            device_answer: json!({}),
            polls: Vec::new(),
            job_token_failures: Vec::new(),
            revocation: None,
            end_session: false,
            upstreams: json!({"pinniped_identity_providers": []}),
            traded_audiences: None,
            granted: None,
            at_hash: None,
            exchange: Exchange::Certificate,
            turned_away: Vec::new(),
            certificate_lifetime: 600,
        }
    }
}

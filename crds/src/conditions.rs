//! Condition types and reasons of the authenticators, word for word what Pinniped writes, so that scripts and
//! dashboards made for it go on working.

/// Reason of every condition that is `True`.
pub const SUCCESS: &str = "Success";

/// Reason of a condition that is `Unknown` because an earlier step failed.
pub const UNABLE_TO_VALIDATE: &str = "UnableToValidate";

/// Message that always goes with [`UNABLE_TO_VALIDATE`].
pub const UNABLE_TO_VALIDATE_MESSAGE: &str = "unable to validate; see other conditions for details";

/// The summary: `True` only when every other condition is.
pub mod ready {
    /// The condition's type.
    pub const TYPE: &str = "Ready";
    /// Some other condition is not `True`.
    pub const NOT_READY: &str = "NotReady";
}

/// The concierge is still at it: nobody is admitted yet, and what stands in the way may go by itself. There only while it is
/// `True`. (kstatus; not of Pinniped.)
pub mod reconciling {
    /// The condition's type.
    pub const TYPE: &str = "Reconciling";
    /// The first answers are awaited.
    pub const DISCOVERING: &str = "Discovering";
    /// The issuer's discovery document cannot be fetched, or is none.
    pub const DISCOVERY_FAILED: &str = "DiscoveryFailed";
    /// The issuer's keys cannot be fetched, or have grown too old.
    pub const KEYS_UNAVAILABLE: &str = "KeysUnavailable";
    /// The object that is to hold the certificate authorities, or the key in it, is not there (yet).
    pub const CERTIFICATE_AUTHORITY_MISSING: &str = "CertificateAuthorityMissing";
    /// The webhook's server cannot be reached.
    pub const SERVER_UNREACHABLE: &str = "ServerUnreachable";
}

/// Somebody has to change something: nobody is admitted, and trying again is in vain. There only while it is `True`.
/// (kstatus; not of Pinniped.)
pub mod stalled {
    /// The condition's type.
    pub const TYPE: &str = "Stalled";
    /// What stands in `spec.tls`, or in the object that it names, is no bundle of certificate authorities.
    pub const INVALID_CERTIFICATE_AUTHORITY: &str = "InvalidCertificateAuthority";
    /// `spec.endpoint` is no URL that could be asked.
    pub const INVALID_ENDPOINT: &str = "InvalidEndpoint";
    /// An expression does not compile.
    pub const INVALID_EXPRESSION: &str = "InvalidExpression";
    /// `spec.issuer` is no issuer's URL.
    pub const INVALID_ISSUER: &str = "InvalidIssuer";
    /// The issuer's discovery document names no URL that keys could be fetched from.
    pub const INVALID_KEY_SET_URL: &str = "InvalidKeySetURL";
    /// Something else in the spec cannot be used.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The discovery document is another issuer's.
    pub const ISSUER_MISMATCH: &str = "IssuerMismatch";
    /// The issuer announces no algorithm that is accepted.
    pub const NO_ACCEPTED_ALGORITHM: &str = "NoAcceptedAlgorithm";
    /// Another cluster of the fleet has the audience too.
    pub const AUDIENCE_SHARED: &str = "AudienceShared";
}

/// `spec.tls` (both authenticators).
pub mod tls_configuration_valid {
    /// The condition's type.
    pub const TYPE: &str = "TLSConfigurationValid";
    /// Inline and source both set, not base64, no PEM certificate, or the named object or key is missing, empty or no
    /// PEM.
    pub const INVALID_TLS_CONFIG: &str = "InvalidTLSConfig";
}

/// `spec.issuer` of a `JWTAuthenticator`.
pub mod issuer_url_valid {
    /// The condition's type.
    pub const TYPE: &str = "IssuerURLValid";
    /// Not a URL.
    pub const INVALID_ISSUER_URL: &str = "InvalidIssuerURL";
    /// Not https.
    pub const INVALID_ISSUER_URL_SCHEME: &str = "InvalidIssuerURLScheme";
    /// Ends in `/.well-known/openid-configuration`.
    pub const INVALID_ISSUER_URL_CONTAINS_WELL_KNOWN_ENDPOINT: &str = "InvalidIssuerURLContainsWellKnownEndpoint";
    /// Has a query.
    pub const INVALID_ISSUER_URL_CONTAINS_QUERY_PARAMS: &str = "InvalidIssuerURLContainsQueryParams";
    /// Has a fragment.
    pub const INVALID_ISSUER_URL_CONTAINS_FRAGMENT: &str = "InvalidIssuerURLContainsFragment";
}

/// The issuer's discovery document.
pub mod discovery_url_valid {
    /// The condition's type.
    pub const TYPE: &str = "DiscoveryURLValid";
    /// Not reachable, not a discovery document, or one that names another issuer.
    pub const INVALID_DISCOVERY_PROBE: &str = "InvalidDiscoveryProbe";
}

/// The `jwks_uri` of the discovery document.
pub mod jwks_url_valid {
    /// The condition's type.
    pub const TYPE: &str = "JWKSURLValid";
    /// Not a URL.
    pub const INVALID_PROVIDER_JWKS_URL: &str = "InvalidProviderJWKSURL";
    /// Not https.
    pub const INVALID_PROVIDER_JWKS_URL_SCHEME: &str = "InvalidProviderJWKSURLScheme";
}

/// The issuer's keys.
pub mod jwks_fetch_valid {
    /// The condition's type.
    pub const TYPE: &str = "JWKSFetchValid";
    /// Not reachable, no key set, or no usable key in it.
    pub const INVALID_COULD_NOT_FETCH_JWKS: &str = "InvalidCouldNotFetchJWKS";
}

/// Whether the issuer's keys are as fresh as they should be. It does not count for `Ready`: keys that were good a while ago
/// admit for a stated time. (Not of Pinniped.)
pub mod keys_fresh {
    /// The condition's type.
    pub const TYPE: &str = "KeysFresh";
    /// They cannot be fetched; those that were fetched before are in use.
    pub const FETCH_FAILING: &str = "FetchFailing";
    /// The issuer has not answered since this replica started; keys that were kept from before are in use.
    pub const KEPT_KEYS_IN_USE: &str = "KeptKeysInUse";
    /// There are none.
    pub const NO_KEYS: &str = "NoKeys";
}

/// Whether the audience is this cluster's alone: by the fleet list, no other cluster has it. One that two clusters share
/// makes each accept the other's tokens, so such an authenticator admits nobody. (Not of Pinniped.)
pub mod audience_unique {
    /// The condition's type.
    pub const TYPE: &str = "AudienceUnique";
    /// Another cluster of the fleet has the audience too.
    pub const SHARED_WITH_CLUSTER: &str = "SharedWithCluster";
    /// `True`, with a warning: another authenticator of this very cluster has the same issuer and audience.
    pub const SHARED_IN_THIS_CLUSTER: &str = "SharedInThisCluster";
    /// `True`, with a warning: no `FleetCluster` is named like this cluster, so its siblings cannot know the audience.
    pub const NOT_IN_FLEET: &str = "NotInFleet";
    /// `True`, with a warning: this cluster's own `FleetCluster` does not list the audience for this issuer.
    pub const NOT_LISTED: &str = "NotListed";
}

/// Whether the issuer keeps its secrets: a key set is there to be read by everybody. It does not count for `Ready`: such a
/// key is never used, and the others are as good as before. (Not of Pinniped.)
pub mod keys_public_only {
    /// The condition's type.
    pub const TYPE: &str = "KeysPublicOnly";
    /// The key set holds a private or a symmetric key.
    pub const SECRET_KEY_PUBLISHED: &str = "SecretKeyPublished";
}

/// The whole of an authenticator, once its parts are known to be sound.
pub mod authenticator_valid {
    /// The condition's type.
    pub const TYPE: &str = "AuthenticatorValid";
    /// The spec's rules or expressions cannot be used.
    pub const INVALID_AUTHENTICATOR: &str = "InvalidAuthenticator";
    /// The webhook's HTTP client cannot be made.
    pub const UNABLE_TO_CREATE_CLIENT: &str = "UnableToCreateClient";
    /// The webhook cannot be set up.
    pub const UNABLE_TO_INSTANTIATE_WEBHOOK: &str = "UnableToInstantiateWebhook";
}

/// `spec.endpoint` of a `WebhookAuthenticator`.
pub mod endpoint_url_valid {
    /// The condition's type.
    pub const TYPE: &str = "EndpointURLValid";
    /// Not a URL.
    pub const INVALID_ENDPOINT_URL: &str = "InvalidEndpointURL";
    /// Not https.
    pub const INVALID_ENDPOINT_URL_SCHEME: &str = "InvalidEndpointURLScheme";
    /// The proxy settings of the environment cannot be read for this URL.
    pub const INVALID_ENDPOINT_CANNOT_DETERMINE_PROXY: &str = "InvalidEndpointCannotDetermineProxy";
}

/// Whether the webhook's server answers a TLS handshake.
pub mod webhook_connection_valid {
    /// The condition's type.
    pub const TYPE: &str = "WebhookConnectionValid";
    /// It does not.
    pub const UNABLE_TO_DIAL_SERVER: &str = "UnableToDialServer";
}

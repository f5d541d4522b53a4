//! Custom resources to what the pure rooms understand. Every error names its field and its mend, and becomes a
//! condition word for word.
//!
//! This is the only room that knows both the API types and the pure rooms. It is pure itself: no clock, no network.

mod demands;
mod extra_key;
mod fleet_cluster;
mod issuer;
mod judge;
mod key_source;
mod manifests;
mod problems;
mod rules;
mod strict;
mod tls;
mod url;
mod webhook;

use latchkey_crds::authentication::JWTAuthenticatorSpec;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::{
    fleet_cluster::{fleet_audiences, fleet_cluster},
    issuer::IssuerProblem,
    judge::Judge,
    key_source::{KeySource, KeySourceProblem},
    manifests::{MAX_MANIFEST_BYTES, MAX_MANIFESTS, Manifest, ManifestError, ManifestKind, manifests, refuse_twins},
    problems::InvalidSpec,
    tls::{Bundle, BundleObject, BundleSource, TlsProblem},
    webhook::{Endpoint, EndpointProblem, WebhookSettings, WebhookSpec, webhook_authenticator},
};
use crate::jwt::Issuer;

/// All that can be said of a `JWTAuthenticator` without asking anybody. Its parts stand apart because each has a
/// condition of its own, and a person wants to see all mistakes at once.
#[derive(Debug, Clone)]
pub struct JwtSpec {
    /// `spec.issuer`.
    pub issuer: Result<Issuer, IssuerProblem>,
    /// `spec.tls`: where the trust roots come from.
    pub trust: Result<BundleSource, TlsProblem>,
    /// `spec.discoveryURL` and `spec.jwks`: where the keys come from.
    pub keys: Result<KeySource, KeySourceProblem>,
    /// The rest.
    pub judge: Result<Judge, InvalidSpec>,
}

/// Converts the `spec` of a `JWTAuthenticator`.
///
/// # Errors
/// When it cannot be read as this version's type; then nothing in it can be trusted to mean what its author meant.
pub fn jwt_authenticator(spec: &Value) -> Result<JwtSpec, InvalidSpec> {
    let (spec, unknown) = read::<JWTAuthenticatorSpec>(spec)?;
    Ok(JwtSpec {
        issuer: issuer::parse(&spec.issuer),
        trust: tls::source(spec.tls.as_ref()),
        keys: key_source::parse(&spec),
        judge: judge::judge(&spec, &unknown),
    })
}

/// Reads a spec, and lists the fields in it that this version does not know: a newer schema may offer them, and what
/// is not understood must not be ignored.
///
/// # Errors
/// When a field is missing or has another type.
pub fn read<T: DeserializeOwned + Serialize>(spec: &Value) -> Result<(T, Vec<String>), InvalidSpec> {
    let typed: T = serde_path_to_error::deserialize(spec).map_err(|error| InvalidSpec::unreadable(&error))?;
    let unknown = strict::unknown_fields(spec, &typed);
    Ok((typed, unknown))
}

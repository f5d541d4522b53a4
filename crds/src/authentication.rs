//! The custom resources that say whose tokens are believed, and how a token becomes a user.

mod jwt_authenticator;
mod status;
mod tls;
mod webhook_authenticator;

use kube::core::ApiResource;

use crate::groups::{GroupSuffix, VERSION};

pub use jwt_authenticator::{
    AdditionalAudiences, ClaimValidationRule, Claims, CredentialSettings, DEFAULT_GROUPS_CLAIM, DEFAULT_USERNAME_CLAIM,
    DistributedClaims, ExtraMapping, JWTAuthenticator, JWTAuthenticatorSpec, Jwks, MAX_CREDENTIAL_LIFETIME_SECONDS,
    MAX_INLINE_KEY_SET_CHARS, MAX_TOKEN_CEILING_SECONDS, MIN_CREDENTIAL_LIFETIME_SECONDS, ReservedIdentities,
    ReservedIdentityPolicy, SigningAlgorithm, TokenType, UserValidationRule, limits,
};
pub use status::{
    AuthenticatorStatus, KeysStatus, MAX_DROPPED_KEY_CHARS, MAX_DROPPED_KEYS_TOLD, Phase, WebhookAuthenticatorStatus,
};
pub use tls::{CertificateAuthorityDataSource, CertificateAuthorityDataSourceKind, Tls};
pub use webhook_authenticator::{
    DEFAULT_WEBHOOK_TIMEOUT_SECONDS, MAX_WEBHOOK_TIMEOUT_SECONDS, TokenReviewVersion, WebhookAuthenticator,
    WebhookAuthenticatorSpec,
};

/// Where `JWTAuthenticator`s live in an installation with this suffix; for
/// `Api::<Object<JWTAuthenticatorSpec, AuthenticatorStatus>>::all_with`.
#[must_use]
pub fn jwt_authenticator(suffix: &GroupSuffix) -> ApiResource {
    resource(suffix, "JWTAuthenticator", "jwtauthenticators")
}

/// Where `WebhookAuthenticator`s live in an installation with this suffix.
#[must_use]
pub fn webhook_authenticator(suffix: &GroupSuffix) -> ApiResource {
    resource(suffix, "WebhookAuthenticator", "webhookauthenticators")
}

fn resource(suffix: &GroupSuffix, kind: &str, plural: &str) -> ApiResource {
    let group = suffix.authentication();
    ApiResource {
        api_version: GroupSuffix::api_version(&group),
        group,
        version: VERSION.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource;

    use super::*;

    #[test]
    fn the_resources_of_the_default_suffix_are_those_of_the_types() {
        let suffix = GroupSuffix::default();
        assert_eq!(jwt_authenticator(&suffix), ApiResource::erase::<JWTAuthenticator>(&()));
        assert_eq!(webhook_authenticator(&suffix), ApiResource::erase::<WebhookAuthenticator>(&()));
        assert_eq!(JWTAuthenticator::kind(&()), "JWTAuthenticator");
    }
}

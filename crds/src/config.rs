//! What clients need to find us, and what an installation offers.

mod credential_issuer;
mod credential_issuer_status;

use kube::core::ApiResource;

use crate::groups::{GroupSuffix, VERSION};

pub use credential_issuer::{
    CredentialIssuer, CredentialIssuerSpec, ImpersonationProxy, ImpersonationProxyMode, ImpersonationProxyService,
    ImpersonationProxyServiceType, ImpersonationProxyTls,
};
pub use credential_issuer_status::{
    AuditPublicKey, AuditStatus, ClientCertificateAuthority, CredentialIssuerStatus, Frontend, FrontendType,
    ImpersonationProxyInfo, Strategy, StrategyReason, StrategyStatus, StrategyType, TokenCredentialRequestInfo,
};

/// Where the `CredentialIssuer` lives in an installation with this suffix; for
/// `Api::<Object<CredentialIssuerSpec, CredentialIssuerStatus>>::all_with`.
#[must_use]
pub fn credential_issuer(suffix: &GroupSuffix) -> ApiResource {
    let group = suffix.config();
    ApiResource {
        api_version: GroupSuffix::api_version(&group),
        group,
        version: VERSION.to_owned(),
        kind: "CredentialIssuer".to_owned(),
        plural: "credentialissuers".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_of_the_default_suffix_is_that_of_the_type() {
        assert_eq!(credential_issuer(&GroupSuffix::default()), ApiResource::erase::<CredentialIssuer>(&()));
    }
}

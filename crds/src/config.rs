//! What clients need to find us, and what an installation offers.

mod credential_issuer;
mod credential_issuer_status;
mod fleet_cluster;

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

pub use fleet_cluster::{FleetCluster, FleetClusterSpec, MAX_AUDIENCES, MAX_ISSUERS, MAX_LABEL_CHARS};

/// Where the `CredentialIssuer` lives in an installation with this suffix; for
/// `Api::<Object<CredentialIssuerSpec, CredentialIssuerStatus>>::all_with`.
#[must_use]
pub fn credential_issuer(suffix: &GroupSuffix) -> ApiResource {
    resource(suffix, "CredentialIssuer", "credentialissuers")
}

/// Where `FleetCluster`s live in an installation with this suffix.
#[must_use]
pub fn fleet_cluster(suffix: &GroupSuffix) -> ApiResource {
    resource(suffix, "FleetCluster", "fleetclusters")
}

fn resource(suffix: &GroupSuffix, kind: &str, plural: &str) -> ApiResource {
    let group = suffix.config();
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
    use super::*;

    #[test]
    fn the_resources_of_the_default_suffix_are_those_of_the_types() {
        let suffix = GroupSuffix::default();
        assert_eq!(credential_issuer(&suffix), ApiResource::erase::<CredentialIssuer>(&()));
        assert_eq!(fleet_cluster(&suffix), ApiResource::erase::<FleetCluster>(&()));
    }
}

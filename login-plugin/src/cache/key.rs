//! Names of cache entries: SHA-256 over a version tag and length-prefixed fields in a fixed order.
//!
//! What only changes how a login looks (ports, browser, timeouts, cluster names for people) is not in a key: a cosmetic
//! change of the kubeconfig must not log anybody out.

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::config::{ConciergeConfig, CredentialConfig, ProviderConfig};

/// The names of everything that one stanza keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The cluster's credential.
    pub(crate) credential: EntryName,
    /// What the provider says about itself, and its keys.
    pub(crate) discovery: EntryName,
    /// The server that this login has been taken to.
    pub(crate) server: EntryName,
    /// The login.
    pub(crate) session: EntryName,
}

/// A file name without extension: 43 characters of base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryName(String);

impl EntryName {
    /// The name with an extension, which says what kind of file it is.
    pub(crate) fn file(&self, extension: &str) -> String {
        format!("{}.{extension}", self.0)
    }
}

#[cfg(test)]
impl EntryName {
    /// A name that stands for itself.
    pub(crate) fn for_test(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Keys {
    /// The names for these settings.
    pub(crate) fn new(config: &CredentialConfig) -> Self {
        let session = session(&config.provider);
        Self {
            credential: credential(&session, &config.concierge, &config.provider.audience),
            discovery: Fields::new("latchkey/discovery/v1")
                .text(&config.provider.issuer)
                .roots(config.provider.roots.as_deref())
                .finish(),
            server: Fields::new("latchkey/server/v1")
                .text(&config.provider.issuer)
                .text(&config.provider.client_id)
                .text(&config.provider.audience)
                .finish(),
            session,
        }
    }
}

fn session(provider: &ProviderConfig) -> EntryName {
    let ProviderConfig { issuer, client_id, audience, scopes, optional_scopes, roots } = provider;
    Fields::new("latchkey/session/v1")
        .text(issuer)
        .text(client_id)
        .text(audience)
        .list(scopes)
        .list(optional_scopes)
        .roots(roots.as_deref())
        .finish()
}

fn credential(session: &EntryName, concierge: &ConciergeConfig, audience: &str) -> EntryName {
    // The proxy is a way, not a place.
    let ConciergeConfig { endpoint, roots, tls_server_name, proxy: _, suffix, authenticator_kind, authenticator_name } =
        concierge;
    Fields::new("latchkey/credential/v1")
        .text(&session.0)
        .text(endpoint.as_str())
        .roots(roots.as_deref())
        .text(tls_server_name.as_deref().unwrap_or_default())
        .text(suffix.as_str())
        .text(authenticator_kind)
        .text(authenticator_name)
        .text(audience)
        .finish()
}

/// The fingerprint of a bundle of roots, or of none.
pub(crate) fn roots_fingerprint(roots: Option<&[u8]>) -> String {
    roots.map_or_else(|| "system".to_owned(), |pem| BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, pem)))
}

struct Fields(Context);

impl Fields {
    fn new(tag: &str) -> Self {
        Self(Context::new(&SHA256)).text(tag)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        // A length before each field: ("ab", "c") and ("a", "bc") are different settings.
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn list(self, items: &[String]) -> Self {
        let counted = self.bytes(&(items.len() as u64).to_be_bytes());
        items.iter().fold(counted, |fields, item| fields.text(item))
    }

    fn roots(self, roots: Option<&[u8]>) -> Self {
        self.text(&roots_fingerprint(roots))
    }

    fn finish(self) -> EntryName {
        EntryName(BASE64_URL_SAFE_NO_PAD.encode(self.0.finish()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::args::{CredentialArgs, RedirectHost};
    use crate::environment::Environment;
    use crate::exec_credential::ExecInfo;

    fn args() -> CredentialArgs {
        CredentialArgs {
            issuer: Some("https://idp.example".to_owned()),
            client_id: Some("staging".to_owned()),
            authenticator: Some("people".to_owned()),
            concierge_endpoint: Some("https://cluster.example:6443".to_owned()),
            ..CredentialArgs::default()
        }
    }

    fn keys(args: CredentialArgs) -> Keys {
        let environment = Environment::Table(BTreeMap::new());
        Keys::new(&CredentialConfig::new(args, ExecInfo::default(), &environment).unwrap())
    }

    /// If this test fails, everybody has to log in again after the upgrade. Raise the version tag only on purpose.
    #[test]
    fn names_of_known_settings_never_change() {
        let keys = keys(args());
        assert_eq!(
            [&keys.session.0, &keys.credential.0, &keys.discovery.0, &keys.server.0],
            [
                "EUHJKsim-3-MKNK6ZgPIsGTpQUdnJ-ggcavt31dakHw",
                "UGy_dtDGnlDt7JFr_Ej5O3sDAHZGR8npOyo0xiSgqK4",
                "Q9jcxm7n-ZL6vCIwmFuwrZCjkUhU1aWaH230EGJ0IrQ",
                "mQqllu6jFL9pQpMbP_c9bRgjUvIyyYJm_lKOd6sr7mk"
            ]
        );
    }

    #[test]
    fn cosmetics_are_not_in_the_names() {
        let cosmetic = CredentialArgs {
            cluster_name: Some("Staging, Europe".to_owned()),
            login_timeout: Some(10),
            redirect_host: RedirectHost::Localhost,
            redirect_ports: Some(vec![18000]),
            skip_browser: true,
            scopes: vec!["openid".to_owned()],
            audience: Some("staging".to_owned()),
            ..args()
        };
        assert_eq!(keys(cosmetic), keys(args()));
    }

    #[test]
    fn order_of_scopes_does_not_matter_and_their_set_does() {
        let with = |scopes: &[&str]| {
            keys(CredentialArgs { scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(), ..args() })
        };
        assert_eq!(with(&["a", "b"]), with(&["b", "a"]));
        assert_ne!(with(&["a", "b"]).session, with(&["ab"]).session);
    }

    #[test]
    fn another_door_is_another_credential_of_the_same_session() {
        let some = |text: &str| Some(text.to_owned());
        for other in [
            CredentialArgs { concierge_endpoint: some("https://other.example:6443"), ..args() },
            CredentialArgs { authenticator: some("robots"), ..args() },
            CredentialArgs { authenticator_kind: some("WebhookAuthenticator"), ..args() },
            CredentialArgs { api_group_suffix: "pinniped.dev".parse().unwrap(), ..args() },
        ] {
            let (ours, theirs) = (keys(args()), keys(other));
            assert_eq!(ours.session, theirs.session);
            assert_ne!(ours.credential, theirs.credential);
        }
    }

    #[test]
    fn another_client_issuer_or_audience_is_another_session() {
        let some = |text: &str| Some(text.to_owned());
        for other in [
            CredentialArgs { client_id: some("production"), ..args() },
            CredentialArgs { issuer: some("https://idp.example/"), ..args() },
            CredentialArgs { audience: some("production"), ..args() },
        ] {
            assert_ne!(keys(args()).session, keys(other).session);
        }
    }
}

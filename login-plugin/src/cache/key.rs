//! Names of cache entries: SHA-256 over a version tag and length-prefixed fields in a fixed order.
//!
//! What only changes how a login looks (ports, browser, timeouts, cluster names for people) is not in a key: a cosmetic
//! change of the kubeconfig must not log anybody out.

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::args::TokenKind;
use crate::config::{ConciergeConfig, CredentialConfig, Destination, ProviderConfig, Server};
use crate::secret::Secret;

/// SHA-256 in base64url without padding.
const NAME_LENGTH: usize = 43;

/// The names of everything that one stanza keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// Our client at this provider: whether its secret may be shown there.
    pub(crate) client: EntryName,
    /// The cluster's credential.
    pub(crate) credential: EntryName,
    /// What the provider says about itself, and its keys.
    pub(crate) discovery: EntryName,
    /// Whoever logs in at this provider, for all of its clients.
    pub(crate) person: EntryName,
    /// The server that this login has been taken to.
    pub(crate) server: EntryName,
    /// Those that logins of the same client for each further audience have been taken to: one token is good for both.
    pub(crate) servers_besides: Vec<EntryName>,
    /// The login.
    pub(crate) session: EntryName,
}

/// A file name without extension: 43 characters of base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct EntryName(String);

impl EntryName {
    /// The name with an extension, which says what kind of file it is.
    pub(crate) fn file(&self, extension: &str) -> String {
        format!("{}.{extension}", self.0)
    }

    /// The name that `file` made, if this is one of ours with that extension.
    pub(crate) fn of_file(file: &str, extension: &str) -> Option<Self> {
        let name = file.strip_suffix(extension)?.strip_suffix('.')?;
        let ours = name.len() == NAME_LENGTH
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        ours.then(|| Self(name.to_owned()))
    }

    /// The name of whoever logs in at a provider.
    pub(crate) fn of_person(issuer: &str, account: Option<&str>) -> Self {
        Fields::new("latchkey/person/v1").text(issuer).option("account", account).finish()
    }

    /// The name of the server that a login has been taken to.
    pub(crate) fn of_server(issuer: &str, client_id: &str, audience: &str) -> Self {
        Fields::new("latchkey/server/v1").text(issuer).text(client_id).text(audience).finish()
    }

    /// The name of what a concierge gave for a token that no login of ours has brought.
    pub(crate) fn of_workload(concierge: &ConciergeConfig, token: &Secret) -> Self {
        // Over the signing input: the same token may come with either form of an ECDSA signature.
        let signed = token.expose().rsplit_once('.').map_or(token.expose(), |(signed, _)| signed);
        let fingerprint = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, signed.as_bytes()));
        credential(&Self(fingerprint), &Destination::Exchange(concierge.clone()), "workload")
    }
}

impl EntryName {
    /// The name of our own notes and locks beside what another program keeps under `name`.
    pub(crate) fn of_elsewhere(program: &str, name: &str) -> Self {
        Fields::new("latchkey/elsewhere/v1").text(program).text(name).finish()
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
        let server =
            |audience: &str| EntryName::of_server(&config.provider.issuer, &config.provider.client_id, audience);
        Self {
            client: Fields::new("latchkey/client/v1")
                .text(&config.provider.issuer)
                .text(&config.provider.client_id)
                .roots(config.provider.roots.as_deref())
                .finish(),
            credential: credential(&session, &config.destination, &config.provider.audience),
            discovery: Fields::new("latchkey/discovery/v1")
                .text(&config.provider.issuer)
                .roots(config.provider.roots.as_deref())
                .finish(),
            person: EntryName::of_person(&config.provider.issuer, config.provider.account.as_deref()),
            server: server(&config.provider.audience),
            servers_besides: config.provider.additional_audiences.iter().map(|audience| server(audience)).collect(),
            session,
        }
    }
}

fn session(provider: &ProviderConfig) -> EntryName {
    // A hint, a prompt or a rotated secret only change how a login looks.
    let ProviderConfig {
        issuer,
        client_id,
        client_secret: _,
        audience,
        additional_audiences,
        token_kind,
        scopes,
        optional_scopes,
        resources,
        request_audience,
        exchange_audience,
        account,
        login_hint: _,
        prompt: _,
        parameters: _,
        roots,
        profile: _,
    } = provider;
    Fields::new("latchkey/session/v1")
        .text(issuer)
        .text(client_id)
        .text(audience)
        .list(scopes)
        .list(optional_scopes)
        .roots(roots.as_deref())
        // Named, and only where they are set: the names of logins that know nothing of them stay as they were.
        .option("account", account.as_deref())
        .option("request-audience", request_audience.as_deref())
        .option("exchange-audience", exchange_audience.as_deref())
        .options("resource", resources)
        .options("additional-audience", additional_audiences)
        .option("token", (*token_kind == TokenKind::Access).then_some("access"))
        .finish()
}

fn credential(session: &EntryName, destination: &Destination, audience: &str) -> EntryName {
    let concierge = match destination {
        Destination::Direct(server) => {
            // With the server, where it is known: no other one gets the token without a look at who it is.
            let fields = Fields::new("latchkey/direct/v1").text(&session.0).text(audience);
            return match server {
                None => fields.finish(),
                Some(Server { endpoint, roots, tls_server_name, proxy: _ }) => fields
                    .text(endpoint.as_str())
                    .roots(roots.as_deref())
                    .text(tls_server_name.as_deref().unwrap_or_default())
                    .finish(),
            };
        }
        Destination::Exchange(concierge) => concierge,
    };
    // The proxy is a way, not a place.
    let ConciergeConfig {
        server: Server { endpoint, roots, tls_server_name, proxy: _ },
        suffix,
        authenticator_kind,
        authenticator_name,
    } = concierge;
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

    fn option(self, name: &str, value: Option<&str>) -> Self {
        match value {
            None => self,
            Some(value) => self.text(name).text(value),
        }
    }

    fn options(self, name: &str, items: &[String]) -> Self {
        if items.is_empty() { self } else { self.text(name).list(items) }
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
    use crate::config::Settings;
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
        match Settings::new(args, ExecInfo::default(), &environment).unwrap() {
            Settings::Person(config) => Keys::new(&config),
            Settings::Workload(_) => panic!("nobody gave a token"),
        }
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
            redirect_host: Some(vec![RedirectHost::Localhost]),
            redirect_ports: Some(vec![18000]),
            skip_browser: Some(true),
            scopes: Some(vec!["openid".to_owned()]),
            audience: Some("staging".to_owned()),
            ..args()
        };
        assert_eq!(keys(cosmetic), keys(args()));
    }

    #[test]
    fn order_of_scopes_does_not_matter_and_their_set_does() {
        let with = |scopes: &[&str]| {
            keys(CredentialArgs { scopes: Some(scopes.iter().map(|&scope| scope.to_owned()).collect()), ..args() })
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
            CredentialArgs { api_group_suffix: Some("pinniped.dev".parse().unwrap()), ..args() },
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
            CredentialArgs { account: some("ann@example.com"), ..args() },
            CredentialArgs { request_audience: some("ann@example.com"), ..args() },
            CredentialArgs { resource: Some(vec!["ann@example.com".to_owned()]), ..args() },
        ] {
            assert_ne!(keys(args()).session, keys(other).session);
        }
    }
}

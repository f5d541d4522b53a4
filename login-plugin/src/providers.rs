//! What each identity provider needs that others do not, told by the issuer's host or by name. Everything can be overridden.

use reqwest::Url;

use crate::args::RedirectHost;

/// For providers that compare the port of the redirect address (RFC 8252 section 7.3 forbids that, and it is common): these
/// have to be registered there, `http://127.0.0.1:28467/callback` and so on.
///
/// Below 32768, where Linux begins to take ports for outgoing connections, and outside 30000 to 32767, which clusters in
/// containers map for their own services; not assigned by IANA; far from the round numbers and the 3000s, 5000s and 8000s
/// that development servers love (a browser that remembers one of those never reaches us: int128/kubelogin#17, #78, #1113).
/// Three, so that two logins at once and one odd program leave one free.
pub(crate) const FIXED_PORTS: [u16; 3] = [28467, 28571, 28673];

/// How a provider is asked for a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshBy {
    /// The code grant always gives one, and scope `offline_access` would be refused.
    Always,
    /// Parameters of the authorization request; scope `offline_access` would be refused.
    Parameters,
    /// Scope `offline_access`, where the provider lists it (OIDC Core 1.0 section 11).
    Scope,
}

/// One provider's ways.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    /// The name for `--provider`.
    pub(crate) name: &'static str,
    /// Ends of host names by which the issuer is recognised, `*` for any one label; none where installations have names of
    /// their own.
    pub(crate) hosts: &'static [&'static str],
    /// Redirect hosts that it takes, the best first.
    pub(crate) redirect_hosts: &'static [RedirectHost],
    /// Ports to try; 0 is any, fixed ones where it compares the port.
    pub(crate) redirect_ports: &'static [u16],
    /// How it gives refresh tokens.
    pub(crate) refresh_by: RefreshBy,
    /// `prompt`, unless the person who wrote the kubeconfig wants another.
    pub(crate) prompt: Option<&'static str>,
    /// Parameters for each authorization request.
    pub(crate) parameters: &'static [(&'static str, &'static str)],
}

/// A provider that keeps to the standards.
pub(crate) const GENERIC: Profile = Profile {
    name: "generic",
    hosts: &[],
    redirect_hosts: &[RedirectHost::Ipv4],
    redirect_ports: &[0],
    refresh_by: RefreshBy::Scope,
    prompt: None,
    parameters: &[],
};

/// Every profile, by name.
///
/// Some only name what `GENERIC` does: then the name tells that this provider was thought of.
pub(crate) const PROFILES: [Profile; 16] = [
    GENERIC,
    // Callback URLs are compared as text.
    Profile { name: "auth0", hosts: &["auth0.com"], redirect_ports: &FIXED_PORTS, ..GENERIC },
    // "Strict" redirect URIs, the default, are compared as text; a regular expression may allow more.
    Profile { name: "authentik", redirect_ports: &FIXED_PORTS, ..GENERIC },
    // Refuses `offline_access` (`invalid_scope`) and has no device flow; callback URLs are compared as text, and plain http
    // is for loopback only.
    Profile {
        name: "cognito",
        hosts: &["cognito-idp.*.amazonaws.com", "cognito-idp.*.amazonaws.com.cn"],
        redirect_ports: &FIXED_PORTS,
        refresh_by: RefreshBy::Always,
        ..GENERIC
    },
    // A public client without listed redirect URIs takes any port on the loopback.
    Profile { name: "dex", ..GENERIC },
    // The platform "mobile and desktop" takes any port on `localhost`, and 127.0.0.1 only by an edit of the manifest, [::1]
    // never. Its discovery is silent about PKCE, which is sent here whatever discovery says.
    Profile {
        name: "entra",
        hosts: &[
            "login.microsoftonline.com",
            "login.microsoftonline.us",
            "login.partner.microsoftonline.cn",
            "sts.windows.net",
            "b2clogin.com",
            "ciamlogin.com",
        ],
        redirect_hosts: &[RedirectHost::Localhost],
        ..GENERIC
    },
    // Refresh tokens come with the code always. Ports are free only on IP literals; `localhost` is compared as text.
    Profile { name: "gitlab", hosts: &["gitlab.com"], refresh_by: RefreshBy::Always, ..GENERIC },
    // Refuses `offline_access` (`invalid_scope`): a parameter asks for a refresh token, which comes at the first consent
    // only, unless consent is asked for again. Desktop clients take any port on the loopback, and have a secret.
    Profile {
        name: "google",
        hosts: &["accounts.google.com"],
        refresh_by: RefreshBy::Parameters,
        prompt: Some("consent"),
        parameters: &[("access_type", "offline")],
        ..GENERIC
    },
    // Any port on loopback IP literals; `localhost` is compared as text (ory/fosite#874).
    Profile { name: "hydra", hosts: &["projects.oryapis.com"], ..GENERIC },
    // Redirect URIs are compared as text.
    Profile { name: "jumpcloud", hosts: &["oauth.id.jumpcloud.com"], redirect_ports: &FIXED_PORTS, ..GENERIC },
    // Drops the port for localhost and 127.0.0.1 if the registered URI has none; not for [::1].
    Profile { name: "keycloak", ..GENERIC },
    // Native clients may use any port on the loopback; `offline_access` is dropped without a consent prompt.
    Profile { name: "oidc-provider", prompt: Some("consent"), ..GENERIC },
    // Redirect URIs are compared with their port.
    Profile {
        name: "okta",
        hosts: &["okta.com", "okta-emea.com", "okta-gov.com", "okta.mil", "oktapreview.com"],
        redirect_ports: &FIXED_PORTS,
        ..GENERIC
    },
    // Any port on the loopback.
    Profile {
        name: "ping",
        hosts: &[
            "auth.pingone.asia",
            "auth.pingone.ca",
            "auth.pingone.com",
            "auth.pingone.com.au",
            "auth.pingone.eu",
            "auth.pingone.sg",
        ],
        ..GENERIC
    },
    // The Supervisor's built-in client takes any port on 127.0.0.1.
    Profile { name: "pinniped", ..GENERIC },
    // Native applications may use any port on the loopback.
    Profile { name: "zitadel", hosts: &["zitadel.cloud"], ..GENERIC },
];

/// The profile with this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Profile> {
    static ALL: &[Profile] = &PROFILES;
    ALL.iter().find(|profile| profile.name == name)
}

/// The profile that the issuer's host tells, else the generic one.
pub(crate) fn of_issuer(issuer: &Url) -> &'static Profile {
    static ALL: &[Profile] = &PROFILES;
    let host = issuer.host_str().unwrap_or_default();
    ALL.iter().find(|profile| profile.hosts.iter().any(|end| ends_with(host, end))).unwrap_or(&GENERIC)
}

/// Whether the last labels of the host are these.
fn ends_with(host: &str, end: &str) -> bool {
    let mut labels = host.rsplit('.');
    end.rsplit('.')
        .all(|wanted| labels.next().is_some_and(|label| !label.is_empty() && (wanted == "*" || wanted == label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(issuer: &str) -> &'static Profile {
        of_issuer(&Url::parse(issuer).unwrap())
    }

    #[test]
    fn the_host_tells_the_provider_and_its_ways() {
        use RedirectHost::{Ipv4, Localhost};
        use RefreshBy::{Always, Parameters, Scope};
        const FIXED: &[u16] = &FIXED_PORTS;
        let cases = [
            ("https://accounts.google.com", "google", Ipv4, &[0][..], Parameters),
            ("https://login.microsoftonline.com/tenant/v2.0", "entra", Localhost, &[0], Scope),
            ("https://login.microsoftonline.us/tenant/v2.0", "entra", Localhost, &[0], Scope),
            ("https://login.partner.microsoftonline.cn/tenant/v2.0", "entra", Localhost, &[0], Scope),
            ("https://sts.windows.net/tenant/", "entra", Localhost, &[0], Scope),
            ("https://contoso.b2clogin.com/tenant/v2.0/", "entra", Localhost, &[0], Scope),
            ("https://contoso.ciamlogin.com/tenant/v2.0", "entra", Localhost, &[0], Scope),
            ("https://acme.okta.com", "okta", Ipv4, FIXED, Scope),
            ("https://acme.oktapreview.com/oauth2/default", "okta", Ipv4, FIXED, Scope),
            ("https://acme.eu.auth0.com/", "auth0", Ipv4, FIXED, Scope),
            ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", "cognito", Ipv4, FIXED, Always),
            ("https://cognito-idp.cn-north-1.amazonaws.com.cn/x", "cognito", Ipv4, FIXED, Always),
            ("https://gitlab.com", "gitlab", Ipv4, &[0], Always),
            ("https://oauth.id.jumpcloud.com/", "jumpcloud", Ipv4, FIXED, Scope),
            ("https://acme-1a2b3c.zitadel.cloud", "zitadel", Ipv4, &[0], Scope),
            ("https://auth.pingone.eu/environment/as", "ping", Ipv4, &[0], Scope),
            ("https://auth.pingone.com.au/environment/as", "ping", Ipv4, &[0], Scope),
            ("https://slug.projects.oryapis.com", "hydra", Ipv4, &[0], Scope),
            ("https://idp.example", "generic", Ipv4, &[0], Scope),
        ];
        for (issuer, name, host, ports, refresh_by) in cases {
            let profile = of(issuer);
            assert_eq!(profile.name, name, "{issuer}");
            assert_eq!(profile.redirect_hosts, [host], "{issuer}");
            assert_eq!(profile.redirect_ports, ports, "{issuer}");
            assert_eq!(profile.refresh_by, refresh_by, "{issuer}");
        }
    }

    #[test]
    fn a_host_that_only_looks_like_it_is_another() {
        for issuer in [
            "https://notokta.com",
            "https://okta.com.evil.example",
            "https://oidc.eks.eu-west-1.amazonaws.com/id/1",
            "https://cognito-idp.amazonaws.com/x",
            "https://login.microsoftonline.com.evil.example",
            "https://127.0.0.1:8443",
            "https://[::1]:8443",
        ] {
            assert_eq!(of(issuer).name, "generic", "{issuer}");
        }
    }

    #[test]
    fn providers_at_hosts_of_their_own_are_known_by_name() {
        for name in ["authentik", "dex", "hydra", "keycloak", "oidc-provider", "pinniped"] {
            assert_eq!(by_name(name).unwrap().name, name);
        }
        assert_eq!(by_name("oidc-provider").unwrap().prompt, Some("consent"), "or it drops offline_access");
        assert_eq!(by_name("google").unwrap().parameters, [("access_type", "offline")]);
        assert_eq!(by_name("Keycloak"), None);
    }

    #[test]
    fn names_are_unique_in_order_and_in_the_help() {
        let help = include_str!("commands/help/credential.txt");
        let names: Vec<&str> = PROFILES[1..].iter().map(|profile| profile.name).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        let all = help.split_once("--provider NAME").unwrap().1.split_once(':').unwrap().0;
        let listed: Vec<&str> = all.split([',', ' ', '\n']).filter(|word| !word.is_empty() && *word != "or").collect();
        assert_eq!(listed, [&["generic"], &names[..]].concat());
    }

    #[test]
    fn fixed_ports_are_where_neither_systems_nor_clusters_take_any() {
        assert!(FIXED_PORTS.iter().all(|port| (1024..30_000).contains(port)));
    }
}

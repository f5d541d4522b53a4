//! What each identity provider needs that others do not, told by the issuer's host or by name. Everything can be overridden.

use reqwest::Url;

use crate::args::RedirectHost;

/// How a provider is asked for a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshBy {
    /// The code grant always gives one, and the scope would be refused.
    Always,
    /// A parameter of the authorization request.
    Parameters,
    /// Scope `offline_access`, where the provider lists it (OIDC Core 1.0 section 11).
    Scope,
}

/// One provider's ways.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    /// The name for `--provider`.
    pub(crate) name: &'static str,
    /// The end of the host name by which the issuer is recognised; none where installations have names of their own.
    pub(crate) hosts: &'static [&'static str],
    /// Redirect hosts that it takes, the best first.
    pub(crate) redirect_hosts: &'static [RedirectHost],
    /// Ports to try; 0 is any, fixed ones where it compares the port.
    pub(crate) redirect_ports: &'static [u16],
    /// How it gives refresh tokens.
    pub(crate) refresh_by: RefreshBy,
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
    parameters: &[],
};

/// Every profile.
pub(crate) const PROFILES: &[Profile] = &[GENERIC];

/// The profile with this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// The profile that the issuer's host tells, else the generic one.
pub(crate) fn of_issuer(issuer: &Url) -> &'static Profile {
    let host = issuer.host_str().unwrap_or_default();
    let is_of = |end: &&str| host.strip_suffix(*end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    PROFILES.iter().find(|profile| profile.hosts.iter().any(|end| is_of(end))).unwrap_or(&GENERIC)
}

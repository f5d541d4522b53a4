//! Who asks, judged from the client certificate and the headers of one request: pure, with the cluster's configuration
//! and the time as arguments.
//!
//! The steps are those of kube-apiserver's delegated authentication (`k8s.io/apiserver` `authenticatorfactory/delegating.go`,
//! `headerrequest/requestheader.go`, `request/x509/x509.go`). Identity is per request, never per connection: the
//! aggregator multiplexes all users over one.

use std::{collections::BTreeMap, net::IpAddr, str, sync::Arc};

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderName, header};

use super::caller::{Caller, Via};
use crate::{
    secret::BearerToken,
    time::UnixTime,
    tls::client_chain::{CertificatePool, ChainError, ClientChain, PoolError, VerifiedLeaf},
};

/// What `kube-system/extension-apiserver-authentication` says, parsed whole.
#[derive(Clone, Debug)]
pub struct FrontProxyConfig {
    front_proxy: Option<FrontProxy>,
    clients: Option<CertificatePool>,
}

/// Which front proxies may name a user, and in which headers.
#[derive(Clone, Debug)]
struct FrontProxy {
    authorities: CertificatePool,
    /// Common names that may; empty admits any.
    allowed_names: Vec<String>,
    username_headers: Vec<HeaderName>,
    uid_headers: Vec<HeaderName>,
    group_headers: Vec<HeaderName>,
    extra_prefixes: Vec<String>,
}

/// The `ConfigMap` cannot be used; the last good configuration stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontProxyConfigError {
    /// A bundle of CA certificates is unusable.
    #[error("{key}: {source}")]
    Authorities {
        /// Which key of the `ConfigMap`.
        key: &'static str,
        /// What is wrong.
        source: PoolError,
    },
    /// A list is not a JSON list of strings, or names an impossible header.
    #[error("{key}: expected a JSON list of header names or common names")]
    List {
        /// Which key of the `ConfigMap`.
        key: &'static str,
    },
    /// Neither a front proxy nor client certificates: a control plane that is just starting.
    #[error("neither requestheader-client-ca-file nor client-ca-file is set")]
    Nothing,
    /// A front proxy without a header for the name could name nobody.
    #[error("requestheader-username-headers is empty")]
    NoUsernameHeader,
}

/// What certificate and headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// This is the caller.
    Caller(Caller),
    /// Somebody showed a bearer token: `TokenReview` must say whose it is. The error of the earlier steps, if any, is
    /// of no consequence when it succeeds.
    Token,
    /// Nothing was shown at all.
    Anonymous,
    /// A certificate was shown and vouches for nobody: 401, not anonymous.
    Refused(Refused),
}

/// Why a certificate vouches for nobody, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither the front proxies' CA nor the clients' CA accepts it.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The front proxies' CA accepts it, but the name is not on the list.
    #[error("the front proxy's common name is not among the allowed ones")]
    NameNotAllowed,
    /// The clients' CA accepts it, but it names nobody.
    #[error("the client certificate has no common name")]
    NoName,
    /// A header of the front proxy is not UTF-8.
    #[error("a header of the front proxy is not UTF-8")]
    NotUtf8,
}

/// kube-apiserver's extra key for the credential a certificate user came with (since 1.32).
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// No standard has it, every proxy writes it; kube-apiserver's aggregator by Go's `httputil.ReverseProxy`.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

// === impl FrontProxyConfig ===

impl FrontProxyConfig {
    /// Reads the data of the `ConfigMap`.
    ///
    /// # Errors
    /// [`FrontProxyConfigError`] names the key that cannot be used. Half a configuration is never returned.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, FrontProxyConfigError> {
        let pool = |key: &'static str| {
            let bundle = data.get(key).filter(|bundle| !bundle.trim().is_empty());
            bundle
                .map(|bundle| CertificatePool::from_pem(bundle))
                .transpose()
                .map_err(|source| FrontProxyConfigError::Authorities { key, source })
        };
        let clients = pool("client-ca-file")?;
        let front_proxy = match pool("requestheader-client-ca-file")? {
            None => None,
            Some(authorities) => Some(FrontProxy::parse(authorities, data)?),
        };
        if clients.is_none() && front_proxy.is_none() {
            return Err(FrontProxyConfigError::Nothing);
        }
        Ok(Self { front_proxy, clients })
    }

    /// Finds the caller from what the connection and the request show.
    #[must_use]
    pub fn find(&self, chain: Option<&ClientChain>, headers: &HeaderMap, now: UnixTime) -> Finding {
        let (by_proxy, refused_by_proxy) = split(self.front_proxy(chain, headers, now));
        if let Some(caller) = by_proxy {
            return Finding::Caller(caller.with_authenticated_group());
        }
        let (by_certificate, refused_by_clients) = split(self.certificate(chain, now));
        if let Some(caller) = by_certificate {
            return Finding::Caller(caller.with_authenticated_group());
        }
        if bearer_token(headers).is_some() {
            return Finding::Token;
        }
        // The clients' CA has the last word on a certificate, so its reason is the telling one.
        refused_by_clients.or(refused_by_proxy).map_or(Finding::Anonymous, Finding::Refused)
    }

    /// Takes every header that could name a caller out of the request, so that nothing further in can believe one.
    pub fn strip(&self, headers: &mut HeaderMap) {
        headers.remove(header::AUTHORIZATION);
        let Some(proxy) = &self.front_proxy else { return };
        for name in proxy.username_headers.iter().chain(&proxy.uid_headers).chain(&proxy.group_headers) {
            headers.remove(name);
        }
        let extra: Vec<_> = headers.keys().filter(|name| proxy.extra_key(name).is_some()).cloned().collect();
        for name in extra {
            headers.remove(name);
        }
    }

    /// Step 1 and 2: a front proxy vouches. `Ok(None)`: none did, and none is to blame.
    fn front_proxy(
        &self,
        chain: Option<&ClientChain>,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Result<Option<Caller>, Refused> {
        let (Some(proxy), Some(chain)) = (&self.front_proxy, chain) else { return Ok(None) };
        let leaf = proxy.authorities.verify(chain, now)?;
        if !proxy.allowed_names.is_empty() && !proxy.allowed_names.iter().any(|name| name == leaf.common_name()) {
            return Err(Refused::NameNotAllowed);
        }
        proxy.caller(headers)
    }

    /// Step 4: a client certificate of the cluster.
    fn certificate(&self, chain: Option<&ClientChain>, now: UnixTime) -> Result<Option<Caller>, Refused> {
        let (Some(clients), Some(chain)) = (&self.clients, chain) else { return Ok(None) };
        let leaf = clients.verify(chain, now)?;
        if leaf.common_name().is_empty() {
            return Err(Refused::NoName);
        }
        Ok(Some(of_certificate(&leaf)))
    }
}

// === impl FrontProxy ===

impl FrontProxy {
    fn parse(authorities: CertificatePool, data: &BTreeMap<String, String>) -> Result<Self, FrontProxyConfigError> {
        let list = |key: &'static str| -> Result<Vec<String>, FrontProxyConfigError> {
            // Absent before Kubernetes 1.32 for the uid headers, and for the others an empty list.
            let text = data.get(key).map_or("[]", String::as_str);
            serde_json::from_str(text).map_err(|_| FrontProxyConfigError::List { key })
        };
        let headers = |key: &'static str| -> Result<Vec<HeaderName>, FrontProxyConfigError> {
            let names = list(key)?;
            names.iter().map(|name| name.parse().map_err(|_| FrontProxyConfigError::List { key })).collect()
        };
        let username_headers = headers("requestheader-username-headers")?;
        if username_headers.is_empty() {
            return Err(FrontProxyConfigError::NoUsernameHeader);
        }
        let prefixes = list("requestheader-extra-headers-prefix")?;
        Ok(Self {
            authorities,
            allowed_names: list("requestheader-allowed-names")?,
            username_headers,
            uid_headers: headers("requestheader-uid-headers")?,
            group_headers: headers("requestheader-group-headers")?,
            extra_prefixes: prefixes
                .into_iter()
                .map(|prefix| prefix.to_ascii_lowercase())
                // An empty prefix would turn every header of the request into an attribute of the user.
                .filter(|prefix| !prefix.is_empty())
                .collect(),
        })
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Refused> {
        let Some(username) = first(headers, &self.username_headers)? else { return Ok(None) };
        let mut groups = Vec::new();
        for name in &self.group_headers {
            for value in headers.get_all(name) {
                groups.extend(Some(text(value.as_bytes())?).filter(|group| !group.is_empty()));
            }
        }
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            if let Some(key) = self.extra_key(name) {
                extra.entry(key).or_default().push(text(value.as_bytes())?);
            }
        }
        let uid = first(headers, &self.uid_headers)?.unwrap_or_default();
        Ok(Some(Caller { username, uid, groups, extra, via: Via::FrontProxy }))
    }

    /// The extra key that a header name carries: what follows the prefix, percent-decoded; raw if that fails.
    fn extra_key(&self, name: &HeaderName) -> Option<String> {
        // `HeaderName` is lower case already.
        let rest = self.extra_prefixes.iter().find_map(|prefix| name.as_str().strip_prefix(prefix.as_str()))?;
        Some(percent_decoded(rest).unwrap_or_else(|| rest.to_owned()))
    }
}

/// The token of an `Authorization: Bearer` header, read as kube-apiserver reads it (`bearertoken.go`): the scheme without
/// regard to case, one blank; an empty token is no credential.
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<BearerToken> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let mut parts = value.splitn(3, ' ');
    let scheme = parts.next()?;
    let token = parts.next().filter(|token| !token.is_empty())?;
    scheme.eq_ignore_ascii_case("bearer").then(|| BearerToken::new(token.to_owned()))
}

/// Whom the last proxy had before it: the rightmost entry of `X-Forwarded-For`, which that proxy appended itself; whatever
/// stands to its left is the client's own word. To be asked only of a proxy that was recognised.
#[must_use]
pub fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    let (_, last) = last.rsplit_once(',').unwrap_or(("", last));
    last.trim().parse().ok()
}

fn of_certificate(leaf: &VerifiedLeaf) -> Caller {
    let fingerprint = hex::encode(digest::digest(&digest::SHA256, leaf.der()));
    Caller {
        username: leaf.common_name().to_owned(),
        uid: String::new(),
        groups: leaf.organizations().to_vec(),
        extra: BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={fingerprint}")])]),
        via: Via::ClientCertificate,
    }
}

/// The first header of `names` whose first value is not empty.
fn first(headers: &HeaderMap, names: &[HeaderName]) -> Result<Option<String>, Refused> {
    for name in names {
        if let Some(value) = headers.get(name)
            && !value.is_empty()
        {
            return text(value.as_bytes()).map(Some);
        }
    }
    Ok(None)
}

fn text(value: &[u8]) -> Result<String, Refused> {
    str::from_utf8(value).map(str::to_owned).map_err(|_| Refused::NotUtf8)
}

/// RFC 3986 2.1; `None` for a `%` that two hexadecimal digits do not follow, or for bytes that are not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            decoded.extend(hex::decode(pair).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

fn split(outcome: Result<Option<Caller>, Refused>) -> (Option<Caller>, Option<Refused>) {
    match outcome {
        Ok(caller) => (caller, None),
        Err(refused) => (None, Some(refused)),
    }
}

/// The configuration as request handlers see it: replaced whole, absent until it was read once.
pub type CurrentConfig = tokio::sync::watch::Receiver<Option<Arc<FrontProxyConfig>>>;

#[cfg(test)]
mod tests;

//! The egress proxy through which issuers are asked, where there is no other way out of the cluster.

use std::{fmt, str::FromStr};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::NoProxy;
use url::Url;

/// The proxy, if there is one, and the hosts that are asked without it. It may carry a password, so it is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    https: HttpsProxy,
    except: String,
}

/// What `HTTPS_PROXY` says: an http or https URL, with or without the scheme, or nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HttpsProxy(Option<Url>);

/// A text is no proxy's URL. What it was is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// No host, or no URL at all.
    #[error("expected the URL of a proxy, such as http://proxy.example.com:3128")]
    NotAUrl,
    /// A proxy that is spoken to by another protocol.
    #[error("expected a proxy with scheme http or https")]
    Scheme,
}

// === impl HttpsProxy ===

impl FromStr for HttpsProxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        // As curl and Go do it: a bare host is spoken to by HTTP.
        let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
        let url = url.ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty()));
        let url = url.ok_or(ProxyError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProxyError::Scheme);
        }
        Ok(Self(Some(url)))
    }
}

impl fmt::Debug for HttpsProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "HttpsProxy(…)" } else { "HttpsProxy(none)" })
    }
}

// === impl Proxies ===

impl Proxies {
    /// `except` is a list in the manner of `NO_PROXY`: names with all below them, addresses, networks, `*`.
    #[must_use]
    pub const fn new(https: HttpsProxy, except: String) -> Self {
        Self { https, except }
    }

    /// Has a client use the proxy; without one nothing of the environment is used either.
    pub(crate) fn apply(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let builder = builder.no_proxy();
        match self.https.0.clone().map(reqwest::Proxy::https) {
            Some(Ok(proxy)) => builder.proxy(proxy.no_proxy(NoProxy::from_string(&self.except))),
            // A parsed URL is one.
            Some(Err(_)) | None => builder,
        }
    }
}

impl Proxies {
    /// Whether what is at `url` is asked through the proxy. The rules are those of the client, whose crate they come from.
    #[must_use]
    pub fn apply_to(&self, url: &Url) -> bool {
        let (Some(https), Ok(uri)) = (&self.https.0, url.as_str().parse::<http::Uri>()) else { return false };
        let rules = Matcher::builder().https(https.as_str()).no(self.except.as_str()).build();
        rules.intercept(&uri).is_some()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("https", &self.https).field("except", &self.except).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_for_all_but_its_exceptions() {
        let except = "internal.example.com,10.0.0.0/8".to_owned();
        let proxies = Proxies::new("http://proxy:3128".parse().unwrap(), except);
        for (url, expected) in [
            ("https://tokens.example.com/review", true),
            ("https://internal.example.com/", false),
            ("https://a.internal.example.com/", false),
            ("https://10.1.2.3:8443/", false),
        ] {
            assert_eq!(proxies.apply_to(&Url::parse(url).unwrap()), expected, "{url}");
        }
        assert!(!Proxies::default().apply_to(&Url::parse("https://tokens.example.com/").unwrap()));
    }

    #[test]
    fn a_proxy_is_an_http_url_and_is_never_shown() {
        for good in
            ["http://proxy:3128", "https://user:hunter2@proxy.example.com", "proxy.example.com:3128", "10.0.0.1:80"]
        {
            let proxy: HttpsProxy = good.parse().unwrap();
            assert!(proxy.0.is_some(), "{good}");
            let shown = format!("{:?}", Proxies::new(proxy, String::new()));
            assert!(!shown.contains("hunter2") && !shown.contains("user"), "{shown}");
        }
        assert_eq!("".parse(), Ok(HttpsProxy(None)));
        for (bad, problem) in [
            ("http://", ProxyError::NotAUrl),
            ("a b", ProxyError::NotAUrl),
            ("socks5://proxy:1080", ProxyError::Scheme),
            ("file:///etc/passwd", ProxyError::NotAUrl),
        ] {
            assert_eq!(bad.parse::<HttpsProxy>(), Err(problem), "{bad}");
        }
    }
}

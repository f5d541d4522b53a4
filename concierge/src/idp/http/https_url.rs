//! The one kind of URL that is ever fetched or posted to.

use std::{fmt, str::FromStr, sync::Arc};

use url::Url;

/// An absolute https URL with a host, without user info and without fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpsUrl(Arc<Url>);

/// Why a text is no URL we would fetch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Carries a fragment, which is never sent and so means nothing.
    #[error("has a fragment")]
    Fragment,
    /// No absolute URL with a host.
    #[error("is not an absolute URL")]
    NotAbsolute,
    /// Another scheme than https.
    #[error("has scheme \"{0}\", expected \"https\"")]
    Scheme(String),
    /// Carries a user name or password.
    #[error("carries user info")]
    UserInfo,
}

// === impl HttpsUrl ===

impl HttpsUrl {
    /// The text as it is requested.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

/// # Errors
/// When the text is anything but an absolute https URL with a host and without user info or fragment.
impl FromStr for HttpsUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        // The WHATWG parser drops tabs and line breaks and trims blanks; what it would repair is refused instead.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(UrlError::NotAbsolute);
        }
        let url = Url::parse(text).map_err(|_| UrlError::NotAbsolute)?;
        if url.scheme() != "https" {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        // `https:foo` and `https:///foo` are repaired to `https://foo` by the same parser.
        let written = text.split_at_checked("https://".len()).filter(|(head, _)| head.eq_ignore_ascii_case("https://"));
        if written.is_none_or(|(_, host)| host.starts_with('/')) || url.host_str().is_none() {
            return Err(UrlError::NotAbsolute);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        Ok(Self(Arc::new(url)))
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_urls_are_fetched() {
        for good in [
            "https://idp.example.com/keys",
            "https://idp.example.com",
            "https://127.0.0.1:8443/jwks?p=b2c_1",
            "HTTPS://idp.example.com/keys",
            "https://[::1]:8443/",
        ] {
            assert!(good.parse::<HttpsUrl>().is_ok(), "{good}");
        }
        let cases = [
            ("", UrlError::NotAbsolute),
            ("/keys", UrlError::NotAbsolute),
            ("idp.example.com/keys", UrlError::NotAbsolute),
            ("https:idp.example.com", UrlError::NotAbsolute),
            ("https:/idp.example.com", UrlError::NotAbsolute),
            ("https:///idp.example.com", UrlError::NotAbsolute),
            ("https:////idp.example.com", UrlError::NotAbsolute),
            ("https://", UrlError::NotAbsolute),
            (" https://idp.example.com", UrlError::NotAbsolute),
            ("https://idp.example.com/a\nb", UrlError::NotAbsolute),
            ("https:\\\\idp.example.com", UrlError::NotAbsolute),
            ("http://idp.example.com/keys", UrlError::Scheme("http".to_owned())),
            ("file:///etc/passwd", UrlError::Scheme("file".to_owned())),
            ("data:application/json,{}", UrlError::Scheme("data".to_owned())),
            ("https://user@idp.example.com/", UrlError::UserInfo),
            ("https://:secret@idp.example.com/", UrlError::UserInfo),
            ("https://idp.example.com/#keys", UrlError::Fragment),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<HttpsUrl>(), Err(expected), "{text:?}");
        }
    }
}

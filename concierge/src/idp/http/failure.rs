//! Why a fetch brought nothing, and in which words it is told: few, and none that deceive whoever reads them.

use std::{error::Error as StdError, io, time::Duration};

use http::StatusCode;

use crate::text::is_dangerous;

/// Longest sentence about a failure: it goes into a condition, which people read in a terminal.
const DETAIL_LIMIT: usize = 300;

/// Why a fetch brought nothing. The issuer or the way to it is at fault in every case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The host resolves to an address that is never an issuer.
    #[error("refused to connect: {0}")]
    AddressRefused(String),
    /// No TCP connection, or it broke before an answer.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// A body that is not JSON by its own words.
    #[error("answered with content type \"{0}\", expected JSON")]
    ContentType(String),
    /// The host name does not resolve.
    #[error("cannot resolve the host name: {0}")]
    Dns(String),
    /// A compressed body, though none was asked for.
    #[error("answered with content encoding \"{0}\", expected none")]
    Encoding(String),
    /// The answer broke off or was no HTTP.
    #[error("broken answer: {0}")]
    Protocol(String),
    /// A redirect. The one who answers may name any host, so none is followed.
    #[error("answered {0}: redirects are not followed")]
    Redirect(StatusCode),
    /// Any other status than 200.
    #[error("answered {0}, expected 200")]
    Status(StatusCode),
    /// The server's certificate or its TLS is not acceptable.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// Not done in time.
    #[error("no complete answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// More bytes than allowed.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

// === impl FetchError ===

impl FetchError {
    /// The stable word for metrics.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::AddressRefused(_) => "address-refused",
            Self::Connect(_) => "connect",
            Self::ContentType(_) => "content-type",
            Self::Dns(_) => "dns",
            Self::Encoding(_) => "content-encoding",
            Self::Protocol(_) => "protocol",
            Self::Redirect(_) => "redirect",
            Self::Status(_) => "status",
            Self::Tls(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::TooLarge { .. } => "too-large",
        }
    }
}

/// The first error of type `E` in the chain. `io::Error` hides what it wraps from `source()`, hence the second look.
pub(crate) fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find::<E>(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost error's words: what reqwest and hyper put around it ("error sending request") tells nobody anything.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    cut(&innermost.to_string())
}

/// The whole chain in one sentence.
pub(super) fn sentence(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        words.push_str(": ");
        words.push_str(&source.to_string());
        next = source.source();
    }
    cut(&words)
}

/// At most [`DETAIL_LIMIT`] bytes, and none of the characters that deceive a reader: some of these words are chosen by the other side.
pub(crate) fn cut(words: &str) -> String {
    let mut kept = String::new();
    for c in words.chars() {
        let c = if is_dangerous(c) { ' ' } else { c };
        if kept.len() + c.len_utf8() > DETAIL_LIMIT {
            kept.push('…');
            break;
        }
        kept.push(c);
    }
    kept
}

/// A URL as it may be shown, whether it parses or not: without what stands before an `@`, which may be a password.
pub(crate) fn shown(url: &str) -> String {
    match url.rsplit_once('@') {
        None => cut(url),
        Some((_, rest)) => cut(&format!("…@{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_between_characters_and_hold_no_line_break() {
        let shown = cut(&format!("a\nb{}", "ü".repeat(400)));
        assert!(shown.starts_with("a b"), "{shown}");
        assert!(shown.len() <= DETAIL_LIMIT + '…'.len_utf8());
        assert!(shown.ends_with('…'));
    }

    #[test]
    fn an_error_inside_an_io_error_is_found() {
        let wrapped = io::Error::other(io::Error::other(rustls::Error::HandshakeNotComplete));
        assert!(find::<rustls::Error>(&wrapped).is_some());
        assert!(find::<rustls::Error>(&io::Error::other("plain")).is_none());
    }
}

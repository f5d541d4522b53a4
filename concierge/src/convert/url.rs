//! URLs as they are written. The URL standard's parser is made for address bars: it trims, drops line breaks, turns
//! backslashes round and finds a host in `https:host` and `https:///host`. What it would repair is refused here, since
//! every other program would take the text for something else.

use url::Url;

/// A URL that the parser has nothing to repair of; only https ones are looked at more closely.
pub(super) fn parse(text: &str) -> Option<Url> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    if url.scheme() != "https" {
        return Some(url);
    }
    let authority = text.strip_prefix("https://")?;
    let has_host = !authority.is_empty() && !authority.starts_with(['/', '?', '#']);
    (has_host && url.host_str().is_some_and(|host| !host.is_empty())).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_repaired() {
        for good in ["https://a", "https://a/", "https://[::1]:8443/x?y#z", "https://u:p@a", "http://a", "ftp:x"] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "a",
            "https:",
            "https://",
            "https:a",
            "https:///a",
            "https://?a",
            "https://#a",
            "https:////a/b",
            "HTTPS://a",
            " https://a",
            "https://a\n",
            "https://a\\b",
            "https://a:99999",
            "https://[::1",
            "https://@",
            "https://:443/a",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}

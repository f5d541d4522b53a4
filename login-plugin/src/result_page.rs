//! The page at the end of a login: which cluster, as whom, or why not. No script, no other files, light and dark.

use std::fmt;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The only style the page may have, for the content security policy.
pub(crate) static STYLE_HASH: LazyLock<String> =
    LazyLock::new(|| format!("sha256-{}", BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()))));

/// How the login ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// The same words as in the terminal.
    Failure {
        /// What people call the cluster.
        cluster: String,
        /// What happened, in fixed words or words already safe to print.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The cluster let the person in.
    Success {
        /// What people call the cluster.
        cluster: String,
        /// As whom.
        identity: String,
        /// The provider's host.
        provider: String,
    },
}

impl Page {
    /// The whole document.
    pub(crate) fn html(&self) -> String {
        let (title, class, mark, heading, body) = match self {
            Self::Success { cluster, identity, provider } => (
                format!("Logged in to {cluster}"),
                "good",
                KEY,
                format!("You are in: <b>{}</b>", Html(cluster)),
                format!(
                    "<dl><dt>Signed in as</dt><dd>{}</dd><dt>Identity provider</dt><dd>{}</dd><dt>Opens</dt><dd>{}, and nothing else</dd></dl>\
                     <p class=\"next\">You can close this tab. <code>kubectl</code> goes on by itself.</p>",
                    Html(identity),
                    Html(provider),
                    Html(cluster)
                ),
            ),
            Self::Failure { cluster, reason, hint } => (
                format!("Not logged in to {cluster}"),
                "bad",
                CROSS,
                format!("Not logged in to <b>{}</b>", Html(cluster)),
                format!(
                    "<p class=\"reason\">{}</p>{}<p class=\"next\">You can close this tab. The terminal says the same.</p>",
                    Html(&sentence(reason)),
                    hint.as_ref()
                        .map(|hint| format!("<p class=\"hint\">{}</p>", Html(&sentence(hint))))
                        .unwrap_or_default()
                ),
            ),
        };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><style>{STYLE}</style></head>\
             <body class=\"{class}\"><main><div class=\"mark\">{mark}</div><h1>{heading}</h1>{body}</main>\
             <footer>Latchkey opens one door: your own.</footer></body></html>\n",
            Html(&title)
        )
    }
}

/// Our messages begin small and have no full stop, as error messages do; a page speaks in sentences.
fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let capital = characters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{capital}{}{stop}", characters.as_str())
}

/// Text between tags.
struct Html<'a>(&'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Marks that turn the line around would let one name look like another.
                '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                    f.write_str("\u{FFFD}")?;
                }
                _ if character.is_control() => f.write_str("\u{FFFD}")?,
                _ => fmt::Write::write_char(f, character)?,
            }
        }
        Ok(())
    }
}

const KEY: &str = "<svg viewBox=\"0 0 64 64\" width=\"64\" height=\"64\" aria-hidden=\"true\">\
    <g class=\"line\"><circle cx=\"22\" cy=\"32\" r=\"8\"/><path d=\"M30 32h20M43 32v7M50 32v5\"/></g></svg>";

const CROSS: &str = "<svg viewBox=\"0 0 64 64\" width=\"64\" height=\"64\" aria-hidden=\"true\">\
    <g class=\"line\"><path d=\"M22 22l20 20M42 22L22 42\"/></g></svg>";

const STYLE: &str = "\
:root{--bg:#f4f2ee;--card:#fff;--ink:#1d2021;--soft:#6a665f;--rule:#e4dfd6;--good:#1f6f54;--bad:#a8442a}\
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1e2126;--ink:#ece9e3;--soft:#9b968c;--rule:#30343b;--good:#62c7a0;--bad:#f08a6c}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:1.5rem;padding:1.5rem;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,Ubuntu,'Noto Sans',sans-serif}\
main{width:100%;max-width:31rem;background:var(--card);border:1px solid var(--rule);border-radius:14px;padding:2.25rem 2.25rem 1.75rem;box-shadow:inset 0 4px var(--tone),0 12px 32px rgb(0 0 0/.07);overflow:hidden}\
.good{--tone:var(--good)}.bad{--tone:var(--bad)}\
.mark{width:64px;height:64px;border-radius:50%;background:color-mix(in srgb,var(--tone) 14%,transparent);margin-bottom:1.25rem}\
.line{fill:none;stroke:var(--tone);stroke-width:4;stroke-linecap:round;stroke-linejoin:round}\
h1{font-size:1.5rem;line-height:1.25;font-weight:500;margin:0 0 1.25rem;overflow-wrap:anywhere;text-wrap:balance}\
h1 b{font-weight:700;color:var(--tone)}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.6rem 1.25rem;margin:0 0 1.5rem;padding:1rem 0;border:solid var(--rule);border-width:1px 0}\
dt{color:var(--soft)}dd{margin:0;font-weight:600;overflow-wrap:anywhere}\
.reason{margin:0 0 1rem;font-weight:600;overflow-wrap:anywhere}\
.hint{margin:0 0 1.25rem;overflow-wrap:anywhere}\
.next,footer{color:var(--soft);margin:0;text-wrap:pretty}\
code{font:600 .95em ui-monospace,'SF Mono',Menlo,Consolas,'Noto Sans Mono',monospace;color:var(--ink)}\
footer{font-size:.875rem}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_their_place() {
        for hostile in ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "a\u{202e}b", "a\r\nb'"] {
            let pages = [
                Page::Success { cluster: hostile.into(), identity: hostile.into(), provider: hostile.into() },
                Page::Failure { cluster: hostile.into(), reason: hostile.into(), hint: Some(hostile.into()) },
            ];
            for page in pages {
                let html = page.html();
                assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}'), "{html}");
                assert!(!html.contains('\r') && !html.contains("b'"), "{html}");
            }
        }
    }

    #[test]
    fn loads_nothing_from_anywhere() {
        let html = Page::Success { cluster: "c".into(), identity: "i".into(), provider: "p".into() }.html();
        for foreign in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "style=\""] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(html.contains("prefers-color-scheme:dark") && html.contains("You can close this tab"));
    }

    #[test]
    fn speaks_in_sentences() {
        assert_eq!(sentence("nobody came"), "Nobody came.");
        assert_eq!(sentence("why?"), "Why?");
        assert_eq!(sentence(""), ".");
    }
}

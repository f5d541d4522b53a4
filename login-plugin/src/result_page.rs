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
    /// Somebody else came than the one the kubeconfig is for.
    AnotherAccount {
        /// What people call the cluster.
        cluster: String,
        /// The account that was asked for.
        wanted: String,
        /// Who came, safe to print.
        found: String,
    },
    /// The same words as in the terminal.
    Failure {
        /// What people call the cluster.
        cluster: String,
        /// What happened, in fixed words or words already safe to print.
        reason: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// An answer that nobody waits for: a tab that was left behind, a second try, or an attack. Nothing of it is repeated.
    Stale,
    /// The cluster let the person in.
    Success {
        /// What people call the cluster.
        cluster: String,
        /// As whom.
        identity: String,
        /// Another person, who was logged in there before on this computer.
        instead_of: Option<String>,
        /// The provider's host.
        provider: String,
    },
}

/// What differs from page to page.
struct Parts {
    title: String,
    /// The tone: `good`, `bad` or `plain`.
    class: &'static str,
    mark: &'static str,
    /// HTML.
    heading: String,
    /// HTML.
    body: String,
}

impl Page {
    /// The whole document.
    pub(crate) fn html(&self) -> String {
        let Parts { title, class, mark, heading, body } = self.parts();
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><style>{STYLE}</style></head>\
             <body class=\"{class}\"><main><div class=\"mark\">{mark}</div><h1>{heading}</h1>{body}</main>\
             <footer>Latchkey opens one door: your own.</footer></body></html>\n",
            Html(&title)
        )
    }

    fn parts(&self) -> Parts {
        match self {
            Self::AnotherAccount { cluster, wanted, found } => Parts {
                title: format!("Another account: not logged in to {cluster}"),
                class: "bad",
                mark: CROSS,
                heading: format!("Another account: not logged in to <b>{}</b>", Html(cluster)),
                body: format!(
                    "<dl>{}{}</dl>\
                     <p class=\"hint\">Nothing was kept. To switch: log out of the identity provider in this browser, or choose \
                     the other account there, and run your command again. With <code>--prompt=select_account</code> the \
                     provider asks each time.</p><p class=\"next\">You can close this tab.</p>",
                    row("You signed in as", found),
                    row("This kubeconfig is for", wanted)
                ),
            },
            Self::Failure { cluster, reason, hint } => Parts {
                title: format!("Not logged in to {cluster}"),
                class: "bad",
                mark: CROSS,
                heading: format!("Not logged in to <b>{}</b>", Html(cluster)),
                body: format!(
                    "<p class=\"reason\">{}</p>{}<p class=\"next\">You can close this tab. The terminal says the same.</p>",
                    Html(&sentence(reason)),
                    hint.as_ref()
                        .map(|hint| format!("<p class=\"hint\">{}</p>", Html(&sentence(hint))))
                        .unwrap_or_default()
                ),
            },
            Self::Stale => Parts {
                title: "This tab belongs to another login".to_owned(),
                class: "plain",
                mark: CLOCK,
                heading: "This tab belongs to another login".to_owned(),
                body: "<p class=\"reason\">That one is over, or it was never the one that is waiting now. Nothing of it was \
                       used.</p><p class=\"hint\">If you still want to log in, go to the tab that was opened last, or run \
                       your command again.</p><p class=\"next\">You can close this tab.</p>"
                    .to_owned(),
            },
            Self::Success { cluster, identity, instead_of, provider } => Parts {
                title: format!("Logged in to {cluster}"),
                class: "good",
                mark: KEY,
                heading: format!("You are in: <b>{}</b>", Html(cluster)),
                body: format!(
                    "<dl>{}{}{}{}</dl>\
                     <p class=\"next\">You can close this tab. <code>kubectl</code> goes on by itself.</p>",
                    row("Signed in as", identity),
                    instead_of.as_deref().map(|name| row("So far it was", name)).unwrap_or_default(),
                    row("Identity provider", provider),
                    row("Opens", &format!("{cluster}, and nothing else")),
                ),
            },
        }
    }
}

fn row(term: &str, value: &str) -> String {
    format!("<dt>{}</dt><dd>{}</dd>", Html(term), Html(value))
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

const CLOCK: &str = "<svg viewBox=\"0 0 64 64\" width=\"64\" height=\"64\" aria-hidden=\"true\">\
    <g class=\"line\"><circle cx=\"32\" cy=\"32\" r=\"12\"/><path d=\"M32 25v7l5 4\"/></g></svg>";

const STYLE: &str = "\
:root{--bg:#f4f2ee;--card:#fff;--ink:#1d2021;--soft:#6a665f;--rule:#e4dfd6;--good:#1f6f54;--bad:#a8442a}\
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1e2126;--ink:#ece9e3;--soft:#9b968c;--rule:#30343b;--good:#62c7a0;--bad:#f08a6c}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:1.5rem;padding:1.5rem;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,Ubuntu,'Noto Sans',sans-serif}\
main{width:100%;max-width:31rem;background:var(--card);border:1px solid var(--rule);border-radius:14px;padding:2.25rem 2.25rem 1.75rem;box-shadow:inset 0 4px var(--tone),0 12px 32px rgb(0 0 0/.07);overflow:hidden}\
.good{--tone:var(--good)}.bad{--tone:var(--bad)}.plain{--tone:var(--soft)}\
.mark{width:64px;height:64px;border-radius:50%;background:color-mix(in srgb,var(--tone) 14%,transparent);margin-bottom:1.25rem}\
.line{fill:none;stroke:var(--tone);stroke-width:4;stroke-linecap:round;stroke-linejoin:round}\
h1{font-size:1.5rem;line-height:1.25;font-weight:500;margin:0 0 1.25rem;overflow-wrap:anywhere;text-wrap:balance}\
h1 b{font-weight:700;color:var(--tone)}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.6rem 1.25rem;margin:0 0 1.5rem;padding:1rem 0;border:solid var(--rule);border-width:1px 0}\
dt{color:var(--soft)}dd{margin:0;font-weight:600;overflow-wrap:anywhere}b,dd{unicode-bidi:isolate}\
.reason{margin:0 0 1rem;font-weight:600;overflow-wrap:anywhere}\
.hint{margin:0 0 1.25rem;overflow-wrap:anywhere}\
.next,footer{color:var(--soft);margin:0;text-wrap:pretty}\
code{font:600 .95em ui-monospace,'SF Mono',Menlo,Consolas,'Noto Sans Mono',monospace;color:var(--ink);white-space:nowrap}\
footer{font-size:.875rem}\
@media(max-width:30rem){main{padding:1.5rem 1.5rem 1.25rem}dl{grid-template-columns:1fr;gap:.1rem}dd+dt{margin-top:.6rem}}";

#[cfg(test)]
mod tests {
    use super::*;

    fn all(words: &str) -> [Page; 4] {
        let words = || words.to_owned();
        [
            Page::AnotherAccount { cluster: words(), wanted: words(), found: words() },
            Page::Failure { cluster: words(), reason: words(), hint: Some(words()) },
            Page::Stale,
            Page::Success { cluster: words(), identity: words(), instead_of: Some(words()), provider: words() },
        ]
    }

    #[test]
    fn names_cannot_break_out_of_their_place() {
        for hostile in ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "a\u{202e}b", "a\r\nb'"] {
            for page in all(hostile) {
                let html = page.html();
                assert!(!html.contains("<script") && !html.contains("<img") && !html.contains('\u{202e}'), "{html}");
                assert!(!html.contains('\r') && !html.contains("b'"), "{html}");
            }
        }
    }

    #[test]
    fn loads_nothing_from_anywhere_and_guides_on_every_page() {
        for page in all("prod-eu") {
            let html = page.html();
            for foreign in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "style=\"", "onload"] {
                assert!(!html.contains(foreign), "{foreign}: {html}");
            }
            assert!(html.contains("prefers-color-scheme:dark") && html.contains("You can close this tab"), "{html}");
        }
    }

    /// WCAG 2.2: language, title, one main landmark, one heading; pictures that say nothing are hidden; nothing moves.
    #[test]
    fn can_be_read_aloud() {
        for page in all("prod-eu") {
            let html = page.html();
            assert!(html.starts_with("<!doctype html><html lang=\"en\">"), "{html}");
            for once in ["<title>", "<main>", "<h1>", "<footer>"] {
                assert_eq!(html.matches(once).count(), 1, "{once} {html}");
            }
            assert_eq!(html.matches("<svg").count(), html.matches("aria-hidden=\"true\"").count());
            assert!(!STYLE.contains("animation") && !STYLE.contains("transition"));
        }
    }

    /// WCAG 2.2, 1.4.3 (AA): 4.5 to 1 for text of usual size, on the page and on the card, in light and in dark.
    #[test]
    fn every_colour_of_text_stands_out_from_what_is_behind_it() {
        let palettes: Vec<_> = STYLE.split(":root{").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert_eq!(palettes.len(), 2, "light and dark");
        for palette in palettes {
            let colour = |name: &str| {
                let value = palette.split(';').find_map(|pair| pair.strip_prefix(&format!("--{name}:#"))).unwrap();
                luminance(value)
            };
            for text in ["ink", "soft", "good", "bad"] {
                for ground in ["bg", "card"] {
                    let (one, other) = (colour(text), colour(ground));
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(contrast >= 4.5, "{text} on {ground} in {palette}: {contrast:.2}");
                }
            }
        }
    }

    /// Relative luminance as WCAG 2.2 defines it, of `rrggbb` or `rgb`.
    fn luminance(hex: &str) -> f64 {
        let digits = hex.len() / 3;
        let channel = |index: usize| {
            let part = &hex[index * digits..(index + 1) * digits];
            let value = u8::from_str_radix(&part.repeat(3 - digits), 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(1) + 0.0722 * channel(2)
    }

    #[test]
    fn speaks_in_sentences() {
        assert_eq!(sentence("nobody came"), "Nobody came.");
        assert_eq!(sentence("why?"), "Why?");
        assert_eq!(sentence(""), ".");
    }
}

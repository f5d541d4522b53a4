//! The page on which a person signs in, and the one that says why not.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::LOGIN;

/// No scripts, nothing from elsewhere. There is no `form-action`: Chromium applies it to the redirect after the form as well,
/// which goes to the plugin's loopback port.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6678; --paper: #fff; --ground: #eef1f6; --line: #c9d1dd; --key: #2f5bd8; --alarm: #a3231f }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ecf3; --soft: #a3aec0; --paper: #1d232d; --ground: #12161d; --line: #3a4556; --key: #86a5ff; --alarm: #ff9d96 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 24rem; padding: 2.25rem 2rem; background: var(--paper); border: 1px solid var(--line); border-radius: 14px }
h1 { margin: 0 0 .25rem; font-size: 1.4rem; line-height: 1.25 }
p { margin: 0 0 1.5rem; color: var(--soft) }
strong { color: var(--ink) }
label { display: block; margin-bottom: .3rem; font-weight: 600; font-size: .9rem }
input { width: 100%; margin-bottom: 1.1rem; padding: .65rem .75rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--ground); color: inherit; font: inherit }
button { width: 100%; padding: .7rem; border: 0; border-radius: 8px; background: var(--key); color: var(--paper); font: inherit; font-weight: 650; cursor: pointer }
input:focus-visible, button:focus-visible { outline: 3px solid var(--key); outline-offset: 2px }
.alarm { margin: 0 0 1.25rem; padding: .6rem .75rem; border-left: 4px solid var(--alarm); color: var(--alarm); font-weight: 550 }
footer { margin-top: 1.5rem; color: var(--soft); font-size: .8rem }";

/// The sign-in form for `client`. `failed` is the user name of an attempt that did not succeed.
pub(super) fn sign_in(client: &str, transaction: &str, failed: Option<&str>) -> Response {
    let alarm = match failed {
        Some(_) => r#"<p class="alarm" role="alert">User name or password is wrong.</p>"#,
        None => "",
    };
    let content = format!(
        r#"<h1>Sign in</h1>
<p>to continue to <strong>{client}</strong></p>
{alarm}
<form method="post" action="{LOGIN}">
<input type="hidden" name="transaction" value="{transaction}">
<label for="username">User name</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" value="{name}" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit" id="sign-in">Sign in</button>
</form>
<footer>An identity provider for tests. It runs on this machine only.</footer>"#,
        client = escape(client),
        transaction = escape(transaction),
        name = escape(failed.unwrap_or_default()),
    );
    let status = if failed.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    page(status, "Sign in", &content)
}

/// A request that must not be answered by a redirect, since nobody vouches for its address (RFC 6749 4.1.2.1).
pub(super) fn refused(reason: &str) -> Response {
    let content = format!("<h1>This sign-in cannot go on</h1>\n<p>{}</p>", escape(reason));
    page(StatusCode::BAD_REQUEST, "Sign-in refused", &content)
}

fn page(status: StatusCode, title: &str, content: &str) -> Response {
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{content}
</main>
</body>
</html>
"#
    );
    let mut response = (status, Html(html)).into_response();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(escape(r#"<a href="x">'&'</a>"#), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    }
}

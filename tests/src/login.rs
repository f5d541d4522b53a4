//! A person without a browser: walks the pages of an identity provider over HTTP, as a headless login.

use std::{sync::Mutex, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{
    Certificate, Client, Method, Response, StatusCode, Url,
    header::{COOKIE, LOCATION, SET_COOKIE},
    redirect,
};

use crate::install_crypto;

/// Pages and redirects between the authorization request and the client's redirect address: a login page, a consent page and
/// the redirects between them are about eight.
const MOST_STEPS: usize = 20;

/// No page of a local identity provider takes longer.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

/// The biggest page that is read.
const MOST_PAGE: usize = 1024 * 1024;

/// A headless person with a cookie jar of their own: a second login by the same one may pass without a password.
pub struct Login {
    http: Client,
    cookies: Mutex<Vec<Cookie>>,
}

struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
}

impl Login {
    /// Somebody who trusts these CAs (PEM) beside no others.
    ///
    /// # Errors
    /// If the PEM does not parse.
    pub fn new(ca_pem: &str) -> Result<Self> {
        install_crypto();
        let http = Client::builder()
            .tls_certs_only(Certificate::from_pem_bundle(ca_pem.as_bytes())?)
            .redirect(redirect::Policy::none())
            .timeout(PAGE_LIMIT)
            .no_proxy()
            .build()?;
        Ok(Self { http, cookies: Mutex::default() })
    }

    /// Goes to the authorization address, fills in the login form, agrees to whatever else is asked, and returns the redirect
    /// to the client (with `code` or `error`), which is not followed.
    ///
    /// # Errors
    /// If a page has no form, the password is refused, or the walk does not end.
    pub async fn code_for(&self, authorize_url: &str, user: &str, password: &str) -> Result<Url> {
        let authorize = Url::parse(authorize_url).context("the authorization address")?;
        let target = authorize
            .query_pairs()
            .find(|(name, _)| name == "redirect_uri")
            .map(|(_, value)| value.into_owned())
            .context("the authorization address has no redirect_uri")?;
        let target = Url::parse(&target).context("redirect_uri")?;
        let is_target = |url: &Url| url.origin() == target.origin() && url.path() == target.path();
        match self.walk(authorize, is_target, user, password).await? {
            End::Redirect(back) => Ok(back),
            End::Page(url, status, page) => bail!("{url} answered {status} without a form:\n{}", excerpt(&page)),
        }
    }

    /// Does what somebody does with the address of a device code that holds the code (RFC 8628 section 3.3.1): compares it,
    /// agrees, logs in. Returns the last page.
    ///
    /// # Errors
    /// If the password is refused, or the pages end in an error.
    pub async fn approve_device(&self, complete_url: &str, user: &str, password: &str) -> Result<String> {
        let begin = Url::parse(complete_url).context("the address of a device code")?;
        match self.walk(begin, |_| false, user, password).await? {
            End::Page(_, status, page) if status.is_success() => Ok(page),
            End::Page(url, status, page) => bail!("{url} answered {status}:\n{}", excerpt(&page)),
            End::Redirect(url) => bail!("sent to {url}"),
        }
    }

    /// Sends each page's form, filled in, and follows redirects: up to one that `ends` the walk, or a page without a form.
    async fn walk(&self, begin: Url, ends: impl Fn(&Url) -> bool, user: &str, password: &str) -> Result<End> {
        let mut password_sent = false;
        let mut step = (Method::GET, begin, None);
        for _ in 0..MOST_STEPS {
            let (method, url, form) = step;
            let response = self.send(method, &url, form.as_deref()).await?;
            if let Some(location) = response.headers().get(LOCATION) {
                let location = url.join(location.to_str()?).context("a redirect")?;
                if ends(&location) {
                    return Ok(End::Redirect(location));
                }
                step = (Method::GET, location, None);
                continue;
            }
            let status = response.status();
            let page = text(response).await?;
            let Some(mut form) = Form::first(&page) else { return Ok(End::Page(url, status, page)) };
            if form.has_password() {
                ensure!(!password_sent, "the login of {user} was refused ({status}):\n{}", excerpt(&page));
                password_sent = true;
                form.fill_in(user, password);
            } else if !status.is_success() {
                bail!("{url} answered {status}:\n{}", excerpt(&page));
            }
            let action = url.join(&form.action).context("a form's action")?;
            step = (Method::POST, action, Some(form.encode()));
        }
        bail!("no end after {MOST_STEPS} pages")
    }

    /// As [`Self::code_for`], then follows the redirect to the client as a browser does, and returns its page.
    ///
    /// # Errors
    /// As [`Self::code_for`], or if the client does not answer.
    pub async fn complete(&self, authorize_url: &str, user: &str, password: &str) -> Result<(StatusCode, String)> {
        let mut url = self.code_for(authorize_url, user, password).await?;
        for _ in 0..MOST_STEPS {
            let response = self.send(Method::GET, &url, None).await?;
            match response.headers().get(LOCATION) {
                Some(location) => url = url.join(location.to_str()?)?,
                None => return Ok((response.status(), text(response).await?)),
            }
        }
        bail!("the client redirects without end")
    }

    async fn send(&self, method: Method, url: &Url, form: Option<&[(String, String)]>) -> Result<Response> {
        let mut request = self.http.request(method, url.clone());
        let cookies = self.cookies_for(url);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        if let Some(form) = form {
            request = request.form(form);
        }
        let response = request.send().await.with_context(|| format!("asking {}", url.path()))?;
        for cookie in response.headers().get_all(SET_COOKIE) {
            self.keep(url, cookie.to_str().unwrap_or_default());
        }
        Ok(response)
    }

    fn cookies_for(&self, url: &Url) -> String {
        let host = url.host_str().unwrap_or_default();
        let cookies = self.cookies.lock().expect("nothing panics while it holds the jar");
        let fitting = cookies.iter().filter(|cookie| cookie.host == host && url.path().starts_with(&cookie.path));
        fitting.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    /// As much of RFC 6265 as a login needs: host, path, and deletion by an empty value.
    fn keep(&self, url: &Url, header: &str) {
        let mut parts = header.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let path = parts
            .find_map(|part| part.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("path")))
            .map_or("/", |(_, path)| path);
        let host = url.host_str().unwrap_or_default();
        let mut cookies = self.cookies.lock().expect("nothing panics while it holds the jar");
        cookies
            .retain(|cookie| (cookie.host.as_str(), cookie.path.as_str(), cookie.name.as_str()) != (host, path, name));
        if !value.is_empty() {
            cookies.push(Cookie {
                host: host.to_owned(),
                path: path.to_owned(),
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
    }
}

async fn text(mut response: Response) -> Result<String> {
    let mut page = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        page.extend_from_slice(&chunk);
        ensure!(page.len() <= MOST_PAGE, "a page of more than {MOST_PAGE} bytes");
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn excerpt(page: &str) -> String {
    page.chars().take(1500).collect()
}

/// Where a walk over pages ended.
enum End {
    /// A redirect to where it was to lead, not followed.
    Redirect(Url),
    /// A page that asks nothing: its address, status and text.
    Page(Url, StatusCode, String),
}

/// A page's form: where it goes and what is in it.
struct Form {
    action: String,
    inputs: Vec<Input>,
}

struct Input {
    name: String,
    value: String,
    is_password: bool,
    is_text: bool,
}

impl Form {
    /// Reads the first form of a page. Enough of HTML for login pages: tags with quoted or bare attributes.
    fn first(page: &str) -> Option<Self> {
        let start = page.find("<form")?;
        let end = page[start..].find("</form").map_or(page.len(), |length| start + length);
        let mut action = String::new();
        let mut inputs = Vec::new();
        for tag in page[start..end].split('<').skip(1) {
            let tag = tag.split('>').next().unwrap_or_default();
            let attribute = |name| attribute(tag, name);
            if tag.starts_with("form") {
                action = attribute("action").unwrap_or_default();
            } else if tag.starts_with("input")
                && let Some(name) = attribute("name")
            {
                let kind = attribute("type").unwrap_or_else(|| "text".to_owned());
                inputs.push(Input {
                    name,
                    value: attribute("value").unwrap_or_default(),
                    is_password: kind == "password",
                    is_text: kind == "text" || kind == "email",
                });
            }
        }
        Some(Self { action, inputs })
    }

    fn has_password(&self) -> bool {
        self.inputs.iter().any(|input| input.is_password)
    }

    fn fill_in(&mut self, user: &str, password: &str) {
        for input in &mut self.inputs {
            if input.is_password {
                password.clone_into(&mut input.value);
            } else if input.is_text {
                user.clone_into(&mut input.value);
            }
        }
    }

    fn encode(self) -> Vec<(String, String)> {
        self.inputs.into_iter().map(|input| (input.name, input.value)).collect()
    }
}

/// The value of ` name="value"`, ` name='value'` or ` name=value` in a tag, with the five entities that escaping writes undone.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower
        .match_indices(&format!("{name}="))
        .map(|(at, _)| at)
        .find(|at| lower[..*at].ends_with(|before: char| before.is_ascii_whitespace()))?;
    let rest = &tag[at + name.len() + 1..];
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
        _ => rest.split_ascii_whitespace().next()?,
    };
    let entities = [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_login_form() {
        let page = r#"<p>Hi</p><form autocomplete="off" action="/login?a=1&amp;b=2" method=post>
            <input type="hidden" name="prompt" value="login"/><input required type='text' name='login' placeholder="Enter">
            <input type="password" name="password"><button type="submit">Go</button></form><form action="/other"></form>"#;
        let mut form = Form::first(page).expect("a form");
        assert_eq!(form.action, "/login?a=1&b=2");
        assert!(form.has_password());
        form.fill_in("ann", "secret");
        let expected = [("prompt", "login"), ("login", "ann"), ("password", "secret")];
        assert_eq!(form.encode(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

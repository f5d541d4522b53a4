//! The authorization endpoint and the form behind it: code flow, PKCE with S256 required.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use openidconnect::url::{Url, form_urlencoded};

use super::{
    Shared,
    grants::{AuthorizationRequest, Grant},
    login_page,
};

/// A browser session's cookie.
const COOKIE: &str = "latchkey-issuer-session";

/// `GET /authorize` (RFC 6749 4.1.1, OIDC Core 3.1.2).
pub(super) async fn authorize(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let request = match read(&shared, &query) {
        Ok(request) => request,
        Err(Refusal::Page(reason)) => return login_page::refused(&reason),
        Err(Refusal::Redirect { request, error, description }) => {
            return redirect(&shared, &request, &[("error", error), ("error_description", description)]);
        }
    };
    if let Some(error) = &shared.settings().authorize_error {
        return redirect(&shared, &request, &[("error", error), ("error_description", "refused on command")]);
    }
    let prompt = query.one("prompt").unwrap_or_default();
    let session = cookie(&headers).and_then(|session| shared.grants().user_of_session(session));
    if shared.settings().single_sign_on
        && prompt != "login"
        && let Some((name, authenticated_at)) = session
        && let Some(user) = shared.user(&name)
    {
        let code = shared.grants().code(Grant { request: request.clone(), user, authenticated_at }, shared.now());
        return redirect(&shared, &request, &[("code", &code)]);
    }
    if prompt == "none" {
        return redirect(&shared, &request, &[("error", "login_required")]);
    }
    let client = request.client.clone();
    let transaction = shared.grants().begin_login(request);
    login_page::sign_in(&client, &transaction, None)
}

/// `POST /login`, the form's action.
pub(super) async fn login(State(shared): State<Arc<Shared>>, form: String) -> Response {
    let form = Parameters::parse(form.as_bytes());
    let (Some(transaction), Some(name), Some(password)) =
        (form.one("transaction"), form.one("username"), form.one("password"))
    else {
        return login_page::refused("The form is incomplete.");
    };
    let Some(client) = shared.grants().login(transaction).map(|request| request.client.clone()) else {
        return login_page::refused("This login is over, or it never began here.");
    };
    let Some(user) = shared.user(name).filter(|user| user.password == password) else {
        return login_page::sign_in(&client, transaction, Some(name));
    };
    let now = shared.now();
    let (request, code, session) = {
        let mut grants = shared.grants();
        let Some(request) = grants.end_login(transaction) else {
            return login_page::refused("This login is over.");
        };
        let session = grants.session(&user.name, now);
        let code = grants.code(Grant { request: request.clone(), user, authenticated_at: now }, now);
        (request, code, session)
    };
    let mut response = redirect(&shared, &request, &[("code", &code)]);
    let cookie = format!("{COOKIE}={session}; Path=/; Secure; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A request without both client and a redirect address that the client registered gets a page; every later fault goes back to
/// the client (RFC 6749 4.1.2.1).
enum Refusal {
    Page(String),
    Redirect { request: Box<AuthorizationRequest>, error: &'static str, description: &'static str },
}

fn read(shared: &Shared, query: &Parameters) -> Result<AuthorizationRequest, Refusal> {
    let page = |reason: &str| Refusal::Page(reason.to_owned());
    if let Some(name) = query.repeated() {
        return Err(Refusal::Page(format!("The parameter {name} stands there twice.")));
    }
    let client = query.one("client_id").ok_or_else(|| page("There is no client_id."))?;
    let client = shared.client(client).ok_or_else(|| Refusal::Page(format!("Nobody registered {client}.")))?;
    let redirect_uri = query.one("redirect_uri").ok_or_else(|| page("There is no redirect_uri."))?;
    if !client.redirect_uris.iter().any(|registered| fits(registered, redirect_uri)) {
        return Err(Refusal::Page(format!("{redirect_uri} is not a redirect address of {}.", client.id)));
    }
    let owned = |name| query.one(name).map(str::to_owned);
    let request = AuthorizationRequest {
        client: client.id,
        redirect_uri: redirect_uri.to_owned(),
        state: owned("state"),
        nonce: owned("nonce"),
        code_challenge: owned("code_challenge").unwrap_or_default(),
        scopes: query.one("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    let fault = if query.one("response_type") != Some("code") {
        Some(("unsupported_response_type", "only response_type=code is supported"))
    } else if !request.scopes.iter().any(|scope| scope == "openid") {
        Some(("invalid_scope", "the scope openid is missing"))
    } else if request.code_challenge.is_empty() || query.one("code_challenge_method") != Some("S256") {
        // RFC 9700 2.1.1: PKCE for every client; RFC 7636 4.2: S256.
        Some(("invalid_request", "PKCE with code_challenge_method=S256 is required"))
    } else {
        None
    };
    match fault {
        None => Ok(request),
        Some((error, description)) => Err(Refusal::Redirect { request: Box::new(request), error, description }),
    }
}

/// Equal, but for the port of a loopback address (RFC 8252 7.3). identity providers that allow this for `localhost` too are many.
fn fits(registered: &str, asked: &str) -> bool {
    let (Ok(registered), Ok(mut asked)) = (Url::parse(registered), Url::parse(asked)) else {
        return false;
    };
    let loopback = matches!(registered.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    if loopback && registered.scheme() == "http" && asked.set_port(registered.port()).is_err() {
        return false;
    }
    registered == asked
}

/// Back to the client, with `state` as it came and `iss` (RFC 9207).
fn redirect(shared: &Shared, request: &AuthorizationRequest, parameters: &[(&str, &str)]) -> Response {
    let Ok(mut url) = Url::parse(&request.redirect_uri) else {
        return login_page::refused("The redirect address is not an address.");
    };
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(parameters);
        if let Some(state) = &request.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", &shared.url);
    }
    match HeaderValue::from_str(url.as_str()) {
        // 303: the form's POST must not be repeated at the client, which would hand it the password.
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => login_page::refused("The redirect address does not fit into a header."),
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split("; "))
        .find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Form parameters in order.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub(super) fn one(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A name that stands there more than once, which RFC 6749 3.1 forbids.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_address_fits_but_for_a_loopback_port() {
        for (registered, asked, expected) in [
            ("http://127.0.0.1/callback", "http://127.0.0.1:43021/callback", true),
            ("http://127.0.0.1:1/callback", "http://127.0.0.1/callback", true),
            ("http://[::1]/callback", "http://[::1]:43021/callback", true),
            ("http://127.0.0.1/callback", "http://127.0.0.1:43021/other", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:43021/callback?x=1", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1.evil.example/callback", false),
            ("http://127.0.0.1/callback", "https://127.0.0.1:43021/callback", false),
            ("https://app.example/callback", "https://app.example:8443/callback", false),
            ("https://app.example/callback", "https://app.example/callback", true),
        ] {
            assert_eq!(fits(registered, asked), expected, "{registered} {asked}");
        }
    }

    #[test]
    fn a_repeated_parameter_is_noticed() {
        assert_eq!(Parameters::parse(b"a=1&b=2&a=3").repeated(), Some("a"));
        assert_eq!(Parameters::parse(b"a=1&b=2").repeated(), None);
    }
}

//! What the redirect listener answers to each request: the table of who may say what, and the headers.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::Progress;
use crate::authorization_response::{Expected, ResponseError, judge};
use crate::result_page::{Page, STYLE_HASH};
use crate::secret::Secret;

/// A form post holds what a redirect URL holds.
const FORM_MAX_BYTES: usize = 1024 * 1024;

/// For the body of a form post, from the same computer.
const FORM_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of randomness in the address of the result page, so that nobody else on this computer finds it.
const PAGE_NAME_BYTES: usize = 16;

/// Words for requests that are not ours. Nothing of the request is repeated in them.
const NOT_OURS: &str = "This response was not for the login that is waiting here.\n";

/// Answers requests to the redirect listener.
#[derive(Debug)]
pub(super) struct Answerer {
    authority: String,
    callback_path: String,
    expected: Expected,
    origins: Vec<String>,
    page_path: String,
    answers: mpsc::Sender<Result<Secret, ResponseError>>,
    noise: mpsc::Sender<()>,
    pages: watch::Receiver<Option<Arc<Page>>>,
    progress: watch::Sender<Progress>,
}

impl Answerer {
    pub(super) fn new(
        (authority, callback_path): (String, String),
        expected: Expected,
        origins: Vec<String>,
        (answers, noise): (mpsc::Sender<Result<Secret, ResponseError>>, mpsc::Sender<()>),
        pages: watch::Receiver<Option<Arc<Page>>>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let mut name = [0; PAGE_NAME_BYTES];
        rand::fill(&mut name).expect("the operating system gives random bytes");
        let page_path = format!("/done/{}", BASE64_URL_SAFE_NO_PAD.encode(name));
        Self { authority, callback_path, expected, origins, page_path, answers, noise, pages, progress }
    }

    /// The answer to one request. Only the one that is ours, or says that our login failed, ends the wait.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        // A page elsewhere may have pointed its own name at 127.0.0.1 (DNS rebinding).
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        if host != Some(self.authority.as_str()) {
            return words(StatusCode::FORBIDDEN, NOT_OURS);
        }
        if request.uri().path() == self.page_path && request.method() == Method::GET {
            return self.show();
        }
        if request.uri().path() != self.callback_path {
            return words(StatusCode::NOT_FOUND, NOT_OURS);
        }
        match *request.method() {
            Method::GET => {
                let parameters = request.uri().query().unwrap_or_default().to_owned();
                self.receive(&parameters).await
            }
            // Taken, and not asked for: nothing could be pasted from it, the redirect below leaves no code behind in the
            // address bar either, and browsers are getting stricter about forms that lead from the web to this computer.
            Method::POST => match self.form(request).await {
                Ok(parameters) => self.receive(&parameters).await,
                Err(status) => words(status, NOT_OURS),
            },
            Method::OPTIONS => self.preflight(&request),
            _ => {
                let mut response = words(StatusCode::METHOD_NOT_ALLOWED, NOT_OURS);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, OPTIONS"));
                response
            }
        }
    }

    async fn receive(&self, parameters: &str) -> Response<Full<Bytes>> {
        let judged = judge(parameters, &self.expected);
        if judged.as_ref().is_err_and(ResponseError::is_noise) {
            let _known_already = self.noise.try_send(());
            return page(StatusCode::BAD_REQUEST, &Page::Stale);
        }
        // The first answer counts. The same one delivered twice finds nobody listening and waits for the same page.
        let _second_delivery = self.answers.try_send(judged);
        self.progress.send_if_modified(|progress| {
            let first = *progress == Progress::Nothing;
            if first {
                *progress = Progress::Waiting;
            }
            first
        });
        let mut pages = self.pages.clone();
        match pages.wait_for(Option::is_some).await {
            // Away from the address that holds the code, out of the history.
            Ok(_) => see_other(&self.page_path),
            Err(_) => page(StatusCode::SERVICE_UNAVAILABLE, &Page::Stale),
        }
    }

    fn show(&self) -> Response<Full<Bytes>> {
        let Some(shown) = self.pages.borrow().clone() else { return words(StatusCode::NOT_FOUND, NOT_OURS) };
        self.progress.send_replace(Progress::Delivered);
        page(StatusCode::OK, &shown)
    }

    async fn form(&self, request: Request<Incoming>) -> Result<String, StatusCode> {
        // A form that the provider's page posts carries that page's origin, or `null` if the page hides it.
        if let Some(origin) = request.headers().get(header::ORIGIN)
            && origin != "null"
            && !self.is_welcome(origin)
        {
            return Err(StatusCode::FORBIDDEN);
        }
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/x-www-form-urlencoded") {
            return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let body = timeout(FORM_TIMEOUT, Limited::new(request.into_body(), FORM_MAX_BYTES).collect())
            .await
            .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
            .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?
            .to_bytes();
        String::from_utf8(body.to_vec()).map_err(|_| StatusCode::BAD_REQUEST)
    }

    /// Browsers ask before they let a public page talk to a private address (Private Network Access).
    fn preflight(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(origin) = request.headers().get(header::ORIGIN).filter(|origin| self.is_welcome(origin)) else {
            return words(StatusCode::FORBIDDEN, NOT_OURS);
        };
        let mut response = words(StatusCode::NO_CONTENT, "");
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        headers
            .insert(HeaderName::from_static("access-control-allow-private-network"), HeaderValue::from_static("true"));
        if let Some(wanted) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        response
    }

    fn is_welcome(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|welcome| origin.as_bytes() == welcome.as_bytes())
    }
}

fn see_other(path: &str) -> Response<Full<Bytes>> {
    let mut response = words(StatusCode::SEE_OTHER, "");
    let location = HeaderValue::from_str(path).expect("base64url and slashes are header text");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn page(status: StatusCode, page: &Page) -> Response<Full<Bytes>> {
    respond(status, "text/html; charset=utf-8", page.html())
}

fn words(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let policy = format!(
        "default-src 'none'; style-src '{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        *STYLE_HASH
    );
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_str(&policy).expect("base64 and ASCII are header text"),
    );
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    response
}

//! One https server that is all the issuers: each has a path of its own, with a discovery document and a key set.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{Request, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::plan::Setup;
use crate::{
    install_crypto,
    issuer::{
        Certificate,
        server::{Authority, Listener, Service},
    },
    place::Place,
};

/// Where the key set of an issuer is, below its path.
const KEYS: &str = "/keys";

/// The running server; it ends when dropped.
pub struct Issuers {
    published: Arc<Mutex<HashMap<String, Published>>>,
    url: String,
    ca: String,
    _listener: Listener,
}

/// What one issuer says.
#[derive(Clone)]
struct Published {
    issuer: String,
    keys: String,
}

impl Issuers {
    /// Starts the server, with no issuer yet.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start() -> Result<Self> {
        install_crypto();
        let published = Arc::<Mutex<HashMap<String, Published>>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&published));
        let authority = Authority::make("conformance issuers' CA")?;
        let tls = Arc::new(Mutex::new(authority.tls(Certificate::Good)?));
        let listener = Listener::bind(&Place::here(), 0, Service::plain(router), Some(tls)).await?;
        let url = format!("https://127.0.0.1:{}", listener.port());
        Ok(Self { published, url, ca: authority.pem(), _listener: listener })
    }

    /// `https://host:port`, below which all issuers are.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate authority of the server's certificate.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// Lets the issuer of `setup` be found, with this key set document.
    pub fn publish(&self, setup: &Setup, keys: String) {
        let published = Published { issuer: setup.issuer().to_owned(), keys };
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(setup.path.clone(), published);
    }
}

/// `/c/<number>/keys` is a key set; anything else below `/c/<number>/` is the discovery document, wherever a case wants it.
async fn answer(State(published): State<Arc<Mutex<HashMap<String, Published>>>>, request: Request<Body>) -> Response {
    let path = request.uri().path();
    let of_issuer = path.match_indices('/').nth(2).map(|(end, _)| path.split_at(end));
    let Some((issuer_path, rest)) = of_issuer else { return StatusCode::NOT_FOUND.into_response() };
    let found = published.lock().unwrap_or_else(PoisonError::into_inner).get(issuer_path).cloned();
    let Some(Published { issuer, keys }) = found else { return StatusCode::NOT_FOUND.into_response() };
    if rest == KEYS {
        // Fresh for longer than a run: kube-apiserver asks once.
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "max-age=3600")];
        return (headers, keys).into_response();
    }
    let host = request.uri().authority().map(ToString::to_string);
    let host = host.or_else(|| Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned()));
    let keys = format!("https://{}{issuer_path}{KEYS}", host.unwrap_or_default());
    Json(json!({ "issuer": issuer, "jwks_uri": keys })).into_response()
}

//! A server that judges opaque tokens by the `TokenReview` API, as a user of a `WebhookAuthenticator` would run one.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use latchkey_concierge::{
    runtime::{
        http_server::{self, Limits},
        metrics::Metrics,
    },
    tls::server::Tls,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The server; it ends when it is dropped.
pub struct Webhook {
    authority: CertifiedIssuer<'static, KeyPair>,
    port: u16,
    tokens: Arc<Tokens>,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Which token is whose, and what was asked.
#[derive(Default)]
struct Tokens {
    users: Mutex<BTreeMap<String, Value>>,
    /// The one version that is spoken.
    version: Mutex<String>,
    asked: Mutex<Vec<Value>>,
}

// === impl Webhook ===

impl Webhook {
    /// A server that knows no token and speaks `version` only, `v1` or `v1beta1`.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(version: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the webhook's CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let tokens = Arc::new(Tokens { version: Mutex::new(version.to_owned()), ..Tokens::default() });
        let mut webhook = Self { authority, port: 0, tokens, running: None };
        webhook.listen().await?;
        Ok(webhook)
    }

    /// Takes requests again, at the address of before.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub async fn listen(&mut self) -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.context("listening as a webhook")?;
        self.port = listener.local_addr()?.port();
        let (_, certificate) = watch::channel(Some(Arc::new(self.certificate()?)));
        let stop = CancellationToken::new();
        let router = Router::new().route("/review", post(review)).with_state(Arc::clone(&self.tokens));
        let tls = Tls::new(certificate)?;
        let serve = http_server::serve(listener, tls, router, Limits::default(), Metrics::new(), stop.clone());
        self.running = Some(Running { stop, task: tokio::spawn(serve) });
        Ok(())
    }

    /// Goes away: its address refuses connections.
    ///
    /// # Errors
    /// If it ended by a panic.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            running.task.await?;
        }
        Ok(())
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/review", self.port)
    }

    /// The CA of its certificate.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// From now on `token` is that of `user`, an object as in `status.user`.
    pub fn know(&self, token: &str, user: Value) {
        lock(&self.tokens.users).insert(token.to_owned(), user);
    }

    /// From now on `token` is nobody's.
    pub fn forget(&self, token: &str) {
        lock(&self.tokens.users).remove(token);
    }

    /// What was asked, in order, also what was not answered.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        lock(&self.tokens.asked).clone()
    }

    fn certificate(&self) -> Result<CertifiedKey> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &self.authority)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::from_der(vec![certificate.der().clone()], key, &aws_lc_rs::default_provider())?)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.task.abort();
        }
    }
}

async fn review(State(tokens): State<Arc<Tokens>>, Json(review): Json<Value>) -> Result<Json<Value>, StatusCode> {
    lock(&tokens.asked).push(review.clone());
    let version = format!("authentication.k8s.io/{}", lock(&tokens.version));
    // As Go's decoder of Kubernetes objects does with a version that was not registered.
    if review["apiVersion"] != version || review["kind"] != "TokenReview" {
        return Err(StatusCode::BAD_REQUEST);
    }
    let user = review["spec"]["token"].as_str().and_then(|token| lock(&tokens.users).get(token).cloned());
    let status = match user {
        Some(user) => json!({"authenticated": true, "user": user}),
        None => json!({"authenticated": false}),
    };
    Ok(Json(json!({"apiVersion": version, "kind": "TokenReview", "status": status})))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

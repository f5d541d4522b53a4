//! The issuer's listeners: TLS as a test wants it, requests counted, faults applied.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::faults::{Endpoint, Faults};
use crate::place::Place;

/// Connections at once; a test that opens more has a leak.
const MOST_CONNECTIONS: usize = 4096;

/// A TLS handshake, and a request's header, must be there by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the issuer's TLS certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Of the announced CA, for this host, valid now.
    Good,
    /// Ended years ago.
    Expired,
    /// For another host name.
    OtherHost,
    /// Of a CA that nobody was told of.
    UnknownAuthority,
}

/// The issuer's certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    names: Vec<String>,
}

impl Authority {
    pub(crate) fn make(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?, names })
    }

    /// The same, whose certificates are for this place too.
    pub(super) fn at(mut self, place: &Place) -> Self {
        self.names.push(place.address().to_string());
        self
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A serving certificate and its key, both PEM.
    pub(super) fn serving_pem(&self, certificate: Certificate) -> Result<(String, String)> {
        let (certificate, key) = self.sign(certificate)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    pub(crate) fn tls(&self, certificate: Certificate) -> Result<Arc<ServerConfig>> {
        let (certificate, key) = match certificate {
            Certificate::UnknownAuthority => {
                Self { names: self.names.clone(), ..Self::make("somebody else's CA")? }.sign(Certificate::Good)?
            }
            other => self.sign(other)?,
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn sign(&self, certificate: Certificate) -> Result<(rcgen::Certificate, KeyPair)> {
        let names = match certificate {
            Certificate::OtherHost => vec!["elsewhere.example".to_owned()],
            _ => self.names.clone(),
        };
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "issuer");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if certificate == Certificate::Expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        }
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

/// Counts requests by path and keeps the last one's headers.
#[derive(Default)]
pub(super) struct Ledger(Mutex<BTreeMap<String, (u64, HeaderMap)>>);

/// Paths that are told apart; a flood of others counts as `/*`.
const MOST_PATHS: usize = 256;

impl Ledger {
    fn note<B>(&self, request: &Request<B>) {
        let mut paths = self.paths();
        let path = request.uri().path();
        let path = if paths.contains_key(path) || paths.len() < MOST_PATHS { path } else { "/*" };
        let (count, headers) = paths.entry(path.to_owned()).or_default();
        *count += 1;
        headers.clone_from(request.headers());
    }

    pub(super) fn count(&self, path: &str) -> u64 {
        self.paths().get(path).map_or(0, |(count, _)| *count)
    }

    pub(super) fn total(&self) -> u64 {
        self.paths().values().map(|(count, _)| count).sum()
    }

    pub(super) fn last_headers(&self, path: &str) -> Option<HeaderMap> {
        self.paths().get(path).map(|(_, headers)| headers.clone())
    }

    fn paths(&self) -> MutexGuard<'_, BTreeMap<String, (u64, HeaderMap)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What answers requests.
#[derive(Clone)]
pub(crate) struct Service {
    pub(super) router: Router,
    pub(super) faults: Arc<Faults>,
    pub(super) ledger: Arc<Ledger>,
}

impl Service {
    /// Answers by `router` and never misbehaves.
    pub(crate) fn plain(router: Router) -> Self {
        Self { router, faults: Arc::new(Faults::new()), ledger: Arc::default() }
    }

    /// Counts, misbehaves if told to, answers. An error closes the connection.
    async fn answer(self, request: Request<Body>) -> io::Result<Response<Body>> {
        self.ledger.note(&request);
        let fault = match Endpoint::of(request.uri().path()) {
            Some(endpoint) => self.faults.next(endpoint).await,
            None => None,
        };
        if let Some(answer) = fault.as_ref().and_then(super::Fault::instead) {
            return answer;
        }
        let Ok(answer) = self.router.oneshot(request).await;
        match fault {
            Some(fault) => Ok(fault.spoil(answer).await),
            None => Ok(answer),
        }
    }
}

/// A listener with its connections; they end when it is dropped.
pub(crate) struct Listener {
    port: u16,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens in a place; port 0 takes any. Without TLS it speaks plain HTTP.
    pub(crate) async fn bind(place: &Place, port: u16, service: Service, tls: Option<TlsSlot>) -> Result<Self> {
        let place = place.clone();
        let listener = tokio::task::spawn_blocking(move || place.listen(port)).await??;
        let listener = TcpListener::from_std(listener)?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(accept(listener, service, tls));
        Ok(Self { port, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Closes the listener and every connection, and waits until they are closed.
    pub(super) async fn close(mut self) {
        self.task.abort();
        // The only error is the cancellation just asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The TLS configuration for the next handshake.
pub(crate) type TlsSlot = Arc<Mutex<Arc<ServerConfig>>>;

async fn accept(listener: TcpListener, service: Service, tls: Option<TlsSlot>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                let Ok((stream, _)) = accepted else { continue };
                let service = service.clone();
                let tls = tls.as_ref().map(|slot| Arc::clone(&slot.lock().unwrap_or_else(PoisonError::into_inner)));
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, service).await,
                        Some(config) => {
                            let handshake = TlsAcceptor::from(config).accept(stream);
                            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, handshake).await {
                                serve(stream, service).await;
                            }
                        }
                    }
                });
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, service: Service) {
    let answer = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        service.clone().answer(request.map(Body::new))
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    server.http2().timer(TokioTimer::new());
    // Errors are the peer's business: it went away, or we dropped it on command.
    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
}

//! A TLS server on loopback that answers as it is told, well or badly.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use latchkey_concierge::idp::http::{HttpsUrl, IssuerClient, Limits};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What the server does on one path.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Status line, headers and body, with the right `Content-Length`.
    Plain { status: &'static str, headers: String, body: Vec<u8> },
    /// 200 and one byte after the other, a little later each, for ever.
    Drip,
    /// 200 and chunks without end.
    Endless,
    /// Nothing at all.
    Silent,
    /// The first of these whose text stands in the request; 404 if none does.
    Choice(Vec<(&'static str, Answer)>),
    /// 200 with a `Content-Length` that is larger than what follows.
    CutOff,
}

/// A TLS server on loopback; gone when dropped.
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) root: CertificateDer<'static>,
    requests: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<BTreeMap<&'static str, Answer>>>,
    _tasks: JoinSet<()>,
}

/// A certificate authority of a test.
pub(crate) struct Authority {
    pub(crate) root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        Self::with(&Authority::new(), CertificateParams::new(names).unwrap()).await
    }

    pub(crate) async fn with(authority: &Authority, leaf: CertificateParams) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), authority, &leaf)
    }

    /// At the address of a server that is gone.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Self::on(listener, &Authority::new(), &CertificateParams::new(["127.0.0.1".to_owned()]).unwrap())
    }

    fn on(listener: TcpListener, authority: &Authority, leaf: &CertificateParams) -> Self {
        let base = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (requests, answers) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<BTreeMap<_, _>>>::default());
        let acceptor = authority.acceptor(leaf);
        let mut tasks = JoinSet::new();
        let (seen, known) = (Arc::clone(&requests), Arc::clone(&answers));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(acceptor.clone(), stream, Arc::clone(&seen), Arc::clone(&known)));
            }
        });
        Self { base, root: authority.root.clone(), requests, answers, _tasks: tasks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.base.trim_start_matches("https://").parse().unwrap()
    }

    pub(crate) fn client(&self) -> IssuerClient {
        IssuerClient::new(Some(std::slice::from_ref(&self.root)), Limits::default()).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> HttpsUrl {
        format!("{}{path}", self.base).parse().unwrap()
    }

    pub(crate) fn answer(&self, path: &'static str, answer: Answer) {
        self.answers.lock().unwrap().insert(path, answer);
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<BTreeMap<&'static str, Answer>>>,
) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    while let Some(request) = read_request(&mut stream).await {
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut answer = answers.lock().unwrap().get(path.as_str()).cloned();
        if let Some(Answer::Choice(choices)) = answer {
            answer = choices.into_iter().find(|(text, _)| request.contains(text)).map(|(_, answer)| answer);
        }
        requests.lock().unwrap().push(request);
        let answer = answer.unwrap_or_else(|| Answer::plain("404 Not Found", "", b""));
        if answer.send(&mut stream).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut request = String::from_utf8(head).ok()?;
    let length = request.to_ascii_lowercase().split("content-length: ").nth(1).and_then(|rest| {
        let digits = rest.split('\r').next()?;
        digits.parse().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    request.push_str(&String::from_utf8(body).ok()?);
    Some(request)
}

// === impl Answer ===

impl Answer {
    pub(crate) fn plain(status: &'static str, headers: &str, body: &[u8]) -> Self {
        Self::Plain { status, headers: headers.to_owned(), body: body.to_vec() }
    }

    pub(crate) fn json(headers: &str, body: &serde_json::Value) -> Self {
        let headers = format!("Content-Type: application/json\r\n{headers}");
        Self::plain("200 OK", &headers, body.to_string().as_bytes())
    }

    async fn send(self, stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
        match self {
            Self::Plain { status, headers, body } => {
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&body).await?;
            }
            Self::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?;
                loop {
                    stream.write_all(b" ").await?;
                    stream.flush().await?;
                    // Not a wait for anything: the pace of a server that is slow on purpose.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Self::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
                loop {
                    stream.write_all(chunk.as_bytes()).await?;
                }
            }
            Self::Silent | Self::Choice(_) => std::future::pending().await,
            Self::CutOff => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}").await?;
                stream.shutdown().await?;
            }
        }
        stream.flush().await
    }
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { root, issuer: Issuer::new(params, key) }
    }

    fn acceptor(&self, leaf: &CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.signed_by(&key, &self.issuer).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

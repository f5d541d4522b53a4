//! The TLS side of a listener: a certificate that may change at any time, and client certificates asked for but judged
//! later.

use std::{fmt, sync::Arc};

use http::Extensions;
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, UnixTime as PkiTime};
use tokio::{net::TcpStream, sync::watch};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::client_chain::ClientChain;
use crate::runtime::{
    http_server::{Accepted, Handshake, Protocol},
    metrics::HandshakeFailure,
};

/// The serving certificate and its key as they are now; `None` until there is one.
pub type ServingCertificate = watch::Receiver<Option<Arc<CertifiedKey>>>;

/// Turns TCP connections into TLS ones.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: ServingCertificate,
}

/// Shows whatever certificate stands in the watch channel at the moment of the handshake.
#[derive(Debug)]
struct CurrentCertificate(ServingCertificate);

/// Asks for a client certificate, checks that the peer holds its key, and believes nothing else of it.
///
/// rustls' own verifier would fix the CAs when the listener starts and would answer a foreign certificate with a TLS
/// alert. Here the chain goes to the request layer, which asks the CAs of the moment: they may rotate without a single
/// reconnect, and a foreign certificate gets a readable 401, as with Go's servers.
#[derive(Debug)]
struct PossessionOnly(Arc<CryptoProvider>);

// === impl Tls ===

impl Tls {
    /// Serves with `certificate`.
    ///
    /// # Errors
    /// If the crypto library supports neither TLS 1.3 nor 1.2, which would be a build fault.
    pub fn new(certificate: ServingCertificate) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_client_cert_verifier(Arc::new(PossessionOnly(provider)))
            .with_cert_resolver(Arc::new(CurrentCertificate(certificate.clone())));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    fn failure(&self) -> HandshakeFailure {
        if self.certificate.borrow().is_none() { HandshakeFailure::NoCertificate } else { HandshakeFailure::Protocol }
    }
}

impl Handshake for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn perform(&self, stream: TcpStream) -> Result<Accepted<Self::Stream>, HandshakeFailure> {
        let stream = self.acceptor.accept(stream).await.map_err(|_| self.failure())?;
        let (_, session) = stream.get_ref();
        let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
        let mut extensions = Extensions::new();
        if let Some(chain) = session.peer_certificates().and_then(ClientChain::new) {
            extensions.insert(chain);
        }
        Ok(Accepted { stream, protocol, extensions })
    }
}

// === impl CurrentCertificate ===

impl ResolvesServerCert for CurrentCertificate {
    /// `None` refuses the handshake: before there is a certificate, nobody can be served.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.borrow().clone()
    }
}

// === impl PossessionOnly ===

impl ClientCertVerifier for PossessionOnly {
    fn offer_client_auth(&self) -> bool {
        true
    }

    /// Kubelet's probes and people without a credential bring none.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: client-go sends its certificate whatever we hint, and the CAs may change while the listener runs.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: PkiTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use axum::{Router, extract::Request, routing::get};
    use rcgen::{CertificateParams, KeyPair};
    use rustls::{ClientConfig, RootCertStore, pki_types::PrivateKeyDer};
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};
    use tokio_rustls::TlsConnector;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::runtime::{
        http_server::{self, Limits},
        metrics::Metrics,
    };

    struct Identity {
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    }

    fn identity(name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        Identity { certificate: certificate.der().clone(), key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
    }

    fn certified(identity: &Identity) -> Arc<CertifiedKey> {
        let provider = aws_lc_rs::default_provider();
        let chain = vec![identity.certificate.clone()];
        Arc::new(CertifiedKey::from_der(chain, identity.key.clone_key(), &provider).unwrap())
    }

    fn connector(trusting: &Identity, client: Option<&Identity>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(trusting.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            Some(client) => {
                config.with_client_auth_cert(vec![client.certificate.clone()], client.key.clone_key()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }

    /// Answers how many certificates the client showed.
    async fn start(certificate: ServingCertificate) -> (SocketAddr, Metrics) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Metrics::new();
        let router = Router::new().route(
            "/",
            get(async |request: Request| match request.extensions().get::<ClientChain>() {
                Some(_) => "a chain",
                None => "no chain",
            }),
        );
        let limits = Limits { handshake: Duration::from_millis(100), ..Limits::default() };
        let tls = Tls::new(certificate).unwrap();
        tokio::spawn(http_server::serve(listener, tls, router, limits, metrics.clone(), CancellationToken::new()));
        (address, metrics)
    }

    async fn ask(address: SocketAddr, connector: &TlsConnector) -> std::io::Result<String> {
        let stream = TcpStream::connect(address).await?;
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    #[tokio::test]
    async fn handshakes_are_refused_until_there_is_a_certificate_and_follow_its_rotation() {
        let (sender, receiver) = watch::channel(None);
        let (address, metrics) = start(receiver).await;
        let (old, new) = (identity("localhost"), identity("localhost"));
        assert!(ask(address, &connector(&old, None)).await.is_err());
        assert!(
            metrics
                .encode(crate::time::UnixTime::from_secs(0))
                .contains("latchkey_tls_handshake_failures_total{cause=\"no-certificate\"} 1\n")
        );
        sender.send_replace(Some(certified(&old)));
        assert!(ask(address, &connector(&old, None)).await.unwrap().ends_with("no chain"));
        sender.send_replace(Some(certified(&new)));
        assert!(ask(address, &connector(&new, None)).await.unwrap().ends_with("no chain"));
        assert!(ask(address, &connector(&old, None)).await.is_err());
    }

    #[tokio::test]
    async fn any_client_certificate_reaches_the_request_layer() {
        let ours = identity("localhost");
        let (_sender, receiver) = watch::channel(Some(certified(&ours)));
        let (address, _) = start(receiver).await;
        let stranger = identity("somebody");
        assert!(ask(address, &connector(&ours, Some(&stranger))).await.unwrap().ends_with("a chain"));
    }

    #[tokio::test]
    async fn a_handshake_that_stalls_is_ended() {
        let ours = identity("localhost");
        let (_sender, receiver) = watch::channel(Some(certified(&ours)));
        let (address, _) = start(receiver).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut rest = Vec::new();
        assert!(matches!(tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut rest).await, Ok(0) | Err(_)));
    }
}

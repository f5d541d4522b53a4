//! Whether a webhook's server can be reached at all: a TCP connection and a TLS handshake, and not one byte more.

use std::{error::Error, fmt, io, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::idp::{
    addresses::{self, Refused},
    http::{CONNECT_TIMEOUT, ClientError, FetchError, HttpsUrl, cut, find, root_cause, system_roots},
    proxy::Proxies,
};

/// How the server can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialed {
    /// It was.
    Directly,
    /// Through the configured proxy; nothing was tried, because only the proxy knows the way.
    ByProxy,
}

/// Dials one server.
pub(super) struct Dialer {
    url: HttpsUrl,
    by_proxy: bool,
    connector: TlsConnector,
}

// === impl Dialer ===

impl Dialer {
    pub(super) fn new(
        url: &HttpsUrl,
        roots: Option<&[CertificateDer<'static>]>,
        proxies: &Proxies,
    ) -> Result<Self, ClientError> {
        let mut store = RootCertStore::empty();
        match roots {
            Some(roots) => {
                for root in roots {
                    store.add(root.clone()).map_err(|error| ClientError::Bundle(cut(&error.to_string())))?;
                }
            }
            None => {
                store.add_parsable_certificates(system_roots()?);
            }
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Bundle(cut(&error.to_string())))?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A loopback host is never asked by a proxy, as by the client.
        let by_proxy = !addresses::is_loopback(url.url()) && proxies.apply_to(url.url());
        Ok(Self { url: url.clone(), by_proxy, connector: TlsConnector::from(Arc::new(config)) })
    }

    /// # Errors
    /// When there is no connection within [`CONNECT_TIMEOUT`].
    pub(super) async fn dial(&self) -> Result<Dialed, FetchError> {
        let url = self.url.url();
        if let Some(refused) = addresses::refused_host(url) {
            return Err(FetchError::AddressRefused(refused.to_string()));
        }
        if self.by_proxy {
            return Ok(Dialed::ByProxy);
        }
        timeout(CONNECT_TIMEOUT, self.connect()).await.map_err(|_| FetchError::Timeout(CONNECT_TIMEOUT))??;
        Ok(Dialed::Directly)
    }

    async fn connect(&self) -> Result<(), FetchError> {
        let url = self.url.url();
        // Brackets belong to the URL, not to the address.
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let found = addresses::lookup(host, url.port_or_known_default().unwrap_or(443)).await;
        let found = found.map_err(|error| match error.downcast_ref::<Refused>() {
            Some(refused) => FetchError::AddressRefused(refused.to_string()),
            None => FetchError::Dns(cut(&error.to_string())),
        })?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| FetchError::Dns(cut(&error.to_string())))?;
        let mut last = FetchError::Dns("it has no address".to_owned());
        for address in found {
            let connected = async {
                let stream = TcpStream::connect(address).await?;
                self.connector.connect(name.clone(), stream).await
            };
            match connected.await {
                Ok(_) => return Ok(()),
                Err(error) => last = failure(&error),
            }
        }
        Err(last)
    }
}

fn failure(error: &io::Error) -> FetchError {
    let error: &(dyn Error + 'static) = error;
    match find::<rustls::Error>(error) {
        Some(tls) => FetchError::Tls(cut(&tls.to_string())),
        None => FetchError::Connect(root_cause(error)),
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("url", &self.url).finish_non_exhaustive()
    }
}

//! Who takes the token: a concierge that exchanges it, or the API server itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use latchkey_crds::groups::GroupSuffix;
use reqwest::Url;

use super::{ConfigError, certificates, https_url};
use crate::args::CredentialArgs;
use crate::exec_credential::Cluster;

/// All roots of a large system are a quarter of this.
const ROOTS_MAX_BYTES: u64 = 1024 * 1024;

/// Who takes the token.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// Nobody in between: the client shows the token to the API server (structured authentication, the `TokenReview`
    /// webhook) or to the impersonation proxy. Where that is, if the client told us.
    Direct(Option<Server>),
    /// A concierge, which gives a credential for it.
    Exchange(ConciergeConfig),
}

/// A server and how it proves itself.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// A path prefix is kept.
    pub(crate) endpoint: Url,
    /// PEM. In place of the system's roots.
    pub(crate) roots: Option<Vec<u8>>,
    /// Name to expect in the server's certificate in place of the URL's host.
    pub(crate) tls_server_name: Option<String>,
    /// A proxy to reach it by, in place of those of the environment.
    pub(crate) proxy: Option<Url>,
}

/// The endpoint that exchanges the token and what it has to be told.
#[derive(Clone, Debug)]
pub(crate) struct ConciergeConfig {
    /// API server or impersonation proxy.
    pub(crate) server: Server,
    /// Suffix of the API groups.
    pub(crate) suffix: GroupSuffix,
    /// `JWTAuthenticator` or `WebhookAuthenticator`.
    pub(crate) authenticator_kind: String,
    /// Its name.
    pub(crate) authenticator_name: String,
}

impl Destination {
    /// The server that sees the token, if it is known.
    pub(crate) const fn server(&self) -> Option<&Server> {
        match self {
            Self::Direct(server) => server.as_ref(),
            Self::Exchange(concierge) => Some(&concierge.server),
        }
    }

    /// By the options alone, whatever the client says of its cluster.
    ///
    /// # Errors
    /// As for the settings.
    pub(crate) fn of_flags(args: &CredentialArgs) -> Result<Self, ConfigError> {
        Self::new(args, Cluster::default())
    }

    pub(super) fn new(args: &CredentialArgs, cluster: Cluster) -> Result<Self, ConfigError> {
        if args.no_exchange.unwrap_or_default() {
            // The client takes the token to the server that it knows, whatever an option of ours says.
            return Server::new(&CredentialArgs::default(), cluster).map(Self::Direct);
        }
        let server = Server::new(args, cluster)?;
        Ok(Self::Exchange(ConciergeConfig {
            server: server
                .ok_or(ConfigError::Missing("--concierge-endpoint, or a stanza with provideClusterInfo: true,"))?,
            suffix: args.api_group_suffix.clone().unwrap_or_default(),
            authenticator_kind: args.authenticator_kind.clone().unwrap_or_else(|| "JWTAuthenticator".to_owned()),
            authenticator_name: args.authenticator.clone().ok_or(ConfigError::Missing("--authenticator"))?,
        }))
    }
}

impl Server {
    /// The server of a kubeconfig's cluster, as kubectl reaches it; none where it names none.
    ///
    /// # Errors
    /// As for the settings.
    pub(crate) fn of_cluster(cluster: Cluster) -> Result<Option<Self>, ConfigError> {
        Self::new(&CredentialArgs::default(), cluster)
    }

    fn new(args: &CredentialArgs, cluster: Cluster) -> Result<Option<Self>, ConfigError> {
        // The block tells how to reach *its* server; to another endpoint none of it applies.
        let same_server = args.concierge_endpoint.as_ref().is_none_or(|endpoint| *endpoint == cluster.server);
        if same_server && cluster.insecure_skip_tls_verify {
            return Err(ConfigError::Insecure(cluster.server));
        }
        let endpoint = match &args.concierge_endpoint {
            Some(endpoint) => https_url("--concierge-endpoint", endpoint)?,
            None if cluster.server.is_empty() => return Ok(None),
            None => https_url("the cluster's server", &cluster.server)?,
        };
        let own_roots =
            args.concierge_ca_data.as_deref().map(|data| certificates("--concierge-ca-data", data)).transpose()?;
        let roots = match own_roots {
            None if same_server => block_roots(&cluster)?,
            own => own,
        };
        Ok(Some(Self {
            endpoint,
            roots,
            tls_server_name: cluster.tls_server_name.filter(|name| same_server && !name.is_empty()),
            proxy: cluster
                .proxy_url
                .filter(|url| same_server && !url.is_empty())
                .map(|url| {
                    Url::parse(&url).map_err(|_| ConfigError::Url { what: "the cluster's proxy-url", found: url })
                })
                .transpose()?,
        }))
    }
}

/// client-go sends the certificates; the Python client may send the path to them.
fn block_roots(cluster: &Cluster) -> Result<Option<Vec<u8>>, ConfigError> {
    if let Some(data) = cluster.certificate_authority_data.as_deref().filter(|data| !data.is_empty()) {
        return certificates("the cluster's certificate-authority-data", data).map(Some);
    }
    let Some(path) = cluster.certificate_authority.as_deref().filter(|path| !path.is_empty()) else { return Ok(None) };
    read_roots(path.as_ref())
        .map(Some)
        .map_err(|error| ConfigError::CertificatesFile { path: path.to_owned(), what: error.to_string() })
}

/// Only a file, and not all of a large one: whoever wrote the kubeconfig may have named a pipe, or a device without an end.
///
/// # Errors
/// When it cannot be read, or is something else.
pub(crate) fn read_roots(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut pem = Vec::new();
    File::open(path)?.take(ROOTS_MAX_BYTES + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > ROOTS_MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {ROOTS_MAX_BYTES} bytes")));
    }
    Ok(pem)
}

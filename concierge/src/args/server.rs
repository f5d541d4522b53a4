//! The flags of the server, and what they mean.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use latchkey_crds::groups::GroupSuffix;

use super::{audit::AuditArgs, audit_keys::AuditKeyArgs, span::Span};
use crate::config::{ClusterName, Config, HttpsProxy, LogFilter, Proxies, Review, ServingFiles};

/// The flags of the server.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// The name of this cluster. It stands in every audit record, so it must differ between the clusters of a fleet.
    // An option only in type: a subcommand does without.
    #[arg(long, env = "LATCHKEY_CLUSTER_NAME", value_name = "NAME", required = true)]
    cluster_name: Option<ClusterName>,

    /// The ending of the API groups. With `pinniped.dev` the stock Pinniped CLI works without a flag.
    #[arg(long, env = "LATCHKEY_API_GROUP_SUFFIX", value_name = "DOMAIN", default_value_t)]
    api_group_suffix: GroupSuffix,

    /// The namespace that the concierge runs in. Its Secrets, its lease and the CA bundles of issuers live there.
    #[arg(long, env = "LATCHKEY_NAMESPACE", value_name = "NAME", default_value = "latchkey")]
    namespace: String,

    /// The name of this replica, by which it holds the lease and signs audit records. Under Kubernetes it is the pod's
    /// name. A random name is taken if none is given.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    replica: Option<String>,

    /// Where the aggregated API is served, over TLS. Private clusters of some clouds let the API server reach pods on
    /// ports 443 and 10250 only.
    #[arg(long, env = "LATCHKEY_AGGREGATED_API_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:10250")]
    aggregated_api_address: SocketAddr,

    /// The certificate chain of the aggregated API, PEM, for the Service's name in the cluster, such as cert-manager makes.
    /// Without it the concierge makes and renews one itself, in a Secret.
    #[arg(
        long,
        env = "LATCHKEY_AGGREGATED_API_TLS_CERT_FILE",
        value_name = "FILE",
        requires = "aggregated_api_tls_key_file"
    )]
    aggregated_api_tls_cert_file: Option<PathBuf>,

    /// The key of that certificate, PEM.
    #[arg(
        long,
        env = "LATCHKEY_AGGREGATED_API_TLS_KEY_FILE",
        value_name = "FILE",
        requires = "aggregated_api_tls_cert_file"
    )]
    aggregated_api_tls_key_file: Option<PathBuf>,

    /// The authorities that signed it, PEM, which the concierge writes into `caBundle` of its API services. Without it
    /// somebody else does. All three files are read again as they change: authorities that go stay in `caBundle` for ten
    /// minutes, and a certificate that only a new one signed is shown after three, when every replica has seen the change.
    #[arg(
        long,
        env = "LATCHKEY_AGGREGATED_API_TLS_CA_FILE",
        value_name = "FILE",
        requires = "aggregated_api_tls_cert_file"
    )]
    aggregated_api_tls_ca_file: Option<PathBuf>,

    /// Where probes and metrics are served, over plain HTTP: /livez, /readyz, /metrics, and with
    /// --authenticators /authenticators.
    #[arg(long, env = "LATCHKEY_ADMIN_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    admin_address: SocketAddr,

    /// Where kube-apiserver asks whose a bearer token is (--authentication-token-webhook-config-file), over TLS, at
    /// /token-review. It listens only if --review-client-ca-file is given.
    #[arg(long, env = "LATCHKEY_REVIEW_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    review_address: SocketAddr,

    /// The certificate authorities, PEM, of the client certificate that kube-apiserver shows when it asks about tokens.
    /// Without this file nobody is asked and nobody listens: who may ask can find out what a stolen token is worth.
    #[arg(long, env = "LATCHKEY_REVIEW_CLIENT_CA_FILE", value_name = "FILE")]
    review_client_ca_file: Option<PathBuf>,

    /// The common name in kube-apiserver's client certificate; may be given more than once. Needed where those
    /// authorities sign for others too. Without it whoever has a certificate of theirs may ask.
    #[arg(
        long,
        env = "LATCHKEY_REVIEW_CLIENT_NAME",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "review_client_ca_file"
    )]
    review_client_name: Vec<String>,

    /// The certificate chain, PEM, that is shown to kube-apiserver. Without it that of the aggregated API is shown,
    /// from its file or as the concierge makes and renews it.
    #[arg(long, env = "LATCHKEY_REVIEW_TLS_CERT_FILE", value_name = "FILE", requires_all = ["review_tls_key_file", "review_client_ca_file"])]
    review_tls_cert_file: Option<PathBuf>,

    /// The key of that certificate, PEM.
    #[arg(long, env = "LATCHKEY_REVIEW_TLS_KEY_FILE", value_name = "FILE", requires = "review_tls_cert_file")]
    review_tls_key_file: Option<PathBuf>,

    #[command(flatten)]
    audit: AuditArgs,

    #[command(flatten)]
    audit_keys: AuditKeyArgs,

    /// A folder to read authenticators from in place of the API: every file in it that ends in .yaml, .yml or .json holds
    /// `JWTAuthenticator` or `WebhookAuthenticator` objects, as kubectl would apply them. A change is in force within
    /// seconds. How they stand is logged, and shown on the admin address at /authenticators. With neither --kubeconfig
    /// nor a service account no API server is needed or asked: then --review-client-ca-file, --review-tls-cert-file and
    /// --review-tls-key-file must be given, and nothing but a `TokenReview` is answered.
    #[arg(long, env = "LATCHKEY_AUTHENTICATORS", value_name = "DIR", value_parser = folder)]
    authenticators: Option<PathBuf>,

    /// The name of the `CredentialIssuer` object whose status tells clients how to reach us.
    #[arg(long, env = "LATCHKEY_CREDENTIAL_ISSUER", value_name = "NAME", default_value = "latchkey")]
    credential_issuer: String,

    /// The name of the Service in front of the aggregated API. The serving certificate is made for it.
    #[arg(long, env = "LATCHKEY_API_SERVICE_NAME", value_name = "NAME", default_value = "latchkey-concierge-api")]
    api_service_name: String,

    /// A kubeconfig file for reaching the API server. Without it the pod's service account is used; a pod that has none can
    /// do without an API server if --authenticators is given.
    #[arg(long, env = "LATCHKEY_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The proxy through which issuers are asked for their keys, where the cluster has no other way out: an http or https
    /// URL. One that carries a password belongs in the variable, not on the command line. Issuers on loopback are never
    /// asked through it.
    #[arg(long, env = "HTTPS_PROXY", value_name = "URL", default_value = "", hide_env_values = true)]
    https_proxy: HttpsProxy,

    /// The hosts that are asked without the proxy, separated by commas: names (with all names below them), addresses,
    /// networks such as 10.0.0.0/8, or `*` for all.
    #[arg(long, env = "NO_PROXY", value_name = "HOSTS", default_value = "")]
    no_proxy: String,

    /// How long a `TokenRejection` object is kept after the last token that it tells of. The audit log keeps everything, by
    /// rules of its own. A number with a unit: `168h` (seven days), `30m`.
    #[arg(long, env = "LATCHKEY_TOKEN_REJECTION_LIFETIME", value_name = "TIME", default_value = "168h", value_parser = lifetime)]
    token_rejection_lifetime: Duration,

    /// What is logged: a level (error, warn, info, debug, trace), or directives such as `info,kube=warn`.
    #[arg(long, env = "LATCHKEY_LOG", value_name = "FILTER", default_value = "info")]
    log: LogFilter,

    /// How long requests are still taken after SIGTERM, while readiness already fails. It should be longer than it takes
    /// endpoints to notice. Ending takes up to 51 seconds more: a pod's terminationGracePeriodSeconds must have room for
    /// both. A number with a unit: `5s`, `500ms`.
    #[arg(long, env = "LATCHKEY_SHUTDOWN_GRACE", value_name = "TIME", default_value = "5s")]
    shutdown_grace: Span,
}

impl ServerArgs {
    /// The flags as meant.
    ///
    /// # Errors
    /// What clap would print of a mistake that only shows when flags are seen together.
    pub(super) fn config(self) -> Result<Config, clap::Error> {
        // All fields are named, so that a new flag which nobody uses does not compile.
        let Self {
            cluster_name,
            api_group_suffix,
            namespace,
            replica,
            aggregated_api_address,
            aggregated_api_tls_cert_file,
            aggregated_api_tls_key_file,
            aggregated_api_tls_ca_file,
            admin_address,
            review_address,
            review_client_ca_file,
            review_client_name,
            review_tls_cert_file,
            review_tls_key_file,
            audit,
            audit_keys,
            authenticators,
            credential_issuer,
            api_service_name,
            kubeconfig,
            https_proxy,
            no_proxy,
            log,
            shutdown_grace,
            token_rejection_lifetime,
        } = self;
        let proxies = Proxies::new(https_proxy, no_proxy);
        Ok(Config {
            cluster_name: cluster_name
                .ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument))?,
            api_group_suffix,
            namespace,
            replica: replica
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| format!("latchkey-concierge-{}", uuid::Uuid::new_v4().simple())),
            aggregated_api_address,
            aggregated_api_certificate: aggregated_api_tls_cert_file
                .zip(aggregated_api_tls_key_file)
                .map(|(certificate, key)| ServingFiles { certificate, key, authority: aggregated_api_tls_ca_file }),
            admin_address,
            review: review_client_ca_file.map(|client_ca_file| Review {
                address: review_address,
                client_ca_file,
                client_names: review_client_name,
                serving: review_tls_cert_file.zip(review_tls_key_file),
            }),
            audit: audit.meant(&proxies)?,
            audit_keys: audit_keys.into(),
            authenticators,
            credential_issuer,
            api_service_name,
            kubeconfig,
            proxies,
            log,
            shutdown_grace: shutdown_grace.0,
            token_rejection_lifetime,
        })
    }
}

/// Shorter than a second it would be gone before anybody could look.
fn lifetime(text: &str) -> Result<Duration, &'static str> {
    let Span(lifetime) = text.parse()?;
    if lifetime < Duration::from_secs(1) { Err("expected a second or more") } else { Ok(lifetime) }
}

fn folder(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() { Err("expected the name of a folder") } else { Ok(text.into()) }
}

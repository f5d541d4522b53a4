//! The flags of the OpenTelemetry collector that audit records go to.

use std::path::PathBuf;

use clap::error::ErrorKind;

use crate::config::{Endpoint, OtlpSettings, Proxies};

/// Where audit records go by OTLP.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OtlpArgs {
    /// Send audit records to this OpenTelemetry collector too, as OTLP logs over HTTP in JSON: a URL such as
    /// `https://collector.example.com:4318`, with a path if it is not `/v1/logs`. http is taken for loopback only.
    #[arg(long = "audit-otlp-endpoint", env = "LATCHKEY_AUDIT_OTLP_ENDPOINT", value_name = "URL")]
    endpoint: Option<String>,

    /// Take http for a collector on another machine. Records name people, and whoever is on the way can read and change
    /// them: only for a network that encrypts by itself.
    #[arg(long = "audit-otlp-plaintext", env = "LATCHKEY_AUDIT_OTLP_PLAINTEXT", requires = "endpoint")]
    plaintext: bool,

    /// The certificate authorities of the collector, PEM. By default the system's.
    #[arg(
        long = "audit-otlp-ca-file",
        env = "LATCHKEY_AUDIT_OTLP_CA_FILE",
        value_name = "FILE",
        requires = "endpoint"
    )]
    ca_file: Option<PathBuf>,

    /// A file of headers for the collector, one `Name: value` a line, such as its token in `Authorization`.
    #[arg(
        long = "audit-otlp-headers-file",
        env = "LATCHKEY_AUDIT_OTLP_HEADERS_FILE",
        value_name = "FILE",
        requires = "endpoint"
    )]
    headers_file: Option<PathBuf>,
}

impl OtlpArgs {
    /// What was meant, if anything was.
    pub(super) fn meant(self, proxies: &Proxies) -> Result<Option<OtlpSettings>, clap::Error> {
        let Self { endpoint, plaintext, ca_file, headers_file } = self;
        let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else { return Ok(None) };
        let endpoint = Endpoint::parse(&endpoint, plaintext).map_err(|error| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("--audit-otlp-endpoint: {error}\n"))
        })?;
        Ok(Some(OtlpSettings { endpoint, ca_file, headers_file, proxies: proxies.clone() }))
    }
}

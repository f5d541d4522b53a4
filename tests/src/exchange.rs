//! Exchanges a token as a client does on the wire, without the plugin: through the API server, or straight to a replica as
//! the aggregation layer would.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_crds::groups::{GroupSuffix, VERSION};
use reqwest::{
    RequestBuilder,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};
use x509_parser::{certificate::X509Certificate, pem::parse_x509_pem};

use crate::{
    cluster::{Cluster, Identity},
    concierge::{Concierge, NAMESPACE},
    install_crypto,
    site::AUTHENTICATOR,
};

/// The host name in the concierge's serving certificate.
const SERVICE: &str = "latchkey-concierge-api";

/// A way to a concierge.
#[derive(Clone, Debug)]
pub struct Exchanger {
    client: reqwest::Client,
    server: String,
    suffix: GroupSuffix,
    headers: HeaderMap,
}

/// What one request brought.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, `null` if it is no JSON.
    pub body: Value,
}

/// A certificate that was handed out, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Issued {
    /// The user's name.
    pub common_name: String,
    /// The user's groups.
    pub organizations: Vec<String>,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// Who signed it.
    pub issuer: String,
    /// First second of validity, since 1970.
    pub not_before: i64,
    /// Last second of validity, since 1970.
    pub not_after: i64,
    /// The certificate itself, PEM.
    pub pem: String,
}

// === impl Exchanger ===

impl Exchanger {
    /// Through the API server and without a credential, as a laptop does.
    ///
    /// # Errors
    /// If the cluster's CA cannot be used.
    pub fn through(cluster: &Cluster) -> Result<Self> {
        install_crypto();
        let ca = reqwest::Certificate::from_pem(cluster.ca_pem().as_bytes())?;
        // Not HTTP/2: so a stalled exchange has a connection of its own and holds up nobody.
        let client = reqwest::Client::builder().tls_certs_only([ca]).http1_only().no_proxy().build()?;
        Ok(Self { client, server: cluster.server_url(), suffix: GroupSuffix::default(), headers: HeaderMap::new() })
    }

    /// The same under another group suffix.
    #[must_use]
    pub fn under(mut self, suffix: &GroupSuffix) -> Self {
        self.suffix.clone_from(suffix);
        self
    }

    /// Where token credential requests are created.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/apis/{}/{VERSION}/tokencredentialrequests", self.server, self.suffix.login())
    }

    /// The request that the stock CLI sends, to be changed and sent.
    #[must_use]
    pub fn request(&self, authenticator: &str, token: &str) -> Value {
        json!({
            "kind": "TokenCredentialRequest",
            "apiVersion": GroupSuffix::api_version(&self.suffix.login()),
            "metadata": {},
            "spec": {
                "token": token,
                "authenticator": {
                    "apiGroup": self.suffix.authentication(), "kind": "JWTAuthenticator", "name": authenticator,
                },
            },
            "status": {},
        })
    }

    /// Straight to a replica, with the front proxy's certificate: an anonymous caller, as the aggregation layer would say.
    ///
    /// # Errors
    /// If the concierge's CA is not published yet.
    pub async fn straight(cluster: &Cluster, replica: &Concierge) -> Result<Self> {
        install_crypto();
        let name = format!("{VERSION}.{}", replica.suffix().login());
        let service = ["get", "apiservice", &name];
        let bundle = cluster.kubectl_ok(&[&service[..], &["-o", "jsonpath={.spec.caBundle}"]].concat()).await?;
        let roots = reqwest::Certificate::from_pem_bundle(&STANDARD.decode(bundle.trim())?)?;
        ensure!(!roots.is_empty(), "no CA of the concierge is published");
        let (_, Identity::Certificate { certificate, key }) = cluster.front_proxy() else {
            bail!("the front proxy has a certificate");
        };
        let host = format!("{SERVICE}.{NAMESPACE}.svc");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, replica.port()));
        let client = reqwest::Client::builder()
            .tls_certs_only(roots)
            .identity(reqwest::Identity::from_pem(format!("{certificate}\n{key}").as_bytes())?)
            .resolve(&host, address)
            .http1_only()
            .no_proxy()
            .build()?;
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", "system:anonymous".parse()?);
        headers.insert("x-remote-group", "system:unauthenticated".parse()?);
        Ok(Self {
            client,
            server: format!("https://{host}:{}", replica.port()),
            suffix: replica.suffix().clone(),
            headers,
        })
    }

    /// Exchanges a token at the authenticator that every test cluster has.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn exchange(&self, token: &str) -> Result<Answer> {
        self.send(&self.request(AUTHENTICATOR, token)).await
    }

    /// Exchanges a token at another authenticator.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn exchange_at(&self, authenticator: &str, token: &str) -> Result<Answer> {
        self.send(&self.request(authenticator, token)).await
    }

    /// Exchanges a token for a certificate for a key of one's own.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn exchange_for(&self, certificate_request: &str, token: &str) -> Result<Answer> {
        let mut request = self.request(AUTHENTICATOR, token);
        request["spec"]["certificateSigningRequest"] = certificate_request.into();
        self.send(&request).await
    }

    /// Sends any object as a token credential request.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn send(&self, object: &Value) -> Result<Answer> {
        self.post(object.to_string().into_bytes(), HeaderMap::new()).await
    }

    /// Posts any bytes with more header fields.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn post(&self, body: Vec<u8>, headers: HeaderMap) -> Result<Answer> {
        let request = self.client.post(self.url()).header(CONTENT_TYPE, "application/json").headers(headers).body(body);
        self.ask(request).await
    }

    /// Sends a token credential request with a query.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn send_with(&self, query: &str, object: &Value) -> Result<Answer> {
        self.ask(self.client.post(format!("{}?{query}", self.url())).json(object)).await
    }

    /// Lists token credential requests.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn list(&self) -> Result<Answer> {
        self.ask(self.client.get(self.url()).header(ACCEPT, "application/json")).await
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.headers(self.headers.clone()).send().await?;
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        Ok(Answer { code, headers, body })
    }
}

// === impl Answer ===

impl Answer {
    /// `Audit-Id`: under it the concierge's audit log has the reason.
    ///
    /// # Errors
    /// If there is none.
    pub fn audit_id(&self) -> Result<&str> {
        Ok(self.headers.get("audit-id").context("no Audit-Id")?.to_str()?)
    }

    /// The certificate that was handed out.
    ///
    /// # Errors
    /// If none was: with the answer.
    pub fn issued(&self) -> Result<Issued> {
        let credential = &self.body["status"]["credential"];
        let pem =
            credential["clientCertificateData"].as_str().with_context(|| format!("{}: {}", self.code, self.body))?;
        Issued::read(pem)
    }

    /// The kubeconfig identity that was handed out, with the key that the server made.
    ///
    /// # Errors
    /// If none was: with the answer.
    pub fn identity(&self) -> Result<Identity> {
        let credential = &self.body["status"]["credential"];
        let text = |member: &str| {
            let text = credential[member].as_str().map(str::to_owned);
            text.with_context(|| format!("no {member} in {}: {}", self.code, self.body["status"]["message"]))
        };
        Ok(Identity::Certificate { certificate: text("clientCertificateData")?, key: text("clientKeyData")? })
    }

    /// Whether a credential was handed out.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.code == 201 && self.body["status"]["credential"]["clientCertificateData"].is_string()
    }

    /// Demands the one answer to every refused token.
    ///
    /// # Errors
    /// If it is any other.
    pub fn refused(&self) -> Result<()> {
        let expected = json!({"message": "authentication failed"});
        ensure!(self.code == 201 && self.body["status"] == expected, "{}: {}", self.code, self.body);
        Ok(())
    }
}

// === impl Issued ===

impl Issued {
    fn read(pem: &str) -> Result<Self> {
        let (_, block) = parse_x509_pem(pem.as_bytes()).context("a certificate in PEM")?;
        let certificate: X509Certificate<'_> = block.parse_x509()?;
        let subject = certificate.subject();
        let organizations: Result<_, _> =
            subject.iter_organization().map(|one| one.as_str().map(str::to_owned)).collect();
        Ok(Self {
            common_name: subject.iter_common_name().next().context("a common name")?.as_str()?.to_owned(),
            organizations: organizations?,
            serial: hex::encode(certificate.tbs_certificate.raw_serial()),
            issuer: certificate.issuer().to_string(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            pem: pem.to_owned(),
        })
    }
}

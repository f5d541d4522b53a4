//! The exchange by hand: a request as any client may post it, without credentials, through the API server.

use anyhow::{Context as _, Result, ensure};
use latchkey_crds::groups::{GroupSuffix, VERSION};
use reqwest::{RequestBuilder, header::ACCEPT};
use serde_json::{Value, json};

use crate::site::{AUTHENTICATOR, Site};

/// An answer of the API server.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Audit-Id`: under it the concierge's audit log has the reason.
    pub audit_id: String,
    /// The object.
    pub body: Value,
}

impl Site {
    /// Where the exchange is.
    #[must_use]
    pub fn exchange_url(&self) -> String {
        let group = self.concierge.suffix().login();
        format!("{}/apis/{group}/{VERSION}/tokencredentialrequests", self.cluster.server_url())
    }

    /// The body that Pinniped's CLI posts for a token: it sends no certificate request, so the answer has a key.
    #[must_use]
    pub fn exchange_body(&self, token: &str) -> Value {
        let suffix = self.concierge.suffix();
        json!({
            "kind": "TokenCredentialRequest",
            "apiVersion": GroupSuffix::api_version(&suffix.login()),
            "metadata": {},
            "spec": {
                "token": token,
                "authenticator": {
                    "apiGroup": suffix.authentication(), "kind": "JWTAuthenticator", "name": AUTHENTICATOR,
                },
            },
            "status": {},
        })
    }

    /// Posts a body to the exchange as somebody without credentials.
    ///
    /// # Errors
    /// If the API server does not answer with JSON.
    pub async fn exchange(&self, body: &Value) -> Result<Reply> {
        self.anonymous(self.stranger()?.post(self.exchange_url()).json(body)).await
    }

    /// A client that trusts the cluster and has no credentials.
    ///
    /// # Errors
    /// If the cluster's CA does not parse.
    pub fn stranger(&self) -> Result<reqwest::Client> {
        let ca = reqwest::Certificate::from_pem(self.cluster.ca_pem().as_bytes())?;
        Ok(reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build()?)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// If the API server does not answer with JSON.
    pub async fn anonymous(&self, request: RequestBuilder) -> Result<Reply> {
        let response = request.header(ACCEPT, "application/json").send().await?;
        let audit_id = response.headers().get("audit-id").map(|id| id.to_str().map(str::to_owned)).transpose()?;
        Ok(Reply {
            status: response.status().as_u16(),
            audit_id: audit_id.context("an Audit-Id")?,
            body: response.json().await?,
        })
    }

    /// What the concierge recorded of the exchange that was answered under this audit id.
    ///
    /// # Errors
    /// If there is not exactly one record.
    pub fn record_of(&self, audit_id: &str) -> Result<Value> {
        let mut records = self.exchanges()?.into_iter().filter(|record| record["auditID"] == audit_id);
        let record = records.next().with_context(|| format!("no record of {audit_id}"))?;
        ensure!(records.next().is_none(), "two records of {audit_id}");
        Ok(record)
    }
}

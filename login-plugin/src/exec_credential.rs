//! `KUBERNETES_EXEC_INFO` in, `ExecCredential` out: the `client.authentication.k8s.io` protocol.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::environment::Environment;
use crate::secret::Secret;
use crate::time::UnixTime;

/// The variable through which the client tells us what it wants.
pub(crate) const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// Linux allows 128 KiB for one variable; other systems more. A megabyte is not a cluster any more.
const EXEC_INFO_MAX_BYTES: usize = 1024 * 1024;

/// Name of the extension of a cluster that clients hand to exec plugins as `spec.cluster.config`.
const CLUSTER_EXTENSION: &str = "client.authentication.k8s.io/exec";

const GROUP: &str = "client.authentication.k8s.io/";

/// The two versions of the protocol that exist. The answer must have the version of the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    /// Kubernetes 1.22 and later.
    #[default]
    V1,
    /// Kubernetes 1.11 and later.
    V1Beta1,
}

impl ApiVersion {
    /// Group and version as they stand in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "client.authentication.k8s.io/v1",
            Self::V1Beta1 => "client.authentication.k8s.io/v1beta1",
        }
    }
}

impl FromStr for ApiVersion {
    type Err = ExecInfoError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::V1, Self::V1Beta1]
            .into_iter()
            .find(|version| version.as_str() == text || version.as_str().strip_prefix(GROUP) == Some(text))
            .ok_or_else(|| ExecInfoError::Version(text.to_owned()))
    }
}

/// Why the variable cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum ExecInfoError {
    /// Another kind of object.
    #[error("{EXEC_INFO} holds kind {0:?}, expected \"ExecCredential\"")]
    Kind(String),
    /// Not the JSON we know.
    #[error("{EXEC_INFO} does not hold an ExecCredential: {0}")]
    Malformed(String),
    /// Larger than any cluster block.
    #[error("{EXEC_INFO} holds {0} bytes, at most {EXEC_INFO_MAX_BYTES} are read")]
    TooLarge(usize),
    /// A version that does not exist yet, or no longer.
    #[error(
        "the client asks for {0:?}, this plugin speaks \"client.authentication.k8s.io/v1\" and \"client.authentication.k8s.io/v1beta1\""
    )]
    Version(String),
}

/// What the client told us.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExecInfo {
    /// The version to answer in; absent when the client did not set the variable.
    pub(crate) version: Option<ApiVersion>,
    /// Whether standard input is connected to the person.
    pub(crate) interactive: bool,
    /// The cluster the credential is for, if the stanza asks for it.
    pub(crate) cluster: Option<Cluster>,
}

/// The cluster block. Unknown fields are ignored: new ones will appear, and the Python client sends the raw kubeconfig block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Cluster {
    /// URL of the API server, or of the impersonation proxy.
    pub(crate) server: String,
    /// Name to expect in the server's certificate in place of the URL's host.
    pub(crate) tls_server_name: Option<String>,
    /// We never follow this: a token goes only to a server that proved itself.
    pub(crate) insecure_skip_tls_verify: bool,
    /// Base64 of PEM.
    pub(crate) certificate_authority_data: Option<String>,
    /// A path to PEM; only the Python client sends it.
    pub(crate) certificate_authority: Option<String>,
    /// A proxy to reach the server by.
    pub(crate) proxy_url: Option<String>,
    /// The cluster's extension for exec plugins: our settings, if it is an object.
    pub(crate) config: Option<Value>,
    /// The same, as it stands in the kubeconfig; only the Python client sends it.
    pub(crate) extensions: Option<Vec<Extension>>,
}

/// An extension of a cluster in a kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Extension {
    /// Whom it is for.
    name: String,
    /// Any object.
    extension: Option<Value>,
}

impl Cluster {
    /// The settings for this plugin that stand with the cluster, if any do.
    pub(crate) fn settings(&self) -> Option<Value> {
        let raw = || {
            let named = self.extensions.iter().flatten().find(|extension| extension.name == CLUSTER_EXTENSION);
            named.and_then(|extension| extension.extension.as_ref())
        };
        self.config.as_ref().or_else(raw).filter(|settings| !settings.is_null()).cloned()
    }
}

#[derive(Deserialize)]
struct Question {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    spec: Option<QuestionSpec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QuestionSpec {
    interactive: bool,
    cluster: Option<Cluster>,
}

impl ExecInfo {
    /// Reads the variable. A missing one is fine: the JavaScript and Java clients never set it.
    ///
    /// # Errors
    /// When the variable is set to something that is not an `ExecCredential` of a version we speak.
    pub(crate) fn read(environment: &Environment) -> Result<Self, ExecInfoError> {
        environment.text(EXEC_INFO).map_or_else(|| Ok(Self::default()), |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Result<Self, ExecInfoError> {
        if text.len() > EXEC_INFO_MAX_BYTES {
            return Err(ExecInfoError::TooLarge(text.len()));
        }
        let question: Question =
            serde_json::from_str(text.trim_end()).map_err(|error| ExecInfoError::Malformed(error.to_string()))?;
        if question.kind != "ExecCredential" {
            return Err(ExecInfoError::Kind(question.kind));
        }
        // Only the full name here: `v1` alone would be another group.
        if !question.api_version.starts_with(GROUP) {
            return Err(ExecInfoError::Version(question.api_version));
        }
        let spec = question.spec.unwrap_or_default();
        Ok(Self { version: Some(question.api_version.parse()?), interactive: spec.interactive, cluster: spec.cluster })
    }
}

/// What a cluster gave us: exactly one kind of credential, because clients disagree on which of two wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Credential {
    /// A client certificate with its key, both PEM text.
    #[serde(rename_all = "camelCase")]
    Certificate {
        /// The leaf first.
        client_certificate_data: String,
        /// PKCS#8, made on this computer unless the server insisted on making it.
        client_key_data: Secret,
    },
    /// A bearer token.
    Token {
        /// The token.
        token: Secret,
    },
}

#[derive(Serialize)]
struct Answer<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    status: AnswerStatus<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerStatus<'a> {
    // Left out rather than null: an empty value is a trap for several clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key_data: Option<&'a str>,
}

/// The one line for standard output: strict JSON, then a newline.
pub(crate) fn answer(version: ApiVersion, credential: &Credential, expires: Option<UnixTime>) -> Secret {
    let mut status = AnswerStatus {
        expiration_timestamp: expires.map(|at| at.to_string()),
        token: None,
        client_certificate_data: None,
        client_key_data: None,
    };
    match credential {
        Credential::Certificate { client_certificate_data, client_key_data } => {
            status.client_certificate_data = Some(client_certificate_data);
            status.client_key_data = Some(client_key_data.expose());
        }
        Credential::Token { token } => status.token = Some(token.expose()),
    }
    let answer = Answer { kind: "ExecCredential", api_version: version.as_str(), status };
    let mut line = serde_json::to_string(&answer).expect("strings and options always serialize");
    line.push('\n');
    Secret::from(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_client_go_sends() {
        let text = concat!(
            r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":true,"#,
            r#""cluster":{"server":"https://c:6443","certificate-authority-data":"Q0E=","config":null,"novelty":1}}}"#,
            "\n"
        );
        let info = ExecInfo::parse(text).unwrap();
        assert_eq!(info.version, Some(ApiVersion::V1Beta1));
        assert!(info.interactive);
        let cluster = info.cluster.unwrap();
        assert_eq!(cluster.server, "https://c:6443");
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("Q0E="));
    }

    #[test]
    fn missing_variable_is_no_question_at_all() {
        let environment = Environment::Table(std::collections::BTreeMap::new());
        assert_eq!(ExecInfo::read(&environment), Ok(ExecInfo::default()));
    }

    #[test]
    fn refuses_what_it_does_not_speak() {
        let cases = [
            (r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1"}"#, "version"),
            (r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v2"}"#, "version"),
            (r#"{"kind":"ExecCredential","apiVersion":"v1"}"#, "version"),
            (r#"{"kind":"TokenReview","apiVersion":"client.authentication.k8s.io/v1"}"#, "kind"),
            ("{", "malformed"),
            ("null", "malformed"),
        ];
        for (text, expected) in cases {
            let found = match ExecInfo::parse(text).unwrap_err() {
                ExecInfoError::Kind(_) => "kind",
                ExecInfoError::Malformed(_) => "malformed",
                ExecInfoError::TooLarge(_) => "too large",
                ExecInfoError::Version(_) => "version",
            };
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(ExecInfo::parse(&" ".repeat(2_000_000)), Err(ExecInfoError::TooLarge(2_000_000)));
    }

    #[test]
    fn answers_one_line_with_one_kind_of_credential() {
        let certificate = Credential::Certificate {
            client_certificate_data: "CERT\n".to_owned(),
            client_key_data: Secret::from("KEY\n"),
        };
        assert_eq!(
            answer(ApiVersion::V1, &certificate, Some(UnixTime::from_secs(1_782_000_000))).expose(),
            concat!(
                r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"#,
                r#""expirationTimestamp":"2026-06-21T00:00:00Z","clientCertificateData":"CERT\n","clientKeyData":"KEY\n"}}"#,
                "\n"
            )
        );
        let token = Credential::Token { token: Secret::from("t") };
        assert_eq!(
            answer(ApiVersion::V1Beta1, &token, None).expose(),
            concat!(
                r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"t"}}"#,
                "\n"
            )
        );
    }
}

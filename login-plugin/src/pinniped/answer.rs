//! The `ExecCredential` as the stock program writes it: always one version, with an empty `spec`.

use serde::Serialize;

use crate::exec_credential::{ApiVersion, Credential};
use crate::secret::Secret;
use crate::time::UnixTime;

/// The end of what is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expires {
    /// Known.
    At(UnixTime),
    /// Nothing is said of it.
    Unsaid,
    /// A concierge answered and did not say it: `null`.
    Unknown,
}

#[derive(Serialize)]
struct Answer<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    spec: Spec,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Spec {
    interactive: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    // The outer option leaves it out, the inner one writes `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[expect(clippy::option_option, reason = "absent and null are two things here")]
    expiration_timestamp: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_certificate_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key_data: Option<&'a str>,
}

/// The one line for standard output.
pub(crate) fn answer(credential: &Credential, expires: Expires) -> Secret {
    let expiration_timestamp = match expires {
        Expires::At(end) => Some(Some(end.to_string())),
        Expires::Unknown => Some(None),
        Expires::Unsaid => None,
    };
    let (token, client_certificate_data, client_key_data) = match credential {
        Credential::Token { token } => (Some(token.expose()), None, None),
        Credential::Certificate { client_certificate_data, client_key_data } => {
            (None, Some(client_certificate_data.as_str()), Some(client_key_data.expose()))
        }
    };
    let answer = Answer {
        kind: "ExecCredential",
        api_version: ApiVersion::V1Beta1.as_str(),
        spec: Spec { interactive: false },
        status: Status { expiration_timestamp, token, client_certificate_data, client_key_data },
    };
    let mut line = serde_json::to_string(&answer).expect("strings and options always serialize");
    line.push('\n');
    Secret::from(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_stock_programs() {
        let token = Credential::Token { token: Secret::from("a") };
        let line = |status: &str| {
            format!(
                r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{{"interactive":false}},"status":{{{status}}}}}"#
            ) + "\n"
        };
        assert_eq!(answer(&token, Expires::Unsaid).expose(), line(r#""token":"a""#));
        assert_eq!(answer(&token, Expires::Unknown).expose(), line(r#""expirationTimestamp":null,"token":"a""#));
        let certificate =
            Credential::Certificate { client_certificate_data: "C\n".to_owned(), client_key_data: Secret::from("K\n") };
        assert_eq!(
            answer(&certificate, Expires::At(UnixTime::from_secs(1_782_000_000))).expose(),
            line(r#""expirationTimestamp":"2026-06-21T00:00:00Z","clientCertificateData":"C\n","clientKeyData":"K\n""#)
        );
    }
}

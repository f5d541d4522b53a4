//! `credentials.yaml`: credentials of clusters, each under the hash of the command line and cluster that it was made for.

use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::document::{Document, DocumentError, Entries, Then, text, time};
use super::exec_info;
use crate::cache::HeldCredential;
use crate::exec_credential::Credential;
use crate::secret::Secret;
use crate::time::UnixTime;

/// Older entries are dropped, however long their credential lives.
const KEPT_SECONDS: i64 = 3600;

/// The file.
#[derive(Debug)]
pub(crate) struct CredentialFile(Document);

/// The name of an entry: SHA-256 in hexadecimal over what the stock program's JSON encoder writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialKey(String);

impl CredentialKey {
    /// For `login oidc` with these arguments; `exec_info` is what the client said of its cluster.
    pub(crate) fn of_oidc(arguments: &[String], exec_info: Option<&str>) -> Self {
        Self::of(arguments, None, exec_info)
    }

    /// For `login static` with this token.
    pub(crate) fn of_static(arguments: &[String], token: &Secret, exec_info: Option<&str>) -> Self {
        Self::of(arguments, Some(token), exec_info)
    }

    fn of(arguments: &[String], token: Option<&Secret>, exec_info: Option<&str>) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| exec_info::quoted(argument)).collect();
        let token = token.map(|token| format!("\"token\":{},", exec_info::quoted(token.expose()))).unwrap_or_default();
        let cluster = exec_info.and_then(exec_info::cluster).unwrap_or_else(|| "null".to_owned());
        let hashed = format!("{{\"args\":[{}],{token}\"cluster\":{cluster}}}\n", arguments.join(","));
        let hash = digest(&SHA256, hashed.as_bytes());
        Self(hash.as_ref().iter().fold(String::with_capacity(64), |text, byte| format!("{text}{byte:02x}")))
    }

    /// As it stands in the file.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl CredentialFile {
    /// Nothing is opened or made before it is needed.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self(Document::new(path, "CredentialCache", "credentials"))
    }

    /// The credential, if the stock program would still take it for one.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn read(&self, key: &CredentialKey, now: UnixTime) -> Result<Option<HeldCredential>, DocumentError> {
        // When it was last used decides nothing here, so a look writes nothing.
        self.0.change_existing(|entries| {
            let entry = entries.iter().find(|entry| is(entry, key) && is_good(entry, now));
            Then::Leave(entry.and_then(held))
        })
    }

    /// Keeps the credential, and throws away what is past.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn keep(&self, key: &CredentialKey, held: &HeldCredential, now: UnixTime) -> Result<(), DocumentError> {
        self.0.change(|entries| {
            entries.retain(|entry| is_good(entry, now));
            let place = entries.iter().position(|entry| is(entry, key)).unwrap_or_else(|| {
                entries.push(Map::new());
                entries.len() - 1
            });
            let entry = &mut entries[place];
            entry.insert("key".to_owned(), json!(key.0));
            entry.insert("creationTimestamp".to_owned(), json!(now.to_string()));
            entry.insert("lastUsedTimestamp".to_owned(), json!(now.to_string()));
            entry.insert("credential".to_owned(), status(held));
            Then::Write(())
        })
    }

    /// Forgets the credential.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn remove(&self, key: &CredentialKey) -> Result<(), DocumentError> {
        let removed = self.0.change_existing(|entries: &mut Entries| {
            entries.retain(|entry| !is(entry, key));
            Then::Write(Some(()))
        });
        removed.map(Option::unwrap_or_default)
    }
}

fn is(entry: &Map<String, Value>, key: &CredentialKey) -> bool {
    text(entry, "key") == Some(&key.0)
}

fn is_good(entry: &Map<String, Value>, now: UnixTime) -> bool {
    let expires =
        entry.get("credential").and_then(Value::as_object).and_then(|status| time(status, "expirationTimestamp"));
    let young = time(entry, "creationTimestamp").is_some_and(|created| now.since(created) <= KEPT_SECONDS);
    young && expires.is_some_and(|expires| expires >= now)
}

fn held(entry: &Map<String, Value>) -> Option<HeldCredential> {
    let status = entry.get("credential")?.as_object()?;
    let credential = match (text(status, "token"), text(status, "clientCertificateData"), text(status, "clientKeyData"))
    {
        (Some(token), ..) => Credential::Token { token: Secret::from(token) },
        (None, Some(certificate), Some(key)) => Credential::Certificate {
            client_certificate_data: certificate.to_owned(),
            client_key_data: Secret::from(key),
        },
        _ => return None,
    };
    Some(HeldCredential {
        received_at: time(entry, "creationTimestamp")?,
        usable_until: time(status, "expirationTimestamp")?,
        suspected_at: None,
        session: None,
        credential,
    })
}

/// The end is ours, which is a little before the certificate's own: the stock program keeps no margin.
fn status(held: &HeldCredential) -> Value {
    let expires = held.usable_until.to_string();
    match &held.credential {
        Credential::Token { token } => json!({"token": token.expose(), "expirationTimestamp": expires}),
        Credential::Certificate { client_certificate_data, client_key_data } => json!({
            "clientCertificateData": client_certificate_data,
            "clientKeyData": client_key_data.expose(),
            "expirationTimestamp": expires,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(ToOwned::to_owned).collect()
    }

    /// The hashes are those that the stock program, v0.47.0, wrote for these command lines.
    #[test]
    fn keys_are_the_stock_programs() {
        let exec_info = concat!(
            r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"cluster":"#,
            r#"{"server":"https://cluster.example:6443","certificate-authority-data":"Q0E=","#,
            r#""config":{"b":1.50,"a":["<&>"]}},"interactive":false}}"#,
            "\n"
        );
        let oidc = words(
            "login oidc --enable-concierge --concierge-api-group-suffix=pinniped.dev --concierge-authenticator-name=people \
             --concierge-authenticator-type=jwt --concierge-endpoint=https://127.0.0.1:34567 \
             --issuer=https://idp.example --client-id=staging --scopes=openid,email --request-audience=staging",
        );
        assert_eq!(
            CredentialKey::of_oidc(&oidc, Some(exec_info)).as_str(),
            "ae074681b50d9a55d2d39fbb7cd6456af4c5b5c4b35388b764fa63c83a7b8b5c"
        );
        let fixed = words(
            "login static --enable-concierge --concierge-authenticator-name=people --concierge-authenticator-type=webhook \
             --concierge-endpoint=https://127.0.0.1:34567 --token=a<b>&\"c",
        );
        assert_eq!(
            CredentialKey::of_static(&fixed, &Secret::from("a<b>&\"c"), None).as_str(),
            "8a477fbb8b1e1fcfa60d6fdaddd1e7b618667b32129cfc0b5ebcaf9927f81157"
        );
    }
}

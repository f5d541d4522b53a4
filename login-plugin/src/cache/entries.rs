//! What is kept: credentials, logins, failed attempts, known servers, the provider's documents.

use latchkey_crds::login::ExpectedSubject;
use serde::{Deserialize, Serialize};

use super::key::EntryName;
use crate::args::TokenKind;
use crate::config::{Answering, Destination};
use crate::exec_credential::Credential;
use crate::failure::Failure;
use crate::platform::process::ProcessIdentity;
use crate::secret::Secret;
use crate::time::UnixTime;

/// Five runs of the plugin in one `kubectl` are one attempt (kubernetes/kubernetes#78321).
const FAILURE_REMEMBERED_SECONDS: i64 = 15;

/// A credential as the cluster gave it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldCredential {
    /// When it came, by this computer's clock.
    pub(crate) received_at: UnixTime,
    /// The last second in which to use it, by this computer's clock.
    pub(crate) usable_until: UnixTime,
    /// When it was last in doubt, and nothing better could be had.
    #[serde(default)]
    pub(crate) suspected_at: Option<UnixTime>,
    /// The login that it was given for; none where a job's own token was, and in files of releases that did not note it.
    #[serde(default)]
    pub(crate) session: Option<EntryName>,
    /// The thing itself.
    pub(crate) credential: Credential,
}

/// A login: who we are to the provider, and how to stay so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// When the token for the cluster came, by this computer's clock.
    pub(crate) received_at: UnixTime,
    /// The last second in which to use the token for the cluster (the ID token, unless the cluster takes the other), by this
    /// computer's clock.
    pub(crate) usable_until: UnixTime,
    /// Already verified.
    pub(crate) id_token: Secret,
    /// Kept only where it is the one for the cluster.
    #[serde(default)]
    pub(crate) access_token: Option<Secret>,
    /// Absent where the provider gives none.
    pub(crate) refresh_token: Option<Secret>,
    /// What ties a token to this login; no secret. Unknown in logins of earlier releases.
    #[serde(default)]
    pub(crate) nonce: Option<String>,
    /// `auth_time` of the first ID token, by the provider's clock.
    #[serde(default)]
    pub(crate) authenticated_at: Option<i64>,
    /// Whether the provider was asked to refresh and gave nothing that the cluster takes. Then only a login helps, and
    /// asking again would only spend refresh tokens.
    #[serde(default)]
    pub(crate) refresh_is_useless: bool,
    /// What the provider granted, if it said so at the login. A refresh may ask for no more.
    pub(crate) scopes: Option<Vec<String>>,
    /// The provider's immutable name of the person.
    pub(crate) subject: String,
    /// The name that people know.
    pub(crate) identity: String,
    /// The subject that the cluster wanted in the last certificate request.
    pub(crate) certificate_subject: Option<ExpectedSubject>,
    /// What people know it by; empty in files of releases that did not note it.
    #[serde(default)]
    pub(crate) label: SessionLabel,
}

/// Whose login this is and where: what `status` shows. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SessionLabel {
    /// The provider.
    pub(crate) issuer: String,
    /// Our client there.
    pub(crate) client_id: String,
    /// The audience that the cluster takes.
    pub(crate) audience: String,
    /// Which of several accounts at that provider.
    pub(crate) account: Option<String>,
    /// The cluster, as people call it, that asked for the login.
    pub(crate) cluster_name: String,
}

/// An attempt to log in, or to be let in, that failed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedAttempt {
    /// When, by this computer's clock.
    pub(crate) at: UnixTime,
    /// For whom.
    pub(crate) parent: ProcessIdentity,
    /// What was said then.
    pub(crate) failure: Failure,
}

/// The server that a login was first taken to.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownServer {
    /// Its URL.
    pub(crate) endpoint: String,
    /// Fingerprint of the roots that its certificate was checked with.
    pub(crate) roots: String,
    /// The name that its certificate was checked for; unknown in files of releases that did not note it.
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// The last time that the cluster refused a login: one for each stanza, in words that were cut and made safe when they came.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastRefusal {
    /// When, by this computer's clock.
    pub(crate) at: UnixTime,
    /// What people call the cluster.
    pub(crate) cluster: String,
    /// Who refused.
    pub(crate) endpoint: String,
    /// What it said.
    pub(crate) message: String,
    /// Under which the reason stands in the cluster's audit log.
    pub(crate) audit_id: Option<String>,
    /// Whose login it was, if it was a person's; not said by earlier releases.
    #[serde(default)]
    pub(crate) session: Option<EntryName>,
    /// What our reader was told then; not said by earlier releases.
    #[serde(default)]
    pub(crate) attempt: Option<FailedAttempt>,
}

/// The provider's documents as they came.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Documents {
    /// When they came, by this computer's clock.
    pub(crate) fetched_at: UnixTime,
    /// OIDC Discovery 1.0 section 4.
    pub(crate) metadata: String,
    /// RFC 7517 section 5.
    pub(crate) key_set: String,
}

impl Session {
    /// The token that goes to the cluster. A login that was made for ID tokens has no other.
    pub(crate) fn cluster_token(&self, kind: TokenKind) -> &Secret {
        match (kind, &self.access_token) {
            (TokenKind::Access, Some(token)) => token,
            (TokenKind::Access, None) | (TokenKind::Id, _) => &self.id_token,
        }
    }
}

impl KnownServer {
    /// Whether this is the server that was known before. What an earlier release did not note is not held against it.
    pub(crate) fn is_same(&self, known: &Self) -> bool {
        (&self.endpoint, &self.roots) == (&known.endpoint, &known.roots)
            && (known.name.is_none() || self.name == known.name)
    }
}

impl LastRefusal {
    /// A refusal in the cluster's words, of whose login nothing is known so far.
    pub(crate) fn new(
        at: UnixTime,
        answering: &Answering,
        destination: &Destination,
        message: &str,
        audit_id: Option<&str>,
    ) -> Self {
        Self {
            at,
            cluster: answering.cluster_name.clone(),
            endpoint: destination.server().map(|server| server.endpoint.to_string()).unwrap_or_default(),
            message: message.to_owned(),
            audit_id: audit_id.map(ToOwned::to_owned),
            session: None,
            attempt: None,
        }
    }

    /// The same, with what `parent` is told.
    pub(crate) fn told(self, parent: ProcessIdentity, failure: &Failure) -> Self {
        Self { attempt: Some(FailedAttempt { at: self.at, parent, failure: failure.clone() }), ..self }
    }
}

impl FailedAttempt {
    /// Whether a new attempt would only repeat this one: the same program asks again within seconds, or we were waiting
    /// (since `waiting_since`) while somebody failed.
    pub(crate) fn still_speaks(&self, parent: ProcessIdentity, waiting_since: Option<UnixTime>, now: UnixTime) -> bool {
        let age = now.since(self.at);
        let recent = (0..FAILURE_REMEMBERED_SECONDS).contains(&age);
        recent && (self.parent == parent || waiting_since.is_some_and(|since| self.at >= since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Status;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn a_failed_attempt_speaks_for_its_program_and_for_those_who_waited() {
        let parent = ProcessIdentity::for_test(1, 1);
        let other = ProcessIdentity::for_test(2, 1);
        let attempt = FailedAttempt { at: at(1000), parent, failure: Failure::new(Status::LoginNeeded, "nobody came") };
        assert!(attempt.still_speaks(parent, None, at(1014)));
        assert!(!attempt.still_speaks(parent, None, at(1015)));
        assert!(!attempt.still_speaks(parent, None, at(999)), "the clock was set back");
        assert!(!attempt.still_speaks(other, None, at(1001)));
        assert!(attempt.still_speaks(other, Some(at(990)), at(1001)));
        assert!(!attempt.still_speaks(other, Some(at(1001)), at(1001)));
    }
}

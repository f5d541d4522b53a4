//! All logins that are kept, seen from outside: listed for people, and forgotten together with what hangs on them.

use std::path::PathBuf;

use super::seal::{Clear, Sealed};
use super::{Cache, EntryName, Found, HeldCredential, Room, SWEEP_AFTER_SECONDS, Session, SessionLabel};
use crate::time::UnixTime;

/// More logins than one person has; a directory with more files than this is somebody's mistake.
const ENTRIES_MAX: usize = 1024;

/// A login that nobody used for so long is ended at most providers, or should be.
const FORGET_AFTER_SECONDS: i64 = 90 * 24 * 3600;

/// A login as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptSession {
    /// The name it is kept under.
    pub(crate) name: EntryName,
    /// Whose it is and where.
    pub(crate) label: SessionLabel,
    /// The name that people know.
    pub(crate) identity: String,
    /// The last second in which the provider's token is used without a refresh.
    pub(crate) usable_until: UnixTime,
    /// Whether it goes on by itself after that.
    pub(crate) renewable: bool,
    /// How it is kept.
    pub(crate) kept: Kept,
    /// The file.
    pub(crate) path: PathBuf,
}

/// How a login is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In a file that only its owner can read.
    Plain,
    /// The same, sealed with a key from the platform's keyring.
    Sealed,
}

impl Cache<'_> {
    /// All logins, by issuer and account. No keyring is asked and nothing is changed.
    pub(crate) fn sessions(&self) -> Vec<KeptSession> {
        let mut sessions: Vec<KeptSession> =
            self.names(Room::State, "json").into_iter().filter_map(|name| self.kept_session(name)).collect();
        sessions.sort_by(|one, other| {
            let order = |session: &KeptSession| {
                let SessionLabel { issuer, account, client_id, .. } = session.label.clone();
                (issuer, account, client_id, session.identity.clone())
            };
            order(one).cmp(&order(other))
        });
        sessions
    }

    fn kept_session(&self, name: EntryName) -> Option<KeptSession> {
        let path = self.session_path(&name)?;
        Some(match self.found(&name)? {
            Found::Plain(Session { usable_until, refresh_token, identity, label, .. }) => {
                let renewable = refresh_token.is_some();
                KeptSession { name, label, identity, usable_until, renewable, kept: Kept::Plain, path }
            }
            Found::Sealed(Sealed { clear: Clear { usable_until, renewable, identity, label, .. }, .. }) => {
                KeptSession { name, label, identity, usable_until, renewable, kept: Kept::Sealed, path }
            }
        })
    }

    /// Forgets a login: the session, its failed attempts, the cluster credentials it brought, and the server it has been
    /// taken to, unless another login of the same client still goes there. Does not tell the provider.
    pub(crate) fn forget(&self, name: &EntryName) {
        let sessions = self.sessions();
        let label = sessions.iter().find(|session| session.name == *name).map(|session| &session.label);
        if let Some(SessionLabel { issuer, client_id, audience, .. }) = label
            && !sessions.iter().any(|other| {
                let theirs = &other.label;
                other.name != *name
                    && (&theirs.issuer, &theirs.client_id, &theirs.audience) == (issuer, client_id, audience)
            })
        {
            self.rooms.remove(Room::State, &EntryName::of_server(issuer, client_id, audience).file("server"));
        }
        self.forget_credentials(name);
        self.rooms.remove(Room::State, &name.file("failed"));
        self.rooms.remove(Room::State, &name.file("json"));
    }

    /// Forgets the cluster credentials that came of this login, and how the cluster refused it; those of which it is not known
    /// too: getting one anew costs nobody a word.
    pub(crate) fn forget_credentials(&self, session: &EntryName) {
        for name in self.names(Room::Cache, "json") {
            let held: Option<HeldCredential> = self.rooms.read(Room::Cache, &name.file("json"));
            if held.is_none_or(|held| held.session.is_none_or(|of| of == *session)) {
                self.drop_credential(&name);
            }
        }
        for name in self.names(Room::Cache, "refused") {
            let refusal = self.last_refusal(&name);
            if refusal.is_none_or(|refusal| refusal.session.is_none_or(|of| of == *session)) {
                self.rooms.remove(Room::Cache, &name.file("refused"));
            }
        }
    }

    /// Throws away a few logins that nobody uses any more, and what killed runs left half written.
    pub(super) fn sweep_sessions(&self) {
        let Some(dir) = self.rooms.opened(Room::State) else { return };
        let before = |seconds: i64| self.clock.now().plus(-seconds).as_secs();
        // Written once, these two guard for as long as the login is used.
        let guards = |name: &str| name.ends_with(".server") || name.ends_with(".client");
        dir.sweep(before(FORGET_AFTER_SECONDS), |name| !guards(name));
        dir.sweep(before(SWEEP_AFTER_SECONDS), is_unfinished);
    }

    fn names(&self, room: Room, extension: &str) -> Vec<EntryName> {
        let Some(dir) = self.rooms.opened(room) else { return Vec::new() };
        dir.names(ENTRIES_MAX).iter().filter_map(|file| EntryName::of_file(file, extension)).collect()
    }
}

/// Whether this is the name of a file that was to be renamed: it ends in 16 hexadecimal digits.
fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
pub(super) use self::tests::{name, session};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Store;
    use crate::cache::tests::StoppedClock;
    use crate::cache::{FailedAttempt, KnownServer, LastRefusal, test_directory};
    use crate::config::Places;
    use crate::exec_credential::Credential;
    use crate::failure::{Failure, Status};
    use crate::output::{Output, Talk};
    use crate::platform::keyring::Keyring;
    use crate::platform::process::ProcessIdentity;
    use crate::secret::Secret;

    pub(in crate::cache) fn name(letter: &str) -> EntryName {
        EntryName::for_test(&letter.repeat(43))
    }

    pub(in crate::cache) fn session(account: Option<&str>, audience: &str) -> Session {
        Session {
            received_at: UnixTime::from_secs(1000),
            usable_until: UnixTime::from_secs(1600),
            id_token: Secret::from("id"),
            access_token: None,
            refresh_token: account.map(Secret::from),
            nonce: None,
            authenticated_at: None,
            refresh_is_useless: false,
            scopes: None,
            subject: "42".to_owned(),
            identity: "jane@example.com".to_owned(),
            certificate_subject: None,
            label: SessionLabel {
                issuer: "https://idp.example".to_owned(),
                client_id: "staging".to_owned(),
                audience: audience.to_owned(),
                account: account.map(ToOwned::to_owned),
                cluster_name: "Staging".to_owned(),
            },
        }
    }

    fn credential_of(session: Option<&EntryName>) -> HeldCredential {
        HeldCredential {
            suspected_at: None,
            received_at: UnixTime::from_secs(1000),
            usable_until: UnixTime::from_secs(1600),
            session: session.cloned(),
            credential: Credential::Token { token: Secret::from("t") },
        }
    }

    #[test]
    fn logins_are_listed_in_order_and_say_whether_they_go_on() {
        let directory = test_directory();
        let places = Places { state: Some(directory.path().join("s")), cache: None, keyring: Keyring::absent() };
        let output = Output::new(Talk::Not);
        let cache = Cache::new(&places, Store::Auto, &StoppedClock(1000), &output);
        assert_eq!(cache.sessions(), []);
        cache.keep_session(&name("b"), &session(Some("ops"), "staging"));
        cache.keep_session(&name("a"), &session(None, "staging"));
        cache.keep_known_server(&name("c"), &KnownServer { endpoint: String::new(), roots: String::new(), name: None });
        let seen = cache.sessions();
        let seen: Vec<_> =
            seen.iter().map(|kept| (&kept.name, kept.label.account.as_deref(), kept.renewable)).collect();
        assert_eq!(seen, [(&name("a"), None, false), (&name("b"), Some("ops"), true)]);
    }

    #[test]
    fn a_file_of_the_first_release_is_a_session_without_a_label() {
        let directory = test_directory();
        let places = Places { state: Some(directory.path().join("s")), cache: None, keyring: Keyring::absent() };
        let output = Output::new(Talk::Not);
        let cache = Cache::new(&places, Store::Auto, &StoppedClock(1000), &output);
        let text = r#"{"version":1,"received_at":1,"usable_until":2,"id_token":"i","refresh_token":"r","scopes":null,"subject":"42","identity":"jane","certificate_subject":null}"#;
        cache.rooms.created(Room::State).unwrap().replace(&name("a").file("json"), text.as_bytes(), false).unwrap();
        assert_eq!(cache.session(&name("a")).unwrap().refresh_token, Some(Secret::from("r")));
        let seen = cache.sessions();
        assert_eq!((seen[0].identity.as_str(), &seen[0].label), ("jane", &SessionLabel::default()));
    }

    #[test]
    fn forgetting_takes_along_what_hangs_on_the_login_and_nothing_else() {
        let directory = test_directory();
        let places = Places {
            state: Some(directory.path().join("s")),
            cache: Some(directory.path().join("c")),
            keyring: Keyring::absent(),
        };
        let output = Output::new(Talk::Not);
        let cache = Cache::new(&places, Store::Auto, &StoppedClock(1000), &output);
        let server = EntryName::of_server("https://idp.example", "staging", "staging");
        cache.keep_known_server(&server, &KnownServer { endpoint: String::new(), roots: String::new(), name: None });
        let now = UnixTime::from_secs(1000);
        for (letter, account) in [("a", "dev"), ("b", "ops")] {
            cache.keep_session(&name(letter), &session(Some(account), "staging"));
            let failure = Failure::new(Status::LoginNeeded, "nobody came");
            let parent = ProcessIdentity::for_test(1, 1);
            let attempt = FailedAttempt { at: now, parent, failure };
            cache.keep_failed_attempt(&name(letter), &attempt);
            cache.keep_credential(&name(&letter.to_uppercase()), &credential_of(Some(&name(letter))), now);
        }
        cache.keep_credential(&name("C"), &credential_of(None), now);
        for (letter, of) in [("A", Some("a")), ("B", Some("b")), ("C", None)] {
            let refusal = LastRefusal {
                at: now,
                cluster: "Staging".to_owned(),
                endpoint: String::new(),
                message: "no".to_owned(),
                audit_id: None,
                session: of.map(name),
                attempt: None,
            };
            cache.keep_last_refusal(&name(letter), &refusal);
        }

        cache.forget(&name("a"));
        assert_eq!(cache.sessions().len(), 1);
        assert!(cache.failed_attempt(&name("a")).is_none() && cache.failed_attempt(&name("b")).is_some());
        let held = ["A", "B", "C"].map(|letter| cache.credential(&name(letter), now).is_some());
        assert_eq!(held, [false, true, false]);
        let refused = ["A", "B", "C"].map(|letter| cache.last_refusal(&name(letter)).is_some());
        assert_eq!(refused, [false, true, false]);
        assert!(cache.known_server(&server).is_some(), "the other account still goes there");

        cache.forget(&name("b"));
        assert!(cache.sessions().is_empty() && cache.known_server(&server).is_none());
    }
}

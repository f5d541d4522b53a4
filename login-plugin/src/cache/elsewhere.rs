//! Logins and credentials in the files of another program, which goes on using them: what a store of that kind can do.

use std::fmt::Debug;
use std::path::PathBuf;

use super::{HeldCredential, Session};

/// One login and one credential in somebody else's files. Losing either is never a failed login, so nothing here fails.
pub(crate) trait Elsewhere: Debug {
    /// The credential as it stands there, however old.
    fn credential(&self) -> Option<HeldCredential>;

    /// Keeps the credential.
    fn keep_credential(&self, held: &HeldCredential);

    /// Forgets the credential.
    fn drop_credential(&self);

    /// The login, whether or not its ID token is still good.
    fn session(&self) -> Option<Session>;

    /// Keeps the login.
    fn keep_session(&self, session: &Session);

    /// Forgets the login.
    fn drop_session(&self);

    /// Where the login is kept, for messages.
    fn session_path(&self) -> Option<PathBuf>;
}

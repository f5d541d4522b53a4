//! The verbs by name: what `help` and completion know them by.

use super::Topic;

/// Each verb and its page of help, in the order of the overview.
pub(crate) const VERBS: [(&str, Topic); 15] = [
    ("login", Topic::Login),
    ("logout", Topic::Logout),
    ("status", Topic::Status),
    ("kubeconfig", Topic::Kubeconfig),
    ("whoami", Topic::Whoami),
    ("explain", Topic::Explain),
    ("token", Topic::Token),
    ("rejections", Topic::Rejections),
    ("fleet", Topic::Fleet),
    ("doctor", Topic::Doctor),
    ("credential", Topic::Credential),
    ("completion", Topic::Completion),
    ("man", Topic::Man),
    ("version", Topic::Version),
    ("help", Topic::All),
];

/// The page of help on a verb.
pub(super) fn topic(verb: &str) -> Option<Topic> {
    VERBS.iter().find(|(name, _)| *name == verb).map(|(_, topic)| *topic)
}

//! Holds kube-apiserver's verdict against the table's record and against ours.

use super::{
    Verdict,
    differences::Difference,
    table::{Case, Expect, Gives},
};

/// What kube-apiserver says that the table does not; nothing when the record is right.
#[must_use]
pub fn against_record(case: &Case, kubernetes: &Verdict) -> Option<String> {
    let user = match (case.expect, kubernetes) {
        (Expect::Invalid, Verdict::Invalid(_)) | (Expect::Refused, Verdict::Refused(_)) => return None,
        (Expect::Allowed, Verdict::Allowed(user)) => user,
        (expected, _) => return Some(format!("the table records {expected:?}, kube-apiserver says {kubernetes:?}")),
    };
    let right = match &case.gives {
        None => true,
        Some(Gives::Username(username)) => *username == user.username,
        Some(Gives::User(given)) => {
            given.username.as_ref().is_none_or(|username| *username == user.username)
                && given.uid.as_ref().is_none_or(|uid| *uid == user.uid)
                && given.groups.as_ref().is_none_or(|groups| *groups == user.groups)
                && given.extra.as_ref().is_none_or(|extra| *extra == user.extra)
        }
    };
    (!right).then(|| format!("the table records {:?}, kube-apiserver makes {user:?}", case.gives))
}

/// How the two sides differ.
#[derive(Debug, PartialEq, Eq)]
pub struct Divergence {
    kubernetes: &'static str,
    /// Our word, with a refused token's code.
    pub ours: String,
    differing: Vec<&'static str>,
    /// Both in full, for a person.
    pub story: String,
}

/// How our verdict differs from kube-apiserver's; nothing when it does not.
#[must_use]
pub fn against_ours(kubernetes: &Verdict, ours: &Verdict) -> Option<Divergence> {
    let differing: Vec<_> = match (kubernetes, ours) {
        (Verdict::Invalid(_), Verdict::Invalid(_)) | (Verdict::Refused(_), Verdict::Refused(_)) => return None,
        (Verdict::Allowed(theirs), Verdict::Allowed(mine)) if theirs == mine => return None,
        (Verdict::Allowed(theirs), Verdict::Allowed(mine)) => theirs.differing(mine).into_iter().collect(),
        _ => Vec::new(),
    };
    let words = match ours {
        Verdict::Refused(reason) => format!("refused: {}", reason.split(':').next().unwrap_or_default()),
        other => other.word().to_owned(),
    };
    let story = format!("kube-apiserver: {kubernetes:?}\n      ours: {ours:?}");
    Some(Divergence { kubernetes: kubernetes.word(), ours: words, differing, story })
}

impl Divergence {
    /// Whether this is the difference that the list describes, and no other.
    #[must_use]
    pub fn is(&self, listed: &Difference) -> bool {
        listed.kubernetes.contains(self.kubernetes)
            && listed.ours.contains(&self.ours)
            && self.differing.iter().copied().eq(listed.differing.iter().map(String::as_str))
    }
}

//! Tokens that are for another cluster of the fleet: which refusal is such a replay, and how loudly it is told.

use std::time::Duration;

use super::{Reason, Verdict};
use crate::{fleet::SiblingName, jwt::Rejection, time::UnixTime};

/// What makes a refusal a cross-cluster replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossCluster<'a> {
    /// The cluster that the token is for.
    pub cluster: &'a SiblingName,
    /// What the token is still good for there.
    pub state: ReplayState,
}

/// What a token for another cluster is still good for: how loudly it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplayState {
    /// It opens the other cluster now.
    Live,
    /// It did, a day ago at most.
    Expired,
    /// It did, longer ago: out of an old log or backup.
    Stale,
    /// It names a sibling beside ourselves: every token of that kind opens two clusters.
    Multi,
}

/// How long a token that has expired still counts as one that somebody brought from the other cluster, and not as one
/// out of a drawer.
const RECENT: Duration = Duration::from_hours(24);

// === impl Verdict ===

impl Verdict {
    /// Whether this refuses a token that is for another cluster of the fleet, which only one whose signature holds can be.
    /// `None` for every other verdict: a foreign audience that the fleet does not know is no replay.
    #[must_use]
    pub fn cross_cluster(&self, now: UnixTime) -> Option<CrossCluster<'_>> {
        match self.outcome.as_ref().err()? {
            Reason::Token(Rejection::AudienceOtherCluster { cluster, .. }) => {
                let exp = self.facts.verified.as_ref().and_then(|claims| claims.exp);
                Some(CrossCluster { cluster, state: ReplayState::of(exp, now) })
            }
            Reason::Token(Rejection::AudienceShared { cluster: Some(cluster), .. }) => {
                Some(CrossCluster { cluster, state: ReplayState::Multi })
            }
            _ => None,
        }
    }
}

// === impl ReplayState ===

impl ReplayState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Live, Self::Expired, Self::Stale, Self::Multi];

    /// The word in records and metrics: never changed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Stale => "stale",
            Self::Multi => "multi",
        }
    }

    /// By `exp`, as the judge reads it: at that very second the token is still good. One without `exp` never ends.
    fn of(exp: Option<i64>, now: UnixTime) -> Self {
        let Some(exp) = exp.map(UnixTime::from_secs) else { return Self::Live };
        let now = UnixTime::from_secs(now.as_secs());
        if now <= exp {
            Self::Live
        } else if now.since(exp) <= RECENT {
            Self::Expired
        } else {
            Self::Stale
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authn::refused,
        jwt::{self, TokenFacts},
    };

    #[test]
    fn a_replay_is_told_by_whether_the_token_still_opens_the_other_cluster() {
        const NOW: UnixTime = UnixTime::from_micros(1_795_233_600_900_000);
        let (cluster, now, day) = (SiblingName::new("production"), NOW.as_secs(), 24 * 60 * 60);
        let found = || vec!["k8s-production".to_owned()];
        let ours = || jwt::Audiences::new(vec![jwt::Audience::new("k8s-staging".to_owned())]).unwrap();
        let state = |rejection: &Rejection, exp: Option<i64>| {
            let verified = Some(jwt::VerifiedFacts { exp, ..jwt::VerifiedFacts::default() });
            let facts = TokenFacts { verified, ..TokenFacts::default() };
            let verdict = refused(facts, Reason::Token(rejection.clone()));
            verdict.cross_cluster(NOW).map(|found| (found.cluster.to_string(), found.state))
        };
        let replay = Rejection::AudienceOtherCluster { found: found(), cluster: cluster.clone(), expected: ours() };
        for (exp, expected) in [
            (None, ReplayState::Live),
            (Some(i64::MAX), ReplayState::Live),
            (Some(now), ReplayState::Live),
            (Some(now - 1), ReplayState::Expired),
            (Some(now - day), ReplayState::Expired),
            (Some(now - day - 1), ReplayState::Stale),
            (Some(i64::MIN), ReplayState::Stale),
        ] {
            assert_eq!(state(&replay, exp), Some(("production".to_owned(), expected)), "{exp:?}");
        }
        let shared = |cluster| Rejection::AudienceShared { found: found(), expected: ours(), cluster };
        assert_eq!(state(&shared(Some(cluster)), Some(now)), Some(("production".to_owned(), ReplayState::Multi)));
        assert_eq!(state(&shared(None), Some(now)), None);
        assert_eq!(state(&Rejection::AudienceMismatch { found: found(), expected: ours() }, Some(now)), None);
        assert_eq!(state(&Rejection::SignatureInvalid, Some(now)), None);
    }
}

//! What can be found, how grave it is, and how it is mended. Pure.

use serde::Serialize;

/// How grave a finding is, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// A token may open a cluster that it was not made for, or it cannot be told whose token is whose.
    Critical,
    /// Clusters differ that should be alike, or people cannot log in.
    Error,
    /// It works, and somebody should look at it.
    Warning,
    /// Worth knowing, and no drift.
    Note,
}

/// Each kind of finding, in the order in which they are told. The words are stable: pipelines read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Code {
    AudienceShared,
    AudienceOfOtherCluster,
    ListAudienceShared,
    ClusterNameShared,
    NotInstalled,
    AuthenticatorMissing,
    AuthenticatorDiffers,
    AuthenticatorNotReady,
    NoCredentials,
    ListDiffers,
    ClusterNotListed,
    AudienceNotListed,
    BindingDiffers,
    ListMissing,
    AuthenticatorDegraded,
    ClusterNotChecked,
    SameCluster,
    AudienceUnused,
    VersionDiffers,
    TooFew,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which kind.
    pub(super) code: Code,
    /// [`Code::severity`].
    pub(super) severity: Severity,
    /// What it is about.
    pub(super) subject: String,
    /// What is so where.
    pub(super) seen: Vec<Seen>,
    /// [`Code::mend`].
    pub(super) mend: &'static str,
}

/// What is so in some clusters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Seen {
    /// Their contexts, or folders.
    pub(super) clusters: Vec<String>,
    /// What is so there.
    pub(super) found: String,
}

impl Finding {
    /// A finding of this kind.
    pub(super) fn new(code: Code, subject: impl Into<String>, seen: impl IntoIterator<Item = Seen>) -> Self {
        let (severity, mend) = (code.severity(), code.mend());
        Self { code, severity, subject: subject.into(), seen: seen.into_iter().collect(), mend }
    }
}

impl Seen {
    /// What is so in these clusters.
    pub(super) fn new<'a>(clusters: impl IntoIterator<Item = &'a str>, found: impl Into<String>) -> Self {
        Self { clusters: clusters.into_iter().map(ToOwned::to_owned).collect(), found: found.into() }
    }
}

impl Code {
    /// The word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::AudienceShared => "audience-shared",
            Self::AudienceOfOtherCluster => "audience-of-other-cluster",
            Self::ListAudienceShared => "list-audience-shared",
            Self::ClusterNameShared => "cluster-name-shared",
            Self::NotInstalled => "not-installed",
            Self::AuthenticatorMissing => "authenticator-missing",
            Self::AuthenticatorDiffers => "authenticator-differs",
            Self::AuthenticatorNotReady => "authenticator-not-ready",
            Self::NoCredentials => "no-credentials",
            Self::ListDiffers => "list-differs",
            Self::ClusterNotListed => "cluster-not-listed",
            Self::AudienceNotListed => "audience-not-listed",
            Self::BindingDiffers => "binding-differs",
            Self::ListMissing => "list-missing",
            Self::AuthenticatorDegraded => "authenticator-degraded",
            Self::ClusterNotChecked => "cluster-not-checked",
            Self::AudienceUnused => "audience-unused",
            Self::VersionDiffers => "version-differs",
            Self::SameCluster => "same-cluster",
            Self::TooFew => "too-few",
        }
    }

    /// How grave it is.
    pub(super) const fn severity(self) -> Severity {
        match self {
            Self::AudienceShared
            | Self::AudienceOfOtherCluster
            | Self::ListAudienceShared
            | Self::ClusterNameShared => Severity::Critical,
            Self::NotInstalled
            | Self::AuthenticatorMissing
            | Self::AuthenticatorDiffers
            | Self::AuthenticatorNotReady
            | Self::NoCredentials
            | Self::ListDiffers
            | Self::ClusterNotListed
            | Self::AudienceNotListed
            | Self::BindingDiffers => Severity::Error,
            Self::ListMissing | Self::AuthenticatorDegraded | Self::ClusterNotChecked | Self::SameCluster => {
                Severity::Warning
            }
            Self::AudienceUnused | Self::VersionDiffers | Self::TooFew => Severity::Note,
        }
    }

    /// What it means, in a line.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::AudienceShared => "one token opens several clusters",
            Self::AudienceOfOtherCluster => "a cluster takes the audience of another one",
            Self::ListAudienceShared => "the fleet's list gives one audience to several clusters",
            Self::ClusterNameShared => "several clusters have one name, so records do not say where something happened",
            Self::NotInstalled => "Latchkey is not installed there",
            Self::AuthenticatorMissing => "an authenticator is not everywhere",
            Self::AuthenticatorDiffers => "an authenticator is not the same everywhere",
            Self::AuthenticatorNotReady => "an authenticator admits nobody",
            Self::NoCredentials => "nobody gets a credential",
            Self::ListDiffers => "the fleet's list is not the same everywhere",
            Self::ClusterNotListed => "a cluster is not in the fleet's list",
            Self::AudienceNotListed => {
                "an audience is not in the fleet's list, so other clusters do not know whose it is"
            }
            Self::BindingDiffers => "people may not do the same everywhere",
            Self::ListMissing => "there is no fleet's list, so a token of another cluster is not known as one",
            Self::AuthenticatorDegraded => "an authenticator works, and warns",
            Self::ClusterNotChecked => "a cluster of the fleet's list was not looked at",
            Self::AudienceUnused => "an audience of the fleet's list is taken by no authenticator of its cluster",
            Self::VersionDiffers => "the concierges are not of one version",
            Self::SameCluster => "contexts of several servers lead to one cluster, or one is a copy of the other",
            Self::TooFew => "one cluster alone cannot differ from others",
        }
    }

    /// What to do.
    pub(super) const fn mend(self) -> &'static str {
        match self {
            Self::AudienceShared => {
                "make an OIDC client for each cluster at the issuer, and write its ID into that cluster's spec.audience"
            }
            Self::AudienceOfOtherCluster => {
                "write the ID of the cluster's own OIDC client into spec.audience, or take the audience out of the other's \
                 FleetCluster"
            }
            Self::ListAudienceShared => "let each audience stand in one FleetCluster only",
            Self::ClusterNameShared => "give each concierge a --cluster-name of its own (clusterName in the chart)",
            Self::NotInstalled => "install it, or name the clusters to compare by --contexts",
            Self::AuthenticatorMissing => {
                "apply it there too; if one cluster is meant to have it, label it latchkey.dev/fleet-check=ignore"
            }
            Self::AuthenticatorDiffers => {
                "render it from one place, with nothing but the audience for each cluster; if it is meant to differ, label \
                 it latchkey.dev/fleet-check=ignore"
            }
            Self::AuthenticatorNotReady => "mend what the condition says",
            Self::NoCredentials => "`kubectl describe credentialissuer` says for each strategy what to do",
            Self::ListDiffers => "apply the whole list to every cluster, from one folder in Git",
            Self::ClusterNotListed => "add a FleetCluster of this name to the list, in every cluster",
            Self::AudienceNotListed => "add it to the cluster's FleetCluster, in every cluster",
            Self::BindingDiffers => {
                "apply the binding to the others, or remove it; if it is meant to differ, label it \
                 latchkey.dev/fleet-check=ignore or name it by --ignore"
            }
            Self::ListMissing => "apply one FleetCluster for each cluster, the same list everywhere",
            Self::AuthenticatorDegraded => "mend what the condition says, before it counts",
            Self::ClusterNotChecked => {
                "add a context for it to the kubeconfig, or take a cluster that is gone out of the list"
            }
            Self::AudienceUnused => "take it out of the FleetCluster once nobody has such a token",
            Self::VersionDiffers => "nothing, while a new version is being rolled out",
            Self::SameCluster => "name one of them by --contexts; give a copy audiences and a name of its own",
            Self::TooFew => "name more clusters, or compare KUBECONFIG with the files that exist",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Topic;
    use crate::commands::help;

    const ALL: [Code; 20] = [
        Code::AudienceShared,
        Code::AudienceOfOtherCluster,
        Code::ListAudienceShared,
        Code::ClusterNameShared,
        Code::NotInstalled,
        Code::AuthenticatorMissing,
        Code::AuthenticatorDiffers,
        Code::AuthenticatorNotReady,
        Code::NoCredentials,
        Code::ListDiffers,
        Code::ClusterNotListed,
        Code::AudienceNotListed,
        Code::BindingDiffers,
        Code::ListMissing,
        Code::AuthenticatorDegraded,
        Code::ClusterNotChecked,
        Code::SameCluster,
        Code::AudienceUnused,
        Code::VersionDiffers,
        Code::TooFew,
    ];

    #[test]
    fn the_page_lists_every_code_with_its_severity_in_this_order() {
        let page = help::text(Topic::Fleet).split_once("the gravest first:\n").unwrap().1;
        let listed: Vec<Vec<&str>> =
            page.lines().take_while(|line| !line.is_empty()).map(|line| line.split_whitespace().collect()).collect();
        // The last variant has the number of them all.
        assert_eq!(ALL.len(), Code::TooFew as usize + 1);
        assert_eq!(listed.len(), ALL.len());
        for (line, code) in listed.iter().zip(ALL) {
            let severity = serde_json::to_value(code.severity()).unwrap();
            assert_eq!(line[..2], [code.word(), severity.as_str().unwrap()]);
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
        assert!(ALL.is_sorted_by_key(|code| (code.severity(), *code)), "the gravest first");
    }
}

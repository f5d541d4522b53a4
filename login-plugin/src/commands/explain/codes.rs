//! What each reason of a refusal means, and what to do about it. The words are those of the concierge's records.

/// A reason.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::commands) struct Reason {
    /// The stable word.
    pub(in crate::commands) code: &'static str,
    /// What it means.
    pub(in crate::commands) meaning: &'static str,
    /// Whose turn it is, and what to do.
    pub(in crate::commands) mend: &'static str,
}

/// The reason of that name.
pub(in crate::commands) fn reason(code: &str) -> Option<Reason> {
    let (code, meaning, mend) = *REASONS.iter().find(|(name, ..)| *name == code)?;
    Some(Reason { code, meaning, mend })
}

/// Every code with what it means.
pub(in crate::commands) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    REASONS.iter().map(|(code, meaning, _)| (*code, *meaning))
}

/// Of an attack or a damaged token rather than of a person.
const BROKEN: &str = "No provider makes such a token by mistake. Log in again by `kubectl latchkey login --force`; if it \
                      stays, tell the administrators of cluster and provider.";
/// Of the provider's settings for the cluster's client.
const PROVIDER: &str = "The administrator of the provider mends this at the client of this cluster.";
/// Of the cluster's authenticator.
const CLUSTER: &str =
    "The administrator of the cluster mends this at the authenticator (`kubectl get jwtauthenticators`).";
/// Of the clocks and of age.
const AGAIN: &str = "Log in again by `kubectl latchkey login --force`. If it happens often, compare the clocks of this \
                     computer, the provider and the cluster.";

/// In the order of the checks.
const REASONS: [(&str, &str, &str); 41] = [
    (
        "authenticator-unknown",
        "The cluster has no authenticator of the name that this kubeconfig asks for.",
        "Write the kubeconfig anew by `kubectl latchkey kubeconfig`, or compare --authenticator with `kubectl get jwtauthenticators`.",
    ),
    (
        "authenticator-not-ready",
        "The authenticator is there, but cannot judge tokens: its keys, its settings or its audience have a problem.",
        "The cluster's administrator finds the reason in its conditions: `kubectl describe jwtauthenticator`.",
    ),
    (
        "token-too-large",
        "The token is larger than any that the cluster reads.",
        "Usually too many groups are in it. The administrator of the provider puts fewer claims into the token.",
    ),
    ("malformed-token", "What was sent has not the form of a token (three parts, each in base64url).", BROKEN),
    ("malformed-header", "The token's header cannot be read, or holds what no token may hold.", BROKEN),
    (
        "alg-not-allowed",
        "The token is signed by an algorithm that this cluster does not accept.",
        "Provider and cluster have to agree: the client's signing algorithm, and `signingAlgorithms` of the authenticator.",
    ),
    ("critical-header", "The token asks for an extension that the cluster would have to know, and knows none.", BROKEN),
    (
        "key-unknown",
        "The provider has no key of the id that signed the token, as far as the cluster knows.",
        "After a change of keys this passes within minutes. If it stays, the cluster cannot fetch the provider's keys, or the token is of another provider.",
    ),
    (
        "key-ambiguous",
        "More than one of the provider's keys fits the token, and keys are never tried in turn.",
        PROVIDER,
    ),
    ("key-unsuitable", "The key of that id cannot verify the algorithm that the token names.", BROKEN),
    (
        "signature-invalid",
        "The signature does not fit: the token was changed, or nobody whom the cluster trusts has made it.",
        BROKEN,
    ),
    ("malformed-claims", "What the token claims cannot be read as strict JSON.", BROKEN),
    ("duplicate-member", "A name stands twice in the token, so that two readers could understand two things.", BROKEN),
    (
        "type-not-accepted",
        "It is a token of another kind: an access token, a log-out message, or one for another use.",
        "The kubeconfig sends the ID token unless --token-kind says access; `tokenTypes` of the authenticator says what the cluster takes.",
    ),
    (
        "issuer-unknown",
        "The token is of another issuer than the one that this authenticator trusts.",
        "Compare --issuer of the kubeconfig with `spec.issuer` of the authenticator, to the last slash.",
    ),
    ("audience-missing", "The token does not say for whom it is.", PROVIDER),
    (
        "audience-other-cluster",
        "The token is genuine, and it was made for another cluster of your fleet. Each cluster takes only its own. The cluster has recorded this as a token that was carried over from there.",
        "Usually a context joins the user of one cluster with the server of another: look at the context, or write it anew by `kubectl latchkey kubeconfig`. If it was not you, tell the administrators: somebody may hold your token.",
    ),
    (
        "audience-mismatch",
        "The token is genuine, and it was made for something that is not this cluster, nor any other of the fleet.",
        "Compare --client-id and --audience of the kubeconfig with `spec.audience` of the authenticator.",
    ),
    (
        "audience-shared",
        "The token is for this cluster and for others as well, so that it would open more than one door.",
        "The provider puts several audiences into one token. Its administrator gives each cluster a client of its own.",
    ),
    (
        "authorized-party-mismatch",
        "The token was given to another program (azp) than those that may bring tokens here.",
        "Compare the client at the provider with `authorizedParties` of the authenticator.",
    ),
    ("expired", "The token's time is over; not a second more is granted.", AGAIN),
    ("not-yet-valid", "The token says that it is not valid yet.", AGAIN),
    ("issued-in-future", "By the cluster's clock the token will only be made later.", AGAIN),
    (
        "lifetime-too-long",
        "The token was made to live longer than this cluster puts up with.",
        "The provider's lifetime of tokens and `maxTokenLifetimeSeconds` of the authenticator have to agree.",
    ),
    (
        "token-too-old",
        "The token was made longer ago than this cluster puts up with.",
        "Log in again by `kubectl latchkey login --force`; `maxTokenAgeSeconds` of the authenticator is the limit.",
    ),
    (
        "claim-missing",
        "The token lacks something that the cluster makes your name, groups or rights of.",
        "Ask for more (--scopes), or have the provider put it into the token of this client.",
    ),
    (
        "claim-wrong-type",
        "Something in the token is of another kind than the cluster expects: a list for a text, or the other way round.",
        CLUSTER,
    ),
    ("claim-rule-failed", "A rule of the authenticator about the token's claims says no.", CLUSTER),
    (
        "email-unverified",
        "The cluster names you by your e-mail address, and the provider has not verified it.",
        "Have your address verified at the provider.",
    ),
    ("username-empty", "The name that the cluster would give you is empty.", CLUSTER),
    (
        "username-unsafe",
        "The name that the cluster would give you holds characters that could deceive a reader, or is too long.",
        PROVIDER,
    ),
    ("group-unsafe", "A group's name holds characters that could deceive a reader, or is too long.", PROVIDER),
    (
        "too-many-groups",
        "You are in more groups than the cluster reads from one token.",
        "The administrator of the provider puts only the groups that matter for clusters into the token.",
    ),
    (
        "identity-reserved",
        "The name or a group begins with `system:`, which belongs to Kubernetes itself. The cluster has recorded it as serious.",
        "The provider must not give such names; exceptions stand in `reservedIdentities` of the authenticator.",
    ),
    ("user-rule-failed", "A rule of the authenticator about the user that the token would become says no.", CLUSTER),
    (
        "webhook-refused",
        "The cluster asks another server about tokens, and that one does not vouch for this one.",
        "The log of that server knows why.",
    ),
    (
        "webhook-unavailable",
        "The cluster asks another server about tokens, and that one did not answer.",
        "Try again; if it stays, tell the cluster's administrator.",
    ),
    (
        "overloaded",
        "The cluster had too much to do to judge the token. It says nothing about you.",
        "Try again in a few seconds.",
    ),
    (
        "certificate-request-refused",
        "The login was good, but the API server did not take the certificate request.",
        "The concierge lacks a right, or a policy of the cluster is in its way; its log says which.",
    ),
    (
        "certificate-request-subject",
        "The certificate request named somebody else than the token.",
        "Use a plugin of this release: it asks again with the right name by itself.",
    ),
    (
        "signer-unavailable",
        "The login was good, but the cluster's signer gave no certificate in time.",
        "Try again; if it stays, `kubectl describe credentialissuers` says what the signers lack.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words in quotes of the functions and lists named `code` and `CODES`.
    fn of_concierge() -> BTreeSet<&'static str> {
        let sources = [
            (include_str!("../../../../concierge/src/jwt/rejection.rs"), "pub const CODES", "];"),
            (include_str!("../../../../concierge/src/mapping/refusal.rs"), "pub const CODES", "];"),
            (include_str!("../../../../concierge/src/authn/reason.rs"), "pub const fn code(", "\n    }\n"),
            (include_str!("../../../../concierge/src/strategies.rs"), "pub const fn code(", "\n    }\n"),
        ];
        let mut codes = BTreeSet::new();
        for (source, begin, end) in sources {
            let list = source.split_once(begin).unwrap().1.split_once(end).unwrap().0;
            let before = codes.len();
            codes.extend(list.split('"').skip(1).step_by(2));
            assert!(codes.len() > before, "{begin}");
        }
        codes
    }

    #[test]
    fn the_codes_are_those_of_the_concierge() {
        let ours: BTreeSet<&str> = all().map(|(code, _)| code).collect();
        assert_eq!(ours.len(), REASONS.len(), "one stands there twice");
        assert_eq!(ours, of_concierge());
    }

    #[test]
    fn each_says_in_sentences_what_it_means_and_what_to_do() {
        for (code, meaning, mend) in REASONS {
            for words in [meaning, mend] {
                assert!(words.ends_with('.') && words.starts_with(char::is_uppercase), "{code}: {words}");
            }
        }
    }
}

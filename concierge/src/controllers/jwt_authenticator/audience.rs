//! The condition `AudienceUnique`: whether the audience is this cluster's alone, by the fleet list. Pure.

use std::collections::BTreeMap;

use latchkey_crds::conditions::{
    audience_unique::{NOT_IN_FLEET, NOT_LISTED, SHARED_IN_THIS_CLUSTER, SHARED_WITH_CLUSTER, TYPE},
    stalled::AUDIENCE_SHARED,
};

use super::Observed;
use crate::{
    controllers::status::Finding,
    fleet::{Fleet, Overlap, SharedAudience, Siblings, Standing},
};

/// Other authenticators of this cluster with the same issuer, by name, each with an audience in common.
pub(in crate::controllers) type Twins = BTreeMap<String, String>;

/// Shared audiences, twins and overlaps that are told one by one.
const TOLD: usize = 4;

/// What is known of this cluster among others, beside the object itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::controllers) struct ClusterView<'a> {
    /// This cluster's name.
    pub(in crate::controllers) own: &'a str,
    /// Why the fleet list is not known; `None` when it is.
    pub(in crate::controllers) unread: Option<&'a str>,
    /// The fleet list.
    pub(in crate::controllers) fleet: &'a Fleet,
    /// The same without this cluster, for the judge.
    pub(in crate::controllers) siblings: &'a Siblings,
    /// Audiences that two siblings have.
    pub(in crate::controllers) overlaps: &'a [Overlap],
    /// Other authenticators of this cluster that take the same tokens.
    pub(in crate::controllers) twins: &'a Twins,
}

/// What is found. A cluster that shares the audience is an obstacle; everything else is a warning in the message of a
/// condition that holds.
pub(super) fn unique(observed: &Observed<'_>) -> Finding {
    let ClusterView { own, unread, fleet, overlaps, twins, .. } = observed.cluster;
    let Ok(spec) = observed.spec else { return Finding::untried(TYPE) };
    let (Ok(issuer), Ok(judge)) = (&spec.issuer, &spec.judge) else { return Finding::untried(TYPE) };
    if let Some(why) = unread {
        return Finding::unknown(TYPE, format!("the fleet list is not read yet, so nobody is admitted: {why}"));
    }
    let mut warnings: Vec<(&'static str, String)> = Vec::new();
    let mut shared = Vec::new();
    for audience in judge.audiences().iter().map(crate::jwt::Audience::as_str) {
        match fleet.standing(own, issuer.as_str(), audience) {
            Standing::Shared(sibling) => {
                shared.push(SharedAudience { own, issuer: issuer.as_str(), audience, sibling }.to_string());
            }
            Standing::NotAMember => warnings.push((
                NOT_IN_FLEET,
                format!(
                    "no FleetCluster is named {own:?} like this cluster, so its siblings cannot know that audience \
                     {audience:?} is its own: add one to the fleet list"
                ),
            )),
            Standing::NotListed => warnings.push((
                NOT_LISTED,
                format!(
                    "FleetCluster {own} lists no audience {audience:?} for issuer {}, so its siblings cannot know that \
                     it is this cluster's own: add it there",
                    issuer.as_str()
                ),
            )),
            Standing::NoFleet | Standing::Ours => {}
        }
    }
    if !shared.is_empty() {
        shared.truncate(TOLD);
        return Finding::failure(TYPE, SHARED_WITH_CLUSTER, shared.join("; ")).stuck(AUDIENCE_SHARED);
    }
    let twins = twins.iter().take(TOLD).map(|(twin, audience)| {
        let text = format!(
            "JWTAuthenticator {twin} has issuer {} and audience {audience:?} too, so a token for one is taken by both: \
             give each an audience of its own, or remove one",
            issuer.as_str()
        );
        (SHARED_IN_THIS_CLUSTER, text)
    });
    let warnings: Vec<_> = twins.chain(warnings).take(TOLD).collect();
    let message = if fleet.is_empty() {
        "there is no FleetCluster to compare with".to_owned()
    } else {
        format!("no other cluster of the fleet has {}", judge.audiences())
    };
    let told = warnings.iter().map(|(_, text)| format!("; warning: {text}"));
    let notes = overlaps.iter().take(TOLD).map(|Overlap { audience, first, second }| {
        format!("; note: FleetClusters {first} and {second} both have audience {audience:?}, its tokens are told as {first}'s")
    });
    let message = told.chain(notes).fold(message, |message, more| message + &more);
    match warnings.first() {
        Some((reason, _)) => Finding::success(TYPE, message).because(reason),
        None => Finding::success(TYPE, message),
    }
}

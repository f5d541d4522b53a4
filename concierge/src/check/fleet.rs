//! The fleet list of a check: `FleetCluster` objects of a file of their own, or beside the authenticators.

use super::{
    Check, CheckError,
    authenticators::{manifests, unusable},
};
use crate::{
    convert::{self, JwtSpec, Manifest, ManifestKind},
    fleet::{Fleet, Member, SharedAudience, Siblings, Standing},
};

/// The list, and which of its clusters this is.
pub(super) struct List {
    own: String,
    fleet: Fleet,
}

impl List {
    /// Reads the list; those of `beside`, which stand with the authenticators, belong to it.
    pub(super) fn read(check: &Check, beside: &[Manifest]) -> Result<Self, CheckError> {
        let mut members = Vec::new();
        for manifest in beside.iter().filter(|manifest| manifest.kind == ManifestKind::Fleet) {
            members.push(member(manifest).map_err(|problem| unusable(&check.authenticator, &problem))?);
        }
        if let Some(file) = &check.fleet {
            for manifest in manifests(file)? {
                let member = member(&manifest).map_err(|problem| unusable(file, &problem))?;
                if members.iter().any(|known| known.name == member.name) {
                    return Err(unusable(file, &format!("FleetCluster {} stands twice: leave one out", member.name)));
                }
                members.push(member);
            }
        }
        let own = match &check.cluster_name {
            Some(name) => name.clone(),
            None if members.is_empty() => String::new(),
            None => {
                let problem = "holds FleetCluster objects: say with --cluster-name which of them is this cluster";
                return Err(unusable(&check.authenticator, problem));
            }
        };
        Ok(Self { own, fleet: Fleet::new(members) })
    }

    /// Everybody else.
    pub(super) fn siblings(&self) -> Siblings {
        self.fleet.siblings(&self.own)
    }

    /// Why an authenticator of this spec admits nobody: each audience that another cluster has too.
    pub(super) fn refuse_shared(&self, spec: &JwtSpec) -> Result<(), String> {
        let (Ok(issuer), Ok(judge)) = (&spec.issuer, &spec.judge) else { return Ok(()) };
        let (own, issuer) = (self.own.as_str(), issuer.as_str());
        let shared = judge.audiences().iter().filter_map(|audience| {
            let audience = audience.as_str();
            match self.fleet.standing(own, issuer, audience) {
                Standing::Shared(sibling) => Some(SharedAudience { own, issuer, audience, sibling }.to_string()),
                Standing::NoFleet | Standing::NotAMember | Standing::NotListed | Standing::Ours => None,
            }
        });
        let shared: Vec<_> = shared.collect();
        if shared.is_empty() { Ok(()) } else { Err(shared.join("; ")) }
    }
}

fn member(manifest: &Manifest) -> Result<Member, String> {
    let Manifest { kind, name, spec } = manifest;
    match kind {
        ManifestKind::Fleet => {
            convert::fleet_cluster(name, spec).map_err(|problem| format!("FleetCluster {name}: {problem}"))
        }
        ManifestKind::Jwt | ManifestKind::Webhook => {
            Err(format!("{} {name}: expected FleetCluster objects only", kind.name()))
        }
    }
}

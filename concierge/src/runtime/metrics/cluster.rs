//! How this replica stands among others and in its cluster: leadership, certificates, the fleet list, objects of ours.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{
    Metrics,
    series::{Series, Sometimes},
};
use crate::time::UnixTime;

/// The series.
#[derive(Default)]
pub(super) struct ClusterSeries {
    leader: Sometimes,
    csr_in_flight: Gauge,
    fleet_members: Sometimes,
    token_rejections: Sometimes,
    kube_events: Series<Sent, Counter>,
    authenticator_files_wrong: Gauge,
    expiry: Series<Certificate, Gauge>,
    lifetime: Series<Certificate, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Sent {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Certificate {
    certificate: &'static str,
}

impl ClusterSeries {
    /// Names every series.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "leader",
            "1 while this replica holds the lease of the writers; absent without an API server",
            self.leader.clone(),
        );
        registry.register(
            "csr_in_flight",
            "CertificateSigningRequests that wait for the cluster's signer",
            self.csr_in_flight.clone(),
        );
        registry.register("fleet_members", "Clusters in the fleet list, this one included", self.fleet_members.clone());
        registry.register("token_rejections", "TokenRejection objects that are kept", self.token_rejections.clone());
        registry.register("kube_events", "Kubernetes Events about refusals, by result", self.kube_events.clone());
        registry.register(
            "authenticator_files_wrong",
            "Problems with the files of --authenticators; what they held admits nobody",
            self.authenticator_files_wrong.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When a certificate in use ends; of a chain its first to end, of a bundle of trusted ones its last",
            self.expiry.clone(),
        );
        registry.register(
            "certificate_lifetime_seconds",
            "The whole life of that certificate: what is left of it is judged as a share",
            self.lifetime.clone(),
        );
    }
}

impl Metrics {
    /// Whether this replica holds the lease of the writers.
    pub fn leader(&self, leads: bool) {
        self.0.cluster.leader.set(i64::from(leads));
    }

    /// One more (`+1`) or one less (`-1`) `CertificateSigningRequest` waits for the cluster's signer.
    pub fn csr_in_flight(&self, change: i64) {
        self.0.cluster.csr_in_flight.inc_by(change);
    }

    /// So many clusters stand in the fleet list.
    pub fn fleet_members(&self, count: usize) {
        self.0.cluster.fleet_members.set(whole(count));
    }

    /// So many `TokenRejection` objects are kept.
    pub fn token_rejections(&self, objects: usize) {
        self.0.cluster.token_rejections.set(whole(objects));
    }

    /// A Kubernetes Event about a refusal was sent or not, with `result`, a word of a closed list.
    pub fn kube_event(&self, result: &'static str) {
        self.0.cluster.kube_events.with(&Sent { result }, Counter::inc);
    }

    /// So many things are wrong with the files that authenticators are read from.
    pub fn authenticator_files_wrong(&self, count: usize) {
        self.0.cluster.authenticator_files_wrong.set(whole(count));
    }

    /// The certificate now in use as `certificate` (`serving`, `serving-ca`, `client-ca`, `review-serving`,
    /// `review-client-ca`) is valid from `not_before` to `not_after`.
    pub fn certificate(&self, certificate: &'static str, not_before: UnixTime, not_after: UnixTime) {
        let certificate = Certificate { certificate };
        let seconds = i64::try_from(not_after.since(not_before).as_secs()).unwrap_or(i64::MAX);
        self.0.cluster.expiry.with(&certificate, |gauge| gauge.set(not_after.as_secs()));
        self.0.cluster.lifetime.with(&certificate, |gauge| gauge.set(seconds));
    }

    /// Nothing is in use as `certificate` any more.
    pub fn forget_certificate(&self, certificate: &'static str) {
        for series in [&self.0.cluster.expiry, &self.0.cluster.lifetime] {
            series.retain(|labels| labels.certificate != certificate);
        }
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_when_it_ends_and_how_long_it_lives() {
        let metrics = Metrics::new();
        metrics.certificate("serving", UnixTime::from_secs(1_000), UnixTime::from_secs(4_600));
        metrics.certificate("serving", UnixTime::from_secs(2_000), UnixTime::from_secs(9_200));
        let text = metrics.encode(UnixTime::from_secs(0));
        let series = r#"{certificate="serving"}"#;
        assert!(text.contains(&format!("latchkey_certificate_expiry_timestamp_seconds{series} 9200\n")), "{text}");
        assert!(text.contains(&format!("latchkey_certificate_lifetime_seconds{series} 7200\n")), "{text}");
        assert_eq!(text.matches(series).count(), 2, "{text}");
    }

    #[test]
    fn what_nobody_has_said_is_not_zero() {
        let metrics = Metrics::new();
        let text = metrics.encode(UnixTime::from_secs(0));
        for absent in ["latchkey_leader", "latchkey_fleet_members", "latchkey_token_rejections"] {
            assert!(!text.contains(absent), "{text}");
        }
        metrics.leader(false);
        metrics.fleet_members(3);
        metrics.token_rejections(0);
        metrics.kube_event("sent");
        let text = metrics.encode(UnixTime::from_secs(0));
        for line in [
            "latchkey_leader 0\n",
            "latchkey_fleet_members 3\n",
            "latchkey_token_rejections 0\n",
            "latchkey_kube_events_total{result=\"sent\"} 1\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}

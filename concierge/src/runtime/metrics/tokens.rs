//! Tokens judged: by surface, authenticator and reason code, and those that were made for another cluster.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{Metrics, series::Series};

/// Seconds. An exchange with our own CA takes well under a millisecond; one by the cluster's signer tens to hundreds;
/// the last bounds stand around the request deadline.
const SECONDS: [f64; 14] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

/// Every state of a token that was made for another cluster (audit record, member `state`).
const REPLAY_STATES: [&str; 4] = ["live", "expired", "stale", "multi"];

/// Codes that an alert waits for the first of. A counter that appears at 1 has no increase, so these stand at zero as
/// soon as their authenticator is known.
const AWAITED: [(&str, &str); 6] = [
    ("exchange", "granted"),
    ("exchange", "identity-reserved"),
    ("exchange", "signature-invalid"),
    ("exchange", "signer-unavailable"),
    ("review", "identity-reserved"),
    ("review", "signature-invalid"),
];

/// The series.
pub(super) struct TokenSeries {
    verdicts: Series<Verdict, Counter>,
    cross_cluster: Series<CrossCluster, Counter>,
    ready: Series<OfAuthenticator, Gauge>,
    exchange_seconds: Histogram,
    webhook_asked: Series<Asked, Counter>,
    webhook_seconds: Histogram,
    reviews_foreign: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Verdict {
    surface: &'static str,
    authenticator: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct CrossCluster {
    authenticator: String,
    claimed_cluster: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfAuthenticator {
    authenticator: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Asked {
    authenticator: String,
    result: &'static str,
}

impl Default for TokenSeries {
    fn default() -> Self {
        Self {
            verdicts: Series::default(),
            cross_cluster: Series::default(),
            ready: Series::default(),
            exchange_seconds: Histogram::new(SECONDS),
            webhook_asked: Series::default(),
            webhook_seconds: Histogram::new(SECONDS),
            reviews_foreign: Counter::default(),
        }
    }
}

impl TokenSeries {
    /// Names every series.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "token_verdicts",
            "Tokens judged, by surface, authenticator and reason code (granted, accepted, or why not; audit-unavailable: withheld)",
            self.verdicts.clone(),
        );
        registry.register(
            "cross_cluster_rejections",
            "Tokens that their issuer really made for another cluster of the fleet and somebody showed here",
            self.cross_cluster.clone(),
        );
        registry.register("authenticator_ready", "1 while an authenticator admits anybody", self.ready.clone());
        registry.register(
            "exchange_seconds",
            "Time from the parsed exchange request to its recorded answer",
            self.exchange_seconds.clone(),
        );
        registry.register(
            "webhook_asked",
            "Questions to the servers of WebhookAuthenticators, by authenticator and result",
            self.webhook_asked.clone(),
        );
        registry.register(
            "webhook_seconds",
            "Time that the servers of WebhookAuthenticators took to answer, tries included",
            self.webhook_seconds.clone(),
        );
        registry.register(
            "reviews_foreign",
            "Tokens of no issuer of ours that the API server asked about; nothing else is known of them",
            self.reviews_foreign.clone(),
        );
    }

    /// Shows nothing of `authenticator` any more.
    pub(super) fn forget(&self, authenticator: &str) {
        self.verdicts.retain(|labels| labels.authenticator != authenticator);
        self.cross_cluster.retain(|labels| labels.authenticator != authenticator);
        self.ready.retain(|labels| labels.authenticator != authenticator);
        // Only webhooks are asked, and there their names stand alone.
        if let Some(name) = authenticator.strip_prefix("webhook/") {
            self.webhook_asked.retain(|labels| labels.authenticator != name);
        }
    }

    fn judged(&self, surface: &'static str, code: &'static str, authenticator: &str) {
        let labels = Verdict { surface, authenticator: authenticator.to_owned(), code };
        self.verdicts.with(&labels, Counter::inc);
    }
}

impl Metrics {
    /// One exchange was decided: `code` is `granted`, the reason code of its refusal, or
    /// `audit-unavailable` where a credential was withheld because it could not be recorded. `authenticator` must be the
    /// name of an existing authenticator (`webhook/` and the name, for that kind), else empty: a made-up name would be a series of its own.
    pub fn exchange(&self, code: &'static str, authenticator: &str, latency: Duration) {
        self.0.tokens.judged("exchange", code, authenticator);
        self.0.tokens.exchange_seconds.observe(latency.as_secs_f64());
    }

    /// A token was judged for the API server: `code` is `accepted`, or one of the others of
    /// [`Self::exchange`]. `authenticator` as
    /// with [`Self::exchange`].
    pub fn review(&self, code: &'static str, authenticator: &str) {
        self.0.tokens.judged("review", code, authenticator);
    }

    /// The API server asked about a token of no issuer of ours.
    pub fn review_foreign(&self) {
        self.0.tokens.reviews_foreign.inc();
    }

    /// The server of the `WebhookAuthenticator` named `authenticator` was asked, with `result`, a word of a closed list.
    pub fn webhook_asked(&self, authenticator: &str, result: &'static str, latency: Duration) {
        let labels = Asked { authenticator: authenticator.to_owned(), result };
        self.0.tokens.webhook_asked.with(&labels, Counter::inc);
        self.0.tokens.webhook_seconds.observe(latency.as_secs_f64());
    }

    /// `authenticator` refused a verified token of `claimed_cluster`, a name from the fleet list; `state` is `live`,
    /// `expired`, `stale` or `multi`.
    pub fn cross_cluster(&self, authenticator: &str, claimed_cluster: &str, state: &'static str) {
        let labels = CrossCluster {
            authenticator: authenticator.to_owned(),
            claimed_cluster: claimed_cluster.to_owned(),
            state,
        };
        self.0.tokens.cross_cluster.with(&labels, Counter::inc);
    }

    /// The siblings whose tokens `authenticator` can tell: each stands at zero in every state from now on, so that the
    /// first replay is an increase; siblings that are no longer in the list are no longer shown.
    pub fn cross_cluster_expected(&self, authenticator: &str, clusters: &[String]) {
        let series = &self.0.tokens.cross_cluster;
        series.retain(|labels| labels.authenticator != authenticator || clusters.contains(&labels.claimed_cluster));
        for claimed_cluster in clusters {
            for state in REPLAY_STATES {
                series.expect(&CrossCluster {
                    authenticator: authenticator.to_owned(),
                    claimed_cluster: claimed_cluster.clone(),
                    state,
                });
            }
        }
    }

    /// Whether `authenticator` (`webhook/` and the name, for that kind) admits anybody.
    pub fn authenticator_ready(&self, authenticator: &str, ready: bool) {
        let authenticator = authenticator.to_owned();
        for (surface, code) in AWAITED {
            self.0.tokens.verdicts.expect(&Verdict { surface, authenticator: authenticator.clone(), code });
        }
        self.0.tokens.ready.with(&OfAuthenticator { authenticator }, |gauge| gauge.set(i64::from(ready)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixTime;

    fn text(metrics: &Metrics) -> String {
        metrics.encode(UnixTime::from_secs(0))
    }

    fn has(metrics: &Metrics, line: &str) -> bool {
        text(metrics).lines().any(|found| found == line)
    }

    #[test]
    fn counts_exchanges_by_code_and_authenticator() {
        let metrics = Metrics::new();
        metrics.exchange("granted", "staff", Duration::from_millis(3));
        metrics.exchange("granted", "staff", Duration::from_millis(3));
        metrics.exchange("audience-mismatch", "staff", Duration::from_millis(1));
        let series = r#"latchkey_token_verdicts_total{surface="exchange",authenticator="staff",code="#;
        assert!(has(&metrics, &format!("{series}\"granted\"}} 2")), "{}", text(&metrics));
        assert!(has(&metrics, &format!("{series}\"audience-mismatch\"}} 1")), "{}", text(&metrics));
        assert!(has(&metrics, "latchkey_exchange_seconds_count 3"), "{}", text(&metrics));
    }

    #[test]
    fn every_sibling_stands_at_zero_in_every_state_and_goes_with_the_list() {
        let metrics = Metrics::new();
        let line = |sibling: &str, state: &str, count: u32| {
            format!(
                r#"latchkey_cross_cluster_rejections_total{{authenticator="staff",claimed_cluster="{sibling}",state="{state}"}} {count}"#
            )
        };
        metrics.cross_cluster_expected("staff", &["staging".to_owned(), "test".to_owned()]);
        metrics.cross_cluster_expected("robots", &["test".to_owned()]);
        for sibling in ["staging", "test"] {
            for state in REPLAY_STATES {
                assert!(has(&metrics, &line(sibling, state, 0)), "{}", text(&metrics));
            }
        }
        metrics.cross_cluster("staff", "staging", "live");
        metrics.cross_cluster_expected("staff", &["staging".to_owned()]);
        assert!(has(&metrics, &line("staging", "live", 1)), "a new list loses no count: {}", text(&metrics));
        assert!(!text(&metrics).contains(r#"authenticator="staff",claimed_cluster="test""#));
        assert!(text(&metrics).contains(r#"authenticator="robots",claimed_cluster="test""#));
        metrics.forget_authenticator("staff");
        assert!(!text(&metrics).contains("staff"));
    }

    #[test]
    fn a_webhook_and_a_jwt_authenticator_of_one_name_are_two() {
        let metrics = Metrics::new();
        metrics.authenticator_ready("staff", true);
        metrics.authenticator_ready("webhook/staff", true);
        metrics.webhook_asked("staff", "admitted", Duration::ZERO);
        metrics.forget_authenticator("staff");
        assert!(
            has(&metrics, r#"latchkey_authenticator_ready{authenticator="webhook/staff"} 1"#),
            "{}",
            text(&metrics)
        );
        assert!(text(&metrics).contains(r#"latchkey_webhook_asked_total{authenticator="staff""#));
        metrics.forget_authenticator("webhook/staff");
        assert!(!text(&metrics).contains("staff"), "{}", text(&metrics));
    }

    #[test]
    fn codes_that_an_alert_waits_for_stand_at_zero_before_the_first() {
        let metrics = Metrics::new();
        metrics.authenticator_ready("staff", false);
        assert!(has(&metrics, r#"latchkey_authenticator_ready{authenticator="staff"} 0"#));
        for (surface, code) in AWAITED {
            let series = format!(r#"{{surface="{surface}",authenticator="staff",code="{code}"}}"#);
            assert!(has(&metrics, &format!("latchkey_token_verdicts_total{series} 0")), "{}", text(&metrics));
        }
        metrics.exchange("granted", "staff", Duration::ZERO);
        metrics.authenticator_ready("staff", true);
        let granted = r#"latchkey_token_verdicts_total{surface="exchange",authenticator="staff",code="granted"} 1"#;
        assert!(has(&metrics, granted), "ready again loses no count: {}", text(&metrics));
        metrics.forget_authenticator("staff");
        assert!(!text(&metrics).contains("staff"));
    }
}

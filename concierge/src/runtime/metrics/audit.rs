//! The audit log, counted: what each sink wrote, what it lost, and when it last did its duty.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{Metrics, series::Series};
use crate::time::UnixTime;

/// Every severity of a record. A counter that appears with its first loss has no increase, so all stand at zero before.
const SEVERITIES: [&str; 4] = ["info", "low", "medium", "high"];

/// The series.
#[derive(Default)]
pub(super) struct AuditSeries {
    records: Series<OfSink, Counter>,
    dropped: Series<Dropped, Counter>,
    folded: Counter,
    up: Series<OfSink, Gauge>,
    last_write: Series<OfSink, Gauge>,
    checkpoint: Series<OfSink, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfSink {
    sink: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Dropped {
    sink: &'static str,
    severity: &'static str,
}

impl AuditSeries {
    /// Names every series.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("audit_records", "Audit records written, by sink", self.records.clone());
        registry.register(
            "audit_dropped",
            "Audit records that a sink could not take, by their severity; the log itself names them in an audit.gap",
            self.dropped.clone(),
        );
        registry.register(
            "audit_folded",
            "Refusals that went into the record of an earlier one of the same kind, which says how many there were",
            self.folded.clone(),
        );
        registry.register("audit_sink_up", "1 while a sink takes what it is given", self.up.clone());
        registry.register(
            "audit_last_write_timestamp_seconds",
            "When a sink last wrote a record",
            self.last_write.clone(),
        );
        registry.register(
            "audit_checkpoint_timestamp_seconds",
            "When the last signed checkpoint of a sink was made; absent until there is one",
            self.checkpoint.clone(),
        );
    }
}

impl Metrics {
    /// `sink` lost `count` records of `severity` (`info`, `low`, `medium`, `high`).
    pub fn audit_dropped(&self, sink: &'static str, severity: &'static str, count: u64) {
        self.0.audit.dropped.with(&Dropped { sink, severity }, |counter| counter.inc_by(count));
    }

    /// `sink` wrote so many records, the last of them at `at`.
    pub fn audit_written(&self, sink: &'static str, records: u64, at: UnixTime) {
        let sink = OfSink { sink };
        self.0.audit.records.with(&sink, |counter| counter.inc_by(records));
        self.0.audit.last_write.with(&sink, |gauge| gauge.set(at.as_secs()));
    }

    /// Whether `sink` takes what it is given. The first word about a sink also puts its counters to zero.
    pub fn audit_sink_up(&self, sink: &'static str, up: bool) {
        let audit = &self.0.audit;
        for severity in SEVERITIES {
            audit.dropped.expect(&Dropped { sink, severity });
        }
        let sink = OfSink { sink };
        audit.records.expect(&sink);
        audit.up.with(&sink, |gauge| gauge.set(i64::from(up)));
    }

    /// So many refusals were folded into the record of an earlier one.
    pub fn audit_folded(&self, count: u64) {
        self.0.audit.folded.inc_by(count);
    }

    /// A signed checkpoint of `sink` was made at `at`.
    pub fn audit_checkpoint(&self, sink: &'static str, at: UnixTime) {
        self.0.audit.checkpoint.with(&OfSink { sink }, |gauge| gauge.set(at.as_secs()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_stands_at_zero_before_anything_happens_to_it() {
        let metrics = Metrics::new();
        let has = |line: &str| metrics.encode(UnixTime::from_secs(0)).lines().any(|found| found == line);
        assert!(!metrics.encode(UnixTime::from_secs(0)).contains("sink="), "no sink is made up");
        metrics.audit_sink_up("file", true);
        for severity in SEVERITIES {
            assert!(has(&format!(r#"latchkey_audit_dropped_total{{sink="file",severity="{severity}"}} 0"#)));
        }
        assert!(has(r#"latchkey_audit_records_total{sink="file"} 0"#));
        assert!(has(r#"latchkey_audit_sink_up{sink="file"} 1"#));
        assert!(!metrics.encode(UnixTime::from_secs(0)).contains("audit_checkpoint"), "no checkpoint, no time of one");
        metrics.audit_written("file", 3, UnixTime::from_secs(1_795_222_923));
        metrics.audit_written("file", 2, UnixTime::from_secs(1_795_222_924));
        metrics.audit_dropped("file", "info", 7);
        metrics.audit_sink_up("file", false);
        metrics.audit_checkpoint("file", UnixTime::from_secs(1_795_222_925));
        metrics.audit_folded(41);
        assert!(has(r#"latchkey_audit_records_total{sink="file"} 5"#));
        assert!(has(r#"latchkey_audit_last_write_timestamp_seconds{sink="file"} 1795222924"#));
        assert!(has(r#"latchkey_audit_dropped_total{sink="file",severity="info"} 7"#));
        assert!(has(r#"latchkey_audit_sink_up{sink="file"} 0"#));
        assert!(has(r#"latchkey_audit_checkpoint_timestamp_seconds{sink="file"} 1795222925"#));
        assert!(has("latchkey_audit_folded_total 41"));
    }
}

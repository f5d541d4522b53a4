//! Series that can come and go: a labelled family that forgets, and a gauge that may be absent.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder},
    metrics::{MetricType, TypedMetric},
};

/// One metric under many label sets. The library's own family cannot say which label sets it has, so nothing could be
/// taken out of it by a part of its labels. In order, so that two readings can be compared line by line.
#[derive(Debug)]
pub(super) struct Series<L, M>(Arc<RwLock<BTreeMap<L, M>>>);

/// A gauge that is absent until it is set: zero would be a statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Sometimes(Arc<RwLock<Option<i64>>>);

// === impl Series ===

impl<L: Ord + Clone, M: Default> Series<L, M> {
    /// Does something to the metric under `labels`, which begins at zero.
    pub(super) fn with<R>(&self, labels: &L, act: impl FnOnce(&M) -> R) -> R {
        // A poisoned map is still a map of numbers, here and below.
        if let Some(metric) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(labels) {
            return act(metric);
        }
        act(self.0.write().unwrap_or_else(PoisonError::into_inner).entry(labels.clone()).or_default())
    }

    /// Shows the metric under `labels`, at zero if nothing has been counted there yet.
    pub(super) fn expect(&self, labels: &L) {
        self.with(labels, |_| ());
    }

    /// Takes out whatever `keep` does not want.
    pub(super) fn retain(&self, keep: impl Fn(&L) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|labels, _| keep(labels));
    }
}

impl<L, M> Clone for Series<L, M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L, M> Default for Series<L, M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<L, M> EncodeMetric for Series<L, M>
where
    L: EncodeLabelSet,
    M: EncodeMetric + TypedMetric,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (labels, metric) in self.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            metric.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

// === impl Sometimes ===

impl Sometimes {
    /// From now on it says `value`.
    pub(super) fn set(&self, value: i64) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn get(&self) -> Option<i64> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EncodeMetric for Sometimes {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.get().map_or(Ok(()), |value| encoder.encode_gauge(&value))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }

    fn is_empty(&self) -> bool {
        self.get().is_none()
    }
}

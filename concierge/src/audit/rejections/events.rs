//! Kubernetes Events on the authenticator, for tokens that were good in another cluster: `kubectl describe` shows them.
//!
//! Whoever may look at the namespace `default` sees Events, which are many more people than may see `TokenRejection`s. So no
//! Event names a person, whatever the setting about names says; it tells where to look.

use std::time::Duration;

use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::ApiResource,
};
use serde_json::json;
use tokio::time::timeout;

use super::{
    series::{Deed, SoFar},
    sighting::Alarm,
};
use crate::{runtime::metrics::Metrics, time::UnixTime};

/// Events about objects without a namespace are kept in this one.
const NAMESPACE: &str = "default";
/// Who reports. Programs look for it.
const CONTROLLER: &str = "latchkey.dev/concierge";
/// What happened, in one word for programs.
const REASON: &str = "CrossClusterToken";
/// What was done about it.
const ACTION: &str = "RefuseToken";
/// Kubernetes' limit of a note (`events.k8s.io/v1`), in bytes.
const MAX_NOTE: usize = 1_024;
/// Kubernetes' limit of the reporting instance.
const MAX_INSTANCE: usize = 128;
/// Longest wait for one answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Writes Events.
pub(super) struct Teller {
    events: Api<Event>,
    authenticators: ApiResource,
    instance: String,
    metrics: Metrics,
}

/// What came of a deed.
#[derive(Debug)]
pub(super) enum Told {
    /// The Event of this name says it.
    Written(String),
    /// There is no such Event any more.
    Gone,
    /// The API server did not take it.
    Failed,
}

impl Teller {
    /// One that reports as the replica `instance` about `authenticators`.
    pub(super) fn new(client: Client, authenticators: ApiResource, replica: &str, metrics: Metrics) -> Self {
        let instance = crate::text::clean(replica, MAX_INSTANCE);
        Self { events: Api::namespaced(client, NAMESPACE), authenticators, instance, metrics }
    }

    /// Does what is due.
    pub(super) async fn tell(&self, deed: &Deed) -> Told {
        let answer = timeout(REQUEST_LIMIT, async {
            match deed {
                Deed::Create { alarm, first, so_far } => {
                    let event = self.event(alarm, *first, *so_far);
                    self.events.create(&PostParams::default(), &event).await
                }
                Deed::Count { name, so_far, .. } => {
                    let patch = Patch::Merge(json!({"series": series(*so_far)}));
                    self.events.patch(name, &PatchParams::default(), &patch).await
                }
            }
        });
        let (told, result) = match answer.await {
            Ok(Ok(event)) => (Told::Written(event.metadata.name.unwrap_or_default()), "written"),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 && matches!(deed, Deed::Count { .. }) => {
                (Told::Gone, "gone")
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Event not written, trying again");
                (Told::Failed, "failed")
            }
            Err(_) => {
                tracing::warn!(limit_s = REQUEST_LIMIT.as_secs(), "Event not written in time, trying again");
                (Told::Failed, "failed")
            }
        };
        self.metrics.kube_event(result);
        told
    }

    fn event(&self, alarm: &Alarm, first: UnixTime, so_far: SoFar) -> Event {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let object = alarm.authenticator.get(..200).unwrap_or(&alarm.authenticator).trim_end_matches(['-', '.']);
        Event {
            metadata: ObjectMeta {
                // As client-go names them: the object, and something that no other Event has. The name of an object
                // that has 253 characters would leave no room for it.
                name: Some(format!("{object}.{}", &id[..16])),
                namespace: Some(NAMESPACE.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(micro_time(first)),
            type_: Some("Warning".to_owned()),
            reason: Some(REASON.to_owned()),
            action: Some(ACTION.to_owned()),
            note: Some(note(alarm)),
            regarding: Some(ObjectReference {
                api_version: Some(self.authenticators.api_version.clone()),
                kind: Some(self.authenticators.kind.clone()),
                name: Some(alarm.authenticator.clone()),
                uid: Some(alarm.uid.clone()).filter(|uid| !uid.is_empty()),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            // A series begins with the second (KEP-383).
            series: (so_far.count > 1).then(|| series(so_far)),
            ..Event::default()
        }
    }
}

/// The same words for all tokens of one kind: Events that differ in their note are another series.
fn note(alarm: &Alarm) -> String {
    let Alarm { cluster, code, is_shared, .. } = alarm;
    let what = if *is_shared {
        format!("Refused a token that is for this cluster and for cluster {cluster} at once")
    } else {
        format!("Refused a token of cluster {cluster} that was still valid there")
    };
    let look = "See whose it was and where it came from: kubectl get tokenrejections -o wide";
    crate::text::clean(&format!("{what} ({code}). {look}"), MAX_NOTE)
}

fn series(so_far: SoFar) -> EventSeries {
    EventSeries { count: i32::try_from(so_far.count).unwrap_or(i32::MAX), last_observed_time: micro_time(so_far.last) }
}

fn micro_time(time: UnixTime) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(time.as_micros()).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_names_the_cluster_and_what_to_do_and_fits_however_long_the_name_is() {
        let alarm = |cluster: &str, is_shared| Alarm {
            authenticator: "corp".into(),
            uid: String::new(),
            cluster: cluster.into(),
            code: "audience-other-cluster",
            is_shared,
        };
        assert_eq!(
            note(&alarm("staging", false)),
            "Refused a token of cluster staging that was still valid there (audience-other-cluster). \
             See whose it was and where it came from: kubectl get tokenrejections -o wide"
        );
        assert!(note(&alarm("staging", true)).contains("for this cluster and for cluster staging at once"));
        assert!(note(&alarm(&"x".repeat(2_000), false)).len() <= MAX_NOTE);
    }

    #[test]
    fn a_count_that_no_event_can_hold_stays_at_its_limit() {
        let so_far = SoFar { count: u64::MAX, last: UnixTime::from_secs(0) };
        assert_eq!(series(so_far).count, i32::MAX);
    }
}

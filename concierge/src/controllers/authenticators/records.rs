//! The Secrets in which the last good keys of each authenticator are kept: read by every replica, once for each source,
//! and written by the one that leads.
//!
//! One Secret for each authenticator, named by its uid and owned by it: the garbage collector takes it away with its
//! authenticator, and no number of authenticators can fill a Secret (1 MiB; a set of 64 keys of 8,192 bits has 100 KiB).

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    ByteString,
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
    core::ApiResource,
};
use tokio::time::{Instant, timeout};

use crate::{
    controllers::{
        jwt_authenticator::{
            Source,
            record::{self, RecordProblem, SECRET_TYPE, Stored},
        },
        status::FIELD_MANAGER,
    },
    idp::issuer::{IssuerReport, LastGood},
    time::UnixTime,
};

/// What stands before the uid in a Secret's name.
const PREFIX: &str = "latchkey-keys-";

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(4);

/// Pause before a record that could not be read is read again: somebody may be waiting for these very keys.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// A record is written at most this often, whether that works or not: an issuer that changes its keys twice a second must
/// not become a load on the API server. The record may then be a minute behind, which the next start mends by asking.
const WRITE_AGAIN: Duration = Duration::from_mins(1);

/// The records of all authenticators.
#[derive(Debug)]
pub(super) struct Records {
    /// The kind of the authenticators; `None`: they are no objects of the API, so nothing could own a Secret of theirs,
    /// and none is kept.
    owner: Option<ApiResource>,
    by_name: BTreeMap<String, Record>,
}

/// The record of one authenticator.
#[derive(Debug)]
struct Record {
    uid: String,
    source: Source,
    read: Reading,
    /// What stands in the Secret, as far as it is known and of any use.
    stored: Option<Stored>,
    writing: bool,
    write_again_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    DueAt(Instant),
    UnderWay,
    Done,
}

/// A record to be read.
pub(super) struct ToRead {
    name: String,
    uid: String,
    source: Source,
}

/// What became of reading it.
pub(super) struct Read {
    of: ToRead,
    outcome: Result<Option<Secret>, String>,
}

/// A record to be written.
pub(super) struct ToWrite {
    name: String,
    uid: String,
    source: Source,
    secret: Secret,
    stored: Stored,
}

/// What became of writing it.
pub(super) struct Wrote {
    name: String,
    uid: String,
    source: Source,
    stored: Option<Stored>,
}

// === impl Read ===

impl Read {
    /// The authenticator whose record it is.
    pub(super) fn name(&self) -> &str {
        &self.of.name
    }
}

// === impl Records ===

impl Records {
    /// `owner` is the kind of the authenticators, if they are objects of the API.
    pub(super) const fn new(owner: Option<ApiResource>) -> Self {
        Self { owner, by_name: BTreeMap::new() }
    }

    /// From now on the record of `name` is that of this uid and this source; without a source there is none.
    pub(super) fn keep(&mut self, name: &str, uid: &str, source: Option<&Source>, now: Instant) {
        let known = self.by_name.get(name).map(|record| (record.uid.as_str(), &record.source));
        if known == source.map(|source| (uid, source)) {
            return;
        }
        let Some(source) = source.filter(|_| self.owner.is_some()) else {
            self.by_name.remove(name);
            return;
        };
        let record = Record {
            uid: uid.to_owned(),
            source: source.clone(),
            read: Reading::DueAt(now),
            stored: None,
            writing: false,
            write_again_at: None,
        };
        self.by_name.insert(name.to_owned(), record);
    }

    /// The records to be read now; they count as being read.
    pub(super) fn take_reads(&mut self, now: Instant) -> Vec<ToRead> {
        let due = self.by_name.iter_mut().filter(|(_, record)| record.is_due(now));
        due.map(|(name, record)| {
            record.read = Reading::UnderWay;
            ToRead { name: name.clone(), uid: record.uid.clone(), source: record.source.clone() }
        })
        .collect()
    }

    /// Takes in what was read, and returns the keys in it.
    pub(super) fn read(&mut self, read: Read, now: UnixTime, instant: Instant) -> Option<LastGood> {
        let Read { of: ToRead { name, uid, source }, outcome } = read;
        let record = self.by_name.get_mut(&name).filter(|record| record.uid == uid && record.source == source)?;
        let secret = match outcome {
            Ok(secret) => secret,
            Err(error) => {
                tracing::warn!(authenticator = name, error, "Cannot read the kept keys, trying again");
                record.read = Reading::DueAt(instant + READ_AGAIN);
                return None;
            }
        };
        record.read = Reading::Done;
        let secret = secret?;
        match record::read(secret.type_.as_deref(), &secret.data.unwrap_or_default(), &uid, &source, now) {
            Ok((last, stored)) => {
                record.stored = Some(stored);
                tracing::debug!(authenticator = name, fetched_at = %last.fetched_at, "Kept keys found");
                Some(last)
            }
            Err(problem) => {
                let (secret, error) = (secret_name(&uid), &problem as &dyn std::error::Error);
                if RecordProblem::is_ordinary(&problem) {
                    tracing::info!(authenticator = name, secret, error, "The kept keys are of no use any more");
                } else {
                    tracing::warn!(authenticator = name, secret, error, "The kept keys are not used");
                }
                None
            }
        }
    }

    /// What is to be written now that `report` is known of the source of `name`; it counts as being written.
    pub(super) fn take_write(&mut self, name: &str, report: &IssuerReport, now: Instant) -> Option<ToWrite> {
        let owner = self.owner.as_ref()?;
        let record = self.by_name.get_mut(name)?;
        // What could not be read yet may be just what would be written.
        if record.read != Reading::Done || record.writing || record.write_again_at.is_some_and(|at| now < at) {
            return None;
        }
        let (data, stored) = record::write(&record.uid, &record.source, report)?;
        if record.stored.is_some_and(|known| !known.is_outdated_by(&stored)) {
            return None;
        }
        record.writing = true;
        let secret = secret(owner, name, &record.uid, data);
        let (uid, source) = (record.uid.clone(), record.source.clone());
        Some(ToWrite { name: name.to_owned(), uid, source, secret, stored })
    }

    /// A write has ended.
    pub(super) fn wrote(&mut self, wrote: Wrote, now: Instant) {
        let Wrote { name, uid, source, stored } = wrote;
        let record = self.by_name.get_mut(&name).filter(|record| record.uid == uid && record.source == source);
        let Some(record) = record else { return };
        record.writing = false;
        record.write_again_at = Some(now + WRITE_AGAIN);
        record.stored = stored.or(record.stored);
    }

    /// Those that may be written again from now on.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let due = self.by_name.iter_mut().filter(|(_, record)| record.write_again_at.is_some_and(|at| at <= now));
        due.map(|(name, record)| {
            record.write_again_at = None;
            name.clone()
        })
        .collect()
    }

    /// When there is something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let each = self.by_name.values().flat_map(|record| {
            let read = match record.read {
                Reading::DueAt(at) => Some(at),
                Reading::UnderWay | Reading::Done => None,
            };
            [read, record.write_again_at]
        });
        each.flatten().min()
    }

    /// The authenticator is gone, and the garbage collector sees to its record.
    pub(super) fn forget(&mut self, name: &str) {
        self.by_name.remove(name);
    }
}

impl Record {
    fn is_due(&self, now: Instant) -> bool {
        matches!(self.read, Reading::DueAt(at) if at <= now)
    }
}

/// Reads one record.
pub(super) async fn read(secrets: Api<Secret>, of: ToRead) -> Read {
    let name = secret_name(&of.uid);
    let outcome = match timeout(REQUEST_LIMIT, secrets.get_opt(&name)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REQUEST_LIMIT.as_secs())),
    };
    Read { of, outcome }
}

/// Writes one record, in the place of whatever stands there.
pub(super) async fn write(secrets: Api<Secret>, record: ToWrite) -> Wrote {
    let ToWrite { name, uid, source, secret, stored } = record;
    let secret_name = secret_name(&uid);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&secret);
    let outcome = timeout(REQUEST_LIMIT, secrets.patch(&secret_name, &params, &patch)).await;
    let error = match outcome {
        Ok(Ok(_)) => {
            tracing::debug!(authenticator = name, secret = secret_name, "Keys kept");
            return Wrote { name, uid, source, stored: Some(stored) };
        }
        // The type of a Secret cannot be changed, and one that is immutable not at all. The name is ours.
        Ok(Err(kube::Error::Api(status))) if status.code == 422 => {
            let _ = timeout(REQUEST_LIMIT, secrets.delete(&secret_name, &DeleteParams::default())).await;
            "a Secret of another kind stands in the way, deleting it".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", REQUEST_LIMIT.as_secs()),
    };
    tracing::warn!(authenticator = name, secret = secret_name, error, "Cannot keep the keys, trying again");
    Wrote { name, uid, source, stored: None }
}

fn secret_name(uid: &str) -> String {
    format!("{PREFIX}{uid}")
}

fn secret(owner: &ApiResource, authenticator: &str, uid: &str, data: BTreeMap<String, ByteString>) -> Secret {
    // No `blockOwnerDeletion`: that would need rights over the authenticator's finalizers.
    let owner = OwnerReference {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: authenticator.to_owned(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    };
    Secret {
        metadata: ObjectMeta {
            name: Some(secret_name(uid)),
            labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned())])),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

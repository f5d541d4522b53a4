//! The records that a log has written to its file, all of them: no look comes too early.

use std::path::PathBuf;

use latchkey_concierge::{
    audit::{
        event::{Difference, Event},
        sink::AuditLog,
    },
    time::UnixTime,
};
use serde_json::Value;

/// The kind of the marks: no request is recorded as one.
const MARK: &str = "fleet.changed";

/// A log and the file that it goes to.
pub(crate) struct Written {
    log: AuditLog,
    file: PathBuf,
}

impl Written {
    pub(crate) fn new(log: AuditLog, file: PathBuf) -> Self {
        Self { log, file }
    }

    /// All that was recorded before this call. The log is in order, and its one way of recording that waits until the line
    /// is out is the end of everything before it.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let mark = Difference { added: vec!["mark".to_owned()], total: 1, ..Difference::default() };
        self.log.record(Event::fleet_changed(UnixTime::from_secs(0), &mark)).await.unwrap();
        self.lines()
    }

    /// The record of the request with that id.
    pub(crate) async fn of(&self, id: &str) -> Value {
        let record = self.records().await.into_iter().find(|record| record["auditID"] == id);
        record.unwrap_or_else(|| panic!("no audit record {id}"))
    }

    /// What the file holds now, without the marks.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let records = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["kind"] != MARK).collect()
    }
}

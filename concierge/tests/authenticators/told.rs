//! What the task tells the audit log, each of it held to the schema once the test is over.

use std::sync::{Arc, Mutex};

use latchkey_concierge::{
    audit::{
        chain::{Chain, Identity},
        event::{Event, Privacy},
    },
    controllers::authenticators::notices::Audience,
};
use serde_json::Value;

use crate::schema::assert_records;

/// Everything that was told, in order.
#[derive(Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    /// Who listens.
    pub(crate) fn audience(&self) -> Audience {
        let events = Arc::clone(&self.0);
        Audience::new(move |event| events.lock().unwrap().push(event))
    }

    /// What was told of the fleet list so far.
    pub(crate) fn of_fleet(&self) -> Vec<Value> {
        let records = self.lines().into_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
        records.filter(|record| record["kind"] == "fleet.changed").map(|record| record["fleet"].clone()).collect()
    }

    fn lines(&self) -> Vec<String> {
        let identity = Identity { cluster: "staging".to_owned(), replica: "one".to_owned(), life: 1 };
        let mut chain = Chain::new(&identity, None);
        let events = self.0.lock().unwrap();
        let lines = (1..).zip(events.iter()).map(|(seq, event)| {
            let mut line = Vec::new();
            chain.append(seq, &event.body(&Privacy::plain()), &mut line);
            String::from_utf8(line).unwrap()
        });
        lines.collect()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_records(&self.lines().concat());
        }
    }
}

//! Writes a log as a sink does, line by line.

use std::fmt::Write as _;

use serde_json::json;

use super::{Chain, Head, Identity, Keys, identity, key, lines, origin, sign};

/// A log under construction, as a sink writes it.
pub(super) struct Writer {
    pub(super) identity: Identity,
    pub(super) sink: &'static str,
    pub(super) chain: Chain,
    pub(super) seq: u64,
    micros: u64,
    pub(super) keys: Keys,
    pub(super) out: Vec<u8>,
    pub(super) notes: Vec<String>,
}

impl Writer {
    pub(super) fn new(identity: Identity, previous: Option<(Head, serde_json::Value)>, unclean: bool) -> Self {
        Self::begun(identity, "file", previous, unclean)
    }

    pub(super) fn begun(
        identity: Identity,
        sink: &'static str,
        previous: Option<(Head, serde_json::Value)>,
        unclean: bool,
    ) -> Self {
        let (head, named) = previous.unzip();
        let chain = Chain::new(&identity, head);
        let keys = Keys::one(key(1));
        let mut writer = Self { identity, sink, chain, seq: 0, micros: 0, keys, out: Vec::new(), notes: Vec::new() };
        let mut more = json!({"sink": sink});
        if let Some(named) = named {
            more["previous"] = named;
        }
        if unclean {
            more["unclean"] = true.into();
        }
        writer.about("audit.started", &more);
        writer
    }

    pub(super) fn line(&mut self, kind: &str, more: &serde_json::Value) {
        let mut body = format!(
            "\"time\":\"2026-11-21T01:02:{:02}.{:06}Z\",\"kind\":\"{kind}\"",
            self.micros / 1_000_000,
            self.micros % 1_000_000
        );
        for (name, value) in more.as_object().unwrap() {
            write!(body, ",\"{name}\":{value}").unwrap();
        }
        self.micros += 1_000;
        self.chain.append(self.seq, body.as_bytes(), &mut self.out);
    }

    pub(super) fn about(&mut self, kind: &str, more: &serde_json::Value) {
        self.line(kind, more);
    }

    pub(super) fn events(&mut self, count: u64) {
        for _ in 0..count {
            self.seq += 1;
            let text = format!("refused {}", self.seq);
            self.line("token.refused", &json!({"severity": "low", "code": "expired", "detail": text}));
        }
    }

    pub(super) fn checkpoint(&mut self, others: &serde_json::Value) {
        let note = sign(&origin(&self.identity, self.sink), self.chain.size(), &self.chain.root(), &self.keys);
        self.notes.push(note.clone());
        let tree: Vec<String> = self.chain.peaks().map(|peak| peak.to_string()).collect();
        self.about("audit.checkpoint", &json!({"note": note, "tree": tree, "others": others}));
    }

    pub(super) fn lose(&mut self, records: u64) {
        let (first, last) = (self.seq + 1, self.seq + records);
        self.about(
            "audit.gap",
            &json!({"reason": "overflow", "seqFirst": first, "seqLast": last, "dropped": {"info": records}}),
        );
        self.seq = last;
    }

    pub(super) fn stop(&mut self) {
        self.about("audit.stopped", &json!({"written": self.chain.size()}));
        self.checkpoint(&json!([]));
    }

    /// The parts of a log that a life of some minutes leaves.
    pub(super) fn usual(replica: &str, life: u64) -> Self {
        let mut writer = Self::new(identity(replica, life), None, false);
        writer.events(7);
        writer.checkpoint(&json!([]));
        writer.events(12);
        writer.checkpoint(&json!([]));
        writer.events(9);
        writer.stop();
        writer
    }

    pub(super) fn lines(&self) -> Vec<Vec<u8>> {
        lines(&self.out)
    }
}

//! What a checkpoint says, held against the lines before it; where some of those are missing, later ones against it.

use super::{
    super::{
        chain::Root,
        checkpoint::{self, Note, SignatureProblem},
    },
    record::Checkpoint,
    report::Defect,
    strand::{Claim, Entry, MAX_CLAIMS, Sealed, Strand, Trust},
    trail::{Resumed, Trail},
};

/// Most roots at checkpoints that are kept, to be held against what others say of this log: at a checkpoint each thousand
/// lines the roots of a quarter of a billion, in 10 MiB.
const MAX_SEALED: usize = 1 << 18;

impl Strand {
    /// A checkpoint, the last line.
    pub(super) fn checkpoint(&mut self, checkpoint: &Checkpoint, entry: &Entry, trust: &Trust) {
        self.checkpoints += 1;
        let at = Some(entry.place);
        for other in &checkpoint.others {
            if let Ok(root) = other.root.parse()
                && self.claims.len() < MAX_CLAIMS
            {
                let claim = Claim { root, place: entry.place };
                self.claims.entry((other.origin.clone(), other.size)).or_insert(claim);
            }
        }
        let note = match Note::parse(&checkpoint.note) {
            Ok(note) => note,
            Err(error) => {
                self.find(at, Some(entry.seq), Defect::Note(error.to_string()));
                return;
            }
        };
        match checkpoint::named(&note.origin) {
            Some((identity, sink))
                if identity == self.identity && self.sink.as_ref().is_none_or(|own| *own == sink) =>
            {
                self.sink = Some(sink);
            }
            _ => {
                let origin = note.origin.clone();
                self.find(at, Some(entry.seq), Defect::AnotherLogsCheckpoint { origin });
                return;
            }
        }
        let fits = self.held_against(&note, &checkpoint.tree, entry);
        if trust.keys.is_empty() {
            return;
        }
        match note.verify(&trust.keys) {
            Ok(key) if fits => self.signed = self.sealed.map(|sealed| (sealed, key)),
            Ok(_) => {}
            Err(problem) => {
                let defect = match problem {
                    SignatureProblem::UnknownKey => Defect::UnknownKey,
                    SignatureProblem::Wrong => Defect::SignatureWrong,
                };
                if !self.findings.has(&defect) {
                    self.find(at, Some(entry.seq), defect);
                }
            }
        }
    }

    /// Whether the lines before a checkpoint, the last line, give what it states.
    fn held_against(&mut self, note: &Note, tree: &[String], entry: &Entry) -> bool {
        if let Some(doubt) = self.doubt.take() {
            let stands = states(&self.trail, note);
            let defect = if stands { Defect::Edited } else { doubt.defect };
            if !stands && states(&doubt.trail, note) {
                self.trail = doubt.trail;
            }
            if let Some(finding) = doubt.finding
                && states(&self.trail, note)
            {
                self.findings.amend(finding, defect);
            }
        }
        let at = Some(entry.place);
        let is_rewritten = match self.trail.size() {
            None => match self.resume(note, tree) {
                Some(Resumed::Sealed) => false,
                Some(Resumed::Contradicted) => true,
                Some(Resumed::Unsealed) | None => {
                    self.unchecked += 1;
                    return false;
                }
            },
            Some(size) if note.size != size - 1 => {
                let defect = Defect::Miscounted { stated: note.size, found: size - 1 };
                self.find(at, Some(entry.seq), defect);
                self.trail.give_up();
                return false;
            }
            Some(_) => self.trail.root_before_last() != Some(note.root),
        };
        if is_rewritten {
            let defect = Defect::Rewritten { since: self.sealed.map(|sealed| sealed.seq), size: note.size };
            self.find(at, Some(entry.seq), defect);
            self.trail.give_up();
            return false;
        }
        if self.roots.len() < MAX_SEALED {
            self.roots.insert(note.size, note.root);
        }
        let from = self.trail.from();
        self.sealed = Some(Sealed { seq: entry.seq, from, records: self.records, time: entry.time });
        true
    }

    /// Lines before are missing: goes on from the tree that the checkpoint has, if that gives the root that it states.
    /// Whether that is signed need not be known: no later signed root comes out of a tree that is not the true one.
    fn resume(&mut self, note: &Note, tree: &[String]) -> Option<Resumed> {
        let peaks: Vec<Root> = tree.iter().map(|peak| peak.parse().ok()).collect::<Option<_>>()?;
        self.trail.resume(note.size, note.root, &peaks)
    }
}

/// Whether the lines of a trail before its last give what a checkpoint states.
fn states(trail: &Trail, note: &Note) -> bool {
    trail.size().is_some_and(|size| size.checked_sub(1) == Some(note.size))
        && trail.root_before_last() == Some(note.root)
}

//! The end: what logs say about each other, what was published about them, and the verdict.

use jiff::Timestamp;

use super::{
    super::{
        chain::{Identity, Root},
        checkpoint,
    },
    Published, Verifier,
    report::{Checkpoints, Defect, End, Found, Log, Place, Record, Report, Severity, Verdict, file_name},
    strand::{Strand, TIME},
};

impl Verifier {
    /// The verdict over all that was read.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.end();
        for strand in &mut self.strands {
            strand.settle(&self.trust);
            let (seq, last_seq) = (strand.tip.seq, strand.seq);
            let first_seq = if strand.started.is_some() { 0 } else { strand.first.seq };
            for (place, defect) in std::mem::take(&mut strand.holes).compare(first_seq, last_seq) {
                strand.find(Some(place), Some(seq), defect);
            }
        }
        self.join_copies();
        self.join_lives();
        self.join_claims();
        self.join_published();
        self.require_signatures();
        self.count_foreign_lines();
        let ends: Vec<End> = (0..self.strands.len()).map(|log| self.end_of(log)).collect();
        let mut worst = self.findings.worst();
        let mut logs = Vec::new();
        for (strand, end) in self.strands.into_iter().zip(ends) {
            worst = worst.max(strand.findings.worst());
            logs.push(log(strand, end, &self.files));
        }
        let (findings, more_findings) = self.findings.told(&self.files);
        Report {
            verdict: worst.into(),
            files: self.files.len(),
            lines: self.lines,
            bytes: self.bytes,
            logs,
            findings,
            more_findings,
        }
    }

    /// Two logs of one sink of one life are one log, given twice, or two histories.
    fn join_copies(&mut self) {
        for second in 1..self.strands.len() {
            let (before, rest) = self.strands.split_at_mut(second);
            let copy = &mut rest[0];
            for original in before.iter().filter(|original| original.identity == copy.identity) {
                let same_sink = match (&original.sink, &copy.sink) {
                    (Some(one), Some(other)) => one == other,
                    _ => original.first.hash == copy.first.hash,
                };
                if !same_sink {
                    continue;
                }
                let differs =
                    copy.roots.iter().any(|(size, root)| original.roots.get(size).is_some_and(|own| own != root));
                let same_end = original.head() == copy.head();
                let defect = if differs || (!same_end && original.records == copy.records) {
                    Defect::TwoHistories { with: original.first.place }
                } else {
                    Defect::GivenTwice
                };
                copy.find(Some(copy.first.place), Some(copy.first.seq), defect);
                break;
            }
        }
    }

    /// A life names the one before it and the hash of its last line.
    fn join_lives(&mut self) {
        for later in 0..self.strands.len() {
            let strand = &self.strands[later];
            let Some(started) = &strand.started else {
                self.explain_beginning(later);
                continue;
            };
            let (prev, unclean) = (strand.first.prev, started.unclean);
            let Some(previous) = &started.previous else { continue };
            let named = Identity {
                cluster: strand.identity.cluster.clone(),
                replica: previous.replica.clone(),
                life: previous.life,
            };
            let seq = previous.seq;
            let of_sink = |other: &Strand| match (&strand.sink, &other.sink) {
                (Some(one), Some(two)) => one == two,
                _ => true,
            };
            let candidates: Vec<usize> = (0..self.strands.len())
                .filter(|other| {
                    *other != later && self.strands[*other].identity == named && of_sink(&self.strands[*other])
                })
                .collect();
            let ends_there =
                |other: &usize| self.strands[*other].head() == prev || self.strands[*other].unended == Some(prev);
            if let Some(earlier) = candidates.iter().copied().find(ends_there) {
                if unclean || !self.strands[earlier].stopped {
                    self.strands[earlier].find(None, None, Defect::Unclean);
                }
            } else if candidates.is_empty() {
                let is_earlier = |other: &Strand| {
                    let one_replica =
                        other.identity.cluster == named.cluster && other.identity.replica == named.replica;
                    one_replica && other.identity.life < named.life && of_sink(other)
                };
                // Of the first life that is here nobody expects the one before it; between two of them none may be missing,
                // and what is deleted by the log's own rules goes from the oldest on.
                if self.strands.iter().any(is_earlier) {
                    let (place, at) = (self.strands[later].first.place, self.strands[later].first.seq);
                    self.strands[later].find(Some(place), Some(at), Defect::LifeMissing { life: named.life });
                }
            } else if let [earlier] = candidates[..] {
                let place = self.strands[earlier].tip.place;
                let at = self.strands[earlier].tip.seq;
                self.strands[earlier].find(Some(place), Some(at), Defect::TailCutBeforeNextLife { seq });
            }
        }
    }

    /// A log whose first line is not here: deleted as the rules say, or not given.
    fn explain_beginning(&mut self, log: usize) {
        let (prev, place, seq) = {
            let first = &self.strands[log].first;
            (first.prev, first.place, first.seq)
        };
        let told =
            self.strands.iter().flat_map(|other| &other.expired).find(|(head, _)| *head == prev).map(|told| told.1);
        let defect = told.map_or(Defect::BeginningMissing, |told_at| Defect::BeginningKeptNoLonger { told_at });
        self.strands[log].find(Some(place), Some(seq), defect);
    }

    /// Checkpoints name the heads of other replicas' logs.
    fn join_claims(&mut self) {
        let mut found: Vec<(usize, Found)> = Vec::new();
        for witness in &self.strands {
            // For each log the longest claim says all about its end, and each says something about its root.
            for ((origin, size), claim) in &witness.claims {
                let source = format!(
                    "replica {} at {}:{}",
                    witness.identity.replica,
                    file_name(&self.files, claim.place),
                    claim.place.line
                );
                let Some(log) = self.of_origin(origin) else { continue };
                if let Some(defect) = held(&self.strands[log], *size, claim.root, source) {
                    let tip = self.strands[log].tip;
                    found.push((log, Found { place: Some(tip.place), seq: Some(tip.seq), defect }));
                }
            }
        }
        for (log, found) in found {
            self.strands[log].find(found.place, found.seq, found.defect);
        }
    }

    fn join_published(&mut self) {
        let published = std::mem::take(&mut self.demands.published);
        for (number, one) in published.iter().enumerate() {
            let Published { note, source } = one;
            if !self.trust.keys.is_empty()
                && let Err(problem) = note.verify(&self.trust.keys)
            {
                let defect = Defect::PublishedSignature { source: source.clone(), problem: problem.to_string() };
                self.findings.add(None, None, defect);
                continue;
            }
            let contradicts = |other: &&Published| {
                other.note.origin == note.origin && other.note.size == note.size && other.note.root != note.root
            };
            if published[..number].iter().any(|other| contradicts(&other)) {
                let defect = Defect::PublishedTwice { origin: note.origin.clone(), size: note.size };
                self.findings.add(None, None, defect);
            }
            let Some(log) = self.of_origin(&note.origin) else {
                let defect = Defect::NotAmongTheFiles { source: source.clone(), origin: note.origin.clone() };
                self.findings.add(None, None, defect);
                continue;
            };
            let strand = &mut self.strands[log];
            if let Some(defect) = held(strand, note.size, note.root, source.clone()) {
                let tip = strand.tip;
                strand.find(Some(tip.place), Some(tip.seq), defect);
            }
        }
    }

    /// The log that a checkpoint is about. A log without a checkpoint of its own does not say which sink it is: it is
    /// taken if it is the only one of its life.
    fn of_origin(&self, origin: &str) -> Option<usize> {
        let (identity, sink) = checkpoint::named(origin)?;
        let of_life = || (0..self.strands.len()).filter(|log| self.strands[*log].identity == identity);
        let exact = of_life().find(|log| self.strands[*log].sink.as_ref() == Some(&sink));
        exact.or_else(|| {
            let mut unnamed = of_life().filter(|log| self.strands[*log].sink.is_none());
            let first = unnamed.next();
            first.filter(|_| unnamed.next().is_none())
        })
    }

    fn require_signatures(&mut self) {
        if !self.demands.require_signed {
            return self.expect_a_signature();
        }
        for strand in &mut self.strands {
            if strand.signed.is_none() {
                strand.find(None, None, Defect::NotSigned);
                continue;
            }
            let (records, seconds) = tail(strand, true);
            if records > 0 {
                strand.find(None, None, Defect::UnsignedTail { records, seconds });
            }
        }
    }

    /// Whoever gives a key may not be told that all is well with a log in which that key has signed nothing: anybody can
    /// write one whose links hold.
    fn expect_a_signature(&mut self) {
        if self.trust.keys.is_empty() {
            return;
        }
        for strand in self.strands.iter_mut().filter(|strand| strand.signed.is_none()) {
            if strand.findings.worst().is_none_or(|worst| worst == Severity::Remark) {
                let (records, seconds) = tail(strand, true);
                strand.find(None, None, Defect::UnsignedTail { records, seconds });
            }
        }
    }

    fn count_foreign_lines(&mut self) {
        let lines = self.stray + self.strands.iter().map(|strand| strand.foreign).sum::<u64>();
        if lines == 0 {
            return;
        }
        let first = self.strands.iter().filter_map(|strand| strand.first_foreign).chain(self.first_stray).min();
        let defect = if self.demands.mixed { Defect::PassedOver { lines } } else { Defect::Foreign { lines } };
        self.findings.add(first, None, defect);
    }

    fn end_of(&self, log: usize) -> End {
        let strand = &self.strands[log];
        if strand.stopped {
            End::Stopped
        } else if strand.findings.has(&Defect::Unclean) {
            End::Unclean
        } else {
            End::Open
        }
    }
}

/// What is wrong if the first `size` lines of a log have the given root.
fn held(strand: &Strand, size: u64, root: Root, source: String) -> Option<Defect> {
    if let Some(own) = strand.roots.get(&size) {
        return (*own != root).then_some(Defect::ContradictsPublished { source, size });
    }
    let found = strand.trail.size()?;
    (found < size).then_some(Defect::TailShort { source, size, found })
}

/// Records behind the last checkpoint that counts, and the time since.
fn tail(strand: &Strand, signed: bool) -> (u64, u64) {
    let sealed = if signed { strand.signed.map(|(sealed, _)| sealed) } else { strand.sealed };
    // Behind a checkpoint stands its own record, which is covered by the next one and adds nothing to cover.
    let records = strand.records - sealed.map_or(0, |sealed| sealed.records);
    let since = sealed.map_or(strand.first.time, |sealed| sealed.time);
    let seconds = match (timestamp(&since), timestamp(&strand.tip.time)) {
        (Some(since), Some(until)) => u64::try_from(until.duration_since(since).as_secs()).unwrap_or(0),
        _ => 0,
    };
    (records, seconds)
}

fn timestamp(time: &[u8; TIME]) -> Option<Timestamp> {
    std::str::from_utf8(time).ok()?.parse().ok()
}

fn log(strand: Strand, end: End, files: &[String]) -> Log {
    let severity = strand.findings.worst();
    let (tail_records, tail_seconds) = tail(&strand, strand.signed.is_some());
    let record = |place: Place, seq, time: &[u8; TIME]| Record {
        seq,
        time: String::from_utf8_lossy(time).trim_end().to_owned(),
        file: file_name(files, place),
        line: place.line,
    };
    let intact_until = strand.broken.and_then(|(_, until)| until);
    let complete = !strand.findings.is_incomplete();
    let (first, tip) = (&strand.first, strand.tip);
    let (first, last) = (record(first.place, first.seq, &first.time), record(tip.place, tip.seq, &tip.time));
    let (findings, more_findings) = strand.findings.told(files);
    Log {
        cluster: strand.identity.cluster,
        replica: strand.identity.replica,
        life: strand.identity.life,
        sink: strand.sink,
        verdict: Verdict::from(severity),
        intact: severity < Some(Severity::Broken),
        complete,
        records: strand.records,
        first,
        last,
        intact_until,
        end,
        checkpoints: Checkpoints {
            count: strand.checkpoints,
            unchecked: strand.unchecked,
            sealed_until: strand.sealed.map(|sealed| sealed.seq),
            sealed_from: strand.sealed.and_then(|sealed| sealed.from),
            signed_from: strand.signed.and_then(|(sealed, _)| sealed.from),
            signed_until: strand.signed.map(|(sealed, _)| sealed.seq),
            key: strand.signed.map(|(_, key)| key.to_string()),
            tail_records,
            tail_seconds,
        },
        findings,
        more_findings,
    }
}

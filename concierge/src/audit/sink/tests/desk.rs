//! A sheet of paper that can be taken away, torn, or never given back, and a log that is written on such.

use super::*;

/// An output that does as it is told.
#[derive(Clone)]
pub(super) struct Paper(pub(super) Arc<Sheet>);

pub(super) struct Sheet {
    pub(super) text: Mutex<Vec<u8>>,
    pub(super) broken: Mutex<bool>,
    /// Takes what it is given and does not keep it.
    pub(super) forgets: Mutex<bool>,
    /// A write needs a permit, and gives it back.
    pub(super) gate: Semaphore,
    pub(super) syncs: Mutex<usize>,
}

impl Paper {
    pub(super) fn new() -> Self {
        let sheet = Sheet {
            text: Mutex::default(),
            broken: Mutex::default(),
            forgets: Mutex::default(),
            gate: Semaphore::new(1),
            syncs: Mutex::default(),
        };
        Self(Arc::new(sheet))
    }

    /// One that nobody gives back.
    pub(super) fn stuck() -> Self {
        let paper = Self::new();
        paper.0.gate.forget_permits(1);
        paper
    }

    pub(super) fn give_back(&self) {
        self.0.gate.add_permits(1);
    }

    pub(super) fn set_broken(&self, broken: bool) {
        *self.0.broken.lock().unwrap() = broken;
    }

    pub(super) fn text(&self) -> Vec<u8> {
        self.0.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn records(&self) -> Vec<Value> {
        intact(&self.text())
    }
}

impl Output for Paper {
    async fn write(&mut self, batch: &Batch, sync: bool) -> io::Result<()> {
        let _permit = self.0.gate.acquire().await.map_err(io::Error::other)?;
        if *self.0.broken.lock().unwrap() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if *self.0.forgets.lock().unwrap() {
            return Ok(());
        }
        self.0.text.lock().unwrap().extend_from_slice(batch.text());
        *self.0.syncs.lock().unwrap() += usize::from(sync);
        Ok(())
    }

    fn lost_some(&self) -> bool {
        *self.0.forgets.lock().unwrap()
    }
}

/// A log on sheets of paper.
pub(super) struct Desk {
    pub(super) log: AuditLog,
    pub(super) clock: Arc<ManualClock>,
    pub(super) metrics: Metrics,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<io::Result<()>>,
    pub(super) notes: Vec<(&'static str, watch::Receiver<Option<String>>)>,
    pub(super) keys: watch::Sender<Option<Arc<Keys>>>,
}

impl Desk {
    pub(super) fn new(papers: &[(&'static str, bool, &Paper)]) -> Self {
        Self::with(papers, None)
    }

    pub(super) fn with(papers: &[(&'static str, bool, &Paper)], keys: Option<&Arc<Keys>>) -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let metrics = Metrics::new();
        let ports: Vec<_> = papers.iter().map(|(name, required, _)| (*name, *required)).collect();
        let privacy = watch::channel(Privacy::default()).1;
        let recorder = Arc::new(Recorder::new(&ports, privacy, clock.clone(), metrics.clone()));
        let closed = CancellationToken::new();
        let log = AuditLog(Arc::new(Handle { recorder: Arc::clone(&recorder), closed: closed.clone() }));
        let keys = watch::Sender::new(keys.cloned());
        let mut sinks = Sinks { recorder: Open(recorder), closed, writers: Vec::new(), notes: Vec::new() };
        for (name, _, paper) in papers {
            let seal = Seal {
                identity: Identity { cluster: "staging".into(), replica: "one".into(), life: 7 },
                every: CHECKPOINT_EVERY,
                keys: keys.subscribe(),
                others: watch::channel(Arc::default()).1,
                notes: watch::Sender::default(),
            };
            sinks.add(name, (*paper).clone(), Predecessor::default(), Fsync::Grants, seal);
        }
        let (notes, stop) = (sinks.notes(), CancellationToken::new());
        let task = tokio::spawn(sinks.run(stop.clone()));
        Self { log, clock, metrics, stop, task, notes, keys }
    }

    pub(super) async fn close(self) {
        drop(self.log);
        self.task.await.unwrap().unwrap();
    }

    pub(super) fn counted(&self, series: &str) -> bool {
        self.metrics.encode(NOW).lines().any(|line| line == series)
    }
}

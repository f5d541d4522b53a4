//! One task for each webhook: looks from time to time, and whenever a question went unanswered, whether its server can
//! be reached, and reports.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Word;
use crate::{time::Clock, webhook::WebhookClient};

/// Between two looks at a server that answers.
const WELL: Duration = Duration::from_mins(1);

/// After the first look that fails, and at most; it doubles. A login that fails asks for a look at once, but none comes
/// sooner than the first of these after the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Tells one prober's reports from those of an earlier one of the same authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controllers) struct ProberId(pub(in crate::controllers) u64);

/// What a prober found.
#[derive(Debug)]
pub(in crate::controllers) struct ProbeReport {
    /// Who says it.
    pub(in crate::controllers) prober: ProberId,
    /// Of which authenticator.
    pub(in crate::controllers) name: String,
    /// What.
    pub(in crate::controllers) word: Word,
}

/// The task itself.
#[derive(Debug)]
pub(in crate::controllers) struct Prober {
    /// Who it is.
    pub(in crate::controllers) id: ProberId,
    /// Whose server it looks at.
    pub(in crate::controllers) name: String,
    /// The server.
    pub(in crate::controllers) client: Arc<WebhookClient>,
    /// Tells the time.
    pub(in crate::controllers) clock: Arc<dyn Clock>,
    /// Where reports go.
    pub(in crate::controllers) reports: mpsc::Sender<ProbeReport>,
}

impl Prober {
    /// Looks until `stop`, or until nobody listens any more.
    pub(in crate::controllers) async fn run(self, stop: CancellationToken) {
        let _: Option<()> = stop.run_until_cancelled(self.look()).await;
    }

    async fn look(self) {
        let mut told = Word::Undialed;
        let mut pause = FIRST_PAUSE;
        loop {
            let word = match self.client.dial().await {
                Ok(dialed) => Word::Dialed(dialed),
                Err(error) => {
                    let since = match told {
                        Word::Unreachable { since, .. } => since,
                        _ => self.clock.now(),
                    };
                    Word::Unreachable { since, sentence: error.to_string() }
                }
            };
            let wait = if matches!(word, Word::Unreachable { .. }) {
                let wait = pause;
                pause = (pause * 2).min(LAST_PAUSE);
                wait
            } else {
                pause = FIRST_PAUSE;
                WELL
            };
            if word != told {
                let report = ProbeReport { prober: self.id, name: self.name.clone(), word: word.clone() };
                if self.reports.send(report).await.is_err() {
                    return;
                }
                told = word;
            }
            sleep(FIRST_PAUSE).await;
            // Whichever comes first: the time, or a question without an answer.
            let _ = timeout(wait.saturating_sub(FIRST_PAUSE), self.client.troubled()).await;
        }
    }
}

//! Latchkey in the pods of a [node](crate::node): a story about it, what its pods say, and people who log in without a pause.

use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use crate::{
    exchange::{Answer, Exchanger},
    node::{NodeCluster, NodeOptions},
    records,
    wait::eventually,
};

/// Its namespace, as in every page.
pub const NAMESPACE: &str = "latchkey";

/// What the chart and the manifests call their pods.
const SELECTOR: &str = "app.kubernetes.io/name=latchkey-concierge,app.kubernetes.io/component!=self-test";

/// How a record begins; the program's log goes the same way.
const RECORD: &str = r#"{"v":"#;

/// The sink writes within milliseconds, and the kubelet's log a moment later; the rest is for two busy cores.
const RECORD_LIMIT: Duration = Duration::from_secs(30);

/// A pod stops in the grace for endpoints and the drain; the kubelet gives it a minute.
const GONE_LIMIT: Duration = Duration::from_mins(2);

/// Each of two people logs in that often: some sixteen exchanges a second leave the cores to those who roll the pods.
const PACE: Duration = Duration::from_millis(125);

/// Of many failures of one kind the first ones tell enough.
const MOST_FAILURES: usize = 20;

/// One story on a cluster with a node of its own, in which Latchkey is installed. `test` is what is said not to have run where a
/// machine permits no node. If the story ends badly, its error has what Latchkey's pods and the cluster said.
///
/// # Errors
/// If the cluster does not start, or the story fails.
pub async fn story(
    test: &str,
    options: NodeOptions,
    story: impl AsyncFnOnce(&NodeCluster) -> Result<()>,
) -> Result<()> {
    let Some(cluster) = NodeCluster::start_or_say(test, options).await? else { return Ok(()) };
    if let Err(error) = story(&cluster).await {
        let logs = ["-n", NAMESPACE, "logs", "--prefix", "--tail=40", "-l", "app.kubernetes.io/part-of=latchkey"];
        let logs = cluster.kubectl_ok(&logs).await.unwrap_or_else(|none| format!("{none:#}"));
        return Err(error.context(format!("{logs}\n{}", cluster.events().await)));
    }
    Ok(())
}

/// The installation in one cluster.
pub struct Installed<'a> {
    cluster: &'a NodeCluster,
}

/// A pod of the concierge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Whether it is ready to serve.
    pub ready: bool,
    /// Whether it was told to stop.
    pub stopping: bool,
    /// How often its container was started again.
    pub restarts: u64,
}

/// What happened to those who logged in all the while.
#[derive(Clone, Debug, Default)]
pub struct Logins {
    /// How many got their credential.
    pub granted: u64,
    /// How many did not.
    pub refused: u64,
    /// The first of those: when, and what they got.
    pub failures: Vec<String>,
    /// How long they went on.
    pub lasted: Duration,
    /// The longest that one waited.
    pub longest: Duration,
}

impl<'a> Installed<'a> {
    /// What was installed in this cluster, by whatever way.
    #[must_use]
    pub const fn of(cluster: &'a NodeCluster) -> Self {
        Self { cluster }
    }

    /// The concierge's pods as they stand, by name.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn pods(&self) -> Result<Vec<Pod>> {
        let list = ["-n", NAMESPACE, "get", "pods", "-l", SELECTOR, "-o", "json"];
        let list: Value = serde_json::from_str(&self.cluster.kubectl_ok(&list).await?)?;
        let pods = list["items"].as_array().context("no list of pods")?.iter().map(|pod| {
            let container = &pod["status"]["containerStatuses"][0];
            Ok(Pod {
                name: pod["metadata"]["name"].as_str().context("a pod's name")?.to_owned(),
                ready: container["ready"] == true,
                stopping: pod["metadata"]["deletionTimestamp"].is_string(),
                restarts: container["restartCount"].as_u64().unwrap_or_default(),
            })
        });
        let mut pods: Vec<Pod> = pods.collect::<Result<_>>()?;
        pods.sort_unstable();
        Ok(pods)
    }

    /// Waits until there are `count` pods, all of them ready for the first time and none of `before`.
    ///
    /// # Errors
    /// If that does not come in time.
    pub async fn settled(&self, count: usize, before: &[Pod]) -> Result<Vec<Pod>> {
        eventually(&format!("{count} pods and no other"), GONE_LIMIT, async || {
            let pods = self.pods().await?;
            let serve = pods.iter().all(|pod| pod.ready && !pod.stopping && pod.restarts == 0);
            let is_new = pods.iter().all(|pod| before.iter().all(|old| old.name != pod.name));
            ensure!(pods.len() == count && serve && is_new, "{pods:?}");
            Ok(pods)
        })
        .await
    }

    /// The audit records of all running pods, each held to the published schema.
    ///
    /// # Errors
    /// If the logs cannot be read, or a record is none.
    pub async fn records(&self) -> Result<Vec<Value>> {
        let logs = ["-n", NAMESPACE, "logs", "-l", SELECTOR, "--tail=-1"];
        let logs = self.cluster.kubectl_ok(&logs).await?;
        logs.lines().filter(|line| line.starts_with(RECORD)).map(records::record).collect()
    }

    /// What was recorded under an audit id.
    ///
    /// # Errors
    /// If it is not written in time, or twice.
    pub async fn record_of(&self, audit_id: &str) -> Result<Value> {
        eventually(&format!("the audit record of {audit_id}"), RECORD_LIMIT, async || {
            let mut records = self.records().await?;
            records.retain(|record| record["auditID"] == audit_id);
            ensure!(records.len() == 1, "{} records", records.len());
            Ok(records.remove(0))
        })
        .await
    }

    /// Two people log in without a pause, one over a connection that is kept and one over a new one each time, while `work`
    /// is done and until it is, each time with a `token` for the authenticator of that name.
    ///
    /// # Errors
    /// If the work fails. That a login fails is an answer.
    pub async fn logins_during<T>(
        &self,
        authenticator: &str,
        token: impl Fn() -> Result<String>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, Logins)> {
        let (begin, done) = (Instant::now(), Cell::new(false));
        let person = async |keep: bool| -> Result<Logins> {
            let mut seen = Logins::default();
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let kept = Exchanger::through(self.cluster)?;
            while !done.get() {
                pace.tick().await;
                let token = token()?;
                let door = if keep { kept.clone() } else { Exchanger::through(self.cluster)? };
                let at = begin.elapsed();
                let answer = door.exchange_at(authenticator, &token).await;
                seen.count(at, begin.elapsed(), answer);
            }
            Ok(seen)
        };
        let work = async {
            let result = work.await;
            done.set(true);
            result
        };
        let (result, one, other) = tokio::join!(work, person(true), person(false));
        let (result, mut all, other) = (result?, one?, other?);
        all.add(other);
        all.lasted = begin.elapsed();
        Ok((result, all))
    }
}

// === impl Logins ===

impl Logins {
    /// Demands that everybody got in, and that somebody was there all the while.
    ///
    /// # Errors
    /// If a login failed: with the first of them.
    pub fn all_granted(&self) -> Result<()> {
        ensure!(self.refused == 0, "{self}:\n{}", self.failures.join("\n"));
        // A few a second even where the cores are busy.
        ensure!(self.granted > 2 * self.lasted.as_secs(), "{self}: too few to say anything");
        Ok(())
    }

    fn count(&mut self, at: Duration, until: Duration, answer: Result<Answer>) {
        self.longest = self.longest.max(until.saturating_sub(at));
        let failure = match answer {
            Ok(answer) if answer.is_granted() => None,
            Ok(answer) => Some(format!("{}: {}", answer.code, answer.body)),
            Err(error) => Some(format!("{error:#}")),
        };
        match failure {
            None => self.granted += 1,
            Some(failure) => {
                self.refused += 1;
                if self.failures.len() < MOST_FAILURES {
                    self.failures.push(format!("after {at:.1?}: {failure}"));
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.granted += other.granted;
        self.refused += other.refused;
        self.longest = self.longest.max(other.longest);
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Logins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { granted, refused, lasted, longest, .. } = self;
        write!(formatter, "{granted} logins granted and {refused} not in {lasted:.1?}, the slowest in {longest:.1?}")
    }
}

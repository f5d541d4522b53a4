//! The composition root: the clock, the channels, and every long-lived task, each by its name. Nobody imports this room.

mod cluster;
mod connection;
mod ground;
mod judges;
mod panics;
mod records;
mod refusals;
mod reviews;
mod seals;
mod start;
mod system_clock;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use self::{connection::Way, start::start, system_clock::SystemClock};
use crate::{
    audit::commands::{self, Audit},
    check::{self, Check, CheckError, Ending},
    config::Config,
    migrate::{self, Convert},
    runtime::{
        metrics::Metrics,
        shutdown::{self, Stop, Tasks},
        telemetry,
    },
    self_test::{self, SelfTest},
    text::clean,
};

/// Longest error of a command, in bytes.
const SHOWN: usize = 4_096;

/// How long tasks may take to end once they were told to: longer than connections may take to drain.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);
/// How long exchanges whose clients have gone may still run: as long as a client would have waited.
const WORK_LIMIT: Duration = Duration::from_secs(15);
/// How long the last audit records may take to be written.
const AUDIT_LIMIT: Duration = Duration::from_secs(10);
/// How long what is left (a name lookup on a blocking thread) may hold the process.
const RUNTIME_LIMIT: Duration = Duration::from_secs(1);

/// The most that a process takes to end once its `--shutdown-grace` is over. Whoever may kill it waits for both: a pod's
/// `terminationGracePeriodSeconds`.
pub const WIND_DOWN: Duration =
    DRAIN_LIMIT.saturating_add(WORK_LIMIT).saturating_add(AUDIT_LIMIT).saturating_add(RUNTIME_LIMIT);

/// Runs the concierge until it is asked to stop.
///
/// # Errors
/// When something is missing at start, or when a task ended that should not have: a half-dead authenticator is worse
/// than a restarted one.
pub fn run(config: Config) -> Result<(), anyhow::Error> {
    telemetry::init(&config.log);
    let metrics = Metrics::new();
    panics::install(metrics.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let outcome = runtime.block_on(serve(config, metrics));
    runtime.shutdown_timeout(RUNTIME_LIMIT);
    outcome
}

/// Checks tokens by files and says how that ended (design 14.15): 0 allowed, 1 refused, 2 nothing could be judged.
#[must_use]
pub fn check(check: &Check) -> ExitCode {
    let (mut output, mut notes) = (std::io::stdout().lock(), std::io::stderr().lock());
    let judged =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CheckError::Output).and_then(
            |runtime| {
                let input = std::io::stdin().lock();
                runtime.block_on(check::run(check, &SystemClock, input, &mut output, &mut notes))
            },
        );
    match judged {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::Refused) => ExitCode::FAILURE,
        Err(error) => {
            // Standard error is the only place to say it; if that is gone too, the exit code remains.
            let _ = std::io::Write::write_fmt(&mut notes, format_args!("latchkey-concierge check: {error}\n"));
            ExitCode::from(2)
        }
    }
}

/// Converts between our authenticators and what others are told, and says how that ended: 0 written, 1 something cannot be
/// said, 2 the input is of no use.
#[must_use]
pub fn convert(convert: &Convert) -> ExitCode {
    let mut notes = std::io::stderr().lock();
    // Nothing is shown of a result that cannot be made whole.
    let mut made = Vec::new();
    let ending = migrate::run(convert, std::io::stdin().lock(), &mut made, &mut notes).and_then(|ending| {
        let mut output = std::io::stdout().lock();
        output.write_all(&made).and_then(|()| output.flush())?;
        Ok(ending)
    });
    match ending {
        Ok(migrate::Ending::Well) => ExitCode::SUCCESS,
        Ok(migrate::Ending::Refused) => ExitCode::FAILURE,
        Err(error) => {
            // It may quote the input.
            let _ = writeln!(notes, "latchkey-concierge convert: {}", clean(&error.to_string(), SHOWN));
            ExitCode::from(2)
        }
    }
}

/// Verifies or shows audit logs, and says how that ended: 0 well, 1 not intact, 3 incomplete, 2 nothing could be read.
#[must_use]
pub fn audit(audit: &Audit) -> ExitCode {
    let mut notes = std::io::stderr().lock();
    let stdout = std::io::stdout();
    // https://no-color.org: any value but an empty one.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = stdout.is_terminal() && !plain;
    let mut output = std::io::BufWriter::new(stdout.lock());
    let outcome = commands::run(audit, &SystemClock, color, &mut output, &mut notes);
    // What was found before the failure is shown first; a reader that is gone wants no more.
    let _ = output.flush();
    match outcome {
        Ok(commands::Ending::Well) => ExitCode::SUCCESS,
        Ok(commands::Ending::Broken) => ExitCode::FAILURE,
        Ok(commands::Ending::Incomplete) => ExitCode::from(3),
        Err(error) => {
            let _ = writeln!(notes, "latchkey-concierge audit: {error}");
            ExitCode::from(2)
        }
    }
}

/// Asks the API server whether the installation works, and says how that ended: 0 well, 1 not, 2 when it could not be asked.
#[must_use]
pub fn self_test(test: &SelfTest) -> ExitCode {
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(ask(test)));
    match outcome {
        Ok(self_test::Ending::Well) => ExitCode::SUCCESS,
        Ok(self_test::Ending::Failed) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "latchkey-concierge self-test: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn ask(test: &SelfTest) -> Result<self_test::Ending, anyhow::Error> {
    let way = test.kubeconfig.clone().map_or(Way::ServiceAccount, Way::Kubeconfig);
    // The namespace matters to nothing that is asked.
    let client = kube::Client::try_from(way.config("default").await?).context("making a client for the API server")?;
    Ok(self_test::run(client, test, &mut std::io::stdout().lock()).await?)
}

/// Logs why the process ends, with every cause.
pub fn report(error: &anyhow::Error) {
    tracing::error!(error = format!("{error:#}"), "Stopped");
}

async fn serve(config: Config, metrics: Metrics) -> Result<(), anyhow::Error> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = %config.cluster_name,
        replica = config.replica,
        suffix = %config.api_group_suffix,
        "Starting"
    );
    let stop = Stop::new();
    let work = TaskTracker::new();
    // Those that run to the very end, and all others.
    let mut last = Tasks::new();
    let mut tasks = Tasks::new();
    let grace = config.shutdown_grace;
    let readiness = start(config, metrics, &stop, &work, &mut tasks, &mut last).await?;

    let outcome = tokio::select! {
        signal = shutdown::signal() => {
            tracing::info!(signal = signal.context("listening for signals")?, "Asked to stop");
            Ok(())
        }
        ended = tasks.first_end() => Err(anyhow::anyhow!("{ended}")),
        ended = last.first_end() => Err(anyhow::anyhow!("{ended}")),
    };
    readiness.stop();
    stop.ask();
    tokio::select! {
        () = wind_down(if outcome.is_ok() { grace } else { Duration::ZERO }, &stop, &work, tasks, last) => outcome,
        _ = shutdown::signal() => Err(anyhow::anyhow!("asked twice to stop")),
    }
}

/// Readiness fails already. First go on while endpoints still point here, then drain, and close the audit log last.
async fn wind_down(grace: Duration, stop: &Stop, work: &TaskTracker, mut tasks: Tasks, mut last: Tasks) {
    sleep(grace).await;
    stop.drain();
    let left = tasks.wait(DRAIN_LIMIT).await;
    if !left.is_empty() {
        tracing::warn!(?left, "Tasks did not end in time");
    }
    // Gone with the tasks are the router and its handles to the audit log.
    drop(tasks);
    work.close();
    if tokio::time::timeout(WORK_LIMIT, work.wait()).await.is_err() {
        tracing::warn!(left = work.len(), "Exchanges did not end in time");
    }
    stop.finish();
    let left = last.wait(AUDIT_LIMIT).await;
    if left.is_empty() {
        tracing::info!("Stopped");
    } else {
        tracing::error!(?left, "The audit log may lack its last records");
    }
}

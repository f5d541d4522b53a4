//! The composition root: the clock, the channels, and every long-lived task, each by its name. Nobody imports this room.

mod panics;
mod system_clock;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use latchkey_crds::groups::{GroupSuffix, VERSION};
use rustls::sign::CertifiedKey;
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::task::TaskTracker;

use self::system_clock::SystemClock;
use crate::{
    api::{self, Api, exchange::Exchange, front_proxy_config},
    audit::sink::Sink,
    check::{self, Check, CheckError, Ending},
    config::Config,
    controllers::{
        Jitter, api_service,
        authenticators::{self, Source, authenticators},
        certificate_authority, credential_issuer, serving_cert,
    },
    index,
    review::{
        self, AllowedCallers,
        files::{Files, Loaded},
    },
    runtime::{
        admin::{self, Admin},
        http_server::{self, Limits, Plain},
        lease,
        metrics::Metrics,
        readiness::Readiness,
        shutdown::{self, Stop, Tasks},
        telemetry,
    },
    strategies::{self, Authority, Strategies},
    time::Clock,
    tls::server::Tls,
    verdicts::Verdicts,
};

/// The lease of the replica that writes.
const LEASE: &str = "latchkey-concierge";
/// How long tasks may take to end once they were told to: longer than connections may take to drain.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);
/// How long exchanges whose clients have gone may still run: as long as a client would have waited.
const WORK_LIMIT: Duration = Duration::from_secs(15);
/// How long the last audit records may take to be written.
const AUDIT_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for a connection to the API server.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

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
    // What is left (a name lookup on a blocking thread) must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
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

/// Makes every part and starts every task.
#[expect(
    clippy::too_many_lines,
    reason = "one list in the order of dependence; parts of it would only pass handles on"
)]
async fn start(
    config: Config,
    metrics: Metrics,
    stop: &Stop,
    work: &TaskTracker,
    tasks: &mut Tasks,
    last: &mut Tasks,
) -> Result<Readiness, anyhow::Error> {
    let Config {
        cluster_name,
        api_group_suffix: suffix,
        namespace,
        replica,
        aggregated_api_address,
        admin_address,
        review,
        audit_log,
        credential_issuer: issuer_name,
        api_service_name,
        kubeconfig,
        proxies,
        log: _,
        shutdown_grace: _,
    } = config;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let cluster = cluster_name.to_string();
    let readiness = Readiness::new();

    // Listen first: a port that is taken should be the first thing that is said.
    let admin_listener = listen(admin_address, "admin").await?;
    let api_listener = listen(aggregated_api_address, "aggregated API").await?;
    let review = if let Some(config) = review {
        let listener = listen(config.address, "TokenReview").await?;
        let files = Files { client_ca: config.client_ca_file, serving: config.serving };
        let loaded = files.load().await.context("reading the files of the TokenReview listener")?;
        Some((listener, loaded, config.client_names))
    } else {
        tracing::info!("No TokenReview listener: --review-client-ca-file does not say who may ask");
        None
    };

    let (audit, sink) = Sink::open(&audit_log, cluster.clone(), replica.clone(), Arc::clone(&clock))
        .await
        .with_context(|| format!("opening the audit log {audit_log:?}"))?;
    last.spawn("audit", async move { sink.run().await.context("writing the audit log") });
    let admin = Admin { readiness: readiness.clone(), metrics: metrics.clone(), clock: Arc::clone(&clock) };
    let (router, limits, counted, end) = (admin::router(admin), Limits::default(), metrics.clone(), stop.finishing());
    last.spawn("admin", async move {
        http_server::serve(admin_listener, Plain, router, limits, counted, end).await;
        Ok(())
    });

    let kube_config = kube_config(kubeconfig, &namespace).await?;
    let client = Client::try_from(kube_config.clone()).context("making a client for the API server")?;

    let (candidate, leadership) =
        lease::candidate(client.clone(), &namespace, LEASE, &replica, Arc::clone(&clock), metrics.clone());
    spawn(tasks, "lease", candidate.hold(stop.draining()));

    let (publish, front_proxy) = watch::channel(None);
    let known = front_proxy.clone();
    readiness.require("front-proxy", move || said(known.borrow().is_some(), "its authority is not read yet"));
    spawn(tasks, "front-proxy", front_proxy_config::watch(client.clone(), publish, stop.draining()));

    let (authority_sender, authority) = watch::channel(Authority::default());
    let (strategies, strategy_tasks) = Strategies::new(strategies::Settings {
        client: client.clone(),
        config: kube_config.clone(),
        cluster: cluster.clone(),
        published_in: certificate_authority::published_in(&namespace),
        authority: authority.clone(),
        clock: Arc::clone(&clock),
        metrics: metrics.clone(),
    });
    let next_is_trusted = strategy_tasks.next_is_trusted();
    let signer = strategies.clone();
    readiness.require_once("signer", move || said(signer.ready(), "no strategy has been tried yet"));
    spawn(tasks, "strategies", strategy_tasks.run(leadership.clone(), stop.draining()));
    let settings = certificate_authority::Settings {
        client: client.clone(),
        namespace: namespace.clone(),
        cluster,
        clock: Arc::clone(&clock),
        leadership: leadership.clone(),
        next_is_trusted,
        authority: authority_sender,
    };
    spawn(tasks, "certificate-authority", certificate_authority::run(settings, stop.draining()));
    let settings = credential_issuer::Settings {
        client: client.clone(),
        config: kube_config,
        resource: latchkey_crds::config::credential_issuer(&suffix),
        name: issuer_name,
        clock: Arc::clone(&clock),
        leadership: leadership.clone(),
        availabilities: strategies.subscribe(),
        authority,
    };
    spawn(tasks, "credential-issuer", credential_issuer::run(settings, stop.draining()));

    let (certificate_sender, certificate) = watch::channel::<Option<Arc<CertifiedKey>>>(None);
    let (bundle_sender, bundle) = watch::channel(None);
    let loaded = certificate.clone();
    readiness.require("serving-certificate", move || said(loaded.borrow().is_some(), "none is loaded yet"));
    let settings = serving_cert::Settings {
        client: client.clone(),
        namespace: namespace.clone(),
        service: api_service_name,
        clock: Arc::clone(&clock),
        leadership: leadership.clone(),
        certificate: certificate_sender,
        bundle: bundle_sender,
    };
    spawn(tasks, "serving-certificate", serving_cert::run(settings, stop.draining()));
    let settings = api_service::Settings {
        client: client.clone(),
        names: api_services(&suffix),
        leadership: leadership.clone(),
        bundle,
    };
    spawn(tasks, "api-services", api_service::run(settings, stop.draining()));

    let (writer, index) = index::channel();
    let (refresh, refreshes) = index::refresh_channel();
    let settings = authenticators::Settings {
        clock: Arc::clone(&clock),
        index: writer,
        jitter: Jitter::new(chance),
        leadership,
        metrics: metrics.clone(),
        namespace,
        proxies,
        refreshes,
        suffix: suffix.clone(),
    };
    let (keepers, synced) = authenticators(Source::Api(client.clone()), settings);
    readiness.require("authenticators", move || said(synced.is_synced(), "they are not listed yet"));
    let end = stop.draining();
    tasks.spawn("authenticators", async move { keepers.run(end).await.context("keeping the authenticators") });

    let verdicts = Verdicts::default();
    if let Some((listener, Loaded { pool, serving, watcher }, names)) = review {
        let settings = review::Settings {
            callers: AllowedCallers::new(pool, names),
            index: index.clone(),
            refresh: refresh.clone(),
            verdicts: verdicts.clone(),
            audit: audit.clone(),
            metrics: metrics.clone(),
            clock: Arc::clone(&clock),
        };
        spawn(tasks, "review-files", watcher.run(stop.draining()));
        let tls = Tls::new(serving.unwrap_or_else(|| certificate.clone())).context("preparing TLS")?;
        let (router, limits, end) = (review::router(settings), Limits::default(), stop.draining());
        spawn(tasks, "review", http_server::serve(listener, tls, router, limits, metrics.clone(), end));
    }
    let exchange = Exchange { index, refresh, verdicts, strategies, audit, metrics: metrics.clone(), clock };
    let settings = api::Settings { suffix, front_proxy, exchange, readiness: readiness.clone(), work: work.clone() };
    let router = api::router::router(Api::new(client, settings));
    let tls = Tls::new(certificate).context("preparing TLS")?;
    spawn(
        tasks,
        "aggregated-api",
        http_server::serve(api_listener, tls, router, Limits::default(), metrics, stop.draining()),
    );
    Ok(readiness)
}

/// Starts a task that ends only when it is told to.
fn spawn(tasks: &mut Tasks, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(name, async move {
        task.await;
        Ok(())
    });
}

async fn listen(address: std::net::SocketAddr, name: &'static str) -> Result<TcpListener, anyhow::Error> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening for {name} on {address}"))?;
    let address = listener.local_addr().with_context(|| format!("reading the address of {name}"))?;
    tracing::info!(%address, listener = name, "Listening");
    Ok(listener)
}

async fn kube_config(kubeconfig: Option<std::path::PathBuf>, namespace: &str) -> Result<kube::Config, anyhow::Error> {
    let mut config = match kubeconfig {
        Some(file) => {
            let kubeconfig =
                Kubeconfig::read_from(&file).with_context(|| format!("reading the kubeconfig {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("using the kubeconfig {}", file.display()))?
        }
        None => kube::Config::incluster()
            .context("reading the pod's service account; outside of a pod give --kubeconfig")?,
    };
    config.connect_timeout = Some(CONNECT_LIMIT);
    namespace.clone_into(&mut config.default_namespace);
    Ok(config)
}

/// The names of our two aggregated APIs.
fn api_services(suffix: &GroupSuffix) -> Vec<String> {
    [suffix.login(), suffix.identity()].map(|group| format!("{VERSION}.{group}")).to_vec()
}

/// A number in `[0, 1)`, for spreading things out in time; nothing secret hangs on it.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Should the system have no randomness to give, everybody takes the middle.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return 0.5;
    }
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

fn said(holds: bool, missing: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(missing.to_owned()) }
}

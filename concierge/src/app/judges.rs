//! The part that judges: the authenticators in force, from the API or from files, and the cache of verdicts.

use std::sync::Arc;

use anyhow::Context as _;
use latchkey_crds::groups::GroupSuffix;

use super::ground::{Ground, said};
use crate::{
    audit::sink::AuditLog,
    config::Proxies,
    controllers::{
        Jitter,
        authenticators::{
            self, Conditions, ConditionsSender, Source, authenticators,
            files::{Folder, Pace},
            notices::Audience,
        },
    },
    index::{self, Reader, RefreshRequester},
    runtime::lease::Leadership,
    verdicts::Verdicts,
};

/// What a listener judges by.
#[derive(Clone)]
pub(super) struct Judges {
    pub(super) index: Reader,
    pub(super) refresh: RefreshRequester,
    pub(super) verdicts: Verdicts,
}

/// What the authenticators are made with.
pub(super) struct Settings {
    /// Who records what changes.
    pub(super) audit: AuditLog,
    /// The API server, if there is one.
    pub(super) client: Option<kube::Client>,
    /// This cluster's name, by which the fleet list knows it.
    pub(super) cluster_name: String,
    /// The files, if they come from files.
    pub(super) files: Option<(Folder, ConditionsSender)>,
    pub(super) leadership: Leadership,
    pub(super) namespace: String,
    pub(super) proxies: Proxies,
    pub(super) suffix: GroupSuffix,
}

/// Reads the folder of authenticators for the first time.
pub(super) async fn folder(
    path: Option<std::path::PathBuf>,
) -> Result<(Option<(Folder, ConditionsSender)>, Option<Conditions>), anyhow::Error> {
    let Some(path) = path else { return Ok((None, None)) };
    let folder = Folder::open(path, Pace::default()).await.context("reading --authenticators")?;
    let (sender, conditions) = authenticators::conditions();
    Ok((Some((folder, sender)), Some(conditions)))
}

/// Starts the authenticators.
pub(super) fn start(ground: &mut Ground<'_>, settings: Settings) -> Result<Judges, anyhow::Error> {
    let Settings { audit, client, cluster_name, files, leadership, namespace, proxies, suffix } = settings;
    let source = match (files, client) {
        (Some((folder, conditions)), client) => Source::Folder { folder, conditions, client },
        (None, Some(client)) => Source::Api(client),
        (None, None) => anyhow::bail!("there is neither an API server nor a folder to read authenticators from"),
    };
    let (writer, index) = index::channel();
    let (refresh, refreshes) = index::refresh_channel();
    let settings = authenticators::Settings {
        clock: Arc::clone(&ground.clock),
        cluster_name,
        index: writer,
        jitter: Jitter::new(chance),
        leadership,
        metrics: ground.metrics.clone(),
        namespace,
        notices: Audience::new(move |event| audit.notice(event)),
        proxies,
        refreshes,
        suffix,
    };
    let (keepers, synced) = authenticators(source, settings);
    ground.readiness.require("authenticators", move || said(synced.is_synced(), "they are not listed yet"));
    let end = ground.stop.draining();
    ground.tasks.spawn("authenticators", async move { keepers.run(end).await.context("keeping the authenticators") });
    Ok(Judges { index, refresh, verdicts: Verdicts::default() })
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

//! `fleet check`: compares the clusters of the fleet, or the manifests that they shall have. It changes nothing.

mod ask;
mod authenticator;
mod cluster;
mod compare;
mod directory;
mod finding;
mod grants;
mod members;
mod show;

use serde::Serialize;

use self::cluster::{Cluster, OwnName, Unread};
use self::compare::{Fleet, compare};
use self::finding::{Finding, Severity};
use super::{World, data, runtime};
use crate::args::{FleetArgs, Whom};
use crate::failure::{Failure, Status};
use crate::output::{Output, Printable};

/// What was asked, and what was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Who was compared.
    clusters: Vec<Compared>,
    /// What could not be read.
    unread: Vec<Unread>,
    /// What was found, the gravest first.
    findings: Vec<Finding>,
}

/// A cluster that was compared.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Compared {
    /// Its context, or folder.
    cluster: String,
    /// Its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Its concierge's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    concierge_version: Option<String>,
}

/// What was read, before it is compared.
#[derive(Debug, Default)]
struct Gathered {
    clusters: Vec<Cluster>,
    unread: Vec<Unread>,
    /// All names of clusters of which nothing is known.
    silent: Vec<String>,
    /// What was found while reading.
    findings: Vec<Finding>,
}

/// Prints where the clusters differ.
///
/// # Errors
/// When they do, or some could not be read, or nothing could be asked at all.
pub(super) fn run(args: &FleetArgs, world: World<'_>) -> Result<(), Failure> {
    let gathered = match &args.whom {
        Whom::Folder(folder, names) => runtime()?.block_on(directory::read(folder, names, args, world.environment))?,
        Whom::AllContexts | Whom::Contexts(_) => runtime()?.block_on(ask::all(args, world.environment))?,
    };
    let is_whole = match &args.whom {
        Whom::AllContexts => true,
        Whom::Contexts(_) => false,
        Whom::Folder(_, names) => names.is_empty(),
    };
    let report = report(gathered, is_whole);
    data::show(&report, args.format, || show::text(&report))?;
    for Unread { cluster, what, reason, .. } in &report.unread {
        let what = what.map(|what| format!(" {what}:")).unwrap_or_default();
        Output::remark(&format!("{}:{what} {}", Printable(cluster), Printable(reason)));
    }
    outcome(&report)
}

fn report(gathered: Gathered, is_whole: bool) -> Report {
    let Gathered { clusters, unread, silent, mut findings } = gathered;
    findings.extend(compare(Fleet { clusters: &clusters, silent: &silent, is_whole }));
    findings.sort_by_key(|finding| finding.code);
    let compared = clusters.into_iter().map(|cluster| Compared {
        cluster: cluster.label,
        name: cluster.name.map(OwnName::into_text),
        concierge_version: cluster.version,
    });
    Report { clusters: compared.collect(), unread, findings }
}

/// Drift is told before silence: it is certain.
fn outcome(report: &Report) -> Result<(), Failure> {
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let counted = [
        (count(Severity::Critical), "critical finding"),
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    let counted: Vec<String> =
        counted.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" })).collect();
    let mut unread: Vec<&str> = report.unread.iter().map(|unread| unread.cluster.as_str()).collect();
    unread.dedup();
    let not_read = match unread.len() {
        0 => None,
        1 => Some("1 cluster not read, or not for everything".to_owned()),
        count => Some(format!("{count} clusters not read, or not for everything")),
    };
    let failure = match (counted.is_empty(), not_read) {
        (true, None) => return Ok(()),
        (true, Some(not_read)) => Failure::new(Status::Unreachable, not_read),
        (false, None) => Failure::new(Status::General, format!("drift: {}", counted.join(", "))),
        (false, Some(not_read)) => Failure::new(Status::General, format!("drift: {}; {not_read}", counted.join(", "))),
    };
    let has = |is: fn(&Unread) -> bool| report.unread.iter().any(is);
    Err(if has(|unread| unread.is_forbidden) {
        failure.hint("`kubectl latchkey help fleet` lists the needed rights")
    } else if has(|unread| unread.reason.contains("log in") || unread.reason.contains("exit code 3")) {
        failure.hint("log in first: kubectl latchkey login --all-contexts")
    } else {
        failure
    })
}

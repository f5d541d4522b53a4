//! Definitions of other people's kinds, as their own Go modules carry them: fetched by Go, held to `go.sum`, never copied.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{cluster::Cluster, go, wait::eventually};

/// Milliseconds each; there are two dozen, and two busy cores.
const ESTABLISHED_LIMIT: Duration = Duration::from_mins(2);

/// The definitions that our examples use, by module.
const FILES: [(&str, &[&str]); 8] = [
    (
        "github.com/argoproj/argo-cd/v3",
        &["manifests/crds/application-crd.yaml", "manifests/crds/applicationset-crd.yaml"],
    ),
    ("github.com/bitnami-labs/sealed-secrets", &["helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml"]),
    (
        "github.com/external-secrets/external-secrets",
        &[
            "config/crds/bases/external-secrets.io_externalsecrets.yaml",
            "config/crds/bases/external-secrets.io_secretstores.yaml",
        ],
    ),
    ("github.com/fluxcd/helm-controller", &["config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"]),
    ("github.com/fluxcd/kustomize-controller", &["config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"]),
    (
        "github.com/fluxcd/notification-controller",
        &[
            "config/crd/bases/notification.toolkit.fluxcd.io_alerts.yaml",
            "config/crd/bases/notification.toolkit.fluxcd.io_providers.yaml",
        ],
    ),
    (
        "github.com/fluxcd/source-controller",
        &[
            "config/crd/bases/source.toolkit.fluxcd.io_buckets.yaml",
            "config/crd/bases/source.toolkit.fluxcd.io_externalartifacts.yaml",
            "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
            "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
        ],
    ),
    (
        "github.com/prometheus-operator/prometheus-operator",
        &[
            "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        ],
    ),
];

/// Installs the definitions of the modules whose names contain one of `wanted` (an empty one is in all: Argo CD, External
/// Secrets, Flux, the Prometheus operator, sealed-secrets), and waits until their kinds can be used.
///
/// # Errors
/// If a module cannot be had, or a definition is refused.
pub async fn install(cluster: &Cluster, wanted: &[&str]) -> Result<()> {
    let mut arguments: Vec<String> = ["apply", "--server-side"].map(str::to_owned).into();
    for file in files(wanted).await? {
        arguments.extend(["-f".to_owned(), file.to_string_lossy().into_owned()]);
    }
    cluster.kubectl_ok(&arguments).await.context("installing definitions of others")?;
    established(cluster).await
}

/// Waits until every kind that is defined can be used.
///
/// # Errors
/// If one cannot in time.
pub async fn established(cluster: &Cluster) -> Result<()> {
    // kubectl gives up on a definition that has no condition yet, which is so for a moment after it is made.
    let wait = ["wait", "--for=condition=Established", "--timeout=50s", "crd", "--all"];
    eventually("the definitions to be established", ESTABLISHED_LIMIT, async || {
        cluster.kubectl_ok(&wait).await.map(drop)
    })
    .await
}

async fn files(wanted: &[&str]) -> Result<Vec<PathBuf>> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/definitions");
    let wanted: Vec<_> = FILES.iter().filter(|(name, _)| wanted.iter().any(|wanted| name.contains(wanted))).collect();
    let names: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
    let modules = go::modules(&module, &names).await?;
    let mut files = Vec::new();
    for (name, paths) in wanted {
        let folder = modules.get(*name).with_context(|| format!("no {name}"))?;
        files.extend(paths.iter().map(|path| folder.join(path)));
    }
    for file in &files {
        ensure!(file.is_file(), "{} is no longer there", file.display());
    }
    Ok(files)
}

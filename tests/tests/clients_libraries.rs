//! Each client library logs in with the stanza that we write, from an empty cache and from a warm one.

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    clients::Library,
    folder::TempFolder,
    person::{Person, Run},
    site::{Site, issuer_for},
    tools::Tool,
};
use tokio::process::Command;

/// How a library runs the plugin in one program that makes two requests.
struct Manners {
    library: Library,
    /// How often.
    runs: usize,
    /// Whether it says that a person sits there; nothing where it tells us nothing at all. Nobody does here.
    interactive: Option<bool>,
}

const MANNERS: [Manners; 6] = [
    Manners { library: Library::ControllerRuntime, runs: 1, interactive: Some(false) },
    Manners { library: Library::Fabric8, runs: 1, interactive: None },
    Manners { library: Library::JavaOfficial, runs: 1, interactive: None },
    Manners { library: Library::JavaScript, runs: 1, interactive: None },
    // For its authentication, its TLS identity, and the identity's end. "The mode is not Never" is what it takes for a
    // person, and standard input is the program's own.
    Manners { library: Library::KubeRs, runs: 3, interactive: Some(true) },
    Manners { library: Library::Python, runs: 1, interactive: Some(false) },
];

#[tokio::test]
async fn each_library_is_let_in_with_an_empty_and_with_a_warm_cache() -> Result<()> {
    let work = TempFolder::new("clients-libraries")?;
    let issuer = issuer_for(&["staging"]).await?;
    let site = Site::start("staging", work.path()).await?;
    site.trust(&issuer).await?;
    site.offers("CertificateSigningRequestAPI").await?;

    let mut wrong = Vec::new();
    for manners in MANNERS {
        let home = work.path().join(format!("{:?}", manners.library));
        let ann = site.ann_noted(&home, &issuer).await?;
        if let Err(error) = a_library_gets_in(&manners, &site, &ann).await {
            wrong.push(format!("{:?}: {error:#}", manners.library));
        }
    }
    let ann = site.ann_noted(&work.path().join("helm"), &issuer).await?;
    if let Err(error) = helm_gets_in(&site, &ann).await {
        wrong.push(format!("helm: {error:#}"));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn a_library_gets_in(manners: &Manners, site: &Site, ann: &Person) -> Result<()> {
    site.write_kubeconfig(ann).await?;
    for (round, cache) in ["empty", "warm"].into_iter().enumerate() {
        let before = site.granted()?;
        let seen = manners.library.asks(ann, &site.kubeconfig).await.with_context(|| format!("{cache} cache"))?;
        ensure!(seen.user == "ann", "{cache} cache: {seen:?}");
        ensure!(seen.groups.iter().any(|group| group == "developers"), "{cache} cache: {seen:?}");
        ensure!(seen.namespaces.iter().any(|name| name == "kube-system"), "{cache} cache: {seen:?}");

        let runs = ann.new_runs()?;
        ensure!(runs.len() == manners.runs, "{cache} cache: the plugin was run {} times: {runs:?}", runs.len());
        for run in &runs {
            ensure!(run.interactive() == manners.interactive, "{cache} cache: {run:?}");
        }
        let exchanged = site.granted()? - before;
        ensure!(exchanged == 1 - round, "{cache} cache: {exchanged} exchanges");
    }
    ensure!(ann.invitations()?.len() == 1, "{} browsers", ann.invitations()?.len());
    Ok(())
}

/// Helm has no standard input to give away, and no policy of kubectl's; what it asks first are secrets, where it keeps its
/// releases, and developers may not read them.
async fn helm_gets_in(site: &Site, ann: &Person) -> Result<()> {
    site.write_kubeconfig(ann).await?;
    let helm = Tool::Helm.find().await?;
    for cache in ["empty", "warm"] {
        let mut command = Command::new(&helm);
        command.args(["list", "--all-namespaces"]).env("KUBECONFIG", &site.kubeconfig);
        // Its own files.
        command.env("HELM_CACHE_HOME", ann.cache()).env("HELM_CONFIG_HOME", ann.cache());
        let answer = ann.run(command).await?;
        ensure!(
            !answer.ok && answer.stderr.contains(r#"User "ann" cannot list resource "secrets""#),
            "{cache} cache: {}",
            answer.seen()
        );
        let runs = ann.new_runs()?;
        ensure!(runs.len() == 1, "{cache} cache: {runs:?}");
        ensure!(runs.iter().all(|run: &Run| run.interactive() == Some(false)), "{cache} cache: {runs:?}");
    }
    ensure!(ann.invitations()?.len() == 1, "{} browsers", ann.invitations()?.len());
    Ok(())
}

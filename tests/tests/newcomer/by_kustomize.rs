//! The same without Helm, as the page of the examples says, with the overlays of the cluster "staging"; and its end.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    dex,
    guide::Guide,
    installed::Installed,
    inventory::{Entry, inventory},
    programs::Programs,
    wait::eventually,
};
use serde_json::{Value, json};

use crate::desk::Desk;

/// The page.
const PAGE: &str = "../examples/README.md";

/// The provider of the examples.
const IDP: &str = "https://idp.example.com/realms/main";

/// What a change of the overlay may say: every pod is replaced.
const PATCH: &str = "patches:
- target: {kind: Deployment, name: latchkey-concierge}
  patch: |-
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --log=debug}
";

/// Log lines reach the kubelet's file within milliseconds, and garbage is collected within seconds; the rest is for two busy cores.
const SOON: Duration = Duration::from_mins(2);

pub(crate) async fn follow(desk: &mut Desk<'_>) -> Result<()> {
    // The image is there and the plugin is built: what differs is how it is installed.
    desk.install(&Programs::find().await?.plugin)?;
    for folder in ["access", "fleet"] {
        edit(desk, &desk.checkout().join("deploy/examples").join(folder))?;
    }
    let before = inventory(desk.cluster).await?;
    let page = Guide::read(PAGE)?;
    for command in block_with(&page, "kubectl apply")? {
        timed(desk, command).await?;
    }
    stands(desk).await?;

    desk.types("kubectl latchkey kubeconfig --output staging.yaml").await?;
    let pods = desk.types("KUBECONFIG=staging.yaml kubectl get pods --namespace latchkey").await?;
    ensure!(pods.stdout.matches("Running").count() == 2, "{}", pods.seen());
    let user = desk.whoami("staging.yaml").await?;
    ensure!(user["username"] == format!("oidc:{}", dex::PERSON), "{user}");
    ensure!(user["groups"] == json!(["oidc:developers", "system:authenticated"]), "{user}");
    ensure!(desk.person.invitations()?.len() == 1, "{:?}", desk.person.invitations()?);
    is_changed_and_changed_back_while_people_log_in(desk, &page).await?;
    refuses_productions_token(desk).await?;

    for command in block_with(&page, "kubectl delete")? {
        timed(desk, command).await?;
    }
    nothing_is_left(desk, &before).await
}

async fn timed(desk: &mut Desk<'_>, command: &str) -> Result<()> {
    let begin = Instant::now();
    desk.types(command).await.with_context(|| format!("{PAGE}: {command}"))?;
    desk.took(command, begin);
    Ok(())
}

/// The provider into every file of a folder that names one.
fn edit(desk: &Desk<'_>, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        if text.contains(IDP) {
            fs::write(&path, desk.with_provider(IDP, &text)?)?;
        }
    }
    Ok(())
}

/// The lines of the one block with these words.
fn block_with<'a>(page: &'a Guide, words: &str) -> Result<Vec<&'a str>> {
    let mut found = page.blocks().filter(|block| block.language == "sh" && block.text.contains(words));
    let one = found.next().filter(|_| found.next().is_none());
    Ok(one.with_context(|| format!("one block with {words:?} in {PAGE}"))?.text.lines().collect())
}

/// Pods under the strictest profile, and both APIs.
async fn stands(desk: &Desk<'_>) -> Result<()> {
    desk.types("kubectl -n latchkey rollout status deployment/latchkey-concierge --timeout=2m").await?;
    let namespace = desk.types("kubectl get namespace latchkey -o json").await?;
    let namespace: Value = serde_json::from_str(&namespace.stdout)?;
    ensure!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", "{namespace}");
    for api in ["login", "identity"] {
        let api = format!("apiservice/v1alpha1.{api}.concierge.latchkey.dev");
        desk.types(&format!("kubectl wait --for=condition=Available --timeout=1m {api}")).await?;
    }
    Ok(())
}

/// What `helm upgrade` and `helm rollback` are here: a change in Git, and its revert.
async fn is_changed_and_changed_back_while_people_log_in(desk: &Desk<'_>, page: &Guide) -> Result<()> {
    let overlay = desk.checkout().join("deploy/examples/staging/kustomization.yaml");
    let first = fs::read_to_string(&overlay)?;
    let command = *block_with(page, "kubectl apply")?.first().context("a command")?;
    let token = desk.person.kept_token()?;
    let installed = Installed::of(desk.cluster);
    for (text, debug) in [(format!("{first}{PATCH}"), true), (first.clone(), false)] {
        fs::write(&overlay, text)?;
        let before = installed.pods().await?;
        let work = async {
            desk.types(command).await?;
            // Until the last of the old ones is gone.
            installed.settled(2, &before).await
        };
        let (_, logins) = installed.logins_during("main", || Ok(token.clone()), work).await?;
        eprintln!("{command}: {logins}");
        logins.all_granted()?;
        let deployment = desk.types("kubectl -n latchkey get deployment latchkey-concierge -o yaml").await?;
        ensure!(deployment.stdout.contains("--log=debug") == debug, "{}", deployment.seen());
    }
    Ok(())
}

/// Somebody whose kubeconfig has production's client logs in there, and brings that token here.
async fn refuses_productions_token(desk: &Desk<'_>) -> Result<()> {
    let own = fs::read_to_string(desk.checkout().join("staging.yaml"))?;
    ensure!(own.contains("kubernetes-staging"), "{own}");
    fs::write(desk.checkout().join("mixed-up.yaml"), own.replace("kubernetes-staging", "kubernetes-production"))?;
    let answer = desk.tries("KUBECONFIG=mixed-up.yaml kubectl get pods").await?;
    ensure!(!answer.ok && answer.stderr.contains("authentication failed"), "{}", answer.seen());
    ensure!(desk.person.invitations()?.len() == 2, "a login for another client: {}", answer.seen());

    // "The person sees one sentence and an audit id", and the README says how its record is found.
    let section = Guide::read_section("../../README.md", "### When a login is refused")?;
    let command = section.blocks().find(|block| block.text.contains("logs")).context("a command")?.text.clone();
    ensure!(command.contains('…'), "{command}");
    let found = eventually("the record, by the README's command", SOON, async || {
        let mut words = answer.stderr.split(|letter: char| !(letter.is_ascii_hexdigit() || letter == '-'));
        let id = words.rfind(|word| word.len() == 36).with_context(|| format!("an id in {}", answer.seen()))?;
        let found = desk.types(command.replace('…', id).trim_end()).await?;
        Ok::<_, anyhow::Error>(serde_json::from_str::<Value>(found.stdout.trim())?)
    })
    .await
    .with_context(|| answer.seen())?;
    ensure!(found["code"] == "audience-other-cluster" && found["claimedCluster"] == "production", "{found}");
    ensure!(found["cluster"] == "staging", "{found}");
    let listed = desk.types("kubectl get tokenrejections -o wide").await?;
    ensure!(listed.stdout.contains("production"), "{}", listed.seen());
    Ok(())
}

/// The page: nothing but Events.
async fn nothing_is_left(desk: &Desk<'_>, before: &BTreeSet<Entry>) -> Result<()> {
    eventually("the cluster as it was", SOON, async || {
        let now = inventory(desk.cluster).await?;
        let differing: Vec<_> = now.symmetric_difference(before).filter(|entry| entry.kind != "Event").collect();
        ensure!(differing.is_empty(), "{differing:?}");
        Ok(())
    })
    .await
}

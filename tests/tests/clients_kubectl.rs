//! How the real kubectl runs the plugin: how often, what after a 401, what after a failure, and under its policy for plugins.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use latchkey_e2e::{
    cluster::Identity,
    folder::TempFolder,
    issuer::{Endpoint, Fault, Issuer},
    person::{Answer, Person, Run},
    site::{Site, issuer_for},
    wait::eventually,
};
use tokio::process::Command;

/// The concierge makes a new authority within a second or two, kube-apiserver looks at its file once a minute.
const ROTATION_LIMIT: Duration = Duration::from_mins(2);

/// The plugin suspects no credential that is younger (`exec-plugin.md` 2.3).
const SUSPICION_PAUSE_SECONDS: u64 = 10;

#[tokio::test]
async fn kubectl_runs_the_plugin_as_often_as_it_must_and_never_costs_a_login_too_many() -> Result<()> {
    let work = TempFolder::new("clients-kubectl")?;
    let issuer = issuer_for(&["staging"]).await?;
    let site = Site::start("staging", work.path()).await?;
    site.trust(&issuer).await?;
    site.trust_own_authority().await?;
    site.offers("ClientCertificateAuthority").await?;
    let edit = ["create", "rolebinding", "developers-edit", "--clusterrole=edit", "--group=developers"];
    site.cluster.kubectl_ok(&edit).await?;

    let ann = site.ann_noted(&work.path().join("ann"), &issuer).await?;
    site.write_kubeconfig(&ann).await?;
    a_get_is_one_run(&site, &ann).await?;
    what_is_piped_into_an_apply_is_left_to_kubectl(&site, &ann).await?;
    at_a_terminal_kubectl_says_that_somebody_sits_there(&site, &ann).await?;
    kubectls_policy_is_obeyed_in_its_own_words(&site, &ann).await?;
    a_failed_login_is_tried_once_however_often_kubectl_asks(&work.path().join("unlucky"), &site, &issuer).await?;
    a_refused_credential_heals_without_a_person(&site, &ann, &issuer).await
}

async fn a_get_is_one_run(site: &Site, ann: &Person) -> Result<()> {
    for cache in ["empty", "warm"] {
        let answer = ann.kubectl(&site.kubeconfig, &["get", "namespaces", "-o", "name"]).await?;
        ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{cache} cache: {}", answer.seen());
        let runs = ann.new_runs()?;
        ensure!(runs.len() == 1, "{cache} cache: {runs:?}");
        ensure!(runs[0].stdin == "/dev/null" && runs[0].interactive() == Some(false), "{cache} cache: {:?}", runs[0]);
        let told = runs[0].exec_info.as_ref().context("kubectl tells the plugin what it is about")?;
        ensure!(told["apiVersion"] == "client.authentication.k8s.io/v1", "{told}");
        ensure!(told["spec"]["cluster"]["server"] == site.cluster.server_url(), "{told}");
    }
    ensure!(ann.invitations()?.len() == 1, "{} browsers", ann.invitations()?.len());
    Ok(())
}

/// Manifests on standard input are a difference to client-go, so it keeps two credentials in one process.
async fn what_is_piped_into_an_apply_is_left_to_kubectl(site: &Site, ann: &Person) -> Result<()> {
    let manifest = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "piped"}, "data": {"a": "b"}}"#;
    let mut command = Command::new(site.cluster.kubectl_program());
    command.args(["apply", "--namespace=default", "-f", "-"]).env("KUBECONFIG", &site.kubeconfig);
    let answer = ann.run_fed(command, manifest).await?;
    ensure!(answer.ok && answer.stdout == "configmap/piped created\n", "{}", answer.seen());
    let runs = ann.new_runs()?;
    ensure!(runs.len() == 2, "{runs:?}");
    ensure!(runs.iter().all(|run| run.stdin == "/dev/null" && run.interactive() == Some(false)), "{runs:?}");
    Ok(())
}

async fn at_a_terminal_kubectl_says_that_somebody_sits_there(site: &Site, ann: &Person) -> Result<()> {
    // util-linux's way to a terminal of one's own.
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", "kubectl get namespaces -o name", "/dev/null"]);
    let answer = ann.run(command_with(command, site)).await?;
    ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
    let runs = ann.new_runs()?;
    ensure!(runs.len() == 1 && runs[0].interactive() == Some(true), "{runs:?}");
    ensure!(runs[0].stdin.starts_with("/dev/pts/"), "{runs:?}");
    Ok(())
}

async fn kubectls_policy_is_obeyed_in_its_own_words(site: &Site, ann: &Person) -> Result<()> {
    let allowed = [
        "credentialPluginPolicy: AllowAll",
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: kubectl-latchkey",
        // What kubectl 1.35 reads, and what a mixed fleet writes.
        "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- name: kubectl-latchkey",
    ];
    for policy in allowed {
        let (answer, runs) = get_under(policy, site, ann).await?;
        ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{policy}: {}", answer.seen());
        ensure!(runs.len() == 1, "{policy}: {runs:?}");
    }
    let refused = [
        (
            "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- command: kubectl-other",
            "is not permitted by the credential plugin allowlist",
        ),
        ("credentialPluginPolicy: DenyAll", r#"plugin "kubectl-latchkey" not allowed: policy set to "DenyAll""#),
    ];
    for (policy, words) in refused {
        let (answer, runs) = get_under(policy, site, ann).await?;
        ensure!(!answer.ok && answer.stderr.contains(words), "{policy}: {}", answer.seen());
        ensure!(runs.is_empty(), "{policy}: {runs:?}");
    }
    Ok(())
}

async fn get_under(policy: &str, site: &Site, ann: &Person) -> Result<(Answer, Vec<Run>)> {
    let kuberc = site.kubeconfig.with_extension("kuberc");
    fs::write(&kuberc, format!("apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n{policy}\n"))?;
    let mut command = Command::new(site.cluster.kubectl_program());
    command.args(["get", "namespaces", "-o", "name"]).env("KUBERC", &kuberc);
    let answer = ann.run(command_with(command, site)).await?;
    Ok((answer, ann.new_runs()?))
}

/// kubectl asks for the list of APIs again and again, and each time for a credential: five tabs, were it not remembered.
async fn a_failed_login_is_tried_once_however_often_kubectl_asks(
    home: &Path,
    site: &Site,
    issuer: &Issuer,
) -> Result<()> {
    let unlucky = site.ann_noted(home, issuer).await?;
    issuer.faults().set(Endpoint::Token, Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    for (round, words) in [(1, "identity provider"), (2, "no browser opens for another")] {
        // Where kubectl remembers which APIs there are, it asks once.
        let forgetful = format!("--cache-dir={}", home.join(format!("kubectl-cache-{round}")).display());
        let answer = unlucky.kubectl(&site.kubeconfig, &[&forgetful, "get", "namespaces"]).await?;
        ensure!(!answer.ok && answer.stderr.contains(words), "{}", answer.seen());
        let runs = unlucky.new_runs()?;
        ensure!((4..=6).contains(&runs.len()), "kubectl asks five times, and this one {}", runs.len());
        // Nobody sits there who could have wished for a second one: k9s would go on like this all night.
        let browsers = unlucky.invitations()?.len();
        ensure!(browsers == 1, "{round}: {} runs opened {browsers} browsers", runs.len());
    }
    issuer.faults().clear(Endpoint::Token);
    // Whoever asks for it gets one at once, and everything goes on.
    let login = unlucky.kubectl(&site.kubeconfig, &["latchkey", "login"]).await?;
    ensure!(login.ok && unlucky.invitations()?.len() == 2, "{}", login.seen());
    let answer = unlucky.kubectl(&site.kubeconfig, &["get", "namespaces", "-o", "name"]).await?;
    ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
    unlucky.new_runs().map(drop)
}

/// The admin replaces the authority that made ann's certificate. client-go learns of it by a 401, runs the plugin again
/// without a word, and fails all the same; the next kubectl has to find a good credential.
async fn a_refused_credential_heals_without_a_person(site: &Site, ann: &Person, issuer: &Issuer) -> Result<()> {
    let answer = ann.kubectl(&site.kubeconfig, &["get", "namespaces"]).await?;
    ensure!(answer.ok, "{}", answer.seen());
    let held = ann.kept_credential()?;
    let old = Identity::Certificate {
        certificate: held["credential"]["certificate"]["clientCertificateData"]
            .as_str()
            .context("certificate")?
            .to_owned(),
        key: held["credential"]["certificate"]["clientKeyData"].as_str().context("key")?.to_owned(),
    };
    let old = site.cluster.write_kubeconfig("ann-before", &old)?;

    let secret = ["-n", "latchkey", "delete", "secret", "latchkey-client-certificate-authority"];
    site.cluster.kubectl_ok(&secret).await?;
    site.trust_own_authority().await?;
    eventually("the credential to be refused", ROTATION_LIMIT, async || {
        let answer = site.cluster.kubectl_as(&old, &["auth", "whoami"]).await?;
        let words = String::from_utf8_lossy(&answer.stderr).into_owned();
        ensure!(!answer.status.success() && words.contains("logged in"), "{words}");
        Ok(())
    })
    .await?;
    site.offers("ClientCertificateAuthority").await?;
    let suspect_from = held["received_at"].as_u64().context("received_at")? + SUSPICION_PAUSE_SECONDS;
    eventually("the credential to be old enough for suspicion", ROTATION_LIMIT, async || issuer.now() > suspect_from)
        .await?;
    ann.new_runs()?;

    let (browsers, before) = (ann.invitations()?.len(), site.granted()?);
    let first = ann.kubectl(&site.kubeconfig, &["get", "namespaces", "-o", "name"]).await?;
    let runs = ann.new_runs()?;
    ensure!(runs.len() >= 2, "client-go runs the plugin again after a 401: {runs:?}, {}", first.seen());
    let second = ann.kubectl(&site.kubeconfig, &["get", "namespaces", "-o", "name"]).await?;
    ensure!(second.ok && second.stdout.contains("namespace/kube-system"), "{}", second.seen());
    ensure!(second.stderr.is_empty(), "nothing to say: {}", second.stderr);
    ensure!(ann.new_runs()?.len() == 1);
    ensure!(ann.invitations()?.len() == browsers, "suspicion must not open a browser");
    let exchanged = site.granted()? - before;
    ensure!(exchanged == 1, "{exchanged} exchanges to heal one credential");
    Ok(())
}

fn command_with(mut command: Command, site: &Site) -> Command {
    command.env("KUBECONFIG", &site.kubeconfig);
    command
}

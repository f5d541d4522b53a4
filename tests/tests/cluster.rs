//! The test cluster: two side by side, what they offer, and that nothing is left of them.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use latchkey_e2e::{
    child::Child,
    cluster::{Cluster, ClusterOptions},
    folder::TempFolder,
    wait,
};

/// Processes start and end within a second; the rest is for two busy cores.
const SOON: Duration = Duration::from_mins(1);

#[tokio::test]
async fn two_clusters_stand_side_by_side_and_leave_nothing_behind() -> Result<()> {
    let start = Instant::now();
    let (staging, production) = tokio::try_join!(
        Cluster::start(ClusterOptions::named("staging")),
        Cluster::start(ClusterOptions::named("production")),
    )?;
    eprintln!("two clusters ready after {:?}", start.elapsed());

    let namespaces: Api<Namespace> = Api::all(staging.client().await?);
    ensure!(namespaces.get("kube-system").await?.metadata.uid.is_some());
    let other: Api<Namespace> = Api::all(production.client().await?);
    ensure!(
        namespaces.get("kube-system").await?.metadata.uid != other.get("kube-system").await?.metadata.uid,
        "two clusters, not one"
    );
    let who = production.kubectl_ok(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}"]).await?;
    ensure!(who.contains("system:masters"), "{who}");

    let pids = [staging.pids(), production.pids()].concat();
    ensure!(pids.len() == 6, "{pids:?}");
    ensure!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    let folders: Vec<PathBuf> = [staging.folder(), production.folder()].map(Into::into).to_vec();
    let stop = Instant::now();
    drop((staging, production));
    eprintln!("both gone after {:?}", stop.elapsed());
    ensure!(!pids.iter().any(|pid| is_alive(*pid)), "still alive: {pids:?}");
    ensure!(!folders.iter().any(|folder| folder.exists()), "{folders:?}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_gives_identities_and_survives_the_restart_of_its_parts() -> Result<()> {
    let mut cluster = Cluster::start(ClusterOptions::named("parts")).await?;

    let account = cluster.service_account_kubeconfig("default", "default").await?;
    let output = cluster.kubectl_as(&account, &["auth", "whoami"]).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(text.contains("system:serviceaccount:default:default"), "{text}");

    let person = cluster.user_kubeconfig("ann@example.com", Some("on-call"))?;
    let output = cluster.kubectl_as(&person, &["auth", "whoami", "-o", "json"]).await?;
    let who: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(who["status"]["userInfo"]["username"] == "ann@example.com", "{who}");
    ensure!(who["status"]["userInfo"]["groups"][0] == "on-call", "{who}");
    let output = cluster.kubectl_as(&person, &["get", "namespaces"]).await?;
    ensure!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("Forbidden"));
    let audit = std::fs::read_to_string(cluster.audit_log())?;
    let refused = audit
        .lines()
        .map(serde_json::from_str::<serde_json::Value>)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .find(|event| event["user"]["username"] == "ann@example.com" && event["objectRef"]["resource"] == "namespaces")
        .context("the API server's audit log names ann")?;
    ensure!(refused["responseStatus"]["code"] == 403, "{refused}");

    let start = Instant::now();
    cluster.restart_api_server().await?;
    eprintln!("kube-apiserver restarted in {:?}", start.elapsed());
    cluster.kubectl_ok(&["create", "namespace", "after-the-restart"]).await?;

    cluster.stop_controller_manager();
    cluster.kubectl_ok(&["create", "namespace", "without-controllers"]).await?;
    let output = cluster.kubectl(&["-n", "without-controllers", "get", "configmap", "kube-root-ca.crt"]).await?;
    ensure!(!output.status.success(), "nobody is there to make it");
    cluster.start_controller_manager().await?;
    wait::eventually("the root CA's config map", SOON, async || {
        cluster.kubectl_ok(&["-n", "without-controllers", "get", "configmap", "kube-root-ca.crt"]).await
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_foreign_client_ca_is_admitted_once_it_is_appended() -> Result<()> {
    let options = ClusterOptions { controllers_running: false, anonymous: false, ..ClusterOptions::named("client-ca") };
    let cluster = Cluster::start(options).await?;
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "somebody else's CA");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, key)?;
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "bob");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &authority)?;
    let bob = cluster.write_kubeconfig(
        "bob",
        &latchkey_e2e::cluster::Identity::Certificate { certificate: certificate.pem(), key: key.serialize_pem() },
    )?;

    let output = cluster.kubectl_as(&bob, &["auth", "whoami"]).await?;
    ensure!(!output.status.success(), "not yet");
    let start = Instant::now();
    cluster.set_client_ca(&authority.pem()).await?;
    eprintln!("client CA taken over after {:?}", start.elapsed());
    let output = cluster.kubectl_as(&bob, &["auth", "whoami"]).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(text.contains("bob"), "{text} {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The children must die even if this process cannot say good-bye: a second copy of this test binary starts a child and is
/// then killed the hard way.
#[tokio::test]
async fn children_die_with_a_test_runner_that_is_killed() -> Result<()> {
    let mut runner = Command::new(std::env::current_exe()?);
    runner
        .args(["--exact", "only_when_asked_starts_a_child_and_hangs", "--nocapture"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let folder = TempFolder::new("killed-runner")?;
    let file = folder.path().join("pids");
    // The runner cannot clean up after itself, so what it makes lies in our folder.
    let mut runner = runner.env(RUNNER_FILE, &file).env("TMPDIR", folder.path()).spawn()?;
    let pids = wait::eventually("the runner to start its child", SOON, async || -> Result<Vec<u32>> {
        let text = std::fs::read_to_string(&file)?;
        ensure!(text.ends_with('\n'), "half written");
        text.split_whitespace().map(|pid| pid.parse().context("a pid")).collect()
    })
    .await?;
    ensure!(pids.len() == 2 && pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    runner.kill()?;
    runner.wait()?;
    wait::eventually("the child and its own child to die", SOON, async || {
        ensure!(!pids.iter().any(|pid| is_alive(*pid)), "{pids:?} are alive");
        Ok(())
    })
    .await
}

const RUNNER_FILE: &str = "LATCHKEY_TEST_RUNNER_FILE";

#[tokio::test]
async fn only_when_asked_starts_a_child_and_hangs() -> Result<()> {
    let Some(file) = std::env::var_os(RUNNER_FILE) else {
        return Ok(());
    };
    let folder = TempFolder::new("hangs")?;
    let mut command = Command::new("sh");
    command.args(["-c", r#"sleep 600 & echo "$$ $!"; wait"#]);
    let child = Child::spawn("sleeper", command, folder.path())?;
    let pids = wait::eventually("the child's pids", SOON, async || -> Result<String> {
        let text = std::fs::read_to_string(child.stdout())?;
        ensure!(text.ends_with('\n'));
        Ok(text)
    })
    .await?;
    let half = folder.path().join("half");
    std::fs::write(&half, pids)?;
    std::fs::rename(half, file)?;
    std::future::pending().await
}

/// A zombie is dead: nobody has taken it away yet, but it does nothing.
fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

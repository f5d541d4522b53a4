//! Replicas: all serve, one writes, and each can be killed, stopped or cut off without harm to the others.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    concierge::{Concierge, ConciergeOptions},
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    leak,
    site::Site,
    wait::eventually,
};
use serde_json::{Value, json};

/// A silent leader keeps the lease for 15 s, and the others look every 3 s.
const SUCCESSION: Duration = Duration::from_secs(40);

/// The API server asks every half minute whether an aggregated API is there; a changed service it asks at once.
const NOTICED: Duration = Duration::from_mins(1);

#[tokio::test]
async fn two_replicas_serve_one_leads_and_the_other_takes_over_when_it_is_killed() -> Result<()> {
    let work = TempFolder::new("replicas")?;
    let mut site = Site::start("staging", work.path()).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    site.trust(&issuer).await?;
    the_credential_issuer_is_made_comes_back_and_is_left_as_git_wants_it(&site).await?;
    let second = site.concierge.replica(&site.cluster, options(), "replica-2").await?;
    ensure!(holder(&site).await? == "replica-1", "the lease is the first one's");

    // Both serve; the second one straight, for the API server talks to the first.
    for replica in [&site.concierge, &second] {
        let door = Exchanger::straight(&site.cluster, replica).await?;
        ensure!(door.exchange(&token(&issuer)?).await?.is_granted());
        ensure!(granted(replica)? == 1);
    }

    // The leader dies. The other serves at once, and writes as soon as the lease is its own.
    site.concierge.kill9()?;
    let died = Instant::now();
    talk_to(&site, &second).await?;
    second.available(&site.cluster).await?;
    let door = Exchanger::through(&site.cluster)?;
    ensure!(door.exchange(&token(&issuer)?).await?.is_granted());
    ensure!(granted(&second)? == 2);
    eventually("the second replica to lead", SUCCESSION, async || {
        let holder = holder(&site).await?;
        ensure!(holder == "replica-2", "held by {holder}");
        Ok(())
    })
    .await?;
    eprintln!("the second replica leads {:?} after the first died", died.elapsed());
    site.cluster.apply(&site.authenticator("after-the-succession", &issuer).to_string()).await?;
    site.ready("after-the-succession").await?;
    ensure!(door.exchange_at("after-the-succession", &token(&issuer)?).await?.is_granted());

    // The first one comes back and follows.
    site.concierge.start().await?;
    let door = Exchanger::straight(&site.cluster, &site.concierge).await?;
    ensure!(door.exchange(&token(&issuer)?).await?.is_granted());
    ensure!(holder(&site).await? == "replica-2", "who comes back takes nothing away");
    nothing_but_json_and_no_token(&second)
}

#[tokio::test]
async fn a_concierge_outlives_its_api_server_and_ends_gracefully() -> Result<()> {
    let work = TempFolder::new("graceful")?;
    let mut site = Site::start("staging", work.path()).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    site.trust(&issuer).await?;

    api_server_restarted(&mut site, &issuer).await?;
    sigterm_in_the_middle_of_an_exchange(&mut site, &issuer).await?;
    nothing_but_json_and_no_token(&site.concierge)
}

/// Nobody but the concierge has made it: no manifest brings one.
async fn the_credential_issuer_is_made_comes_back_and_is_left_as_git_wants_it(site: &Site) -> Result<()> {
    let made = told(site, None).await?;
    ensure!(made["spec"]["impersonationProxy"]["mode"] == "disabled", "{made}");

    site.cluster.kubectl_ok(&["delete", "credentialissuer", "latchkey"]).await?;
    let again = told(site, Some(&made)).await?;
    ensure!(again["spec"] == made["spec"], "{again}");

    // The same from Git: nobody's field is taken away, so nothing conflicts.
    let mut wished = json!({
        "apiVersion": made["apiVersion"], "kind": made["kind"],
        "metadata": {"name": "latchkey"}, "spec": {"impersonationProxy": {"mode": "disabled"}},
    });
    site.cluster.apply(&wished.to_string()).await?;
    wished["spec"]["impersonationProxy"]["mode"] = "auto".into();
    // Another wish: kubectl asks, and GitOps forces.
    let refused = site.cluster.try_apply(&wished.to_string(), &[]).await?;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && words.contains("latchkey-concierge-default"), "{words}");
    let forced = site.cluster.try_apply(&wished.to_string(), &["--force-conflicts"]).await?;
    ensure!(forced.status.success(), "{}", String::from_utf8_lossy(&forced.stderr));

    // The leader has looked at it once more when the status is its own again; the wish stands.
    let nonsense = json!({"status": {"strategies": []}}).to_string();
    let patch = ["patch", "credentialissuer", "latchkey", "--subresource=status", "--type=merge", "-p", &nonsense];
    site.cluster.kubectl_ok(&patch).await?;
    let kept = told(site, None).await?;
    ensure!(kept["spec"]["impersonationProxy"]["mode"] == "auto", "{kept}");
    ensure!(kept["metadata"]["uid"] == again["metadata"]["uid"], "made anew: {kept}");
    Ok(())
}

/// The object, once its status says something; another than `before`.
async fn told(site: &Site, before: Option<&Value>) -> Result<Value> {
    eventually("a CredentialIssuer with a status", SUCCESSION, async || {
        let object = site.get("/apis/config.concierge.latchkey.dev/v1alpha1/credentialissuers/latchkey").await?;
        let uid = &object["metadata"]["uid"];
        ensure!(before.is_none_or(|before| before["metadata"]["uid"] != *uid), "still the one that was there");
        ensure!(object["status"]["strategies"].as_array().is_some_and(|told| !told.is_empty()), "{}", object["status"]);
        anyhow::Ok(object)
    })
    .await
}

async fn api_server_restarted(site: &mut Site, issuer: &Issuer) -> Result<()> {
    let pid = site.concierge.pid()?;
    let straight = Exchanger::straight(&site.cluster, &site.concierge).await?;
    site.cluster.stop_api_server()?;
    // Whether the caller may ask is the API server's to say (a SubjectAccessReview), so nobody gets anything meanwhile.
    let answer = straight.exchange(&token(issuer)?).await?;
    ensure!(answer.code == 503 && answer.body["kind"] == "Status", "{}: {}", answer.code, answer.body);
    ensure!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
    let alive = reqwest::get(format!("{}/livez", site.concierge.admin_url())).await?;
    ensure!(alive.status().is_success(), "a restart would help nobody: {}", alive.status());

    site.cluster.start_api_server().await?;
    site.concierge.available(&site.cluster).await?;
    let door = Exchanger::through(&site.cluster)?;
    eventually("an exchange to be granted after the restart", NOTICED, async || {
        let answer = door.exchange(&token(issuer)?).await?;
        ensure!(answer.is_granted(), "{}: {}", answer.code, answer.body["status"]["message"]);
        Ok(())
    })
    .await?;
    site.cluster.apply(&site.authenticator("after-the-restart", issuer).to_string()).await?;
    site.ready("after-the-restart").await?;
    ensure!(site.concierge.pid()? == pid, "it is the same process");
    Ok(())
}

async fn sigterm_in_the_middle_of_an_exchange(site: &mut Site, issuer: &Issuer) -> Result<()> {
    // Without a signer an exchange waits, for ten seconds: not long enough for a signer that would have to be started first.
    site.cluster.freeze_controller_manager()?;
    let door = Exchanger::straight(&site.cluster, &site.concierge).await?;
    let waiting = {
        let (door, token) = (door.clone(), token(issuer)?);
        tokio::spawn(async move { door.exchange(&token).await })
    };
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests?labelSelector=latchkey.dev%2Fcluster";
    eventually("an exchange to be waiting for the signer", NOTICED, async || {
        let waiting = site.get(path).await?["items"].as_array().is_some_and(|items| !items.is_empty());
        ensure!(waiting, "no certificate request yet");
        Ok(())
    })
    .await?;
    let stopping = site.concierge.stop();
    let (status, signing) = tokio::join!(stopping, async { site.cluster.wake_controller_manager() });
    signing?;
    let status = status?;
    ensure!(status.success(), "{status}");
    let answer = waiting.await??;
    ensure!(answer.is_granted(), "an exchange under way is finished: {}: {}", answer.code, answer.body);
    let records = site.concierge.check_records()?;
    let of_requests = records.iter().rfind(|record| record["surface"] == "exchange");
    // The end may be sealed by one more checkpoint.
    let last = records.iter().rfind(|record| record["kind"] != "audit.checkpoint");
    let (granted, last) = (of_requests.context("no exchange")?, last.context("no record")?);
    ensure!(granted["code"] == "granted" && last["kind"] == "audit.stopped", "{granted}\n{last}");
    ensure!(site.get(path).await?["items"].as_array().is_some_and(Vec::is_empty), "its certificate request is left");
    let holder = holder(site).await?;
    ensure!(holder.is_empty(), "the lease was not given up: {holder}");

    let before = last.clone();
    site.concierge.start().await?;
    site.concierge.available(&site.cluster).await?;
    eventually("an exchange to be granted after the start", NOTICED, async || {
        let answer = door.exchange(&token(issuer)?).await?;
        ensure!(answer.is_granted(), "{}: {}", answer.code, answer.body);
        Ok(())
    })
    .await?;
    // A life has a file of its own, and begins by naming the one before it.
    let records = site.concierge.check_records()?;
    let first = records.first().context("no record")?;
    let is_next = first["previous"]["life"] == before["life"] && first["previous"]["seq"] == before["seq"];
    ensure!(first["kind"] == "audit.started" && is_next && first.get("unclean").is_none(), "{before}\n{first}");
    Ok(())
}

/// Whoever reads logs by machine is never disturbed, and whoever reads them at all finds no token.
fn nothing_but_json_and_no_token(concierge: &Concierge) -> Result<()> {
    let lines = concierge.log_lines()?;
    ensure!(lines.iter().any(|line| line.to_string().contains("Exchange")), "{} lines, no exchange", lines.len());
    ensure!(!concierge.audit_lines()?.is_empty());
    let written = concierge.everything_written();
    leak::no_token("what the concierge wrote", &written)?;
    ensure!(!written.contains("PRIVATE KEY"), "a private key was written");
    Ok(())
}

/// Has the API server send what it aggregates to this replica.
async fn talk_to(site: &Site, replica: &Concierge) -> Result<()> {
    for group in ["login", "identity"] {
        let patch = json!({"spec": {"service": {"port": replica.port()}}}).to_string();
        let name = format!("v1alpha1.{group}.concierge.latchkey.dev");
        site.cluster.kubectl_ok(&["patch", "apiservice", &name, "--type=merge", "-p", &patch]).await?;
    }
    Ok(())
}

async fn holder(site: &Site) -> Result<String> {
    let lease = site.get("/apis/coordination.k8s.io/v1/namespaces/latchkey/leases/latchkey-concierge").await?;
    Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

fn granted(replica: &Concierge) -> Result<usize> {
    let is_granted = |record: &&Value| record["code"] == "granted";
    Ok(replica.audit_lines()?.iter().filter(is_granted).count())
}

fn options() -> ConciergeOptions {
    ConciergeOptions { cluster_name: "staging".to_owned(), ..ConciergeOptions::default() }
}

fn token(issuer: &Issuer) -> Result<String> {
    issuer.id_token("ann", &Site::audience("staging"))
}

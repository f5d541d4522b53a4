//! What those who wait make of a status: kubectl, the real kstatus (Helm, Flux), Argo CD's Lua and Flux's expressions; on the
//! fixtures that the controllers write, and on live objects whose issuer goes away.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    site::{AUTHENTICATOR, Site},
    tools::Tool,
    wait::eventually,
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Where the fixtures, the scripts and the table are.
const HEALTH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/health");

/// An issuer that is away is asked again after seconds, and an answer is written at once.
const WRITTEN: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_fixtures_are_judged_as_the_page_says() -> Result<()> {
    let rows = table()?;
    let mut asked = Vec::new();
    for row in &rows {
        asked.push(question(&yaml(&format!("fixtures/{}.yaml", row[0]))?)?);
    }
    let files = fs::read_dir(Path::new(HEALTH).join("fixtures"))?.count();
    ensure!(files == rows.len() && files > 10, "{files} fixtures, {} rows", rows.len());
    let mut wrong = Vec::new();
    for (row, told) in rows.iter().zip(judge(&asked).await?) {
        let found = [&told["kstatus"], &told["lua"], &told["cel"]];
        if found.iter().zip(&row[1..]).any(|(found, expected)| **found != expected.as_str()) {
            wrong.push(format!("{}: the page says {:?}, found {found:?}", row[0], &row[1..]));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A credential issuer has strategies in place of conditions.
    let strategy =
        |status: &str, reason: &str| json!({"type": "T", "status": status, "reason": reason, "message": "m"});
    let (works, fails) = (strategy("Success", "Issuing"), strategy("Error", "SignerNeverAnswered"));
    let issuers = [(json!([fails, works]), "Healthy"), (json!([fails]), "Degraded"), (json!([]), "Progressing")];
    let lua = script("config.concierge.latchkey.dev_CredentialIssuer")?;
    let asked: Vec<_> = issuers
        .iter()
        .map(|(strategies, _)| json!({"object": {"metadata": {}, "status": {"strategies": strategies}}, "lua": lua}))
        .collect();
    for ((_, expected), told) in issuers.iter().zip(judge(&asked).await?) {
        ensure!(told["lua"] == *expected, "{told}");
    }
    Ok(())
}

#[test]
fn the_config_map_has_the_scripts_word_for_word() -> Result<()> {
    let config = yaml("argocd/argocd-cm.yaml")?;
    let data = config["data"].as_object().context("data")?;
    ensure!(data.len() == 3, "{} scripts", data.len());
    for (key, value) in data {
        let kind = key.strip_prefix("resource.customizations.health.").context("another key")?;
        ensure!(value.as_str() == Some(script(kind)?.as_str()), "{key} is not the file");
    }
    Ok(())
}

#[tokio::test]
async fn live_objects_are_waited_for_as_long_as_it_is_worth_it() -> Result<()> {
    let work = TempFolder::new("health")?;
    let mut site = Site::start("staging", work.path()).await?;
    let mut issuer = Issuer::start(IssuerOptions::default()).await?;

    site.concierge.stop().await?;
    let authenticator = site.authenticator(AUTHENTICATOR, &issuer);
    site.cluster.apply(&authenticator.to_string()).await?;
    // Nobody has looked at it, and nobody takes that for the end of the work.
    let object = site.authenticator_object(AUTHENTICATOR).await?;
    let fixture = yaml("fixtures/jwt-just-created.yaml")?;
    ensure!(object["status"] == fixture["status"], "{}", object["status"]);
    is(&site, AUTHENTICATOR, ["InProgress", "Progressing", "InProgress"]).await?;
    site.concierge.start().await?;
    wait_by_kubectl(&site).await?;
    is(&site, AUTHENTICATOR, ["Current", "Healthy", "Current"]).await?;

    // A change that alters no condition: what kubectl waits for is written anew all the same.
    for lifetime in [3_600, 7_200] {
        let patch = json!({"spec": {"maxTokenLifetimeSeconds": lifetime}}).to_string();
        let patch = ["patch", "jwtauthenticator", AUTHENTICATOR, "--type=merge", "-p", &patch];
        site.cluster.kubectl_ok(&patch).await?;
        wait_by_kubectl(&site).await?;
        let object = site.authenticator_object(AUTHENTICATOR).await?;
        let conditions = object["status"]["conditions"].as_array().context("conditions")?;
        let generation = &object["metadata"]["generation"];
        ensure!(conditions.iter().all(|condition| condition["observedGeneration"] == *generation), "{object}");
        ensure!(object["status"]["observedGeneration"] == *generation, "{object}");
    }

    // A spec that can never work fails at once, and the mend is waited for again.
    let patch = |expression: Value| json!({"spec": {"userValidationRules": expression}}).to_string();
    let broken = patch(json!([{"expression": "user.username +"}]));
    site.cluster.kubectl_ok(&["patch", "jwtauthenticator", AUTHENTICATOR, "--type=merge", "-p", &broken]).await?;
    becomes(&site, AUTHENTICATOR, ["Failed", "Degraded", "Failed"]).await?;
    let mended = patch(Value::Null);
    site.cluster.kubectl_ok(&["patch", "jwtauthenticator", AUTHENTICATOR, "--type=merge", "-p", &mended]).await?;
    becomes(&site, AUTHENTICATOR, ["Current", "Healthy", "Current"]).await?;

    // A certificate authority that comes later, as one that is unsealed or copied does, is waited for.
    let mut later = site.authenticator("later", &issuer);
    let source = json!({"kind": "ConfigMap", "name": "issuer-ca", "key": "ca.crt"});
    later["spec"]["tls"] = json!({"certificateAuthorityDataSource": source});
    site.cluster.apply(&later.to_string()).await?;
    becomes(&site, "later", ["InProgress", "Progressing", "InProgress"]).await?;
    ensure!(site.condition("later", "Reconciling").await?["reason"] == "CertificateAuthorityMissing");
    let ca = format!("--from-literal=ca.crt={}", issuer.ca_pem());
    site.cluster.kubectl_ok(&["-n", "latchkey", "create", "configmap", "issuer-ca", &ca]).await?;
    becomes(&site, "later", ["Current", "Healthy", "Current"]).await?;

    // The issuer goes away: who has its keys goes on, who has none waits.
    let mut elsewhere = Issuer::start(IssuerOptions::default()).await?;
    let unreachable = site.authenticator("away", &elsewhere);
    elsewhere.go_away().await;
    issuer.go_away().await;
    site.cluster.apply(&unreachable.to_string()).await?;
    becomes(&site, "away", ["InProgress", "Degraded", "InProgress"]).await?;
    is(&site, AUTHENTICATOR, ["Current", "Healthy", "Current"]).await?;
    self_test(&mut site).await
}

/// By hand, as somebody without a single right.
async fn self_test(site: &mut Site) -> Result<()> {
    let nobody = site.cluster.service_account_kubeconfig("default", "default").await?;
    let run = async |site: &Site, timeout: &str| {
        let mut command = Command::new(site.concierge.program());
        command.args(["self-test", "--timeout", timeout, "--kubeconfig"]).arg(&nobody).env_clear();
        let output = command.kill_on_drop(true).output().await?;
        anyhow::Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    let (code, lines) = run(site, "30s").await?;
    ensure!(code == Some(0) && lines.ends_with("all 5 checks passed\n"), "{code:?}: {lines}");
    for expected in [
        "ok   the API server: answers system:serviceaccount:default:default\n",
        "ok   a token that is none: is refused: authentication failed\n",
        "ok   who we are to the concierge: system:serviceaccount:default:default\n",
    ] {
        ensure!(lines.contains(expected), "{lines}");
    }
    site.last_record("authenticator-unknown").await?;

    site.concierge.stop().await?;
    let (code, lines) = run(site, "1s").await?;
    ensure!(code == Some(1) && lines.contains("\nFAIL a token that is none: ") && !lines.contains("passed"), "{lines}");
    ensure!(lines.starts_with("ok   the API server: "), "{lines}");
    Ok(())
}

async fn wait_by_kubectl(site: &Site) -> Result<()> {
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "jwtauthenticator", AUTHENTICATOR];
    site.cluster.kubectl_ok(&wait).await.map(drop)
}

/// What kstatus, Argo CD and Flux make of a live object, now.
async fn is(site: &Site, authenticator: &str, expected: [&str; 3]) -> Result<()> {
    let object = site.authenticator_object(authenticator).await?;
    let told = judge(&[question(&object)?]).await?.remove(0);
    let found = [&told["kstatus"], &told["lua"], &told["cel"]];
    ensure!(found.iter().zip(expected).all(|(found, expected)| **found == expected), "{told}: {}", object["status"]);
    Ok(())
}

/// The same, in time.
async fn becomes(site: &Site, authenticator: &str, expected: [&str; 3]) -> Result<()> {
    let what = format!("{authenticator} to be {expected:?}");
    eventually(&what, WRITTEN, async || is(site, authenticator, expected).await).await
}

/// An object with the script and the expressions of its kind.
fn question(object: &Value) -> Result<Value> {
    let kind = object["kind"].as_str().context("an object of a kind")?;
    let group = object["apiVersion"].as_str().and_then(|version| version.split('/').next()).context("a group")?;
    let flux = yaml("flux/kustomization-with-checks.yaml")?;
    let checks = flux["spec"]["healthCheckExprs"].as_array().context("healthCheckExprs")?;
    let check = checks.iter().find(|check| check["kind"] == kind).with_context(|| format!("no check of {kind}"))?;
    Ok(json!({"object": object, "lua": script(&format!("{group}_{kind}"))?, "cel": check}))
}

async fn judge(questions: &[Value]) -> Result<Vec<Value>> {
    let mut command = Command::new(Tool::Kstatus.find().await?);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let lines = questions.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
    child.stdin.take().context("its input")?.write_all(lines.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "kstatus ended with {}", output.status);
    let answers: Result<Vec<Value>, _> = String::from_utf8(output.stdout)?.lines().map(serde_json::from_str).collect();
    let answers = answers?;
    ensure!(answers.len() == questions.len(), "{} answers to {} questions", answers.len(), questions.len());
    Ok(answers)
}

fn script(kind: &str) -> Result<String> {
    let path = Path::new(HEALTH).join("argocd").join(kind).join("health.lua");
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn yaml(path: &str) -> Result<Value> {
    let path = Path::new(HEALTH).join(path);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(Value::deserialize(serde_norway::Deserializer::from_str(&text))?)
}

/// The rows of the page: a fixture, and what each of the three makes of it.
fn table() -> Result<Vec<[String; 4]>> {
    let page = fs::read_to_string(Path::new(HEALTH).join("README.md"))?;
    let rows = page.lines().filter(|line| line.starts_with("| `jwt-") || line.starts_with("| `webhook-"));
    rows.map(|line| {
        let cells: Vec<_> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
        cells.try_into().map_err(|cells| anyhow::anyhow!("{cells:?}"))
    })
    .collect()
}

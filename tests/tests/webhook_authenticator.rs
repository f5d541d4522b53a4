//! A `WebhookAuthenticator` on a real cluster: a server of the user's judges opaque tokens, and what it says becomes a
//! credential, a record and a status.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use latchkey_crds::groups::GroupSuffix;
use latchkey_e2e::{
    exchange::{Answer, Exchanger},
    folder::TempFolder,
    site::Site,
    wait::eventually,
    webhook::Webhook,
};
use serde_json::{Value, json};

const NAME: &str = "tokens";

/// A dial and a status write; the rest is for two busy cores.
const STATUS_LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_webhooks_tokens_are_exchanged_recorded_and_its_state_is_told() -> Result<()> {
    let work = TempFolder::new("webhook")?;
    let site = Site::start("staging", work.path()).await?;
    let mut webhook = Webhook::start("v1").await?;
    let user = json!({
        "username": "ada", "uid": "42", "groups": ["developers", "system:authenticated"],
        "extra": {"example.com/team": ["blue"]},
    });
    webhook.know("opaque-ada", user);
    site.cluster.apply(&authenticator(&site, &webhook, &json!({})).to_string()).await?;
    let door = Exchanger::through(&site.cluster)?;

    kubectl_sees_it_ready(&site).await?;
    a_token_becomes_a_credential(&site, &door, &webhook).await?;
    what_it_does_not_know_or_may_not_name_is_refused(&site, &door, &webhook).await?;
    the_server_away_and_back(&site, &door, &mut webhook).await?;
    a_server_of_the_older_version_is_found_out(&site, &door).await
}

/// The object as a user would write it; `changes` are laid over its spec.
fn authenticator(site: &Site, webhook: &Webhook, changes: &Value) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut spec = json!({
        "endpoint": webhook.url(),
        "tls": {"certificateAuthorityData": STANDARD.encode(webhook.ca_pem())},
        "timeoutSeconds": 10,
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    json!({
        "apiVersion": GroupSuffix::api_version(&site.concierge.suffix().authentication()),
        "kind": "WebhookAuthenticator", "metadata": {"name": NAME}, "spec": spec,
    })
}

async fn exchange(site: &Site, door: &Exchanger, token: &str) -> Result<(Answer, Value)> {
    let mut request = door.request(NAME, token);
    request["spec"]["authenticator"]["kind"] = "WebhookAuthenticator".into();
    let answer = door.send(&request).await?;
    let record = site.record_of(answer.audit_id()?).await?;
    ensure!(!record.to_string().contains(token), "the record holds the token: {record}");
    Ok((answer, record))
}

async fn kubectl_sees_it_ready(site: &Site) -> Result<()> {
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "webhookauthenticator", NAME];
    site.cluster.kubectl_ok(&wait).await?;
    let columns = site.cluster.kubectl_ok(&["get", "latchkey", "--no-headers"]).await?;
    let row = columns.lines().find(|line| line.contains("webhookauthenticator")).context("no row")?;
    ensure!(row.contains("/review") && row.contains("Ready"), "{row}");
    let dialed = condition(site, "WebhookConnectionValid").await?;
    ensure!(dialed["message"] == "successfully dialed webhook server", "{dialed}");
    Ok(())
}

async fn condition(site: &Site, kind: &str) -> Result<Value> {
    let text = site.cluster.kubectl_ok(&["get", "webhookauthenticator", NAME, "-o", "json"]).await?;
    let object: Value = serde_json::from_str(&text)?;
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let current =
        |told: &&Value| told["type"] == kind && told["observedGeneration"] == object["metadata"]["generation"];
    conditions.iter().find(current).cloned().with_context(|| format!("no {kind} in {}", object["status"]))
}

async fn a_token_becomes_a_credential(site: &Site, door: &Exchanger, webhook: &Webhook) -> Result<()> {
    site.offers("CertificateSigningRequestAPI").await?;
    let (answer, record) = exchange(site, door, "opaque-ada").await?;
    let kubeconfig = site.cluster.write_kubeconfig("ada", &answer.identity()?)?;
    let output = site.cluster.kubectl_as(&kubeconfig, &["auth", "whoami", "-o", "json"]).await?;
    let who: Value = serde_json::from_slice(&output.stdout).context("whoami")?;
    ensure!(who["status"]["userInfo"]["username"] == "ada", "{who}");
    ensure!(who["status"]["userInfo"]["groups"] == json!(["developers", "system:authenticated"]), "{who}");

    ensure!(record["code"] == "granted" && record["identity"] == json!({"username": "ada", "groups": 1}), "{record}");
    let by = &record["authenticator"];
    ensure!(by["kind"] == "WebhookAuthenticator" && by["name"] == NAME && by["generation"] == 1, "{record}");
    let asked = webhook.asked();
    ensure!(asked.len() == 1 && asked[0]["apiVersion"] == "authentication.k8s.io/v1", "{asked:?}");
    ensure!(asked[0]["spec"] == json!({"token": "opaque-ada"}), "{asked:?}");
    let metrics = site.concierge.metrics().await?;
    for series in [
        r#"latchkey_token_verdicts_total{surface="exchange",authenticator="webhook/tokens",code="granted"} 1"#,
        r#"latchkey_webhook_asked_total{authenticator="tokens",result="authenticated"} 1"#,
    ] {
        ensure!(metrics.contains(series), "no {series}");
    }
    Ok(())
}

async fn what_it_does_not_know_or_may_not_name_is_refused(
    site: &Site,
    door: &Exchanger,
    webhook: &Webhook,
) -> Result<()> {
    webhook.know("opaque-master", json!({"username": "eve", "groups": ["system:masters"]}));
    webhook.know("opaque-account", json!({"username": "system:serviceaccount:kube-system:default"}));
    webhook.know("opaque-gone", json!({"username": "bob"}));
    ensure!(exchange(site, door, "opaque-gone").await?.0.is_granted(), "bob is known");
    // Nothing is remembered: what the server takes back is worthless at once.
    webhook.forget("opaque-gone");
    for (token, code) in [
        ("opaque-stranger", "webhook-refused"),
        ("opaque-gone", "webhook-refused"),
        ("opaque-master", "identity-reserved"),
        ("opaque-account", "identity-reserved"),
    ] {
        let (answer, record) = exchange(site, door, token).await?;
        answer.refused()?;
        ensure!(record["code"] == code, "{token}: {record}");
    }
    Ok(())
}

async fn the_server_away_and_back(site: &Site, door: &Exchanger, webhook: &mut Webhook) -> Result<()> {
    webhook.stop().await?;
    let (answer, record) = exchange(site, door, "opaque-ada").await?;
    answer.refused()?;
    ensure!(record["code"] == "webhook-unavailable", "{record}");
    eventually("the status to say that the server is away", STATUS_LIMIT, async || {
        let dialed = condition(site, "WebhookConnectionValid").await?;
        ensure!(dialed["status"] == "False" && dialed["reason"] == "UnableToDialServer", "{dialed}");
        let ready = condition(site, "Ready").await?;
        ensure!(ready["status"] == "False" && ready["reason"] == "NotReady", "{ready}");
        Ok(())
    })
    .await?;
    webhook.listen().await?;
    ensure!(exchange(site, door, "opaque-ada").await?.0.is_granted(), "the server is back, whatever the status says");
    kubectl_sees_it_ready(site).await
}

async fn a_server_of_the_older_version_is_found_out(site: &Site, door: &Exchanger) -> Result<()> {
    let older = Webhook::start("v1beta1").await?;
    older.know("opaque-cy", json!({"username": "cy"}));
    site.cluster.apply(&authenticator(site, &older, &json!({})).to_string()).await?;
    let granted = eventually("the new server to be asked", STATUS_LIMIT, async || {
        let (answer, record) = exchange(site, door, "opaque-cy").await?;
        ensure!(answer.is_granted(), "{record}");
        Ok(record)
    })
    .await?;
    ensure!(granted["authenticator"]["generation"] == 2, "{granted}");
    let spoken: Vec<_> = older.asked().iter().map(|review| review["apiVersion"].clone()).collect();
    ensure!(spoken == ["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1"], "{spoken:?}");

    // Said in the spec, nothing has to be found out; and what it says of credentials holds.
    let spec = json!({"tokenReviewVersion": "v1beta1", "credential": {"lifetimeSeconds": 900}});
    site.cluster.apply(&authenticator(site, &older, &spec).to_string()).await?;
    eventually("the credential's lifetime to be the spec's", STATUS_LIMIT, async || {
        let issued = exchange(site, door, "opaque-cy").await?.0.issued()?;
        // The signer begins a certificate five minutes in the past.
        ensure!(issued.not_after - issued.not_before <= 900 + 300, "{issued:?}");
        ensure!(issued.not_after - issued.not_before > 600 + 300, "{issued:?}");
        Ok(())
    })
    .await?;
    let last = older.asked().pop().context("asked")?;
    ensure!(last["apiVersion"] == "authentication.k8s.io/v1beta1", "{last}");
    Ok(())
}

//! A concierge without an API, as the example of a static pod starts it, behind a real kube-apiserver: authenticators from
//! files, asked by the real `kubectl --token`.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_e2e::{
    child::Child,
    cluster::{Cluster, ClusterOptions},
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    ports,
    programs::Programs,
    review::{ReviewDoor, who},
    site::Site,
    wait::{Observation, eventually},
};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// What an admin is given to start from.
const POD: &str = include_str!("../../deploy/examples/static-pod/latchkey-concierge.yaml");
const WEBHOOK: &str = include_str!("../../deploy/examples/token-review/webhook.kubeconfig");

/// Where the examples have their files.
const FILES: &str = "/etc/kubernetes/latchkey";

/// A look at the folder, a fetch of keys, kube-apiserver's memory of ten seconds, and a kubectl on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test]
async fn the_static_pod_of_the_example_lets_people_in_by_files_alone() -> Result<()> {
    let work = TempFolder::new("standalone")?;
    let door = ReviewDoor::new(&work)?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    fs::create_dir(work.path().join("authenticators"))?;
    let good = authenticator(&issuer, &json!([]));
    work.write("authenticators/corp.yaml", good.to_string())?;
    let (_concierge, admin) = start(&work, &door).await?;

    let config = WEBHOOK
        .replace("https://127.0.0.1:9443/", &format!("https://127.0.0.1:{}/", door.port))
        .replace(FILES, &work.path().display().to_string());
    let config = work.write("webhook.kubeconfig", config)?;
    let mut options = ClusterOptions::named("staging");
    options.api_server_args = vec![
        format!("--authentication-token-webhook-config-file={}", config.display()),
        "--authentication-token-webhook-version=v1".to_owned(),
        "--authentication-token-webhook-cache-ttl=0s".to_owned(),
    ];
    let cluster = Cluster::start(options).await?;

    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    let user = who(&cluster, &token).await?.context("ann is not known")?;
    ensure!(user["username"] == "ann", "{user}");
    ensure!(
        who(&cluster, &issuer.id_token("ann", &Site::audience("production"))?).await?.is_none(),
        "production's token"
    );

    let rule = json!([{"expression": "claims.preferred_username != 'ann'", "message": "ann has left"}]);
    work.write("authenticators/corp.yaml", authenticator(&issuer, &rule).to_string())?;
    eventually("the new rule to keep her out", LIMIT, async || {
        ensure!(who(&cluster, &token).await?.is_none(), "she is still let in");
        anyhow::Ok(())
    })
    .await?;
    work.write("authenticators/corp.yaml", good.to_string())?;
    eventually("her return", LIMIT, async || who(&cluster, &token).await?.context("she is not let in")).await?;

    work.write("authenticators/corp.yaml", "apiVersion: v1\nkind: Secret\n")?;
    eventually("a broken file to be shown and to admit nobody", LIMIT, async || {
        let shown: Value = reqwest::get(format!("{admin}/authenticators")).await?.json().await?;
        ensure!(shown["wrong"][0]["file"] == "corp.yaml", "{shown}");
        ensure!(shown["authenticators"][0]["status"]["phase"] == "Error", "{shown}");
        ensure!(who(&cluster, &token).await?.is_none(), "she is let in");
        Ok(())
    })
    .await
}

/// The example's container as a process, with its files in `work` and ports of its own; ready. And where its probes are.
async fn start(work: &TempFolder, door: &ReviewDoor) -> Result<(Child, String)> {
    let pod = serde_norway::Deserializer::from_str(POD).next().context("a document")?;
    let pod = Value::deserialize(pod)?;
    let flags = pod["spec"]["containers"][0]["args"].as_array().context("flags")?;
    let (folder, port) = (work.path().display().to_string(), ports::free()?);
    let admin = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(&Programs::find().await?.concierge);
    for flag in flags {
        let flag = flag.as_str().context("a flag")?;
        let flag = flag.replace(&format!("{FILES}/concierge"), &folder).replace(FILES, &folder);
        command.arg(flag.replace(":9443", &format!(":{}", door.port)).replace(":9444", &format!(":{port}")));
    }
    command.env("POD_NAME", "latchkey-concierge-node-1").env_remove("LATCHKEY_KUBECONFIG");
    let mut child = Child::spawn("concierge", command, work.path())?;
    let url = format!("{admin}/readyz");
    let ready = eventually("the concierge to be ready", LIMIT, async || {
        if let Err(dead) = child.check_alive() {
            return Observation::Hopeless(dead);
        }
        let answer = async {
            let status = reqwest::get(&url).await?.status();
            ensure!(status.is_success(), "{status}");
            Ok(())
        };
        answer.await.into()
    });
    ready.await.with_context(|| log(work.path()))?;
    Ok((child, admin))
}

fn log(work: &Path) -> String {
    fs::read_to_string(work.join("concierge.stderr")).unwrap_or_default()
}

fn authenticator(issuer: &Issuer, rules: &Value) -> Value {
    json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1",
        "kind": "JWTAuthenticator",
        "metadata": {"name": "corp"},
        "spec": {
            "issuer": issuer.url(),
            "audience": Site::audience("staging"),
            "claims": {"username": "preferred_username", "groups": "groups"},
            "claimValidationRules": rules,
            "tls": {"certificateAuthorityData": STANDARD.encode(issuer.ca_pem())},
        },
    })
}

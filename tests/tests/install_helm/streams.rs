//! Chapter 5: logs, exec and port-forward by a person's own short credential, before it ends and after.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    child::Child,
    folder::TempFolder,
    node::NodeCluster,
    wait::{Observation, eventually},
};
use serde_json::Value;

use crate::logging_in::{AUTHENTICATOR, People};

/// The shortest that an authenticator may ask for; only Latchkey's own authority makes such certificates.
const LIFE_SECONDS: u32 = 60;

/// Pods start in 2 to 3 s, API servers read a changed file within a minute; two busy cores need more.
const SOON: Duration = Duration::from_secs(90);

/// A path that the pod says in its log that it was asked for.
const LOGGED: &str = "https://127.0.0.1:8443/apis/pods.latchkey.test/v1";

/// What of Ann's goes on.
pub(crate) struct Streams {
    logs: Child,
    forward: Child,
    address: String,
    credential: Value,
}

impl Streams {
    pub(crate) async fn begin(cluster: &NodeCluster, people: &People, work: &TempFolder) -> Result<Self> {
        cluster.apply(OBJECTS).await?;
        short_credentials(cluster).await?;
        let wait = ["-n", "work", "wait", "--for=condition=Ready", "--timeout=50s", "pod/server"];
        cluster.kubectl_ok(&wait).await?;
        // What she has lives longer; and the other replica, too, has to see both changes before she gets another.
        let credential = eventually("a credential of a minute", SOON, async || {
            people.ann.lose_credentials()?;
            people.kubectl(&["-n", "work", "get", "pods"]).await?;
            let credential = people.ann.kept_credential()?;
            let left = until(&credential)? - now();
            ensure!(left <= i64::from(LIFE_SECONDS), "{left} s of a minute's certificate");
            Ok(credential)
        })
        .await?;

        let logs = stream(cluster, people, "logs", &["-n", "work", "logs", "-f", "server"], work.path())?;
        let arguments = ["-n", "work", "port-forward", "pod/server", ":8080"];
        let mut forward = stream(cluster, people, "port-forward", &arguments, work.path())?;
        let address = forward.forwards(SOON).await?;
        let mut streams = Self { logs, forward, address, credential };
        streams.flow(people, 1).await?;
        Ok(streams)
    }

    /// When it has ended, what runs goes on, and what is begun gets another one without a person.
    pub(crate) async fn outlive_a_credential(&mut self, cluster: &NodeCluster, people: &People) -> Result<()> {
        let end = until(&self.credential)?;
        eventually("the credential's end", SOON, async || now() > end).await?;
        ensure!(people.ann.kept_credential()? == self.credential, "nobody asked meanwhile");
        people.ann.new_runs()?;
        self.flow(people, 2).await?;
        ensure!(people.ann.new_runs()?.len() == 1, "one exec, one run of the plugin");
        let renewed = people.ann.kept_credential()?;
        ensure!(until(&renewed)? > end, "{renewed}");
        ensure!(people.ann.invitations()?.len() == 1, "a person was asked");
        cluster.kubectl_ok(&["delete", "namespace", "work"]).await?;
        Ok(())
    }

    /// Something through each of the three; the log shows the `count`th question.
    async fn flow(&mut self, people: &People, count: usize) -> Result<()> {
        let answer = people.kubectl(&["-n", "work", "exec", "server", "--", "/pod", "get", LOGGED]).await?;
        ensure!(answer.contains("APIResourceList"), "{answer}");
        let logs = &mut self.logs;
        eventually("the log's next line", SOON, async || {
            if let Err(error) = logs.check_alive() {
                return Observation::Hopeless(error);
            }
            let seen = fs::read_to_string(logs.stdout()).unwrap_or_default().matches("asked by").count();
            (seen == count).into()
        })
        .await?;
        self.forward.check_alive()?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let answer = http.get(format!("http://{}/", self.address)).send().await?.error_for_status()?.text().await?;
        ensure!(answer.starts_with("hello from server"), "{answer}");
        Ok(())
    }
}

/// What an admin does where flags of the API server can be set: it trusts Latchkey's own authority.
async fn short_credentials(cluster: &NodeCluster) -> Result<()> {
    let bundle = ["-n", "latchkey", "get", "configmap", "latchkey-client-certificate-authority"];
    let bundle = cluster.kubectl_ok(&[&bundle[..], &["-o", r"jsonpath={.data.ca\.crt}"]].concat()).await?;
    ensure!(bundle.contains("BEGIN CERTIFICATE"), "{bundle}");
    cluster.set_client_ca(&bundle).await?;
    eventually("certificates of Latchkey's own authority", SOON, async || {
        let issuer = cluster.kubectl_ok(&["get", "credentialissuer", "latchkey", "-o", "json"]).await?;
        let issuer: Value = serde_json::from_str(&issuer)?;
        let strategies = issuer["status"]["strategies"].as_array().context("strategies")?;
        let first = strategies.iter().find(|strategy| strategy["status"] == "Success");
        ensure!(first.is_some_and(|one| one["type"] == "ClientCertificateAuthority"), "{}", issuer["status"]);
        Ok(())
    })
    .await?;
    let patch = format!(r#"{{"spec":{{"credential":{{"lifetimeSeconds":{LIFE_SECONDS}}}}}}}"#);
    cluster.kubectl_ok(&["patch", "jwtauthenticator", AUTHENTICATOR, "--type=merge", "-p", &patch]).await?;
    let ready = format!("jwtauthenticator/{AUTHENTICATOR}");
    cluster.kubectl_ok(&["wait", "--for=condition=Ready", "--timeout=50s", &ready]).await.map(drop)
}

fn stream(cluster: &NodeCluster, people: &People, name: &str, arguments: &[&str], logs: &Path) -> Result<Child> {
    let mut command = std::process::Command::new(cluster.kubectl_program());
    command.args(arguments).envs(people.ann.environment()).env("KUBECONFIG", &people.kubeconfig);
    Child::spawn(name, command, logs)
}

fn until(credential: &Value) -> Result<i64> {
    credential["usable_until"].as_i64().with_context(|| format!("an end in {credential}"))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A place for Ann's team to work in.
const OBJECTS: &str = r"
apiVersion: v1
kind: Namespace
metadata:
  name: work
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developers-edit, namespace: work}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'oidc:developers'}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: work}
spec:
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: server
    image: latchkey.test/pod:1
    args: [serve]
    readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
";

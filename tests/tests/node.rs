//! The cluster with a node: what pods, Services and people can do in it, and that nothing is left of it.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    child::Child,
    cluster::ClusterOptions,
    folder::TempFolder,
    issuer::{DISCOVERY, Issuer, IssuerOptions},
    node::{NodeCluster, POD_IMAGE},
    not_run::not_run,
    wait::{Observation, eventually},
};

/// Pods start in 2 to 3 s; two busy cores need more.
const SOON: Duration = Duration::from_mins(1);

/// Sysctls that a kubelet writes and that are the whole machine's.
const SYSCTLS: [&str; 5] = [
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// Folders that such programs make on a machine of their own.
const FOLDERS: [&str; 9] = [
    "/etc/cni",
    "/opt/containerd",
    "/run/containerd",
    "/run/nri",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/pods",
];

#[tokio::test]
async fn a_node_runs_pods_and_leaves_nothing_behind() -> Result<()> {
    let before = Machine::look()?;
    let start = Instant::now();
    let options = ClusterOptions::named("pods");
    let Some(cluster) = NodeCluster::start_or_say("a_node_runs_pods_and_leaves_nothing_behind", options).await? else {
        return Ok(());
    };
    eprintln!("node ready after {:?}", start.elapsed());
    if let Err(error) = everything_works(&cluster).await {
        return Err(error.context(cluster.events().await));
    }

    let spaces =
        ["pid", "net", "mnt"].map(|kind| namespace("self", kind).zip(namespace(&cluster.init_pid().to_string(), kind)));
    let spaces: Vec<_> = spaces.into_iter().collect::<Option<_>>().context("namespaces of the node's first process")?;
    ensure!(spaces.iter().all(|(ours, its)| ours != its), "{spaces:?}");
    let spaces: BTreeSet<String> = spaces.into_iter().map(|(_, its)| its).collect();
    ensure!(!inhabitants(&spaces)?.is_empty(), "the cluster's own processes are among all processes");
    let (folder, link) = (cluster.folder().to_owned(), format!("/sys/class/net/{}", cluster.link()));
    ensure!(folder.exists() && fs::exists(&link)?);
    let stop = Instant::now();
    drop(cluster);
    eprintln!("gone after {:?}", stop.elapsed());
    ensure!(!folder.exists(), "{} is left", folder.display());
    // All are dead by now; the machine's first process takes the last one away, and the kernel the network, a moment later.
    eventually("the end of what was inside", SOON, async || {
        let left = inhabitants(&spaces)?;
        ensure!(left.is_empty(), "processes {left:?} are left in {spaces:?}");
        ensure!(!Path::new(&link).exists(), "{link} is left");
        Ok(())
    })
    .await?;
    let after = Machine::look()?;
    ensure!(before == after, "{before:?}\n{after:?}");
    Ok(())
}

async fn everything_works(cluster: &NodeCluster) -> Result<()> {
    cluster.apply(OBJECTS).await?;
    cluster.kubectl_ok(&["-n", "pods", "rollout", "status", "deployment/server", "--timeout=50s"]).await?;
    refuses_what_is_not_restricted(cluster).await?;
    speaks_as_its_service_account(cluster).await?;
    logs_and_exec_and_port_forward(cluster).await?;
    serves_services_and_an_api(cluster).await?;
    reaches_an_issuer(cluster).await
}

/// Pod Security admission is on, as in any cluster.
async fn refuses_what_is_not_restricted(cluster: &NodeCluster) -> Result<()> {
    let image = format!("--image={POD_IMAGE}");
    let output = cluster.kubectl(&["-n", "pods", "run", "root", &image, "--privileged"]).await?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && words.contains(r#"violates PodSecurity "restricted:latest""#), "{words}");
    Ok(())
}

async fn exec(cluster: &NodeCluster, words: &[&str]) -> Result<String> {
    let command = ["-n", "pods", "exec", "deployment/server", "--", "/pod"];
    cluster.kubectl_ok(&[&command, words].concat()).await
}

async fn speaks_as_its_service_account(cluster: &NodeCluster) -> Result<()> {
    let answer: serde_json::Value = serde_json::from_str(&exec(cluster, &["whoami"]).await?)?;
    let user = "system:serviceaccount:pods:default";
    ensure!(answer["status"]["userInfo"]["username"] == user, "{answer}");
    let audit = fs::read_to_string(cluster.audit_log())?;
    ensure!(audit.lines().any(|event| event.contains(user) && event.contains("selfsubjectreviews")), "no such event");
    Ok(())
}

async fn logs_and_exec_and_port_forward(cluster: &NodeCluster) -> Result<()> {
    let logs = cluster.kubectl_ok(&["-n", "pods", "logs", "deployment/server"]).await?;
    ensure!(logs.contains("serves"), "{logs}");
    ensure!(exec(cluster, &["echo", "one", "two"]).await? == "one two\n");
    let output = cluster.kubectl(&["-n", "pods", "exec", "deployment/server", "--", "/pod", "exit", "7"]).await?;
    ensure!(output.status.code() == Some(7), "{output:?}");
    let mut cat = cluster.kubectl_command(cluster.kubeconfig());
    cat.args(["-n", "pods", "exec", "-i", "deployment/server", "--", "/pod", "cat"]).stdin(Stdio::piped());
    let mut cat = cat.stdout(Stdio::piped()).spawn()?;
    std::io::Write::write_all(&mut cat.stdin.take().context("its input")?, b"from here to there")?;
    ensure!(cat.wait_with_output()?.stdout == b"from here to there");

    let mut forward = cluster.kubectl_command(cluster.kubeconfig());
    forward.args(["-n", "pods", "port-forward", "service/server", ":80"]);
    let mut forward = Child::spawn("port-forward", forward, cluster.folder())?;
    let address = forward.forwards(SOON).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let answer = http.get(format!("http://{address}/")).send().await?.error_for_status()?.text().await?;
    ensure!(answer.starts_with("hello from server-"), "{answer}");
    Ok(())
}

async fn serves_services_and_an_api(cluster: &NodeCluster) -> Result<()> {
    let service = ["-n", "pods", "get", "service", "server", "-o", "jsonpath={.spec.clusterIP}"];
    let address = cluster.kubectl_ok(&service).await?;
    let url = format!("http://{address}/");
    let answer = eventually("the Service's address", SOON, async || exec(cluster, &["get", &url]).await).await?;
    ensure!(answer.starts_with("hello from server-"), "{answer}");

    let wait = ["wait", "--for=condition=Available", "apiservice/v1.pods.latchkey.test", "--timeout=50s"];
    cluster.kubectl_ok(&wait).await?;
    let list = cluster.kubectl_ok(&["get", "--raw", "/apis/pods.latchkey.test/v1"]).await?;
    ensure!(list.contains("APIResourceList"), "{list}");
    // This machine has a way to pods, by their addresses.
    let pod = ["-n", "pods", "get", "pods", "-l", "app=server", "-o", "jsonpath={.items[0].status.podIP}"];
    let pod = cluster.kubectl_ok(&pod).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let answer = http.get(format!("http://{pod}:8080/")).send().await?.text().await?;
    ensure!(answer.starts_with("hello from server-"), "{answer}");
    Ok(())
}

/// What listens in the node's network is there for pods and for this machine, under one address.
async fn reaches_an_issuer(cluster: &NodeCluster) -> Result<()> {
    let issuer = Issuer::start_in(IssuerOptions::default(), cluster.place().clone()).await?;
    let url = format!("{}{DISCOVERY}", issuer.url());
    let discovery: serde_json::Value = serde_json::from_str(&exec(cluster, &["get", &url]).await?)?;
    ensure!(discovery["issuer"] == issuer.url(), "{discovery}");
    let trusted = reqwest::Certificate::from_pem(issuer.ca_pem().as_bytes())?;
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build()?;
    let seen: serde_json::Value = http.get(&url).send().await?.error_for_status()?.json().await?;
    ensure!(seen == discovery);
    ensure!(issuer.requests(DISCOVERY) == 2);
    Ok(())
}

/// A server under Pod Security `restricted`, its Service, and an API of its own.
const OBJECTS: &str = r"
apiVersion: v1
kind: Namespace
metadata:
  name: pods
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: server, namespace: pods}
spec:
  replicas: 2
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: server
          image: latchkey.test/pod:1
          args: [serve]
          readinessProbe: {httpGet: {port: 8080}, periodSeconds: 1}
          resources: {limits: {cpu: 500m, memory: 64Mi}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: pods}
spec:
  selector: {app: server}
  ports:
    - {name: plain, port: 80, targetPort: 8080}
    - {name: secure, port: 443, targetPort: 8443}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.pods.latchkey.test}
spec:
  group: pods.latchkey.test
  version: v1
  groupPriorityMinimum: 1000
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: server, namespace: pods}
";

/// What a node must leave as it was.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    mounts: Vec<String>,
    groups: Vec<String>,
    sysctls: Vec<String>,
    folders: Vec<&'static str>,
    forwarding: String,
    networks: Vec<String>,
}

impl Machine {
    fn look() -> Result<Self> {
        let find = Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", "latchkey-node*"]).output()?;
        let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(str::to_owned).collect::<Vec<_>>();
        let sysctls = SYSCTLS.iter().map(|name| Ok(fs::read_to_string(format!("/proc/sys/{name}"))?));
        let networks = fs::read_dir("/run/netns").into_iter().flatten();
        Ok(Self {
            mounts: lines(&fs::read("/proc/self/mounts")?),
            groups: lines(&find.stdout),
            sysctls: sysctls.collect::<Result<_>>()?,
            folders: FOLDERS.into_iter().filter(|folder| Path::new(folder).exists()).collect(),
            forwarding: fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?,
            networks: networks.map(|entry| Ok(entry?.file_name().display().to_string())).collect::<Result<_>>()?,
        })
    }
}

fn namespace(process: &str, kind: &str) -> Option<String> {
    Some(fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?.display().to_string())
}

/// Processes in one of these namespaces.
fn inhabitants(spaces: &BTreeSet<String>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let process = entry?.file_name().display().to_string();
        let inside = |kind| namespace(&process, kind).is_some_and(|space| spaces.contains(&space));
        if process.bytes().all(|byte| byte.is_ascii_digit()) && ["pid", "net", "mnt"].into_iter().any(inside) {
            found.push(process);
        }
    }
    Ok(found)
}

const RUNNER_FILE: &str = "LATCHKEY_TEST_NODE_RUNNER_FILE";

/// The node must go even if its runner cannot say good-bye, and the next one clears what cannot go by itself.
#[tokio::test]
async fn a_killed_runner_leaves_nothing_that_the_next_one_does_not_clear() -> Result<()> {
    if let Some(reason) = NodeCluster::refusal() {
        // Where that is a failure, it is the other test's.
        not_run("a_killed_runner_leaves_nothing_that_the_next_one_does_not_clear", &reason);
        return Ok(());
    }
    let work = TempFolder::new("killed-node")?;
    let file = work.path().join("init");
    let mut runner = Command::new(std::env::current_exe()?);
    runner.args(["--exact", "only_when_asked_starts_a_node_and_hangs", "--nocapture"]).env(RUNNER_FILE, &file);
    let mut runner = runner.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let seen = eventually("the runner's node", 3 * SOON, async || {
        if let Ok(Some(status)) = runner.try_wait() {
            return Observation::Hopeless(anyhow::anyhow!("the runner ended: {status}"));
        }
        fs::read_to_string(&file).map_err(anyhow::Error::from).into()
    })
    .await;
    runner.kill()?;
    runner.wait()?;
    let seen = seen?;
    let (init, folder) = seen.split_once('\n').context("its first process and its folder")?;
    eventually("the node's end", SOON, async || !Path::new(&format!("/proc/{init}")).exists()).await?;
    ensure!(Path::new(folder).exists(), "nobody was there to remove it");

    let next = NodeCluster::start(ClusterOptions::named("next")).await?;
    ensure!(!Path::new(folder).exists(), "{folder} is left");
    drop(next);
    ensure!(Machine::look()?.groups.is_empty());
    Ok(())
}

#[tokio::test]
async fn only_when_asked_starts_a_node_and_hangs() -> Result<()> {
    let Some(file) = std::env::var_os(RUNNER_FILE) else {
        return Ok(());
    };
    let cluster = NodeCluster::start(ClusterOptions::named("killed")).await?;
    let half = Path::new(&file).with_extension("half");
    fs::write(&half, format!("{}\n{}", cluster.init_pid(), cluster.folder().display()))?;
    fs::rename(half, file)?;
    std::future::pending().await
}

//! `kubectl drain`, as whoever upgrades nodes types it, against the chart's budget; and `helm test` where nobody
//! may log in yet. API server, controllers, kubectl and Helm are real; nodes and pods are [by hand](super::hand).

use std::{fs, process::ExitStatus};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{child::Child, cluster::Cluster};

use super::{
    dangers::may,
    hand::{Hand, Mode, all_ready},
    helm::{CHART, Helm, VALUES_OF_DEFAULTS},
};

/// What kubectl says of an eviction that has to wait.
const REFUSED: &str = "violate the pod's disruption budget";

/// The definitions go with the release before, and the APIs lead to nobody here.
const LITTLE: &[&str] = &["--namespace", "latchkey", "--set", "crds.enabled=false,apiServices.enabled=false"];

/// Nobody may log in, as long as whoever installs has not said who.
const CLOSED: &[&str] = &["--set-json", "rbac.loginGroups=[]"];

/// Two nodes, one emptied after the other.
pub(super) async fn nodes_are_emptied(cluster: &Cluster, helm: &Helm) -> Result<()> {
    let mut hand = Hand::new(cluster, "latchkey", &["east", "west"]).await?;
    let release = async |command: &str, replicas: &str| {
        let replicas = format!("replicaCount={replicas}");
        let words = [&[command, "latchkey", CHART, "--set", replicas.as_str()], VALUES_OF_DEFAULTS, LITTLE, CLOSED];
        helm.run(&words.concat()).await
    };
    release("install", "2").await?;
    hand.until("two pods", async |pods| all_ready(pods, 2)).await?;
    the_test_brings_the_right_that_nobody_has(cluster, helm, &mut hand).await.context("helm test")?;
    one_at_a_time(cluster, &mut hand).await.context("two replicas")?;

    release("upgrade", "1").await?;
    hand.until("one pod", async |pods| all_ready(pods, 1)).await?;
    is_not_held_up(cluster, &mut hand, "west", "one").await.context("one replica")?;

    hand.mode = Mode::Broken;
    release("upgrade", "2").await?;
    hand.until("a budget of which nothing is left", async |pods| {
        ensure!(pods.len() == 2 && pods.iter().all(|pod| !pod.ready && pod.node == "east"), "not yet");
        budget(cluster, "currentHealthy", "0").await
    })
    .await?;
    is_not_held_up(cluster, &mut hand, "east", "broken").await.context("broken pods")
}

/// The second pod goes when the successor of the first one serves, and not before.
async fn one_at_a_time(cluster: &Cluster, hand: &mut Hand) -> Result<()> {
    hand.until("a budget of one", async |_| budget(cluster, "disruptionsAllowed", "1").await).await?;
    (hand.mode, hand.fewest) = (Mode::Slow, usize::MAX);
    let mut drain = Drain::begin(cluster, "east", "two")?;
    hand.until("the second eviction to be refused", async |pods| {
        ensure!(drain.said()?.contains(REFUSED), "{}", drain.said()?);
        let (stays, waits): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| pod.ready);
        ensure!(stays.len() == 1 && stays[0].node == "east" && waits.len() == 1 && waits[0].node == "west", "not yet");
        Ok(())
    })
    .await?;
    ensure!(drain.ended()?.is_none(), "{}", drain.said()?);
    hand.mode = Mode::Ready;
    hand.until("an empty node", async |pods| {
        all_ready(pods, 2)?;
        ensure!(pods.iter().all(|pod| pod.node == "west") && drain.ended()?.is_some(), "not yet");
        Ok(())
    })
    .await?;
    ensure!(drain.ended()?.is_some_and(|status| status.success()), "{}", drain.said()?);
    ensure!(hand.fewest == 1, "{} served at the worst", hand.fewest);
    cluster.kubectl_ok(&["uncordon", "east"]).await.map(drop)
}

/// No budget speaks for these pods.
async fn is_not_held_up(cluster: &Cluster, hand: &mut Hand, node: &str, pods: &str) -> Result<()> {
    let mut drain = Drain::begin(cluster, node, pods)?;
    hand.until("an empty node", async |pods| {
        ensure!(drain.ended()?.is_some() && pods.iter().all(|pod| pod.node != node), "{}", drain.said()?);
        Ok(())
    })
    .await?;
    let said = drain.said()?;
    ensure!(drain.ended()?.is_some_and(|status| status.success()) && !said.contains(REFUSED), "{said}");
    cluster.kubectl_ok(&["uncordon", node]).await.map(drop)
}

/// The account is there with the pod, may ask, and is gone with it.
async fn the_test_brings_the_right_that_nobody_has(cluster: &Cluster, helm: &Helm, hand: &mut Hand) -> Result<()> {
    let client = cluster.client().await?;
    let ask = async |account: &str| -> Result<bool> {
        let request = ("create", "login.concierge.latchkey.dev", "tokencredentialrequests");
        let who = ("create", "identity.concierge.latchkey.dev", "whoamirequests");
        Ok(may(&client, account, request).await? && may(&client, account, who).await?)
    };
    ensure!(!ask("default").await?, "who logs in is closed, and yet the default account may");
    hand.mode = Mode::Slow;
    let look = async {
        let bound = ["-n", "latchkey", "get", "pod", "latchkey-concierge-self-test", "-o"];
        let bound = [&bound[..], &["jsonpath={.spec.serviceAccountName}"]].concat();
        hand.until("the pod of helm test, as an account that may", async |_| {
            let account = cluster.kubectl_ok(&bound).await?;
            ensure!(account == "latchkey-concierge-self-test" && ask(&account).await?, "{account}");
            Ok(())
        })
        .await?;
        ensure!(!ask("default").await?, "the right is the test's alone");
        hand.mode = Mode::Ready;
        let left = ["get", "serviceaccount,pod,clusterrolebinding", "-A", "-o", "name"];
        let left = [&left[..], &["-l", "app.kubernetes.io/component=self-test"]].concat();
        hand.until("the end of it", async |_| {
            let left = cluster.kubectl_ok(&left).await?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })
        .await
    };
    let (said, ()) = tokio::try_join!(helm.run(&["test", "latchkey", "--namespace", "latchkey"]), look)?;
    ensure!(said.contains("Succeeded"), "{said}");
    ensure!(!ask("latchkey-concierge-self-test").await?, "its right is left");
    Ok(())
}

async fn budget(cluster: &Cluster, field: &str, expected: &str) -> Result<()> {
    let field = format!("jsonpath={{.status.{field}}}");
    let found = ["-n", "latchkey", "get", "poddisruptionbudget", "latchkey-concierge", "-o", &field];
    let found = cluster.kubectl_ok(&found).await?;
    ensure!(found == expected, "{field}: {found}");
    Ok(())
}

/// A `kubectl drain` without a flag.
struct Drain(Child);

impl Drain {
    fn begin(cluster: &Cluster, node: &str, pods: &str) -> Result<Self> {
        let mut command = cluster.kubectl_command(cluster.admin_kubeconfig());
        command.args(["drain", node]);
        Ok(Self(Child::spawn(&format!("drain-{pods}"), command, cluster.folder())?))
    }

    fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(self.0.stdout())? + &fs::read_to_string(self.0.stderr())?)
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.0.try_exit()
    }
}

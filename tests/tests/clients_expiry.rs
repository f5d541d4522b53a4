//! Programs that outlive a credential, and computers whose clock is wrong.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use latchkey_e2e::{
    child::Child,
    clients::{Library, go_client_with_a_clock},
    folder::TempFolder,
    issuer::Issuer,
    person::Person,
    site::{AUTHENTICATOR, Site, issuer_for},
    wait::eventually,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// The shortest that an authenticator may ask for. The plugin takes a tenth off.
const SHORT_LIFE_SECONDS: u32 = 60;

/// A program's first request waits for a login; the rest is for two busy cores.
const START_LIMIT: Duration = Duration::from_mins(1);

/// From a credential to the next, and then some.
const RENEWAL_LIMIT: Duration = Duration::from_mins(2);

/// How wrong the clocks are, in seconds: ten minutes is past each end of a five minutes' certificate.
const SKEWS: [i64; 4] = [-3600, -600, 600, 3600];

#[tokio::test]
async fn programs_go_on_past_a_credential_and_with_a_wrong_clock() -> Result<()> {
    let work = TempFolder::new("clients-expiry")?;
    let issuer = issuer_for(&["staging"]).await?;
    let site = Site::start("staging", work.path()).await?;
    site.trust(&issuer).await?;
    site.trust_own_authority().await?;
    site.offers("ClientCertificateAuthority").await?;

    for skew in SKEWS {
        let home = work.path().join(format!("skewed-{skew}"));
        let ann = site.ann_noted(&home, &issuer).await?;
        site.write_kubeconfig(&ann).await?;
        a_wrong_clock_does_no_harm(skew, &site, &ann, &issuer).await.with_context(|| format!("{skew} s ahead"))?;
    }

    let mut short = site.authenticator(AUTHENTICATOR, &issuer);
    short["spec"]["credential"] = json!({"lifetimeSeconds": SHORT_LIFE_SECONDS});
    site.cluster.apply(&short.to_string()).await?;
    site.ready(AUTHENTICATOR).await?;
    let ann = site.ann_noted(&work.path().join("ann"), &issuer).await?;
    a_watch_goes_on_past_the_renewal(&site, &ann, work.path()).await
}

/// With the plugin's and the program's clock wrong by the same, nothing loops and no connection is cut: what the plugin
/// says of the end is reckoned from the servers' clocks.
async fn a_wrong_clock_does_no_harm(skew: i64, site: &Site, ann: &Person, issuer: &Issuer) -> Result<()> {
    // From an empty cache, and with the login inside: whole programs that ask libc for the time.
    let library = Library::KubeRs;
    let answer = ann.run_fed(with_clock(skew, &library.command().await?, site), "left alone").await?;
    ensure!(answer.ok && answer.stdout.contains(r#""user":"ann""#), "{library:?}: {}", answer.seen());
    ensure!(ann.new_runs()?.len() == 3, "{library:?} runs the plugin three times");

    // The plugin's clock is wrong indeed, and its answer is right by that clock.
    let said = expiration(skew, site, ann).await?;
    let left = said - (i64::try_from(issuer.now())? + skew);
    ensure!((60..=300).contains(&left), "a certificate of five minutes is said to end in {left} s");

    // client-go with a clock as wrong: were the end in its past, it would run the plugin for each request and cut its own
    // connections.
    let mut command = std::process::Command::new(go_client_with_a_clock().await?);
    command.arg("keep");
    command.env("LATCHKEY_TEST_CLOCK_AHEAD", skew.to_string());
    let mut lines = Kept::start(command, skew, site, ann)?;
    lines.until("four lists", START_LIMIT, |seen| seen["listed"] >= 4 && seen["watching"] >= 1).await?;
    let runs = ann.new_runs()?;
    ensure!(runs.len() == 1, "client-go ran the plugin {} times", runs.len());
    lines.no_trouble()?;
    ensure!(ann.invitations()?.len() == 1, "{} browsers", ann.invitations()?.len());
    Ok(())
}

/// client-go runs the plugin again when the time is over, closes its connections because the certificate is another, and
/// asks again: the program goes on, and a second browser never opens.
async fn a_watch_goes_on_past_the_renewal(site: &Site, ann: &Person, work: &Path) -> Result<()> {
    site.write_kubeconfig(ann).await?;
    let mut command = Library::ControllerRuntime.command().await?.into_std();
    command.arg("keep");
    let mut lines = Kept::start(command, 0, site, ann)?;
    lines.until("a first list and a watch", START_LIMIT, |seen| seen["listed"] >= 1 && seen["watching"] >= 1).await?;
    let first = ann.kept_credential()?;

    // Within the window: whoever asks gets the same bytes, and the watch is not disturbed.
    let (one, other) = (answer(site, ann).await?, answer(site, ann).await?);
    ensure!(one == other, "two answers in one window differ");
    config_map(site, work, "before").await?;
    lines.until("an event in the first window", START_LIMIT, |seen| seen["event before"] == 1).await?;
    ensure!(lines.seen()?["watching"] == 1, "{:?}", lines.seen()?);
    ann.new_runs()?;

    eventually("another credential", RENEWAL_LIMIT, async || {
        ensure!(ann.kept_credential()? != first, "the first one");
        Ok(())
    })
    .await?;
    let lists = lines.seen()?["listed"];
    lines.until("lists after the renewal", START_LIMIT, |seen| seen["listed"] >= lists + 5).await?;
    config_map(site, work, "after").await?;
    lines.until("an event in the second window", START_LIMIT, |seen| seen["event after"] >= 1).await?;
    let runs = ann.new_runs()?;
    ensure!(runs.len() == 1, "one renewal cost {} runs of the plugin", runs.len());
    lines.no_trouble()?;
    ensure!(ann.invitations()?.len() == 1, "{} browsers", ann.invitations()?.len());
    Ok(())
}

/// controller-runtime's program while it keeps on.
struct Kept {
    child: Child,
    _folder: TempFolder,
}

impl Kept {
    fn start(command: std::process::Command, skew: i64, site: &Site, ann: &Person) -> Result<Self> {
        let folder = TempFolder::new("clients-keep")?;
        let command = with_clock(skew, &Command::from(command), site);
        let mut command = command.into_std();
        command.envs(ann.environment());
        let child = Child::spawn("keep", command, folder.path())?;
        Ok(Self { child, _folder: folder })
    }

    /// How often it said what; an event with its object's name.
    fn seen(&self) -> Result<BTreeMap<String, usize>> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for what in ["listed", "watching", "event before", "event after"] {
            seen.insert(what.to_owned(), 0);
        }
        let text = fs::read_to_string(self.child.stdout())?;
        // The last line may be half written.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            let line: Value = serde_json::from_str(line)?;
            let what = line["what"].as_str().context("what")?;
            let key = match what {
                "listed" | "watching" | "watch-ended" => what.to_owned(),
                _ => format!("{what} {}", line["about"].as_str().unwrap_or_default()),
            };
            *seen.entry(key).or_default() += 1;
        }
        Ok(seen)
    }

    async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        enough: impl Fn(&BTreeMap<String, usize>) -> bool,
    ) -> Result<()> {
        eventually(what, limit, async || {
            let seen = self.seen()?;
            ensure!(enough(&seen), "{seen:?} {}", self.child.last_words());
            Ok(())
        })
        .await
    }

    /// No request failed; above all none with client-go's "use of closed network connection".
    fn no_trouble(&self) -> Result<()> {
        let seen = self.seen()?;
        ensure!(!seen.keys().any(|what| what.contains("failed")), "{seen:?}");
        Ok(())
    }
}

/// The same command with libc's clock moved: the program's where it asks libc, the plugin's in any case.
fn with_clock(skew: i64, command: &Command, site: &Site) -> Command {
    let command = command.as_std();
    let mut moved = if skew == 0 {
        Command::new(command.get_program())
    } else {
        let mut moved = Command::new("faketime");
        moved.args(["-m", "--exclude-monotonic", "-f", &format!("{skew:+}s")]).arg(command.get_program());
        moved
    };
    moved.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            moved.env(name, value);
        }
    }
    moved.env("KUBECONFIG", &site.kubeconfig);
    moved
}

/// What the plugin says to a client.
async fn answer(site: &Site, ann: &Person) -> Result<String> {
    let mut plugin = stanza(site)?;
    plugin.stdin(Stdio::null());
    let answer = ann.run(plugin).await?;
    ensure!(answer.ok, "{}", answer.seen());
    Ok(answer.stdout)
}

/// The end that the plugin announces when its clock is wrong.
async fn expiration(skew: i64, site: &Site, ann: &Person) -> Result<i64> {
    let answer = ann.run(with_clock(skew, &stanza(site)?, site)).await?;
    ensure!(answer.ok, "{}", answer.seen());
    ann.new_runs()?;
    let said: Value = serde_json::from_str(&answer.stdout)?;
    let said: Timestamp = said["status"]["expirationTimestamp"].as_str().context("an expiration")?.parse()?;
    Ok(said.as_second())
}

/// The command of the kubeconfig, with what kubectl would tell it.
fn stanza(site: &Site) -> Result<Command> {
    let kubeconfig: Value = serde_norway::from_str(&fs::read_to_string(&site.kubeconfig)?)?;
    let exec = &kubeconfig["users"][0]["user"]["exec"];
    let mut command = Command::new(exec["command"].as_str().context("command")?);
    command.args(exec["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
    let cluster = &kubeconfig["clusters"][0]["cluster"];
    let info = json!({
        "kind": "ExecCredential", "apiVersion": exec["apiVersion"], "spec": {"interactive": false, "cluster": cluster},
    });
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    Ok(command)
}

async fn config_map(site: &Site, work: &Path, name: &str) -> Result<()> {
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
    let path: PathBuf = work.join(name);
    fs::write(&path, manifest.to_string())?;
    site.cluster.kubectl_ok(&["create".as_ref(), "-f".as_ref(), path.as_os_str()]).await.map(drop)
}

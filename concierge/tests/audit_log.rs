//! The audit log of a real server that is killed, starved, blocked and stopped: who was answered with a yes is in it, and
//! the verifier's verdict is the right one.
//!
//! `LATCHKEY_LONG=1` kills more often; `LATCHKEY_SEED` repeats the moments of an earlier run, which prints its own.

#![expect(clippy::unwrap_used, reason = "a test whose own set-up fails has failed")]

#[path = "audit_log/crash.rs"]
mod crash;
#[expect(dead_code, reason = "the server's own test uses more of it")]
#[path = "standalone/desk.rs"]
mod desk;
#[expect(dead_code, reason = "the judge's tests use more of it")]
#[path = "judging/issuer.rs"]
mod issuer;
#[path = "waiting/until.rs"]
mod waiting;
#[path = "audit_log/watch.rs"]
mod watch;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use self::{
    desk::Server,
    waiting::until,
    watch::{Said, Watch},
};

/// Kills of a usual run, and of a long one.
const ROUNDS: (u64, u64) = (6, 60);

/// How long a process may take to end whose standard output nobody reads: it gives the log ten seconds.
const END: Duration = Duration::from_secs(40);

/// A file system of one MiB, gone with the test.
struct Volume(PathBuf);

impl Volume {
    /// `None` where nothing can be mounted.
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], path);
        mounted.then(|| Self(path.to_owned()))
    }

    fn remount(&self, how: &str) {
        assert!(mount(&["-o", &format!("remount,{how}")], &self.0), "remounting {how}");
    }

    /// Takes all room that there is; what it is taken by.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut ballast = fs::File::create(&path).unwrap();
        for piece in [4_096, 1] {
            while ballast.write(&vec![0; piece]).is_ok_and(|count| count > 0) {}
        }
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(words: &[&str], path: &Path) -> bool {
    let mount = Command::new("mount").args(words).arg(path).stderr(Stdio::null()).status();
    mount.is_ok_and(|status| status.success())
}

/// In words that `tests/count` finds, and past the harness, which swallows those of a test that passes.
fn not_run(test: &str) {
    let _ = writeln!(std::io::stderr(), "\nnot run: {test}: nothing can be mounted here; it takes root");
}

/// Until nobody is admitted, and the answer says that nobody can tell.
async fn until_withheld(watch: &Watch, server: &Server) {
    let status = until("a withheld verdict", async || {
        let status = watch.status(server).await;
        (status["authenticated"] != true).then_some(status)
    })
    .await;
    assert_eq!(status["error"], "temporarily unable to decide", "{status}");
}

async fn until_granted(watch: &Watch, server: &Server) {
    until("a grant", async || watch.is_granted(server).await.then_some(())).await;
}

async fn until_sink(server: &Server, sink: &str, up: u8) {
    let line = format!("latchkey_audit_sink_up{{sink=\"{sink}\"}} {up}\n");
    until(&line, async || server.get("/metrics").await.1.contains(&line).then_some(())).await;
}

fn assert_ended_in_order(said: &Said) {
    let last = said.last();
    assert!(last["verdict"] == "intact" && last["end"] == "stopped", "{last:#}");
    assert_eq!(last["checkpoints"]["signedUntil"], last["last"]["seq"], "{last:#}");
}

/// splitmix64 (public domain, Sebastiano Vigna): moments that can be had again.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let given = env::var("LATCHKEY_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        eprintln!("LATCHKEY_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_leaves_a_log_that_holds_every_yes() {
    let watch = Watch::new("killed");
    let mut random = Random::seeded();
    let rounds = if env::var_os("LATCHKEY_LONG").is_some() { ROUNDS.1 } else { ROUNDS.0 };
    for round in 1..=rounds {
        let mut server = watch.serve(&[], Stdio::null()).await;
        let load = watch.load(&server, 4);
        let goal = watch.granted() + usize::try_from(random.below(150)).unwrap() + 1;
        until("some grants", async || (watch.granted() >= goal).then_some(())).await;
        // Not a wait for anything: a moment that no event chose.
        tokio::time::sleep(Duration::from_micros(random.below(30_000))).await;
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        load.end().await;
        let said = watch.verify(&[], &watch.files());
        // The last life is not known to be over before the next one says so, and may have been too short to be signed.
        assert!(matches!(said.code, Some(0 | 3)), "round {round}: {:#}", said.report);
        let innocent = said.codes().is_subset(&BTreeSet::from(["torn", "unclean", "tail-unsigned"]));
        assert!(innocent, "round {round}: {:#}", said.report);
        assert_eq!(said.report["logs"].as_array().unwrap().len() as u64, round);
        let records = watch.account();
        eprintln!(
            "round {round}: {} grants answered, {records} records in {} files",
            watch.granted(),
            watch.files().len()
        );
    }
    let server = watch.serve(&[], Stdio::null()).await;
    until_granted(&watch, &server).await;
    server.stop();
    let said = watch.verify(&[], &watch.files());
    assert_eq!(said.code, Some(3), "{:#}", said.report);
    assert!(said.codes().contains("unclean"));
    assert_ended_in_order(&said);
    watch.account();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_leaves_nothing_unsaid_or_unsigned() {
    let watch = Watch::new("stopped");
    for _ in 0..2 {
        let server = watch.serve(&[], Stdio::null()).await;
        let load = watch.load(&server, 2);
        let goal = watch.granted() + 200;
        until("some grants", async || (watch.granted() >= goal).then_some(())).await;
        server.stop();
        load.stop().await;
    }
    let said = watch.verify(&["--require-signed"], &watch.files());
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::new()), "{:#}", said.report);
    assert_ended_in_order(&said);
    assert!(watch.files().len() > 4, "it was rotated: {:?}", watch.files());
    watch.account();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nobody_is_admitted_until_there_is_room() {
    let mut watch = Watch::new("full");
    let Some(volume) = Volume::mount(&watch.desk.folder.join("volume")) else { return not_run("a full disk") };
    watch.desk.log = "volume/audit.jsonl";
    let server = watch.serve(&[], Stdio::null()).await;
    until_granted(&watch, &server).await;
    let ballast = volume.fill();
    until_withheld(&watch, &server).await;
    until_sink(&server, "file", 0).await;
    fs::remove_file(&ballast).unwrap();
    until_granted(&watch, &server).await;
    until_sink(&server, "file", 1).await;
    server.stop();
    let said = watch.verify(&["--require-signed"], &watch.files());
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::new()), "{:#}", said.report);
    watch.account();

    // Killed while it is full.
    let mut server = watch.serve(&[], Stdio::null()).await;
    until_granted(&watch, &server).await;
    volume.fill();
    until_withheld(&watch, &server).await;
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let said = watch.verify(&[], &watch.files());
    assert!(matches!(said.code, Some(0 | 3)), "{:#}", said.report);
    fs::remove_file(&ballast).unwrap();
    let server = watch.serve(&[], Stdio::null()).await;
    until_granted(&watch, &server).await;
    server.stop();
    let said = watch.verify(&[], &watch.files());
    assert_eq!(said.code, Some(3), "{:#}", said.report);
    assert!(said.codes().contains("unclean") && said.codes().is_subset(&BTreeSet::from(["torn", "unclean"])));
    assert_ended_in_order(&said);
    watch.account();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_read_only_volume_no_log_is_begun_and_none_is_torn() {
    let mut watch = Watch::new("read-only");
    let path = watch.desk.folder.join("volume");
    let Some(volume) = Volume::mount(&path) else { return not_run("a read-only volume") };
    watch.desk.log = "volume/audit.jsonl";
    let server = watch.serve(&[], Stdio::null()).await;
    until_granted(&watch, &server).await;
    // The kernel takes no volume back that is written to; but names on it can be frozen. Then nothing can be rotated.
    let frozen = mount(&["--bind", path.to_str().unwrap()], &path);
    assert!(frozen);
    let frozen = Volume(path.clone());
    frozen.remount("bind,ro");
    let load = watch.load(&server, 2);
    until("more than fits", async || (fs::metadata(path.join("audit.jsonl")).unwrap().len() > 100 << 10).then_some(()))
        .await;
    load.stop().await;
    assert!(fs::File::create(path.join("x")).is_err(), "it is read-only");
    assert_eq!(watch.files().len(), 2, "the log and its lock");
    drop(frozen);
    until("a rotation", async || (watch.is_granted(&server).await && watch.files().len() > 2).then_some(())).await;
    server.stop();

    volume.remount("ro");
    let said = watch.desk.refused(&desk::REVIEW);
    assert!(said.contains("audit log") && said.contains("Read-only file system"), "{said}");
    volume.remount("rw");
    let server = watch.serve(&[], Stdio::null()).await;
    until_granted(&watch, &server).await;
    server.stop();
    let said = watch.verify(&["--require-signed"], &watch.files());
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::new()), "{:#}", said.report);
    watch.account();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_falls_asleep_holds_nobody_up_but_its_own_sink() {
    let watch = Watch::new("asleep");
    let flags = ["--audit-stdout", "--audit-required=file"];
    let mut server = watch.serve(&flags, Stdio::piped()).await;
    let load = watch.load(&server, 3);
    // A pipe holds 64 KiB; this is several times as much.
    until("many grants", async || (watch.granted() >= 400).then_some(())).await;
    until_sink(&server, "stdout", 0).await;
    until_sink(&server, "file", 1).await;
    load.stop().await;
    assert!(watch.is_granted(&server).await);
    let mut stdout = server.process.stdout.take().unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        stdout.read_to_end(&mut text).map(|_| text)
    });
    until_sink(&server, "stdout", 1).await;
    server.stop();
    let path = watch.desk.folder.join("stdout");
    fs::write(&path, reading.await.unwrap().unwrap()).unwrap();
    for files in [watch.files(), vec![path]] {
        let said = watch.verify(&["--require-signed"], &files);
        assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::new()), "{:#}", said.report);
        assert_ended_in_order(&said);
    }
    watch.account();

    // One that never wakes does not keep the process from ending, nor the file from its end.
    let server = watch.serve(&flags, Stdio::piped()).await;
    let load = watch.load(&server, 3);
    let goal = watch.granted() + 200;
    until("many grants", async || (watch.granted() >= goal).then_some(())).await;
    load.stop().await;
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
    let said = watch.verify(&["--require-signed"], &watch.files());
    assert_eq!((said.code, said.codes()), (Some(0), BTreeSet::new()), "{:#}", said.report);
    watch.account();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_removed_is_missed_in_the_log_and_nobody_is_admitted_meanwhile() {
    let mut watch = Watch::new("removed");
    let logs = watch.desk.folder.join("logs");
    fs::create_dir(&logs).unwrap();
    watch.desk.log = "logs/audit.jsonl";
    let server = watch.serve(&[], Stdio::null()).await;
    until_granted(&watch, &server).await;
    fs::remove_dir_all(&logs).unwrap();
    until_withheld(&watch, &server).await;
    fs::create_dir(&logs).unwrap();
    until_granted(&watch, &server).await;
    until_sink(&server, "file", 1).await;
    server.stop();
    let said = watch.verify(&[], &watch.files());
    assert_eq!(said.code, Some(3), "{:#}", said.report);
    assert_eq!(said.codes(), BTreeSet::from(["beginning-missing", "loss-told"]), "{:#}", said.report);
    assert_eq!((&said.last()["intact"], &said.last()["end"]), (&true.into(), &"stopped".into()));
}

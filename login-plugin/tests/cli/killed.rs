//! Killed at each of its writes, by `kill -9` as `strace` can time it: the next run works, and no rotated token that was
//! written is lost.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::not_run::not_run;
use crate::plugin::{Ended, Laptop, Run, browser, credential, redirect};
use crate::site::Site;

/// What changes files, and what goes to servers. Each is counted by itself.
const WRITES: [&str; 8] = [
    "write",
    "writev",
    "sendto",
    "fsync",
    "ftruncate",
    "mkdir,mkdirat",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
];

/// More calls of one kind than a run makes; reached only if the run never ends.
const CALLS_MAX: usize = 200;

/// The run with `strace` around it; none, said aloud, where that is not here or may not trace.
pub(crate) fn under_strace(run: &Run<'_>, expressions: &[&str]) -> Option<Command> {
    // Never /dev/null: whoever renames over what `-o` names would as root replace the device.
    let (trace, trial) = (run.laptop.path("strace.out"), run.laptop.path("strace.trial"));
    let works = std::process::Command::new("strace").arg("-qq").arg("-o").arg(&trial).arg("true").status();
    if !works.is_ok_and(|status| status.success()) {
        not_run("a run under strace", "strace is not here or may not trace");
        return None;
    }
    let plugin = run.command();
    let plugin = plugin.as_std();
    let mut command = Command::new("strace");
    // Several at once append to one file.
    command.args(["-f", "-qq", "-A", "-o"]).arg(trace);
    for expression in expressions {
        command.args(["-e", expression]);
    }
    command
        .arg(plugin.get_program())
        .args(plugin.get_args())
        .env_clear()
        .envs(plugin.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    Some(command)
}

fn killing(run: &Run<'_>, calls: &str, number: usize) -> Option<Command> {
    under_strace(run, &[&format!("trace={calls}"), &format!("inject={calls}:signal=SIGKILL:when={number}")])
}

fn was_killed(ended: &Ended) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    // `strace` ends as the program did.
    ended.status.signal() == Some(9)
}

/// The refresh token as it stands in the file; the file is whole at any moment.
fn kept_token(laptop: &Laptop) -> String {
    let session: Value = serde_json::from_slice(&fs::read(laptop.entry("sessions", "json")).unwrap()).unwrap();
    session["refresh_token"].as_str().unwrap().to_owned()
}

fn shortly_lived() -> Site {
    let site = Site::start();
    site.behave(|behaviour| {
        (behaviour.id_token_lifetime, behaviour.certificate_lifetime) = (4, 4);
        behaviour.reuse_ends_the_family = true;
    });
    site
}

#[tokio::test]
async fn a_refresh_killed_at_any_write_costs_a_login_only_between_answer_and_file() {
    let (site, laptop) = (shortly_lived(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    let mut kills = 0;
    for calls in WRITES {
        for number in 1.. {
            assert!(number < CALLS_MAX, "{calls} has no end");
            let Some(command) = killing(&run, calls, number) else { return };
            let logins = site.seen(|seen| seen.logins);
            let ended = Run::end_command(command, &site).await;
            assert_eq!(site.seen(|seen| seen.logins), logins, "{calls} {number}: {ended:?}");
            if !was_killed(&ended) {
                ended.credential();
                break;
            }
            kills += 1;
            let lost = kept_token(&laptop) != site.refresh_token();
            let after = run.end_with_login(&site).await;
            after.credential();
            let cost = site.seen(|seen| seen.logins) - logins;
            assert_eq!(cost, usize::from(lost), "killed at {calls} {number}: {after:?}");
            assert_eq!(kept_token(&laptop), site.refresh_token());
        }
    }
    assert!(kills > 10, "{kills}");
    no_heap_of_left_overs(&laptop, kills);
}

#[tokio::test]
async fn a_login_killed_at_any_write_can_be_had_again() {
    let site = shortly_lived();
    let mut kills = 0;
    for calls in WRITES {
        for number in 1.. {
            assert!(number < CALLS_MAX, "{calls} has no end");
            let laptop = Laptop::new();
            let run = credential(&laptop, &site);
            let Some(command) = killing(&run, calls, number) else { return };
            let mut running = Run::start_command(command);
            if let Some(url) = running.url().await {
                let callback = redirect(&site, &url).await;
                // Nobody may be there any more.
                let _answer = browser(&site).get(callback).send().await;
            }
            let ended = running.end().await;
            if !was_killed(&ended) {
                ended.credential();
                break;
            }
            kills += 1;
            let logins = site.seen(|seen| seen.logins);
            a_minute_later(&laptop);
            run.end_with_login(&site).await.credential();
            assert!(site.seen(|seen| seen.logins) <= logins + 1, "killed at {calls} {number}");
            run.end().await.credential();
        }
    }
    assert!(kills > 20, "{kills}");
}

/// A login in the background that was killed counts as one that nobody answered, and those have a pause.
fn a_minute_later(laptop: &Laptop) {
    let Ok(entries) = fs::read_dir(laptop.path("cache/sessions")) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "unanswered") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// A killed run can leave its unfinished file behind; nothing else piles up.
fn no_heap_of_left_overs(laptop: &Laptop, kills: usize) {
    let count = |directory: &Path| fs::read_dir(directory).unwrap().count();
    let files = count(&laptop.path("cache/sessions")) + count(&laptop.path("cache/credentials"));
    assert!(files <= kills + 10, "{files} files after {kills} kills");
}

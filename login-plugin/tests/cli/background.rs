//! Logins that nobody answers, that nobody can answer, and that many want at once: one attempt, then a pause.

use std::fs;

use serde_json::json;

use crate::plugin::{Laptop, credential, log_in};
use crate::site::Site;

#[tokio::test]
async fn browser_closed() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let ended = credential(&laptop, &site).with("--login-timeout=1").end().await;
    let said = ended.failure(3);
    assert!(said.contains("you did not finish the login to Staging within 1 second"), "{said}");
    assert!(said.contains("hint:"), "{said}");
}

#[tokio::test]
async fn five_runs_of_one_program_are_one_attempt() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site).with("--login-timeout=1");
    let first = run.end().await;
    first.failure(3);
    for _ in 0..4 {
        let again = run.end().await;
        assert!(!again.failure(3).contains("https://"), "no second tab: {again:?}");
        assert!(again.said.contains("you did not finish the login"), "{again:?}");
    }
}

/// As if this had happened so many seconds earlier.
pub(crate) fn age(path: &std::path::Path, seconds: i64) {
    let mut entry: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    entry["at"] = json!(entry["at"].as_i64().unwrap() - seconds);
    fs::write(path, entry.to_string()).unwrap();
}

#[tokio::test]
async fn unanswered_tabs_in_the_background_are_followed_by_a_pause() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site).with("--login-timeout=1");
    run.end().await.failure(3);
    // As another program half a minute later.
    let (failed, unanswered) = (laptop.entry("sessions", "failed"), laptop.entry("sessions", "unanswered"));
    age(&failed, 30);
    age(&unanswered, 30);
    let paused = run.end().await;
    let said = paused.failure(3);
    assert!(said.contains("the last one came to nothing") && !said.contains("https://"), "{said}");
    assert!(said.contains("`kubectl latchkey login`"), "and how to log in all the same: {said}");
    age(&unanswered, 60);
    run.end_with_login(&site).await.credential();
    assert!(!failed.exists() && !unanswered.exists(), "a login clears it");
}

/// Ten clusters in one program would be ten tabs: the pause is for the person, not for one cluster's login.
#[tokio::test]
async fn the_pause_is_the_same_for_all_clusters_of_one_person() {
    let (site, laptop) = (Site::start(), Laptop::new());
    credential(&laptop, &site).with("--login-timeout=1").end().await.failure(3);
    let another_cluster = credential(&laptop, &site).with("--audience=production").end().await;
    assert!(another_cluster.failure(3).contains("the last one came to nothing"), "{another_cluster:?}");
    let mut another_person = credential(&laptop, &site).with("--account=ann@example.com").start();
    assert!(another_person.url().await.is_some(), "somebody else may be asked");
}

#[tokio::test]
async fn logins_of_one_person_in_the_background_come_one_after_the_other() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut first = credential(&laptop, &site).start();
    let url = first.url().await.unwrap();
    let mut second = credential(&laptop, &site).with("--scopes=email").start();
    let line = second.line_with("Waiting for another login").await.unwrap();
    assert!(line.contains(&first.child.id().unwrap().to_string()), "{line}");
    assert_eq!(site.seen(|seen| seen.authorizations.len()), 0);
    log_in(&site, &url).await;
    first.end().await.credential();
    let url = second.url().await.unwrap();
    log_in(&site, &url).await;
    second.end().await.credential();
}

/// Editors kill a kubectl that takes long, and start another one.
#[tokio::test]
async fn a_login_in_the_background_that_is_killed_counts_as_unanswered() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let mut first = run.start();
    first.url().await.unwrap();
    first.child.kill().await.unwrap();
    let second = run.end().await;
    assert!(second.failure(3).contains("the last one came to nothing"), "{second:?}");
    age(&laptop.entry("sessions", "unanswered"), 60);
    run.end_with_login(&site).await.credential();
}

/// A browser that is logged in to the wrong account answers by itself, all night.
#[tokio::test]
async fn a_refusal_in_the_background_is_followed_by_a_pause_too() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site).with("--account=ann@example.com");
    run.end_with_login(&site).await.failure(4);
    age(&laptop.entry("sessions", "failed"), 15);
    assert!(run.end().await.failure(3).contains("the last one came to nothing"));
}

/// `kubectl` writes line by line, so the desktop is told only where nobody reads.
#[tokio::test]
async fn a_login_in_the_background_is_told_on_the_desktop() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let told = laptop.path("told");
    fs::create_dir(laptop.path("bin")).unwrap();
    let script = format!("#!/bin/sh\nprintf '%s|' \"$@\" >> {0}; echo >> {0}\n", told.display());
    laptop.executable("bin/notify-send", &script);
    let program = laptop.executable("browser", "#!/bin/sh\n");
    let mut run = credential(&laptop, &site).with("--login-timeout=1");
    run.arguments.retain(|argument| argument != "--skip-browser");
    let run = run
        .set("LATCHKEY_BROWSER", program.to_str().unwrap())
        .set("PATH", crate::plugin::path_with(&laptop.path("bin")));
    run.end().await.failure(3);
    let all = async {
        loop {
            let text = fs::read_to_string(&told).unwrap_or_default();
            if text.matches('\n').count() == 2 {
                break text;
            }
            tokio::task::yield_now().await;
        }
    };
    let text = tokio::time::timeout(std::time::Duration::from_secs(30), all).await.unwrap();
    assert!(text.contains("|kubectl needs you to log in to Staging|"), "{text}");
    assert!(text.contains("|Nobody logged in to Staging|"), "{text}");
    assert!(!text.contains("https://") && !text.contains("state"), "{text}");
    let quiet = Laptop::new();
    let mut silent = credential(&quiet, &site).with("--login-timeout=1").set("LATCHKEY_QUIET", "1");
    silent.arguments.retain(|argument| argument != "--skip-browser");
    let silent = silent
        .set("LATCHKEY_BROWSER", program.to_str().unwrap())
        .set("PATH", crate::plugin::path_with(&laptop.path("bin")));
    silent.end().await.failure(3);
    assert_eq!(fs::read_to_string(&told).unwrap(), text, "who wants no words gets none");
}

#[tokio::test]
async fn two_plugins_started_at_once_one_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let mut first = run.start();
    let url = first.url().await.unwrap();
    let mut others: Vec<_> = (0..4).map(|_| run.start()).collect();
    let pid = first.child.id().unwrap().to_string();
    for other in &mut others {
        let line = other.line_with("Waiting for another login").await.unwrap();
        assert!(line.contains(&pid), "{line}");
    }
    log_in(&site, &url).await;
    let first = first.end().await;
    first.credential();
    for other in others {
        assert_eq!(other.end().await.stdout, first.stdout);
    }
    assert_eq!((site.seen(|seen| (seen.logins, seen.authorizations.len())), site.exchanges()), ((1, 1), 1));
}

#[tokio::test]
async fn those_who_waited_for_a_failed_login_do_not_try_their_own() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let first_run = credential(&laptop, &site).with("--login-timeout=3");
    let mut first = first_run.start();
    first.url().await.unwrap();
    let mut second = credential(&laptop, &site).start();
    second.line_with("Waiting for another login").await.unwrap();
    first.end().await.failure(3);
    let second = second.end().await;
    assert!(!second.failure(3).contains("https://"), "{second:?}");
}

#[tokio::test]
async fn nobody_here_fails_at_once_with_one_clear_line() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut run = credential(&laptop, &site);
    run.arguments.retain(|argument| argument != "--skip-browser");
    for (name, value) in [("LATCHKEY_FLOW", "none"), ("CI", "true"), ("LATCHKEY_FLOW", "paste")] {
        let mut run = credential(&laptop, &site).set(name, value);
        run.arguments.retain(|argument| argument != "--skip-browser");
        let ended = run.end().await;
        let said = ended.failure(3);
        assert!(said.starts_with("error: login to Staging is needed, and ") && said.contains("\nhint: "), "{said}");
    }
    assert_eq!(site.seen(|seen| seen.discovery), 0, "the provider was not even asked");
}

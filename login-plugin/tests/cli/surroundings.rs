//! What surrounds a call and must not matter: variables of others, kubeconfigs, an empty `PATH`; and that a warm call starts
//! nothing.

use std::fs;

use crate::killed::under_strace;
use crate::plugin::{Laptop, Run, credential};
use crate::site::{Site, base64};

#[tokio::test]
async fn variables_of_others_and_kubeconfigs_change_nothing() {
    let (site, laptop) = (Site::start(), Laptop::new());
    fs::write(laptop.path("kubeconfig"), "no: kubeconfig: at all").unwrap();
    let odd = || {
        credential(&laptop, &site)
            .set("RUST_LOG", "trace")
            .set("RUST_BACKTRACE", "full")
            .set("SSLKEYLOGFILE", laptop.path("keys").display().to_string())
            .set("KUBECONFIG", laptop.path("kubeconfig").display().to_string())
    };
    let first = odd().end_with_login(&site).await;
    first.credential();
    assert_eq!(first.said.lines().count(), 1, "the address, and nothing of any library: {first:?}");
    fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    let cold = odd().end().await;
    cold.credential();
    assert_eq!(cold.said, "");
    assert!(!laptop.path("keys").exists(), "no key of a connection leaves this process");
}

/// As some clients start it: nothing to find programs by, no home, no question.
#[tokio::test]
async fn a_kept_credential_needs_nothing_around_it() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = || {
        credential(&laptop, &site)
            .with(&format!("--concierge-endpoint={}", site.url()))
            .with(&format!("--concierge-ca-data={}", base64(&site.roots)))
            .set("KUBERNETES_EXEC_INFO", "")
    };
    let first = run().end_with_login(&site).await;
    first.credential();
    let bare = run();
    let mut command = bare.command();
    command.env_clear().env("LATCHKEY_CACHE_DIR", laptop.path("cache")).current_dir("/");
    let again = Run::start_command(command).end().await;
    assert_eq!((again.stdout.as_str(), again.said.as_str()), (first.stdout.as_str(), ""));
    let mut command = bare.command();
    command.env("PATH", "");
    assert_eq!(Run::start_command(command).end().await.stdout, first.stdout);
    assert_eq!(site.exchanges(), 1);
}

/// Each of these would cost more than the whole of a warm call, or could wait.
#[tokio::test]
async fn a_warm_call_starts_no_thread_opens_no_socket_and_takes_no_lock() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    let expensive = "trace=clone,clone3,fork,vfork,socket,connect,flock,fcntl,epoll_create1,eventfd2,fsync";
    let Some(command) = under_strace(&run, &[expensive, "signal=none"]) else { return };
    Run::start_command(command).end().await.credential();
    let made = fs::read_to_string(laptop.path("strace.out")).unwrap();
    // The standard library looks whether the three descriptors are open.
    let made: Vec<&str> = made.lines().filter(|line| !line.contains("F_GETFD")).collect();
    assert_eq!(made, Vec::<&str>::new());
    // And it would have been seen: a cold call needs all of that.
    fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    let command = under_strace(&run, &[expensive, "signal=none"]).unwrap();
    Run::start_command(command).end().await.credential();
    let made = fs::read_to_string(laptop.path("strace.out")).unwrap();
    assert!(made.contains("socket(") && made.contains("epoll_create1("), "{made}");
}

/// It is not waited for, and what ends the plugin's group does not end it: `xdg-open` can be the browser itself.
#[tokio::test]
async fn a_browser_outlives_the_plugin_in_a_group_of_its_own() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let seen = laptop.path("seen");
    let script = format!(
        "#!/bin/sh\nread -r pid name state parent group rest < /proc/self/stat\necho \"$pid $group\" > {0}.part\n\
         mv {0}.part {0}\nwhile [ -e {0} ]; do read -r still < {0}; done\n",
        seen.display()
    );
    let program = laptop.executable("browser", &script);
    let mut run = credential(&laptop, &site).set("LATCHKEY_BROWSER", program.to_str().unwrap());
    run.arguments.retain(|argument| argument != "--skip-browser");
    let ended = run.end_with_login(&site).await;
    ended.credential();
    let written = async {
        loop {
            match fs::read_to_string(&seen) {
                Ok(text) => break text,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let written = tokio::time::timeout(std::time::Duration::from_secs(30), written).await.unwrap();
    let (process, group) = written.trim().split_once(' ').unwrap();
    assert_eq!(process, group);
    // Still there, and ended by this.
    fs::remove_file(&seen).unwrap();
}

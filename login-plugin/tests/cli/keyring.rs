//! Logins sealed with a key from a real Secret Service, and what happens where it is locked, silent, empty or absent.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::not_run::not_run;
use crate::plugin::{Ended, Laptop, Run, credential};
use crate::site::{Site, base64};

/// A laptop with a desktop: a session bus and an unlocked keyring of its own, ended with the test.
struct Desktop {
    laptop: Laptop,
    _daemons: [Child; 2],
}

/// Where the item with our key is: the first in a keyring that was empty.
const KEY: &str = "/org/freedesktop/secrets/collection/login/1";

impl Desktop {
    /// Says so where the programs for one are not there. `tests/run` installs them.
    async fn start() -> Option<Self> {
        let laptop = Laptop::new();
        let runtime = laptop.path("runtime");
        fs::create_dir_all(&runtime).unwrap();
        let Some((dbus, mut keyring)) = daemons(&laptop).await else {
            not_run("a keyring", "the Debian packages dbus and gnome-keyring are not here");
            return None;
        };
        // The password for the new keyring.
        keyring.stdin.take().unwrap().write_all(b"password").await.unwrap();
        let desktop = Self { laptop, _daemons: [dbus, keyring] };
        let owned =
            ["org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"];
        let began = Instant::now();
        while !String::from_utf8_lossy(&desktop.send(owned).await.stdout).contains("boolean true") {
            assert!(began.elapsed() < Duration::from_mins(1), "the keyring does not come");
            sleep(Duration::from_millis(10)).await;
        }
        Some(desktop)
    }

    fn run(&self, site: &Site) -> Run<'_> {
        credential(&self.laptop, site).set("DBUS_SESSION_BUS_ADDRESS", bus(&self.laptop))
    }

    /// Asks something on the bus.
    async fn send(&self, [to, object, method, argument]: [&str; 4]) -> Output {
        let mut command = Command::new("dbus-send");
        command.args(["--session", "--print-reply", &format!("--dest={to}"), object, method]);
        command.args(Some(argument).filter(|argument| !argument.is_empty()));
        command.env("DBUS_SESSION_BUS_ADDRESS", bus(&self.laptop)).output().await.unwrap()
    }

    async fn secrets(&self, object: &str, method: &str, argument: &str) -> String {
        let method = format!("org.freedesktop.Secret.{method}");
        let output = self.send(["org.freedesktop.secrets", object, &method, argument]).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn lock(&self) {
        let collection = "array:objpath:/org/freedesktop/secrets/collection/login";
        self.secrets("/org/freedesktop/secrets", "Service.Lock", collection).await;
    }
}

fn bus(laptop: &Laptop) -> String {
    format!("unix:path={}", laptop.path("runtime/bus").display())
}

/// The bus, and the keyring on it.
async fn daemons(laptop: &Laptop) -> Option<(Child, Child)> {
    let address = bus(laptop);
    let arguments = ["--session", "--nofork", "--nopidfile", "--print-address", "--address", &address];
    let mut dbus = daemon(laptop, "dbus-daemon", &arguments)?;
    // It tells its address when it listens there.
    let mut told = BufReader::new(dbus.stdout.take().unwrap()).lines();
    let told = tokio::time::timeout(Duration::from_mins(1), told.next_line()).await.expect("the bus comes in time");
    assert!(told.unwrap().is_some_and(|told| told.starts_with(&address)), "the bus is at {address}");
    let keyring = daemon(laptop, "gnome-keyring-daemon", &["--foreground", "--unlock", "--components=secrets"])?;
    Some((dbus, keyring))
}

fn daemon(laptop: &Laptop, program: &str, arguments: &[&str]) -> Option<Child> {
    let spawned = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", laptop.path("home"))
        .env("XDG_RUNTIME_DIR", laptop.path("runtime"))
        .env("DBUS_SESSION_BUS_ADDRESS", bus(laptop))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        spawned => Some(spawned.unwrap()),
    }
}

fn session(laptop: &Laptop) -> Value {
    serde_json::from_slice(&fs::read(laptop.entry("sessions", "json")).unwrap()).unwrap()
}

fn is_sealed(laptop: &Laptop) -> bool {
    let session = session(laptop);
    assert_eq!(session.get("sealed").is_some(), session.get("refresh_token").is_none(), "{session}");
    session.get("sealed").is_some()
}

fn memory(laptop: &Laptop) -> PathBuf {
    laptop.path("cache/sessions/keyring.asked")
}

/// ID tokens and certificates that are past by the next run, so that it has to refresh.
fn short_lived() -> Site {
    let site = Site::start();
    site.behave(|behaviour| (behaviour.id_token_lifetime, behaviour.certificate_lifetime) = (4, 4));
    site
}

fn warnings(ended: &Ended) -> usize {
    ended.said.matches("warning:").count()
}

#[tokio::test]
async fn a_login_is_sealed_and_goes_on_by_itself() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    let ended = desktop.run(&site).end_with_login(&site).await;
    ended.credential();
    assert_eq!(warnings(&ended), 0, "{ended:?}");
    assert!(is_sealed(&desktop.laptop));
    let text = fs::read_to_string(desktop.laptop.entry("sessions", "json")).unwrap();
    assert!(text.contains("jane@example.com") && !text.contains("refresh-1"), "{text}");
    assert!(!memory(&desktop.laptop).exists(), "a keyring that works is not remembered as one that does not");
    for refreshes in 1..=2 {
        let ended = desktop.run(&site).end().await;
        ended.credential();
        assert_eq!(ended.said, "");
        assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, refreshes));
        assert!(is_sealed(&desktop.laptop));
    }
}

#[tokio::test]
async fn a_plain_login_is_sealed_at_its_next_write() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    credential(&desktop.laptop, &site).end_with_login(&site).await.credential();
    assert!(!is_sealed(&desktop.laptop), "no bus, no keyring");
    desktop.run(&site).end().await.credential();
    assert!(is_sealed(&desktop.laptop));
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
}

#[tokio::test]
async fn a_locked_keyring_costs_no_login_and_no_dialog_and_is_remembered() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    desktop.lock().await;
    let ended = desktop.run(&site).end_with_login(&site).await;
    ended.credential();
    assert_eq!(warnings(&ended), 0, "a fallback is quiet: {ended:?}");
    assert!(!is_sealed(&desktop.laptop));
    let remembered = fs::read_to_string(memory(&desktop.laptop)).unwrap();
    assert!(remembered.contains("\"problem\":\"locked\""), "{remembered}");
    desktop.run(&site).end().await.credential();
    assert!(!is_sealed(&desktop.laptop));
    // A day later, and unlocked by somebody. The address of the bus and all else is the same.
    let mut then: Value = serde_json::from_str(&remembered).unwrap();
    then["asked_at"] = json!(then["asked_at"].as_i64().unwrap() - 24 * 3600);
    fs::write(memory(&desktop.laptop), then.to_string()).unwrap();
    desktop.run(&site).end().await.credential();
    assert!(!is_sealed(&desktop.laptop), "still locked");
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 2));
}

/// What a run remembers of a locked keyring, as if it had been this desktop's.
async fn remember_a_lock(desktop: &Desktop, site: &Site) -> Option<Value> {
    let other = Desktop::start().await?;
    other.lock().await;
    other.run(site).end_with_login(site).await.credential();
    let mut memory: Value = serde_json::from_slice(&fs::read(memory(&other.laptop)).unwrap()).unwrap();
    memory["address"] = bus(&desktop.laptop).into();
    Some(memory)
}

/// Plain, because of what is remembered; kept by somebody's run.
async fn plain_login(desktop: &Desktop, site: &Site) -> Option<Value> {
    let remembered = remember_a_lock(desktop, site).await?;
    credential(&desktop.laptop, site).end_with_login(site).await.credential();
    fs::write(memory(&desktop.laptop), remembered.to_string()).unwrap();
    private(&memory(&desktop.laptop));
    desktop.run(site).end().await.credential();
    assert!(!is_sealed(&desktop.laptop), "the keyring is well, and what is remembered is believed");
    Some(remembered)
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_keyring_is_asked_again_the_next_day() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    let Some(mut remembered) = plain_login(&desktop, &site).await else { return };
    remembered["asked_at"] = json!(remembered["asked_at"].as_i64().unwrap() - 24 * 3600);
    fs::write(memory(&desktop.laptop), remembered.to_string()).unwrap();
    desktop.run(&site).end().await.credential();
    assert!(is_sealed(&desktop.laptop));
    assert!(!memory(&desktop.laptop).exists(), "nothing is wrong any more");
}

#[tokio::test]
async fn a_keyring_is_asked_again_by_a_person_who_logs_in() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    let Some(_remembered) = plain_login(&desktop, &site).await else { return };
    let mut login = desktop.run(&site).with(&format!("--concierge-endpoint={}", site.url()));
    login = login.with(&format!("--concierge-ca-data={}", base64(&site.roots)));
    login.arguments[0] = "login".to_owned();
    let ended = login.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert!(is_sealed(&desktop.laptop));
}

#[tokio::test]
async fn a_sealed_login_behind_a_lock_is_no_session_and_no_error() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    desktop.run(&site).end_with_login(&site).await.credential();
    desktop.lock().await;
    let ended = desktop.run(&site).end_with_login(&site).await;
    ended.credential();
    assert_eq!(warnings(&ended), 1, "{ended:?}");
    assert!(ended.said.contains("jane@example.com") && ended.said.contains("the keyring is locked"), "{ended:?}");
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn without_its_bus_a_sealed_login_is_no_session_and_no_error() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    desktop.run(&site).end_with_login(&site).await.credential();
    let ended = credential(&desktop.laptop, &site).end_with_login(&site).await;
    ended.credential();
    assert_eq!(warnings(&ended), 1, "{ended:?}");
    assert!(ended.said.contains("there is no keyring here"), "{ended:?}");
    // Back at the desktop, the login that was kept meanwhile is used, and sealed.
    desktop.run(&site).end().await.credential();
    assert!(is_sealed(&desktop.laptop));
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn a_key_deleted_meanwhile_is_one_warning_one_login_and_a_new_key() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    desktop.run(&site).end_with_login(&site).await.credential();
    let first = session(&desktop.laptop)["key"].clone();
    desktop.secrets(KEY, "Item.Delete", "").await;
    let ended = desktop.run(&site).end_with_login(&site).await;
    ended.credential();
    assert_eq!(warnings(&ended), 1, "{ended:?}");
    assert!(ended.said.contains("its key is no longer in the keyring"), "{ended:?}");
    assert_ne!(session(&desktop.laptop)["key"], first);
    desktop.run(&site).end().await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (2, 1));
}

#[tokio::test]
async fn a_sealed_login_that_somebody_changed_is_not_used() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    desktop.run(&site).end_with_login(&site).await.credential();
    desktop.laptop.edit("sessions", |session| session["identity"] = json!("mallory@example.com"));
    let ended = desktop.run(&site).end_with_login(&site).await;
    ended.credential();
    assert!(ended.said.contains("it was changed after it was sealed"), "{ended:?}");
    assert_eq!(site.seen(|seen| seen.refreshes), 0);
}

#[tokio::test]
async fn two_first_logins_at_once_make_one_key() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = short_lived();
    let (few, more) = (desktop.run(&site), desktop.run(&site).with("--scopes=email"));
    let (one, other) = tokio::join!(few.end_with_login(&site), more.end_with_login(&site));
    one.credential();
    other.credential();
    let sealed_with = |path: &Path| {
        let session: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        session["key"].as_str().unwrap().to_owned()
    };
    let entries = fs::read_dir(desktop.laptop.path("cache/sessions")).unwrap().map(|entry| entry.unwrap().path());
    let sessions = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let keys: Vec<String> = sessions.map(|path| sealed_with(&path)).collect();
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
}

/// A bus that takes connections and never says a word; counts them.
fn silent_bus(laptop: &Laptop) -> std::sync::mpsc::Receiver<std::os::unix::net::UnixStream> {
    fs::create_dir_all(laptop.path("runtime")).unwrap();
    let listener = UnixListener::bind(laptop.path("runtime/bus")).unwrap();
    let (give, take) = std::sync::mpsc::channel();
    // Ends with the test's process; the receiver keeps the connections open.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if give.send(stream).is_err() {
                return;
            }
        }
    });
    take
}

#[tokio::test]
async fn a_bus_that_never_answers_is_waited_for_once() {
    let (site, laptop) = (short_lived(), Laptop::new());
    let connections = silent_bus(&laptop);
    let run = || credential(&laptop, &site).set("DBUS_SESSION_BUS_ADDRESS", bus(&laptop));
    let ended = run().end_with_login(&site).await;
    ended.credential();
    assert_eq!(warnings(&ended), 0, "{ended:?}");
    assert!(!is_sealed(&laptop));
    let held: Vec<_> = connections.try_iter().collect();
    assert_eq!(held.len(), 1);
    run().end().await.credential();
    assert_eq!(connections.try_iter().count(), 0, "remembered");
    assert_eq!(site.seen(|seen| (seen.logins, seen.refreshes)), (1, 1));
}

#[tokio::test]
async fn the_warm_path_asks_no_bus() {
    let (site, laptop) = (Site::start(), Laptop::new());
    credential(&laptop, &site).end_with_login(&site).await.credential();
    let connections = silent_bus(&laptop);
    credential(&laptop, &site).set("DBUS_SESSION_BUS_ADDRESS", bus(&laptop)).end().await.credential();
    assert_eq!(connections.try_iter().count(), 0);
}

#[tokio::test]
async fn a_person_who_wants_a_keyring_gets_nothing_kept_without_one() {
    let (site, laptop) = (short_lived(), Laptop::new());
    let ended = credential(&laptop, &site).set("LATCHKEY_STORE", "keyring").end_with_login(&site).await;
    ended.credential();
    assert_eq!(warnings(&ended), 1, "{ended:?}");
    assert!(
        ended.said.contains("the login is not kept") && ended.said.contains("there is no keyring here"),
        "{ended:?}"
    );
    let kept = fs::read_dir(laptop.path("cache/sessions")).unwrap().map(|entry| entry.unwrap().path());
    assert!(kept.into_iter().all(|path| path.extension().is_some_and(|extension| extension != "json")));
}

#[tokio::test]
async fn a_person_who_wants_nothing_kept_logs_in_each_time() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = || credential(&laptop, &site).set("LATCHKEY_STORE", "none");
    for logins in 1..=2 {
        let ended = run().end_with_login(&site).await;
        ended.credential();
        assert_eq!((site.seen(|seen| seen.logins), warnings(&ended)), (logins, 0));
    }
    for directory in ["sessions", "credentials"] {
        let Ok(entries) = fs::read_dir(laptop.path("cache").join(directory)) else { continue };
        for entry in entries {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            assert!(!text.contains("refresh-") && !text.contains("PRIVATE KEY"), "{text}");
        }
    }
}

#[tokio::test]
async fn the_secret_of_a_client_is_put_there_by_hand_and_read_from_there() {
    let Some(desktop) = Desktop::start().await else { return };
    let site = Site::start();
    site.behave(|behaviour| behaviour.client_secret = Some("s3cr3t"));
    let run = desktop.run(&site).with("--client-secret-keyring");
    let ended = run.end_with_login(&site).await;
    assert!(ended.failure(2).contains("is not in the keyring"), "{ended:?}");

    let mut put = desktop.run(&site).with("--set-client-secret").with(&format!("--concierge-endpoint={}", site.url()));
    put.arguments[0] = "login".to_owned();
    let mut child = put.command().stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"s3cr3t\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("is in the keyring now") && !said.contains("s3cr3t"), "{said}");

    let other = Laptop::new();
    let elsewhere = credential(&other, &site).set("DBUS_SESSION_BUS_ADDRESS", bus(&desktop.laptop));
    elsewhere.with("--client-secret-keyring").end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| (seen.logins, seen.token_requests.len())), (1, 1), "never asked without the secret");
}

//! A person at a terminal: a real one, made by `script`, in which the plugin runs as it does under kubectl.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::plugin::{Laptop, Run, credential, exec_info, log_in, redirect};
use crate::site::{Poll, Site};

/// Far more than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_mins(1);

struct Terminal {
    child: Child,
    stdin: ChildStdin,
    /// What the terminal has shown so far.
    screen: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
    errors: PathBuf,
}

impl Terminal {
    /// The plugin with its standard error in a file.
    fn open(run: &Run<'_>) -> Self {
        Self::shaped(run, |command, errors| format!("{command} 2>'{errors}'"))
    }

    /// The plugin in a command line of the test's making.
    fn shaped(run: &Run<'_>, shape: impl FnOnce(&str, &str) -> String) -> Self {
        let plain = run.command();
        let plain = plain.as_std();
        let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
        let words: Vec<_> = std::iter::once(plain.get_program()).chain(plain.get_args()).map(quoted).collect();
        let errors = run.laptop.path("errors");
        let line = shape(&words.join(" "), &errors.display().to_string());
        // Afterwards, also after Ctrl-C, it says how the terminal was left.
        let line = format!("trap : INT; {line}; stty -a | grep -oE ' -?(icanon|echo) ' | tr -d '\\n'");
        let mut command = tokio::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("SHELL", "/bin/sh").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        let reading = tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut bytes).await {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, stdin, screen, reading, errors }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Waits until the words are on the screen or on standard error, and returns all of both.
    async fn shows(&self, words: &str) -> String {
        let shown = async {
            loop {
                let text = format!("{}{}", self.screen.lock().unwrap(), self.said());
                if text.contains(words) {
                    break text;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, shown).await.unwrap_or_else(|_| panic!("{words:?} is never shown: {}", self.said()))
    }

    /// The address of the login page, once the plugin asks for a paste.
    async fn url(&self) -> Url {
        let text = self.shows("paste the address").await;
        text.split_ascii_whitespace().find(|word| word.starts_with("https://")).unwrap().parse().unwrap()
    }

    async fn type_in(&mut self, keys: &str) {
        self.stdin.write_all(keys.as_bytes()).await.unwrap();
    }

    /// What was on the screen, and on standard error, to the end.
    async fn close(mut self) -> (String, String) {
        timeout(PATIENCE, self.child.wait()).await.expect("the plugin does not end").unwrap();
        timeout(PATIENCE, &mut self.reading).await.expect("the screen does not end").unwrap();
        let said = self.said();
        (self.screen.lock().unwrap().clone(), said)
    }
}

/// A run as client-go starts it for a person at a terminal.
fn at_terminal<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    let info = exec_info(site, "v1").replace("\"interactive\":false", "\"interactive\":true");
    let mut run = credential(laptop, site).set("KUBERNETES_EXEC_INFO", info.trim_end());
    run.arguments.retain(|argument| argument != "--skip-browser");
    run
}

/// The same on a machine without a browser.
fn by_ssh<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    at_terminal(laptop, site).set("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22").set("SSH_TTY", "/dev/pts/0")
}

const SANE: &str = " icanon  echo ";

/// The paste has to survive the terminal's own limit of 4096 bytes.
#[tokio::test]
async fn a_redirect_of_six_kibibytes_can_be_pasted() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut terminal = Terminal::open(&at_terminal(&laptop, &site));
    let mut callback = redirect(&site, &terminal.url().await).await;
    callback.query_pairs_mut().append_pair("session_state", &"x".repeat(6 * 1024));
    terminal.type_in(&format!("not an address of ours at all\n{callback}\n")).await;
    let (screen, said) = terminal.close().await;
    assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen} {said}");
    assert!(!screen.contains("session_state"), "nothing is echoed");
    assert!(screen.ends_with(SANE), "the terminal is as before: {screen:?}");
    assert!(said.contains("That is not the address of this login"), "{said}");
}

#[tokio::test]
async fn a_bare_code_can_be_pasted_after_an_address_of_another_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut terminal = Terminal::open(&at_terminal(&laptop, &site));
    let callback = redirect(&site, &terminal.url().await).await;
    let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let mut stale = callback.clone();
    stale.set_query(Some("code=stolen-code&state=wrong"));
    // Providers' codes are longer than those of the tests' site; white space around them does not count.
    assert!(code.len() < 8);
    terminal.type_in(&format!("{stale}\n")).await;
    terminal.shows("That is not the address of this login").await;
    terminal.type_in(&format!("  code={code}  \r")).await;
    let (screen, said) = terminal.close().await;
    assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen} {said}");
    assert_eq!(site.seen(|seen| seen.logins), 1, "the other one was not redeemed");
}

#[tokio::test]
async fn the_browser_wins_over_the_paste_and_the_next_key_is_the_shells() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = at_terminal(&laptop, &site);
    // What comes after kubectl reads the terminal.
    let mut terminal = Terminal::shaped(&run, |command, errors| {
        format!("{command} 2>'{errors}'; echo READY; read next; echo \"got:$next.\"")
    });
    let url = terminal.url().await;
    terminal.type_in("half a li").await;
    log_in(&site, &url).await;
    terminal.shows("READY").await;
    terminal.type_in("whole\n").await;
    let (screen, said) = terminal.close().await;
    assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen} {said}");
    assert!(screen.contains("got:whole.") || screen.contains("got:half a liwhole."), "{screen}");
    assert!(screen.ends_with(SANE), "the terminal is as before: {screen:?}");
}

#[tokio::test]
async fn control_c_leaves_the_terminal_sane() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut terminal = Terminal::open(&at_terminal(&laptop, &site));
    terminal.url().await;
    terminal.type_in("\u{3}").await;
    let (screen, said) = terminal.close().await;
    assert!(screen.ends_with(SANE), "the terminal is as before: {screen:?}");
    assert!(said.contains("the login was interrupted"), "{said}");
}

/// k9s and its like have switched the terminal to their whole screen: keys and lines there are theirs.
#[tokio::test]
async fn a_terminal_that_belongs_to_a_whole_screen_is_left_alone() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = at_terminal(&laptop, &site).with("--skip-browser").with("--login-timeout=1");
    let terminal = Terminal::shaped(&run, |command, errors| {
        format!("stty -icanon -echo; {command} 2>'{errors}'; stty icanon echo")
    });
    let (screen, said) = terminal.close().await;
    assert!(said.contains("you did not finish the login") && !said.contains("paste"), "{said}");
    assert!(!screen.contains("https://"), "nothing is painted over it: {screen}");
    // Over SSH there is nothing else to do.
    let elsewhere = Laptop::new();
    let terminal = Terminal::shaped(&by_ssh(&elsewhere, &site), |command, errors| {
        format!("stty -icanon -echo; {command} 2>'{errors}'; stty icanon echo")
    });
    let (_, said) = terminal.close().await;
    assert!(said.contains("there is neither a browser nor a terminal here"), "{said}");
    assert!(said.contains("`kubectl latchkey login`"), "{said}");
}

/// A second is nothing to speak of.
#[tokio::test]
async fn a_wait_for_a_busy_cluster_is_told_where_a_person_wonders() {
    let (site, laptop) = (Site::start(), Laptop::new());
    credential(&laptop, &site).end_with_login(&site).await.credential();
    for (seconds, told) in [("1", 0), ("2", 1)] {
        fs::remove_file(laptop.entry("credentials", "json")).unwrap();
        site.behave(|behaviour| behaviour.turned_away = vec![(429, Some("0")), (429, Some(seconds))]);
        // Standard error is the terminal.
        let terminal = Terminal::shaped(&at_terminal(&laptop, &site), |command, _| command.to_owned());
        let (screen, _) = terminal.close().await;
        assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen}");
        assert_eq!(screen.matches("The cluster is busy and asks for a moment of patience").count(), told, "{screen}");
    }
    assert_eq!((site.seen(|seen| seen.logins), site.exchanges()), (1, 7));
}

#[tokio::test]
async fn without_a_browser_a_code_is_shown_on_the_terminal_itself() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| {
        behaviour.device = true;
        behaviour.polls = vec![Poll::Refused("authorization_pending")];
    });
    let terminal = Terminal::open(&by_ssh(&laptop, &site));
    let (screen, said) = terminal.close().await;
    assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen} {said}");
    for shown in [&screen, &said] {
        assert!(shown.lines().any(|line| line.trim() == "WDJB-MJHT"), "{shown}");
        assert!(shown.lines().any(|line| line.trim() == format!("{}/device", site.issuer())), "{shown}");
    }
    assert_eq!(site.seen(|seen| seen.authorizations.len()), 0);
    assert!(screen.ends_with(SANE), "{screen:?}");
}

/// `kubectl apply -f -`: standard input is a file, and the person reads standard error.
#[tokio::test]
async fn a_code_is_shown_where_standard_input_is_not_the_persons() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.device = true);
    let run = by_ssh(&laptop, &site).set("KUBERNETES_EXEC_INFO", exec_info(&site, "v1"));
    let terminal = Terminal::shaped(&run, |command, _| format!("{{ echo manifest; }} | {{ {command}; cat; }}"));
    let (screen, _) = terminal.close().await;
    assert!(screen.lines().any(|line| line.trim() == "WDJB-MJHT"), "{screen}");
    assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen}");
    assert!(screen.contains("manifest"), "what kubectl shall read was not read: {screen}");
}

#[tokio::test]
async fn a_provider_without_codes_leads_to_pasting_and_so_does_a_prohibition() {
    for (device, refusal, forbidden) in [
        (false, None, None),
        (true, None, Some("--forbid-flows=device")),
        // Offered, and not for this client or from this place.
        (true, Some("unauthorized_client"), None),
    ] {
        let (site, laptop) = (Site::start(), Laptop::new());
        site.behave(|behaviour| (behaviour.device, behaviour.device_refusal) = (device, refusal));
        let mut run = by_ssh(&laptop, &site);
        run.arguments.extend(forbidden.map(ToOwned::to_owned));
        let mut terminal = Terminal::open(&run);
        let callback = redirect(&site, &terminal.url().await).await;
        terminal.type_in(&format!("{callback}\n")).await;
        let (screen, said) = terminal.close().await;
        assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen} {said}");
        assert_eq!(site.seen(|seen| seen.device_requests.len()), usize::from(refusal.is_some()));
    }
}

#[tokio::test]
async fn a_code_that_has_expired_is_replaced_once_by_enter() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| {
        behaviour.device = true;
        behaviour.polls = vec![Poll::Refused("expired_token"), Poll::Refused("expired_token")];
    });
    let mut terminal = Terminal::open(&by_ssh(&laptop, &site));
    terminal.shows("Press Enter for a new one").await;
    terminal.type_in("\n").await;
    let (screen, said) = terminal.close().await;
    assert_eq!(site.seen(|seen| seen.device_requests.len()), 2, "{said}");
    assert!(said.contains("you did not finish the login to Staging within 10 minutes"), "{said}");
    assert!(screen.ends_with(SANE), "{screen:?}");
}

#[tokio::test]
async fn a_browser_that_is_here_gets_the_address_with_the_code_and_the_code_is_shown_all_the_same() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.device = true);
    let opened = laptop.path("opened");
    let program = laptop.executable("browser", &format!("#!/bin/sh\nprintf '%s' \"$1\" > {}\n", opened.display()));
    let run =
        at_terminal(&laptop, &site).set("LATCHKEY_FLOW", "device").set("LATCHKEY_BROWSER", program.to_str().unwrap());
    let (screen, said) = Terminal::open(&run).close().await;
    assert!(screen.contains("\"kind\":\"ExecCredential\""), "{screen} {said}");
    assert!(said.contains("compare the code") && said.contains("WDJB-MJHT"), "{said}");
    let written = async {
        loop {
            match fs::read_to_string(&opened) {
                Ok(text) if !text.is_empty() => break text,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let written = timeout(PATIENCE, written).await.unwrap();
    assert_eq!(written, format!("{}/device?user_code=WDJB-MJHT", site.issuer()));
}

/// Nobody came within the time, in a terminal where somebody had asked: a loop there would open tabs all night.
#[tokio::test]
async fn a_loop_in_a_forgotten_terminal_opens_one_tab() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let opened = laptop.path("opened");
    let program = laptop.executable("browser", &format!("#!/bin/sh\necho >> {}\n", opened.display()));
    let run = at_terminal(&laptop, &site).with("--login-timeout=1").set("LATCHKEY_BROWSER", program.to_str().unwrap());
    let (_, said) = Terminal::open(&run).close().await;
    assert!(said.contains("opening your browser"), "{said}");
    timeout(PATIENCE, async {
        while !opened.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    fs::remove_file(laptop.entry("sessions", "failed")).unwrap();
    let (_, said) = Terminal::open(&run).close().await;
    assert!(said.contains("no tab is opened for this one") && said.contains("visit https://"), "{said}");
    assert_eq!(fs::read_to_string(&opened).unwrap(), "\n");
}

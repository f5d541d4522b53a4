//! Running the plugin as kubectl would, and being the person in front of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode, Url};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::site::{CLIENT, Site, base64};

/// Far more than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_mins(1);

/// A person's computer: a cache of its own, gone when dropped.
pub(crate) struct Laptop {
    directory: PathBuf,
}

/// How a run is different from the usual one.
pub(crate) struct Run<'a> {
    pub(crate) laptop: &'a Laptop,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// The plugin while it runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    pub(crate) said: Vec<String>,
}

/// The plugin after it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) said: String,
}

impl Laptop {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("latchkey-cli-{}-{number}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The one file with this extension in `sessions` or `credentials`.
    pub(crate) fn entry(&self, directory: &str, extension: &str) -> PathBuf {
        let entries = fs::read_dir(self.path("cache").join(directory)).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Changes a kept entry as time would have.
    pub(crate) fn edit(&self, directory: &str, change: impl FnOnce(&mut Value)) {
        self.edit_extension(directory, "json", change);
    }

    /// The same for entries of another kind.
    pub(crate) fn edit_extension(&self, directory: &str, extension: &str, change: impl FnOnce(&mut Value)) {
        let path = self.entry(directory, extension);
        let mut entry: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut entry);
        // In place, so that owner and mode stay.
        fs::write(&path, entry.to_string()).unwrap();
    }

    /// A minute after the cluster refused somebody, whoever it was: the next program that asks is another.
    pub(crate) fn a_minute_after_the_refusal(&self) {
        self.edit_extension("credentials", "refused", |entry| {
            entry["attempt"]["at"] = (entry["attempt"]["at"].as_i64().unwrap() - 60).into();
        });
    }

    pub(crate) fn executable(&self, name: &str, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.directory);
    }
}

/// What client-go puts into the environment.
pub(crate) fn exec_info(site: &Site, version: &str) -> String {
    let info = json!({
        "kind": "ExecCredential", "apiVersion": format!("client.authentication.k8s.io/{version}"),
        "spec": {"interactive": false, "cluster": {
            "server": site.url(), "certificate-authority-data": base64(&site.roots), "config": null}},
    });
    format!("{info}\n")
}

/// A usual run: `credential` for this site, asked by client-go without a terminal, the URL shown.
pub(crate) fn credential<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    let arguments = [
        "credential".to_owned(),
        "--cluster-name=Staging".to_owned(),
        format!("--issuer={}", site.issuer()),
        format!("--client-id={CLIENT}"),
        format!("--ca-data={}", base64(&site.roots)),
        "--authenticator=people".to_owned(),
        "--skip-browser".to_owned(),
    ];
    Run { laptop, arguments: arguments.into(), environment: vec![("KUBERNETES_EXEC_INFO", exec_info(site, "v1"))] }
}

impl Run<'_> {
    pub(crate) fn with(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The last of two settings wins; an empty one counts as none.
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-latchkey"));
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.laptop.path("home"))
            .env("LATCHKEY_CACHE_DIR", self.laptop.path("cache"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn start(&self) -> Running {
        Self::start_command(self.command())
    }

    /// Starts a command that was changed further.
    pub(crate) fn start_command(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, stderr, said: Vec::new() }
    }

    /// Runs a command that was changed further to the end, with a person who logs in when asked.
    pub(crate) async fn end_command(command: Command, site: &Site) -> Ended {
        let mut running = Self::start_command(command);
        if let Some(url) = running.url().await {
            log_in(site, &url).await;
        }
        running.end().await
    }

    /// Runs to the end without anybody doing anything.
    pub(crate) async fn end(&self) -> Ended {
        self.start().end().await
    }

    /// Runs to the end with a person who logs in when asked.
    pub(crate) async fn end_with_login(&self, site: &Site) -> Ended {
        Self::end_command(self.command(), site).await
    }
}

impl Running {
    /// The address of the login page, once shown; none if the plugin ends without.
    pub(crate) async fn url(&mut self) -> Option<Url> {
        self.line_with("https://").await.map(|line| {
            let word = line.split_ascii_whitespace().find(|word| word.starts_with("https://"));
            Url::parse(word.unwrap()).unwrap()
        })
    }

    /// The first line on standard error that holds these words; none if the plugin ends without.
    pub(crate) async fn line_with(&mut self, words: &str) -> Option<String> {
        while let Some(line) = timeout(PATIENCE, self.stderr.next_line()).await.expect("no word in time").unwrap() {
            self.said.push(line.clone());
            if line.contains(words) {
                return Some(line);
            }
        }
        None
    }

    pub(crate) async fn end(mut self) -> Ended {
        let mut stdout = String::new();
        let all = async {
            if let Some(mut pipe) = self.child.stdout.take() {
                pipe.read_to_string(&mut stdout).await.unwrap();
            }
            while let Some(line) = self.stderr.next_line().await.unwrap() {
                self.said.push(line);
            }
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, all).await.expect("the plugin does not end");
        Ended { status, stdout, said: self.said.join("\n") }
    }
}

impl Ended {
    /// The credential, after checking that standard output is one line of JSON of the right kind.
    pub(crate) fn credential(&self) -> Value {
        assert!(self.status.success(), "{self:?}");
        assert_eq!(self.stdout.matches('\n').count(), 1, "{self:?}");
        let answer: Value = serde_json::from_str(&self.stdout).unwrap();
        assert_eq!(answer["kind"], "ExecCredential");
        answer
    }

    /// What was said, after checking the exit status and that standard output stayed empty.
    pub(crate) fn failure(&self, status: i32) -> &str {
        assert_eq!(self.status.code(), Some(status), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        &self.said
    }
}

/// A page as the browser got it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// A browser that trusts the site and follows nothing by itself.
pub(crate) fn browser(site: &Site) -> Client {
    let roots = Certificate::from_pem(site.roots.as_bytes()).unwrap();
    Client::builder().tls_certs_only([roots]).redirect(Policy::none()).no_proxy().timeout(PATIENCE).build().unwrap()
}

pub(crate) async fn get(browser: &Client, url: &Url) -> Page {
    page(browser.get(url.clone())).await
}

pub(crate) async fn page(request: reqwest::RequestBuilder) -> Page {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Page { status, headers, body: response.text().await.unwrap() }
}

impl Page {
    pub(crate) fn location(&self, base: &Url) -> Url {
        base.join(self.headers[LOCATION].to_str().unwrap()).unwrap()
    }
}

/// The redirect that the issuer sends the browser on, not yet followed.
pub(crate) async fn redirect(site: &Site, url: &Url) -> Url {
    let answer = get(&browser(site), url).await;
    assert_eq!(answer.status, StatusCode::FOUND, "{answer:?}");
    answer.location(url)
}

/// What a person with a browser does: the login page, back to the plugin, on to the last page.
pub(crate) async fn log_in(site: &Site, url: &Url) -> Page {
    let callback = redirect(site, url).await;
    let browser = browser(site);
    let answer = get(&browser, &callback).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
    let last = answer.location(&callback);
    assert_eq!(last.query(), None, "no code in the address bar");
    get(&browser, &last).await
}

/// Adds a directory in front of `PATH`.
pub(crate) fn path_with(directory: &Path) -> String {
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
}

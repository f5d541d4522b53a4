//! A real browser without a window: Chromium, driven through chromedriver by the W3C `WebDriver` protocol.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    child::Child,
    folder::TempFolder,
    install_crypto, ports,
    wait::{self, Observation},
};

/// Chromium's first start on a busy machine takes several seconds, most of it reading 200 MB from disk.
const START_LIMIT: Duration = Duration::from_mins(1);

/// One command; loading a page of a local server is the longest.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// The member by which `WebDriver` marks an element (W3C `WebDriver` section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with an empty profile of its own; it is killed with all its processes when dropped.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    // The driver's process group holds every process of Chromium. Dropped before the profile.
    driver: Child,
    _folder: TempFolder,
}

/// An element of the page that was loaded when it was found.
#[derive(Debug, Clone)]
pub struct Element(String);

impl Browser {
    /// Starts Chromium; certificates are not checked, since those of a test are nobody's.
    ///
    /// # Errors
    /// If chromium or chromedriver is missing or does not start: with the driver's log.
    pub async fn start() -> Result<Self> {
        install_crypto();
        let chromium = on_path(&["chromium", "chromium-browser", "google-chrome"])
            .context("Chromium is missing: install the Debian packages chromium and chromium-driver")?;
        let chromedriver = on_path(&["chromedriver"])
            .context("chromedriver is missing: install the Debian package chromium-driver")?;
        let folder = TempFolder::new("browser")?;
        let port = ports::free()?;
        let mut command = Command::new(chromedriver);
        command.arg(format!("--port={port}")).env("HOME", folder.path()).env("TMPDIR", folder.path());
        let mut driver = Child::spawn("chromedriver", command, folder.path())?;
        let http = reqwest::Client::builder().no_proxy().timeout(START_LIMIT).build()?;
        let url = format!("http://127.0.0.1:{port}");
        wait::eventually("chromedriver to be ready", START_LIMIT, async || {
            if let Err(error) = driver.check_alive() {
                return Observation::Hopeless(error);
            }
            let status = async { anyhow::Ok(http.get(format!("{url}/status")).send().await?.json::<Value>().await?) };
            match status.await {
                Ok(status) if status["value"]["ready"] == true => Observation::Holds(()),
                Ok(status) => Observation::NotYet(status.to_string()),
                Err(error) => Observation::NotYet(format!("{error:#}")),
            }
        })
        .await?;
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "binary": chromium, "args": flags(folder.path()) },
        } } });
        let answer = call(&http, Method::POST, &format!("{url}/session"), Some(&capabilities))
            .await
            .with_context(|| driver.last_words())?;
        let id = answer["sessionId"].as_str().context("WebDriver's answer has no sessionId")?;
        Ok(Self { session: format!("{url}/session/{id}"), http, driver, _folder: folder })
    }

    /// Loads a page and waits until it is loaded.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub async fn go(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).await.map(drop).with_context(|| format!("loading {url}"))
    }

    /// The first element that fits a CSS selector, waiting for it to appear.
    ///
    /// # Errors
    /// If none appears.
    pub async fn find(&self, selector: &str) -> Result<Element> {
        let query = json!({ "using": "css selector", "value": selector });
        wait::eventually(&format!("an element {selector}"), COMMAND_LIMIT, async || {
            let element = self.post("element", &query).await?;
            anyhow::Ok(Element(element[ELEMENT].as_str().context("not an element")?.to_owned()))
        })
        .await
    }

    /// Types into an element.
    ///
    /// # Errors
    /// If it does not take text.
    pub async fn type_into(&self, element: &Element, text: &str) -> Result<()> {
        self.post(&format!("element/{}/value", element.0), &json!({ "text": text })).await.map(drop)
    }

    /// Clicks an element; when that leads to another page, waits until it is loaded.
    ///
    /// # Errors
    /// If it cannot be clicked.
    pub async fn click(&self, element: &Element) -> Result<()> {
        self.post(&format!("element/{}/click", element.0), &json!({})).await.map(drop)
    }

    /// An element's visible text.
    ///
    /// # Errors
    /// If the element is gone.
    pub async fn text(&self, element: &Element) -> Result<String> {
        self.get(&format!("element/{}/text", element.0)).await
    }

    /// The address in the address bar.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn address(&self) -> Result<String> {
        self.get("url").await
    }

    /// The page's title.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn title(&self) -> Result<String> {
        self.get("title").await
    }

    /// The page as it is now, as HTML.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn source(&self) -> Result<String> {
        self.get("source").await
    }

    /// Runs a script in the page (`return ...`) and gives its value.
    ///
    /// # Errors
    /// If it throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// A picture of what is visible, as PNG.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        Ok(STANDARD.decode(self.get("screenshot").await?)?)
    }

    /// Sets the window's size in pixels.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.post("window/rect", &json!({ "width": width, "height": height })).await.map(drop)
    }

    /// Fills in the login form of [`crate::issuer`] or [`crate::oidc_provider`] and sends it.
    ///
    /// # Errors
    /// If the page has no such form.
    pub async fn sign_in(&self, user: &str, password: &str) -> Result<()> {
        let name = self.find("input[name=username], input[name=login]").await?;
        self.type_into(&name, user).await?;
        self.type_into(&self.find("input[type=password]").await?, password).await?;
        self.click(&self.find("#sign-in").await?).await
    }

    /// Ends the session in good order; dropping the browser kills it.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn quit(self) -> Result<()> {
        call(&self.http, Method::DELETE, &self.session, None).await.map(drop)
    }

    /// The driver's process id; its process group is the browser's as well.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.driver.pid()
    }

    async fn get(&self, what: &str) -> Result<String> {
        let value = call(&self.http, Method::GET, &format!("{}/{what}", self.session), None).await?;
        Ok(value.as_str().with_context(|| format!("{what} is not text: {value}"))?.to_owned())
    }

    async fn post(&self, what: &str, body: &Value) -> Result<Value> {
        call(&self.http, Method::POST, &format!("{}/{what}", self.session), Some(body)).await
    }
}

/// As root there is no sandbox to be had; the rest keeps Chromium from talking to anybody but the page.
fn flags(profile: &Path) -> Vec<String> {
    let mut flags: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1000,760",
    ]
    .map(str::to_owned)
    .to_vec();
    flags.push(format!("--user-data-dir={}", profile.join("profile").display()));
    flags
}

/// One `WebDriver` command; its answer's `value`.
async fn call(http: &reqwest::Client, method: Method, url: &str, body: Option<&Value>) -> Result<Value> {
    let mut request = http.request(method, url);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await?;
    let failed = !answer.status().is_success();
    let mut answer: Value = answer.json().await?;
    let value = answer["value"].take();
    if failed {
        bail!("{}: {}", value["error"].as_str().unwrap_or("error"), value["message"].as_str().unwrap_or_default());
    }
    Ok(value)
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}

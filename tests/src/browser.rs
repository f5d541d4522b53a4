//! A headless Chromium that does what a person does: goes to a page, types, clicks, looks.

mod driver;
mod programs;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use self::{
    driver::{CommandError, Driver},
    programs::Programs,
};
use crate::{
    folder::TempFolder,
    wait::{self, Observation},
};

/// How long an element may take to be there and ready for a click: a login page behind two redirects and a password hash
/// takes well under a second; the rest is for two busy cores.
const ELEMENT_LIMIT: Duration = Duration::from_mins(1);

/// How long a page may take to load; below the limit of one command, so that it is the browser that says what is missing.
const PAGE_LOAD_MILLISECONDS: u32 = 45_000;

/// The key under which `WebDriver` gives an element's id (W3C `WebDriver`, section 12.1 "web element identifier").
const ELEMENT_KEY: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Everything a container, a root user and a test without the outside world need.
const FLAGS: [&str; 13] = [
    "--headless=new",
    // Root may not use Chromium's sandbox, and the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    // Containers often give 64 MiB of /dev/shm, which a page can fill; the temporary folder serves as well.
    "--disable-dev-shm-usage",
    // Nothing here speaks QUIC, and trying it first would only cost time.
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    // No update checks, no sync, no field trials.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The pages are on this machine: neither the environment's proxy nor another host has a part in it.
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
    "--window-size=1100,850",
];

/// A browser with an empty profile of its own; dropping it kills it and removes the profile.
///
/// Every deed waits until the element it needs is there and can take it, and fails with what was seen last.
/// Certificates are not judged: the pages of tests have authorities that no browser knows.
pub struct Browser {
    // The process goes first, then the folder that holds its profile.
    driver: Driver,
    folder: TempFolder,
}

/// The first element that fits a CSS selector, found again for every deed: on a page loaded meanwhile it is that page's.
#[derive(Debug, Clone)]
pub struct Element {
    selector: String,
}

impl Browser {
    /// Starts chromedriver, and through it Chromium.
    ///
    /// # Errors
    /// If one of them is not installed, or does not start.
    pub async fn start() -> Result<Self> {
        let programs = Programs::find()?;
        let folder = TempFolder::new("browser")?;
        let profile = folder.path().join("profile");
        let mut driver = Driver::start(&programs.chromedriver, folder.path()).await?;
        let flags: Vec<String> = FLAGS
            .iter()
            .map(|flag| (*flag).to_owned())
            .chain([format!("--user-data-dir={}", profile.display())])
            .collect();
        driver
            .open_session(&json!({
                "browserName": "chrome",
                "acceptInsecureCerts": true,
                "timeouts": { "pageLoad": PAGE_LOAD_MILLISECONDS },
                "goog:chromeOptions": { "binary": programs.chromium, "args": flags },
            }))
            .await
            .context("starting Chromium")?;
        Ok(Self { driver, folder })
    }

    /// The driver's process id; its process group is Chromium's as well.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.driver.pid()
    }

    /// Where the profile and the logs are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Goes to a URL and waits until the page, after all redirects, is loaded.
    ///
    /// # Errors
    /// If nobody answers there, or the page is not loaded in time.
    pub async fn go(&self, url: &str) -> Result<()> {
        self.driver.post("url", &json!({ "url": url })).await.with_context(|| format!("going to {url}"))?;
        Ok(())
    }

    /// Waits until an element fits the CSS selector.
    ///
    /// # Errors
    /// If there is none in time: with the page on which it was looked for.
    pub async fn find(&self, selector: &str) -> Result<Element> {
        let element = Element { selector: selector.to_owned() };
        self.with_element(&element, "to be there", async |_| Ok(())).await?;
        Ok(element)
    }

    /// Types text into an element, as by keyboard.
    ///
    /// # Errors
    /// If it does not take it in time.
    pub async fn type_into(&self, element: &Element, text: &str) -> Result<()> {
        self.with_element(element, "to take text", async |id| {
            self.driver.post(&format!("element/{id}/value"), &json!({ "text": text })).await.map(drop)
        })
        .await
    }

    /// Clicks on an element; if that loads a page, a following [`Browser::find`] waits for it.
    ///
    /// # Errors
    /// If it cannot be clicked in time.
    pub async fn click(&self, element: &Element) -> Result<()> {
        self.with_element(element, "to be clicked", async |id| {
            // A click on a disabled button succeeds and does nothing; a person would wait.
            if self.driver.get(&format!("element/{id}/enabled")).await? != json!(true) {
                return Err(CommandError::not_interactable("it is disabled").into());
            }
            self.driver.post(&format!("element/{id}/click"), &json!({})).await.map(drop)
        })
        .await
    }

    /// The text of an element as a person sees it.
    ///
    /// # Errors
    /// If it is not there in time.
    pub async fn text(&self, element: &Element) -> Result<String> {
        self.with_element(element, "to show text", async |id| {
            self.driver.get(&format!("element/{id}/text")).await.and_then(text)
        })
        .await
    }

    /// The page's title.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn title(&self) -> Result<String> {
        self.driver.get("title").await.and_then(text)
    }

    /// The page's source as it is now.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn source(&self) -> Result<String> {
        self.driver.get("source").await.and_then(text)
    }

    /// The address in the address bar.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn address(&self) -> Result<String> {
        self.driver.get("url").await.and_then(text)
    }

    /// Waits until the address begins with `start`, and returns it whole.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn address_starting_with(&self, start: &str) -> Result<String> {
        wait::eventually(&format!("an address that begins with {start}"), ELEMENT_LIMIT, async || {
            match self.address().await {
                Ok(address) if address.starts_with(start) => Observation::Holds(address),
                Ok(address) => Observation::NotYet(address),
                Err(error) => Observation::Hopeless(error),
            }
        })
        .await
    }

    /// Runs a script in the page (`return ...`) and gives its value.
    ///
    /// # Errors
    /// If it throws.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.driver.post("execute/sync", &json!({ "script": script, "args": [] })).await
    }

    /// What the window shows, as PNG.
    ///
    /// # Errors
    /// If the browser gives no picture.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        let picture = self.driver.get("screenshot").await.and_then(text)?;
        STANDARD.decode(picture).context("reading the picture's base64")
    }

    /// Sets the window's size in pixels.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.driver.post("window/rect", &json!({ "width": width, "height": height })).await.map(drop)
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

    /// Goes back by one page, as by the button.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn back(&self) -> Result<()> {
        self.driver.post("back", &json!({})).await.map(drop)
    }

    /// Whether pages are shown as on a dark desktop.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub async fn darken(&self, dark: bool) -> Result<()> {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let command = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.driver.post("goog/cdp/execute", &command).await.map(drop)
    }

    /// Closes the window and ends both processes politely. Dropping the browser does as well, by force.
    ///
    /// # Errors
    /// If the browser or its driver do not end.
    pub async fn quit(mut self) -> Result<()> {
        self.driver.close_session().await.context("closing Chromium")?;
        self.driver.stop().await
    }

    /// Finds the element and does something with it, both again while the page is not so far: a page that loads replaces
    /// its elements between two commands.
    async fn with_element<T>(
        &self,
        element: &Element,
        what: &str,
        mut deed: impl AsyncFnMut(String) -> Result<T>,
    ) -> Result<T> {
        let awaited = format!("the element {:?} {what}", element.selector);
        let result = wait::eventually(&awaited, ELEMENT_LIMIT, async || {
            let done = match self.id_of(element).await {
                Ok(id) => deed(id).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(value) => Observation::Holds(value),
                Err(error) if is_not_yet(&error) => Observation::NotYet(format!("{error:#}")),
                Err(error) => Observation::Hopeless(error),
            }
        })
        .await;
        match result {
            Ok(value) => Ok(value),
            Err(error) => Err(error.context(self.where_it_is().await)),
        }
    }

    async fn id_of(&self, element: &Element) -> Result<String> {
        let query = json!({ "using": "css selector", "value": element.selector });
        let found = self.driver.post("element", &query).await?;
        found[ELEMENT_KEY].as_str().map(str::to_owned).with_context(|| format!("expected an element, found {found}"))
    }

    /// For errors: the page's title and its address without the query, which may carry an authorization code.
    async fn where_it_is(&self) -> String {
        let address = self.address().await.unwrap_or_else(|error| format!("(no address: {error:#})"));
        let title = self.title().await.unwrap_or_else(|error| format!("(no title: {error:#})"));
        format!("on the page {title:?} at {}", address.split('?').next().unwrap_or_default())
    }
}

fn text(value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => anyhow::bail!("expected text from the browser, found {other}"),
    }
}

/// Errors that go away while a page builds itself (W3C `WebDriver`, section 6.6).
fn is_not_yet(error: &anyhow::Error) -> bool {
    error.downcast_ref::<CommandError>().is_some_and(|error| {
        matches!(
            error.code.as_str(),
            "element click intercepted" | "element not interactable" | "no such element" | "stale element reference"
        )
    })
}

//! chromedriver as a child process, and W3C `WebDriver` commands to it as JSON over HTTP.

use std::{
    error::Error,
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    child::Child,
    install_crypto,
    wait::{self, Observation},
};

/// Until chromedriver tells its port: a tenth of a second, on two busy cores more.
const START_LIMIT: Duration = Duration::from_mins(1);

/// chromedriver picks a free port of IPv6 and then wants the same one of IPv4, where another program may hold it. One in some
/// hundred starts meets that; twice in a row is rare, and more is no accident.
const START_ATTEMPTS: u32 = 5;

/// What chromedriver prints before it gives up for that reason.
const PORT_TAKEN: &str = "port not available";

/// One command, Chromium's start included (0.8 s on an idle machine, many times that when it is read from a cold disk).
const COMMAND_LIMIT: Duration = Duration::from_mins(2);

/// From a closed session to the end of the process: milliseconds; the rest is for two busy cores.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What chromedriver prints before its port. It says nothing else of use: the rest is advice.
const PORT_WORDS: &str = "was started successfully on port ";

/// A running chromedriver with at most one session.
pub(super) struct Driver {
    child: Child,
    http: Client,
    url: String,
    session: Option<String>,
}

impl Driver {
    /// Starts chromedriver on a port of its own choice; it admits only this machine.
    pub(super) async fn start(program: &Path, folder: &Path) -> Result<Self> {
        install_crypto();
        for _ in 1..START_ATTEMPTS {
            match Self::start_once(program, folder).await {
                Err(error) if format!("{error:#}").contains(PORT_TAKEN) => {}
                started => return started,
            }
        }
        Self::start_once(program, folder).await
    }

    async fn start_once(program: &Path, folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        // Whatever Chromium and its launcher keep outside the profile goes away with the folder too.
        command.arg("--port=0").env("HOME", folder).env("TMPDIR", folder);
        let mut child = Child::spawn("chromedriver", command, folder)?;
        let port = wait::eventually("chromedriver to tell its port", START_LIMIT, async || {
            if let Err(error) = child.check_alive() {
                return Observation::Hopeless(error);
            }
            match fs::read_to_string(child.stdout()) {
                Ok(text) => port_in(&text).into(),
                Err(error) => Observation::Hopeless(error.into()),
            }
        })
        .await?;
        // An environment's proxy has no part in talks on the loopback.
        let http = Client::builder().no_proxy().timeout(COMMAND_LIMIT).build()?;
        Ok(Self { child, http, url: format!("http://127.0.0.1:{port}"), session: None })
    }

    /// chromedriver's process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Opens the session, and with it the browser.
    pub(super) async fn open_session(&mut self, capabilities: &Value) -> Result<()> {
        let body = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let opened = self.command(Method::POST, "session", Some(&body)).await?;
        let id = opened["sessionId"].as_str().with_context(|| format!("expected a sessionId, found {opened}"))?;
        self.session = Some(id.to_owned());
        Ok(())
    }

    /// Ends the session, and with it the browser.
    pub(super) async fn close_session(&mut self) -> Result<()> {
        if let Some(session) = self.session.take() {
            self.command(Method::DELETE, &format!("session/{session}"), None).await?;
        }
        Ok(())
    }

    /// Ends chromedriver.
    pub(super) async fn stop(&mut self) -> Result<()> {
        self.child.terminate(STOP_LIMIT).await.map(drop)
    }

    /// A question to the session.
    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.command(Method::GET, &self.in_session(path)?, None).await
    }

    /// An order to the session.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.command(Method::POST, &self.in_session(path)?, Some(body)).await
    }

    fn in_session(&self, path: &str) -> Result<String> {
        let session = self.session.as_ref().context("the browser is closed")?;
        Ok(format!("session/{session}/{path}"))
    }

    /// W3C `WebDriver`, section 6: the answer is `{"value": ...}`, an error's value has `error` and `message`.
    async fn command(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}/{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| self.child.last_words())?;
        let success = response.status().is_success();
        let mut answer: Value = response.json().await.context("reading chromedriver's answer")?;
        let value = answer["value"].take();
        if success {
            return Ok(value);
        }
        let word = |name: &str| value[name].as_str().unwrap_or("(none given)").to_owned();
        Err(CommandError { code: word("error"), message: word("message") }.into())
    }
}

/// chromedriver understood a command and could not obey.
#[derive(Debug)]
pub(super) struct CommandError {
    /// One of the codes of W3C `WebDriver`, section 6.6.
    pub(super) code: String,
    message: String,
}

impl CommandError {
    /// For what chromedriver lets pass.
    pub(super) fn not_interactable(message: &str) -> Self {
        Self { code: "element not interactable".to_owned(), message: message.to_owned() }
    }
}

impl Display for CommandError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // The message begins with the code and ends with session details on lines of their own.
        f.write_str(self.message.lines().next().unwrap_or(&self.code))
    }
}

impl Error for CommandError {}

fn port_in(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once(PORT_WORDS)?;
    // Only the full stop says that the number is whole.
    rest.split_once('.')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_port_only_when_it_is_whole() {
        let line =
            "Starting ChromeDriver 156.0.8078.79 on port 0\nChromeDriver was started successfully on port 41643.\n";
        assert_eq!(port_in(line), Some(41643));
        assert_eq!(port_in("ChromeDriver was started successfully on port 416"), None);
        assert_eq!(port_in("Starting ChromeDriver 156.0.8078.79 on port 0\n"), None);
    }

    #[test]
    fn an_error_is_told_in_one_line() {
        let error = CommandError {
            code: "no such element".to_owned(),
            message: "no such element: Unable to locate element: {}\n  (Session info: chrome=156)".to_owned(),
        };
        assert_eq!(error.to_string(), "no such element: Unable to locate element: {}");
    }
}

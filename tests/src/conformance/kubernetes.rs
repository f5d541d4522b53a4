//! kube-apiserver's side: configurations by its file, tokens by `TokenReview`.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use super::{User, Verdict};
use crate::{
    cluster::{Cluster, ClusterOptions},
    folder::TempFolder,
    wait::{self, Observation},
};

/// As many entries as kube-apiserver takes in one file.
pub const MOST_ENTRIES: usize = 64;

/// Until a changed file is noticed: kube-apiserver watches it, and looks once a minute beside.
const NOTICED: Duration = Duration::from_secs(75);

/// kube-apiserver adds it to every user that authenticates.
const AUTHENTICATED: &str = "system:authenticated";

/// What kube-apiserver logs once it has dealt with a changed file.
const OUTCOMES: [(&str, Outcome); 4] = [
    ("\"reloaded authentication config\"", Outcome::Loaded),
    ("\"failed to load authentication config\"", Outcome::Unreadable),
    ("\"failed to validate authentication config\"", Outcome::Invalid),
    ("\"failed to update authentication config\"", Outcome::Unhealthy),
];

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is in force.
    Loaded,
    /// It does not decode.
    Unreadable,
    /// An entry is invalid; every invalid one is named.
    Invalid,
    /// An issuer did not answer.
    Unhealthy,
}

/// A kube-apiserver with structured authentication.
pub struct Kubernetes {
    client: Client,
    log: PathBuf,
    files: u32,
    // Dropped in this order: the processes before the folder that they read.
    _cluster: Cluster,
    folder: TempFolder,
}

impl Kubernetes {
    /// Starts etcd and kube-apiserver, with no issuer configured.
    ///
    /// # Errors
    /// If they do not start.
    pub async fn start(name: &str) -> Result<Self> {
        let folder = TempFolder::new(&format!("{name}-authentication"))?;
        let file = folder.write(FILE, configuration(&[], 0))?;
        let mut options = ClusterOptions::named(name);
        options.controllers_running = false;
        options.api_server_args = vec![format!("--authentication-config={}", file.display())];
        let cluster = Cluster::start(options).await?;
        let client = cluster.client().await?;
        let log = cluster.api_server_log().to_owned();
        Ok(Self { client, log, files: 0, _cluster: cluster, folder })
    }

    /// What kube-apiserver has against each of these entries; nothing when it would take it.
    ///
    /// A file with an invalid entry is answered at once, and names all that is invalid; so one that surely is goes with
    /// each file.
    ///
    /// # Errors
    /// If kube-apiserver does not answer as expected.
    pub async fn validate(&mut self, entries: &[&Value]) -> Result<Vec<Option<String>>> {
        let mut findings = vec![None; entries.len()];
        let mut left: Vec<(usize, usize)> = (0..entries.len())
            .step_by(MOST_ENTRIES - 1)
            .map(|from| (from, (from + MOST_ENTRIES - 1).min(entries.len())))
            .collect();
        while let Some((from, to)) = left.pop() {
            let (outcome, text) = self.offer_with_sentinel(&entries[from..to]).await?;
            match outcome {
                Outcome::Invalid => {
                    let mut named = by_entry(&text, to - from);
                    ensure!(named.pop().flatten().is_some(), "the entry that is surely invalid is not named: {text}");
                    findings[from..to].clone_from_slice(&named);
                }
                // One that does not decode spoils the file: find it by halves.
                Outcome::Unreadable if to - from == 1 => findings[from] = Some(text),
                Outcome::Unreadable => {
                    let middle = from.midpoint(to);
                    left.extend([(from, middle), (middle, to)]);
                }
                Outcome::Loaded | Outcome::Unhealthy => bail!("a file with an invalid entry was not refused: {text}"),
            }
        }
        Ok(findings)
    }

    /// Brings these entries into force, in the place of those before.
    ///
    /// # Errors
    /// If kube-apiserver does not take them.
    pub async fn load(&mut self, entries: &[&Value]) -> Result<()> {
        ensure!(entries.len() <= MOST_ENTRIES, "{} entries at once", entries.len());
        let (outcome, text) = self.offer(entries).await?;
        ensure!(outcome == Outcome::Loaded, "kube-apiserver did not load the file: {text}");
        Ok(())
    }

    /// What kube-apiserver says of a token.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn review(&self, token: &str) -> Result<Verdict> {
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: None },
            ..TokenReview::default()
        };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        let status = answer.status.context("a review has a status")?;
        if status.authenticated != Some(true) {
            return Ok(Verdict::Refused(status.error.unwrap_or_default()));
        }
        let user = status.user.context("an authenticated review has a user")?;
        let mut groups = user.groups.unwrap_or_default();
        if groups.last().is_some_and(|group| group == AUTHENTICATED) {
            groups.pop();
        }
        Ok(Verdict::Allowed(User {
            username: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups,
            extra: user.extra.unwrap_or_default(),
        }))
    }

    async fn offer_with_sentinel(&mut self, entries: &[&Value]) -> Result<(Outcome, String)> {
        // No audience: surely invalid.
        let sentinel = json!({
            "issuer": { "url": "https://sentinel.invalid" },
            "claimMappings": { "username": { "claim": "sub", "prefix": "" } },
        });
        let with_sentinel: Vec<&Value> = entries.iter().copied().chain([&sentinel]).collect();
        self.offer(&with_sentinel).await
    }

    /// Writes a file and waits for what kube-apiserver makes of it.
    async fn offer(&mut self, entries: &[&Value]) -> Result<(Outcome, String)> {
        let before = fs::metadata(&self.log).map_or(0, |log| log.len());
        let start = usize::try_from(before).context("a log fits into memory")?;
        self.files += 1;
        self.folder.write(FILE, configuration(entries, self.files))?;
        wait::eventually("kube-apiserver to take up its authentication file", NOTICED, async || {
            let log = match fs::read(&self.log) {
                Ok(log) => String::from_utf8_lossy(log.get(start..).unwrap_or_default()).into_owned(),
                Err(error) => return Observation::Hopeless(error.into()),
            };
            OUTCOMES.iter().find_map(|(words, outcome)| Some((*outcome, record(&log, log.find(words)?)))).into()
        })
        .await
    }
}

/// The file's name in its folder.
const FILE: &str = "authentication.yaml";

/// JSON is YAML. The number makes each file another one: the same bytes are no change.
fn configuration(entries: &[&Value], number: u32) -> String {
    let file = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": entries,
    });
    format!("# {number}\n{file}\n")
}

/// The log record that `at` is in: klog begins each with a level and a date, and writes it at once.
fn record(log: &str, at: usize) -> String {
    let rest = &log[at..];
    let mut lines = rest.split_inclusive('\n');
    let mut record = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let begins = line.starts_with(['I', 'W', 'E', 'F']) && line.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if begins {
            break;
        }
        record.push_str(line);
    }
    record.trim_end().to_owned()
}

/// Divides an aggregate of field errors among the entries that they name; the last is the sentinel.
fn by_entry(text: &str, entries: usize) -> Vec<Option<String>> {
    let mut found: Vec<Option<String>> = vec![None; entries + 1];
    let starts: Vec<usize> = text.match_indices("jwt[").map(|(at, _)| at).collect();
    for (nth, start) in starts.iter().enumerate() {
        let part = &text[*start..starts.get(nth + 1).copied().unwrap_or(text.len())];
        let number = part["jwt[".len()..].split_once(']').and_then(|(number, _)| number.parse::<usize>().ok());
        if let Some(slot) = number.and_then(|number| found.get_mut(number)) {
            slot.get_or_insert_default().push_str(part);
        }
    }
    found
}

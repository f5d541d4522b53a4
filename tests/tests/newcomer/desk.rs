//! Where somebody sits: a checkout, programs on the `PATH`, a browser, and a clock beside it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    dex::{self, Dex},
    folder::TempFolder,
    node::NodeCluster,
    person::{Answer, Person},
    programs::Programs,
    tools::Tool,
};
use tokio::process::Command;

/// What a checkout has that a command of the pages reads.
const CHECKED_OUT: [&str; 4] = ["Cargo.toml", "crds", "deploy", "login-plugin"];

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub(crate) struct Desk<'a> {
    pub(crate) cluster: &'a NodeCluster,
    pub(crate) dex: &'a Dex,
    pub(crate) person: Person,
    name: &'static str,
    programs: PathBuf,
    times: Vec<(String, Duration)>,
    // Dropped last: everything is in there.
    work: TempFolder,
}

impl<'a> Desk<'a> {
    pub(crate) async fn new(cluster: &'a NodeCluster, dex: &'a Dex, name: &'static str) -> Result<Self> {
        let work = TempFolder::new(name)?;
        let (checkout, programs) = (work.path().join("latchkey"), work.path().join("bin"));
        for folder in [&checkout, &programs] {
            fs::create_dir(folder)?;
        }
        let mut copy = Command::new("cp");
        copy.arg("-r").args(CHECKED_OUT.map(|name| Path::new(REPOSITORY).join(name))).arg(&checkout);
        ensure!(copy.status().await?.success(), "copying the checkout");
        // "You need `kubectl` and `helm`", and a browser. The plugin comes when the README says so.
        for program in [cluster.kubectl_program(), &Tool::Helm.find().await?] {
            symlink(program, programs.join(program.file_name().context("a name")?))?;
        }
        let mut person = Person::new(work.path(), cluster.kubectl_program(), Programs::find().await?)?;
        person.script_browser(dex.ca_pem(), dex::PERSON, dex::PASSWORD)?;
        Ok(Self { cluster, dex, person, name, programs, times: Vec::new(), work })
    }

    /// The folder in which the commands are typed.
    pub(crate) fn checkout(&self) -> PathBuf {
        self.work.path().join("latchkey")
    }

    /// Lets a program be found from now on.
    pub(crate) fn install(&self, program: &Path) -> Result<()> {
        let name = program.file_name().context("a program's name")?;
        Ok(symlink(program, self.programs.join(name))?)
    }

    /// What the reader puts in place of the page's provider: the address, and, as its certificate is of a CA that nobody else
    /// knows, that CA, in the line which the page has for it.
    pub(crate) fn with_provider(&self, page: &str, text: &str) -> Result<String> {
        use base64::Engine as _;
        ensure!(text.contains(page), "no {page} in {text}");
        let text = text.replace(page, self.dex.base());
        let ca = base64::prelude::BASE64_STANDARD.encode(self.dex.ca_pem());
        let told = "# tls: {certificateAuthorityData: ...}";
        if text.contains("kind: JWTAuthenticator") {
            ensure!(text.matches(told).count() == 1, "one line {told:?} in {text}");
        }
        Ok(text.replace(told, &format!("tls: {{certificateAuthorityData: {ca}}} #")))
    }

    /// Types one line, which must succeed.
    pub(crate) async fn types(&self, line: &str) -> Result<Answer> {
        let answer = self.tries(line).await?;
        ensure!(answer.ok, "{line}\n{}", answer.seen());
        ensure!(!answer.stderr.contains("Warning"), "{line}\n{}", answer.seen());
        Ok(answer)
    }

    /// The same where no is an answer.
    pub(crate) async fn tries(&self, line: &str) -> Result<Answer> {
        let system = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.programs.clone()).chain(std::env::split_paths(&system));
        let mut command = Command::new("sh");
        command
            .args(["-euc", line])
            .current_dir(self.checkout())
            .env("HOME", self.work.path())
            .env("PATH", std::env::join_paths(folders)?)
            .env("KUBECONFIG", self.cluster.kubeconfig());
        for other in ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"] {
            command.env_remove(other);
        }
        self.person.run(command).await.with_context(|| line.to_owned())
    }

    /// Notes how long a command of a page took.
    pub(crate) fn took(&mut self, command: &str, since: Instant) {
        self.times.push((command.to_owned(), since.elapsed()));
    }

    /// The table, past the test harness, which swallows the words of a test that passes.
    pub(crate) fn print_times(&self) -> Result<()> {
        let (mut err, name) = (std::io::stderr(), self.name);
        for (number, (command, took)) in self.times.iter().enumerate() {
            let shown: String = command.chars().take(80).collect();
            writeln!(err, "{name}, command {}: {:>6.1} s  {shown}", number + 1, took.as_secs_f64())?;
        }
        let sum: Duration = self.times.iter().map(|(_, took)| *took).sum();
        Ok(writeln!(err, "{name}, all {}: {:>10.1} s", self.times.len(), sum.as_secs_f64())?)
    }

    /// Who the person is to the cluster, by a kubeconfig of the checkout.
    pub(crate) async fn whoami(&self, kubeconfig: &str) -> Result<serde_json::Value> {
        let answer = self.types(&format!("KUBECONFIG={kubeconfig} kubectl auth whoami -o json")).await?;
        let review: serde_json::Value = serde_json::from_str(&answer.stdout)?;
        Ok(review["status"]["userInfo"].clone())
    }
}

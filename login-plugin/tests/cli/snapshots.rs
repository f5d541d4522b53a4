//! Every error as a person gets it: arguments, exit status and words, compared with a stored file. What differs from run to
//! run (ports, paths, random values) stands there by a name. `UPDATE_SNAPSHOTS=1` writes the files anew; read them then.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::json;

use crate::plugin::{Ended, Laptop, Run, credential, exec_info, log_in};
use crate::site::{Exchange, Refresh, Site};

/// What was run and what came of it, gathered over one test: all differences are told at once.
pub(crate) struct Snapshots<'a> {
    site: &'a Site,
    laptop: &'a Laptop,
    /// Further text that differs from run to run, and what stands for it.
    names: Vec<(String, &'static str)>,
    different: Vec<String>,
}

impl<'a> Snapshots<'a> {
    pub(crate) fn new(site: &'a Site, laptop: &'a Laptop) -> Self {
        Self { site, laptop, names: Vec::new(), different: Vec::new() }
    }

    pub(crate) fn naming(mut self, text: String, name: &'static str) -> Self {
        self.names.push((text, name));
        self
    }

    /// A run with these arguments and nothing else.
    pub(crate) fn run(&self, arguments: &str) -> Run<'a> {
        let arguments = arguments.split_ascii_whitespace().map(ToOwned::to_owned).collect();
        Run { laptop: self.laptop, arguments, environment: Vec::new() }
    }

    /// The usual call of a client, for whom nobody can log in unless the test says so.
    pub(crate) fn credential(&self) -> Run<'a> {
        credential(self.laptop, self.site)
    }

    pub(crate) async fn fails(&mut self, name: &str, run: Run<'_>) {
        let ended = self.end_of(&run).await;
        assert!(!ended.status.success(), "{name}: {ended:?}");
        self.compare(name, &run, &ended);
    }

    pub(crate) async fn succeeds(&mut self, name: &str, run: Run<'_>) {
        let mut ended = self.end_of(&run).await;
        assert!(ended.status.success(), "{name}: {ended:?}");
        (ended.stdout, ended.said) = (without_times(&ended.stdout), without_times(&ended.said));
        self.compare(name, &run, &ended);
    }

    async fn end_of(&self, run: &Run<'_>) -> Ended {
        let mut running = run.start();
        // Other lines may hold addresses as well.
        if let Some(line) = running.line_with("/idp/authorize?").await {
            let word = line.split(' ').find(|word| word.contains("/idp/authorize?"));
            log_in(self.site, &Url::parse(word.unwrap()).unwrap()).await;
        }
        running.end().await
    }

    fn compare(&mut self, name: &str, run: &Run<'_>, ended: &Ended) {
        // Lines of the same start would be cut to nothing otherwise; data of certificates say nothing.
        let short = |argument: &String| match argument.split_once("ca-data=") {
            Some((option, data)) if data.len() > 100 => format!("{option}ca-data=<roots>"),
            _ => argument.clone(),
        };
        let arguments: Vec<String> = run.arguments.iter().map(short).collect();
        let found = format!(
            "$ kubectl-latchkey {}\nexit status {}\n--- standard output\n{}--- standard error\n{}\n",
            arguments.join(" "),
            ended.status.code().unwrap(),
            ended.stdout,
            ended.said,
        );
        let found = self.named(&found);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, found).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            self.different.push(format!("=== {name}\n{found}"));
        }
    }

    /// The text with names in place of what differs from run to run.
    fn named(&self, text: &str) -> String {
        let laptop = self.laptop.path("").display().to_string();
        let text = text
            .replace(&self.site.url(), "https://<site>")
            .replace(&self.site.url()["https://".len()..], "<site>")
            .replace(laptop.trim_end_matches('/'), "<laptop>");
        let text = self.names.iter().fold(text, |text, (found, name)| text.replace(found, name));
        let mut named = String::new();
        for line in text.split_inclusive('\n') {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            let words = line.split(' ').map(|word| match word.split_once('?') {
                // Random values, and the loopback's port.
                Some((address, _)) if address.starts_with("https://") => format!("{address}?<query>"),
                _ => word.to_owned(),
            });
            named.push_str(&words.collect::<Vec<_>>().join(" "));
            named.push_str(end);
        }
        named
    }

    pub(crate) fn end(self) {
        assert!(
            self.different.is_empty(),
            "differs from what is stored (UPDATE_SNAPSHOTS=1 writes it anew, if that is meant):\n{}",
            self.different.join("\n")
        );
    }
}

/// Names in place of times and spans, and columns as narrow as can be: their width follows what stands in them.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
    let is_span = |word: &str| {
        let has_digits = word.starts_with(|first: char| first.is_ascii_digit());
        has_digits
            && word.ends_with(['s', 'm', 'h', 'd'])
            && word.chars().all(|it| it.is_ascii_digit() || "smhd".contains(it))
    };
    // Seconds since 1970, in claims.
    let is_number = |word: &str| word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit());
    let named = |word: &str| {
        let bare = word.trim_matches(['(', ')', ',']);
        let name = match bare {
            _ if is_time(bare) => "<time>",
            _ if is_span(bare) => "<span>",
            _ if is_number(bare) => "<seconds>",
            _ => return word.to_owned(),
        };
        word.replace(bare, name)
    };
    let line = |line: &str| {
        let indent = &line[..line.len() - line.trim_start().len()];
        if line.trim_start().starts_with("\"nonce\": ") {
            return format!("{indent}\"nonce\": <random>");
        }
        let words: Vec<String> = line.split_whitespace().map(named).collect();
        format!("{indent}{}", words.join(" "))
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n") + if text.ends_with('\n') { "\n" } else { "" }
}

/// The stored page of a verb's help is the page itself.
fn page(verb: &str) -> String {
    let name = if verb == "help" { "all" } else { verb };
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/commands/help", &format!("{name}.txt")].iter().collect();
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn help_is_its_page_wherever_it_is_asked_for() {
    let laptop = Laptop::new();
    let overview = page("help");
    let list = overview.split_once("\nCommands:\n").unwrap().1.lines().take_while(|line| !line.is_empty());
    let verbs: Vec<&str> = list.map(|line| line.split_ascii_whitespace().next().unwrap()).collect();
    assert!(verbs.len() > 6, "{verbs:?}");
    for verb in verbs {
        for arguments in [vec!["help", verb], vec![verb, "--help"]] {
            let arguments: Vec<String> = arguments.into_iter().map(ToOwned::to_owned).collect();
            let run = Run { laptop: &laptop, arguments, environment: Vec::new() };
            if run.arguments == ["help", "--help"] {
                continue;
            }
            let ended = run.end().await;
            assert!(ended.status.success() && ended.said.is_empty(), "{ended:?}");
            assert_eq!(ended.stdout, page(verb), "{:?}", run.arguments);
        }
    }
}

#[tokio::test]
async fn what_is_typed_wrong() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut snapshots = Snapshots::new(&site, &laptop);
    for (name, arguments) in [
        ("usage-unknown-command", "logn"),
        ("usage-unknown-option", "credential --insecure-skip-tls-verify"),
        ("usage-option-first", "--context x whoami"),
        ("usage-value-missing", "credential --issuer"),
        ("usage-ports", "credential --redirect-ports=http"),
        ("usage-redirect-host", "credential --redirect-host=0.0.0.0"),
        ("usage-flow", "credential --flow=carrier-pigeon"),
        ("usage-output", "whoami -o xml"),
        ("usage-contexts", "rejections --all-contexts --context a"),
        ("usage-doctor-contexts", "doctor --all-contexts --context a"),
        ("usage-stray", "version now"),
    ] {
        let run = snapshots.run(arguments);
        snapshots.fails(name, run).await;
    }
    snapshots.end();
}

#[tokio::test]
async fn settings_that_make_no_sense() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut snapshots = Snapshots::new(&site, &laptop);
    for (name, arguments) in [
        ("config-no-issuer", "credential --client-id=a --no-exchange"),
        ("config-no-client", "credential --issuer=https://idp.example --no-exchange"),
        ("config-no-endpoint", "credential --issuer=https://idp.example --client-id=a --authenticator=b"),
        ("config-http-issuer", "credential --issuer=http://idp.example --client-id=a --no-exchange"),
        ("config-roots", "credential --issuer=https://idp.example --client-id=a --no-exchange --ca-data=QUJD"),
        ("config-timeout", "credential --issuer=https://idp.example --client-id=a --no-exchange --login-timeout=0"),
        ("config-provider", "credential --issuer=https://idp.example --client-id=a --no-exchange --provider=acme"),
        (
            "config-redirect-path",
            "credential --issuer=https://idp.example --client-id=a --no-exchange --redirect-path=x",
        ),
        ("config-token-twice", "credential --token-env=A --token-file=b --no-exchange"),
        ("config-token-file", "credential --token-file=/no/such/token --audience=a --no-exchange"),
        ("config-token-env", "credential --token-env=NO_SUCH_VARIABLE --audience=a --no-exchange"),
    ] {
        let run = snapshots.run(arguments);
        snapshots.fails(name, run).await;
    }
    let run = snapshots.credential().set("LATCHKEY_FLOW", "carrier-pigeon");
    snapshots.fails("config-flow-variable", run).await;
    let run = snapshots.credential().set("LATCHKEY_STORE", "cloud");
    snapshots.fails("config-store-variable", run).await;
    snapshots.end();
}

#[tokio::test]
async fn questions_that_are_none() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut snapshots = Snapshots::new(&site, &laptop);
    let insecure = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"cluster": {"server": site.url(), "insecure-skip-tls-verify": true}}});
    let settings = json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"cluster": {"server": site.url(), "config": {"issuer": site.issuer(), "isuer": 1}}}});
    for (name, question) in [
        ("exec-version", exec_info(&site, "v1alpha1")),
        ("exec-malformed", "{".to_owned()),
        ("exec-kind", json!({"kind": "TokenReview", "apiVersion": "client.authentication.k8s.io/v1"}).to_string()),
        ("exec-insecure", insecure.to_string()),
        ("exec-settings", settings.to_string()),
    ] {
        let run = snapshots.credential().set("KUBERNETES_EXEC_INFO", question);
        snapshots.fails(name, run).await;
    }
    snapshots.end();
}

#[tokio::test]
async fn places_where_nobody_can_log_in() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut snapshots = Snapshots::new(&site, &laptop);
    for (name, variable, value) in [
        ("login-forbidden", "LATCHKEY_FLOW", "none"),
        ("login-build-server", "CI", "true"),
        ("login-paste-without-terminal", "LATCHKEY_FLOW", "paste"),
    ] {
        let run = snapshots.credential().set(variable, value);
        snapshots.fails(name, run).await;
    }
    snapshots.end();
}

#[tokio::test]
async fn providers_that_give_nothing_usable() {
    let site = Site::start();
    for (name, change) in [
        (
            "provider-other-issuer",
            (|it| it.metadata = json!({"issuer": "https://other.example"})) as fn(&mut crate::site::Behaviour),
        ),
        ("provider-other-audience", |it| it.audiences = json!("production")),
        ("provider-audience-shared", |it| it.audiences = json!(["staging", "production"])),
        ("provider-other-nonce", |it| it.nonce = Some("other")),
        ("provider-spoilt-signature", |it| it.spoil_signature = true),
    ] {
        let laptop = Laptop::new();
        let mut snapshots = Snapshots::new(&site, &laptop);
        site.behave(|it| *it = crate::site::Behaviour::default());
        site.behave(change);
        let run = snapshots.credential();
        snapshots.fails(name, run).await;
        snapshots.end();
    }
    site.behave(|it| *it = crate::site::Behaviour::default());
    let laptop = Laptop::new();
    let mut snapshots = Snapshots::new(&site, &laptop);
    let run = snapshots.credential().with("--issuer=https://127.0.0.1:9");
    snapshots.fails("provider-unreachable", run).await;
    snapshots.credential().end_with_login(&site).await.credential();
    for directory in ["sessions", "credentials"] {
        laptop.edit(directory, |entry| entry["usable_until"] = json!(1));
    }
    site.behave(|it| it.refresh = Refresh::InvalidGrant);
    let run = snapshots.credential().set("LATCHKEY_FLOW", "none");
    snapshots.fails("provider-session-ended", run).await;
    snapshots.end();
}

#[tokio::test]
async fn clusters_that_give_no_credential() {
    let site = Site::start();
    for (name, exchange) in [
        ("exchange-refused", Exchange::Refused),
        ("exchange-anonymous", Exchange::AnonymousForbidden),
        ("exchange-not-well", Exchange::NotWell),
    ] {
        let laptop = Laptop::new();
        let mut snapshots = Snapshots::new(&site, &laptop);
        site.behave(|it| it.exchange = exchange);
        let run = snapshots.credential();
        snapshots.fails(name, run).await;
        snapshots.end();
    }
    let laptop = Laptop::new();
    let mut snapshots = Snapshots::new(&site, &laptop);
    let run = snapshots.credential().with("--concierge-endpoint=https://127.0.0.1:9");
    snapshots.fails("exchange-unreachable", run).await;
    snapshots.end();
}

#[tokio::test]
async fn kubectl_and_kubeconfigs_that_are_not_there() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let mut snapshots = Snapshots::new(&site, &laptop);
    for (name, arguments) in
        [("kubectl-missing", "whoami"), ("kubectl-missing-rejections", "rejections"), ("kubeconfig-missing", "login")]
    {
        let run = snapshots.run(arguments).set("PATH", laptop.path("").display().to_string());
        snapshots.fails(name, run).await;
    }
    snapshots.end();
}

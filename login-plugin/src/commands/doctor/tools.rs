//! The programs: which kubectl, which of several plugins it would run, and whether another program stands in front of ours.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::report::Finding;
use crate::environment::Environment;
use crate::output::Printable;
use crate::platform::files;

/// Directories in `PATH` that are looked at; longer lists are mistakes.
const DIRECTORIES_MAX: usize = 200;

/// The first kubectl that knows `client.authentication.k8s.io/v1`.
const MINOR_MIN: u32 = 22;

/// A version such as `v1.36.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KubectlVersion {
    pub(super) text: String,
    pub(super) minor: u32,
}

/// What `kubectl version --client -o json` prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Versions {
    client_version: ClientVersion,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientVersion {
    git_version: String,
}

/// The directories of `PATH`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SearchPath(Vec<PathBuf>);

/// The programs as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tools {
    /// Which kubectl, if there is one, and its version or why it does not tell.
    pub(super) kubectl: Option<(PathBuf, Result<KubectlVersion, String>)>,
    /// Every `kubectl-latchkey` in `PATH`, in its order, each once.
    pub(super) plugins: Vec<PathBuf>,
    /// Every `kubectl-latchkey-…` in `PATH`: kubectl takes the longest name.
    pub(super) in_front: Vec<PathBuf>,
    /// The file of this process.
    pub(super) ourselves: PathBuf,
}

impl KubectlVersion {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let minor = text.strip_prefix("v1.")?.split(|character: char| !character.is_ascii_digit()).next()?;
        Some(Self { text: text.to_owned(), minor: minor.parse().ok()? })
    }

    #[cfg(test)]
    pub(super) fn for_test(minor: u32) -> Self {
        Self { text: format!("v1.{minor}.0"), minor }
    }
}

impl Versions {
    pub(super) fn client(&self) -> Result<KubectlVersion, String> {
        let text = &self.client_version.git_version;
        KubectlVersion::parse(text).ok_or_else(|| format!("its version {} means nothing", Printable(text)))
    }
}

impl SearchPath {
    pub(super) fn new(path: &str) -> Self {
        Self(std::env::split_paths(path).take(DIRECTORIES_MAX).collect())
    }

    pub(super) fn of(environment: &Environment) -> Self {
        environment.text("PATH").map_or_else(Self::default, |path| Self::new(&path))
    }

    /// The program that a bare name or a path means.
    pub(super) fn resolve(&self, command: &str) -> Option<PathBuf> {
        if command.contains(std::path::MAIN_SEPARATOR) {
            return Some(PathBuf::from(command)).filter(|path| is_program(path));
        }
        self.all(command).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        // An empty or relative entry means the directory one stands in; Go's programs ignore those.
        self.0
            .iter()
            .filter(|directory| directory.is_absolute())
            .map(move |directory| directory.join(&file))
            .filter(|path| is_program(path))
    }

    fn beginning_with(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = self.0.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
        let named =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path());
        let mut found: Vec<PathBuf> = named.filter(|path| is_program(path)).collect();
        found.sort();
        found.dedup();
        found
    }
}

impl Tools {
    /// Looks around in `PATH`.
    pub(super) fn find(path: &SearchPath, kubectl: Option<(PathBuf, Result<KubectlVersion, String>)>) -> Self {
        let mut plugins = Vec::new();
        for plugin in path.all("kubectl-latchkey") {
            let real = std::fs::canonicalize(&plugin).unwrap_or_else(|_| plugin.clone());
            if !plugins.iter().any(|(_, other)| *other == real) {
                plugins.push((plugin, real));
            }
        }
        let ourselves = std::env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default();
        let plugins = plugins.into_iter().map(|(plugin, real)| if real == ourselves { real } else { plugin }).collect();
        Self { kubectl, plugins, in_front: path.beginning_with("kubectl-latchkey-"), ourselves }
    }

    pub(super) fn version(&self) -> Option<&KubectlVersion> {
        self.kubectl.as_ref()?.1.as_ref().ok()
    }

    pub(super) fn judge(&self) -> Vec<Finding> {
        let mut findings = vec![self.judge_kubectl(), self.judge_plugin()];
        findings.extend(self.judge_in_front());
        findings
    }

    fn judge_kubectl(&self) -> Finding {
        const CHECK: &str = "kubectl";
        match &self.kubectl {
            None => {
                Finding::fail(CHECK, "not found", "install kubectl, put its directory into PATH, or set KUBECTL_PATH")
            }
            Some((path, Err(why))) => Finding::fail(
                CHECK,
                format!("{} does not tell its version: {why}", path.display()),
                "try `kubectl version --client`, and reinstall kubectl if it fails",
            ),
            Some((path, Ok(version))) if version.minor < MINOR_MIN => Finding::fail(
                CHECK,
                format!("{} at {} does not know client.authentication.k8s.io/v1", version.text, path.display()),
                "install kubectl 1.22 or later",
            ),
            Some((path, Ok(version))) => Finding::ok(CHECK, format!("{} at {}", version.text, path.display())),
        }
    }

    fn judge_plugin(&self) -> Finding {
        const CHECK: &str = "plugin";
        let ourselves = self.ourselves.display();
        let Some((first, others)) = self.plugins.split_first() else {
            let directory = self.ourselves.parent().unwrap_or(Path::new("/")).display();
            return Finding::warn(
                CHECK,
                "kubectl-latchkey is not in PATH: kubectl finds it neither by name nor as `kubectl latchkey`",
                format!("export PATH=\"$PATH:{directory}\", in the file that your shell reads at its start"),
            );
        };
        if *first != self.ourselves {
            return Finding::warn(
                CHECK,
                format!("kubectl runs {}, and this is {ourselves}", first.display()),
                "remove one of the two, or change their order in PATH",
            );
        }
        if others.is_empty() {
            return Finding::ok(CHECK, format!("{} at {ourselves}", env!("CARGO_PKG_VERSION")));
        }
        let others: Vec<String> = others.iter().map(|other| other.display().to_string()).collect();
        Finding::warn(
            CHECK,
            format!("there are several in PATH: {ourselves} is used, and not {}", others.join(", ")),
            "remove the others: with another PATH, one of them would be used",
        )
    }

    fn judge_in_front(&self) -> Option<Finding> {
        let first = self.in_front.first()?;
        let name = first.file_stem().unwrap_or_default().to_string_lossy();
        let words = name.trim_start_matches("kubectl-").replace('-', " ").replace('_', "-");
        let all: Vec<String> = self.in_front.iter().map(|path| path.display().to_string()).collect();
        Some(Finding::fail(
            "shadowing",
            format!("`kubectl {words}` runs another program, as kubectl takes the longest name: {}", all.join(", ")),
            "remove or rename it, unless you put it there; what it is given may hold your settings",
        ))
    }
}

/// Whether there is a file that may be run.
fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && files::may_be_run(&metadata))
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn tools() -> Tools {
        Tools {
            kubectl: Some(("/bin/kubectl".into(), Ok(KubectlVersion::for_test(36)))),
            plugins: vec!["/bin/kubectl-latchkey".into()],
            in_front: Vec::new(),
            ourselves: "/bin/kubectl-latchkey".into(),
        }
    }

    fn verdicts(tools: &Tools) -> Vec<(&'static str, Verdict)> {
        tools.judge().into_iter().map(|finding| (finding.check, finding.verdict)).collect()
    }

    #[test]
    fn versions_are_read_as_vendors_write_them() {
        for (text, minor) in
            [("v1.36.3", Some(36)), ("v1.22+eks", Some(22)), ("v1.28-gke.1", Some(28)), ("v2.0", None), ("", None)]
        {
            assert_eq!(KubectlVersion::parse(text).map(|version| version.minor), minor, "{text}");
        }
    }

    #[test]
    fn all_is_well_where_kubectl_runs_us() {
        assert_eq!(verdicts(&tools()), [("kubectl", Verdict::Ok), ("plugin", Verdict::Ok)]);
    }

    #[test]
    fn each_trouble_has_its_own_words() {
        let none = Tools { kubectl: None, plugins: Vec::new(), ..tools() };
        assert_eq!(verdicts(&none), [("kubectl", Verdict::Fail), ("plugin", Verdict::Warn)]);
        let old = Tools { kubectl: Some(("/k".into(), Ok(KubectlVersion::for_test(21)))), ..tools() };
        assert_eq!(verdicts(&old)[0], ("kubectl", Verdict::Fail));
        let broken = Tools { kubectl: Some(("/k".into(), Err("it took too long".to_owned()))), ..tools() };
        assert_eq!(verdicts(&broken)[0], ("kubectl", Verdict::Fail));
        let other = Tools { plugins: vec!["/usr/bin/kubectl-latchkey".into()], ..tools() };
        assert!(other.judge()[1].found.contains("kubectl runs /usr/bin/kubectl-latchkey"));
        let several =
            Tools { plugins: vec!["/bin/kubectl-latchkey".into(), "/old/kubectl-latchkey".into()], ..tools() };
        assert!(several.judge()[1].found.contains("not /old/kubectl-latchkey"));
        let shadowed = Tools { in_front: vec!["/x/kubectl-latchkey-dry_run".into()], ..tools() };
        let finding = shadowed.judge().remove(2);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.found.starts_with("`kubectl latchkey dry-run` runs"), "{}", finding.found);
    }
}

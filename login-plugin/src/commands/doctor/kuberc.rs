//! kubectl's own policy for credential plugins (KEP-3104, `~/.kube/kuberc`): whether it lets the stanza's command run.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::report::Finding;
use super::tools::KubectlVersion;
use crate::output::Printable;

const CHECK: &str = "kuberc";

/// The first kubectl with a policy.
const POLICY_SINCE: u32 = 35;

/// The first kubectl that reads `command:` in an entry. Before it was `name:`, and both in one entry are an error.
const COMMAND_SINCE: u32 = 36;

/// The file, as far as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kuberc {
    /// There is none.
    Absent,
    /// `KUBERC=off`.
    Off,
    /// Here it is.
    Text { path: PathBuf, text: String },
    /// It cannot be read.
    Unreadable { path: PathBuf, why: String },
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preference {
    api_version: String,
    kind: String,
    credential_plugin_policy: Option<String>,
    credential_plugin_allowlist: Option<Vec<Entry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    name: Option<String>,
    command: Option<String>,
}

/// Judges the policy for a stanza's command. `resolve` finds a program as kubectl does.
pub(super) fn judge(
    kuberc: &Kuberc,
    version: Option<&KubectlVersion>,
    command: &str,
    resolve: &dyn Fn(&str) -> Option<PathBuf>,
) -> Finding {
    let (path, text) = match kuberc {
        Kuberc::Absent => return Finding::ok(CHECK, "no policy: kubectl may run every plugin"),
        Kuberc::Off => return Finding::ok(CHECK, "KUBERC=off: no policy applies"),
        Kuberc::Unreadable { path, why } => {
            return Finding::warn(
                CHECK,
                format!("{} cannot be read: {why}", path.display()),
                "let it be read, or set KUBERC=off",
            );
        }
        Kuberc::Text { path, text } => (path, text),
    };
    let minor = version.map_or(COMMAND_SINCE, |version| version.minor);
    if minor < POLICY_SINCE {
        return Finding::ok(CHECK, format!("this kubectl is older than the policy in {}", path.display()));
    }
    let preference = match parse(text) {
        Ok(preference) => preference,
        Err(why) => {
            let found = format!("{} cannot be used: {}", path.display(), Printable(&why));
            return Finding::fail(CHECK, found, "mend the file, or set KUBERC=off");
        }
    };
    let entries = preference.credential_plugin_allowlist.unwrap_or_default();
    let mend = |entries: &[Entry]| allow(path, command, entries, minor);
    match preference.credential_plugin_policy.as_deref().unwrap_or_default() {
        "" | "AllowAll" => Finding::ok(CHECK, "the policy lets kubectl run every plugin"),
        "DenyAll" => {
            let found = format!("the policy in {} is DenyAll: kubectl runs no plugin at all", path.display());
            Finding::fail(CHECK, found, mend(&[]))
        }
        "Allowlist" => allowlist(path, command, &entries, minor, resolve, &mend),
        other => {
            let found = format!("{}: {} is no policy", path.display(), Printable(other));
            Finding::fail(CHECK, found, "it has to be AllowAll, DenyAll or Allowlist")
        }
    }
}

fn allowlist(
    path: &Path,
    command: &str,
    entries: &[Entry],
    minor: u32,
    resolve: &dyn Fn(&str) -> Option<PathBuf>,
    mend: &dyn Fn(&[Entry]) -> String,
) -> Finding {
    let here = path.display();
    if entries.iter().any(|entry| entry.name.is_some() && entry.command.is_some()) {
        return Finding::fail(
            CHECK,
            format!("an entry of the allow-list in {here} has name and command, which kubectl refuses"),
            "keep one of them: `name:` is read by kubectl 1.35 as well",
        );
    }
    if minor < COMMAND_SINCE && entries.iter().any(|entry| entry.command.is_some()) {
        return Finding::fail(
            CHECK,
            format!("an entry of the allow-list in {here} says `command:`, which kubectl 1.35 does not know"),
            "write `name:`; kubectl 1.36 reads that too",
        );
    }
    if let Some(unclean) = entries.iter().find_map(Entry::unclean) {
        return Finding::fail(
            CHECK,
            format!("the entry {} of the allow-list in {here} is not a clean path", Printable(unclean)),
            "write it without `..`, `.`, double slashes or a slash at its end",
        );
    }
    let ours = resolve(command);
    let allows = |entry: &Entry| ours.is_some() && entry.text().and_then(resolve) == ours;
    if entries.iter().any(allows) {
        Finding::ok(CHECK, format!("the allow-list in {here} lets kubectl run {command}"))
    } else {
        Finding::fail(CHECK, format!("the allow-list in {here} does not let kubectl run {command}"), mend(entries))
    }
}

/// The entry, and the command that writes it. That command replaces the whole list: it has to name what stands there too.
fn allow(path: &Path, command: &str, entries: &[Entry], minor: u32) -> String {
    let field = if minor < COMMAND_SINCE { "name" } else { "command" };
    let others = entries.iter().filter_map(Entry::text).filter(|other| *other != command);
    let all: Vec<String> =
        others.chain([command]).map(|entry| format!(" --allowlist-entry {field}={}", Printable(entry))).collect();
    format!(
        "add this entry to credentialPluginAllowlist in {}, with credentialPluginPolicy: Allowlist:\n\
         - name: {command}\n\
         or run: kubectl kuberc set --section credentialplugin --policy Allowlist{}",
        path.display(),
        all.concat()
    )
}

impl Entry {
    fn text(&self) -> Option<&str> {
        self.name.as_deref().or(self.command.as_deref())
    }

    /// The entry, if Go's `filepath.Clean` would change it.
    fn unclean(&self) -> Option<&str> {
        let text = self.text().unwrap_or_default();
        let is_clean = !text.is_empty()
            && (text == "/"
                || text.split('/').enumerate().all(|(place, part)| match part {
                    "" => place == 0,
                    "." => false,
                    ".." => !text.starts_with('/') && text.split('/').take(place).all(|before| before == ".."),
                    _ => true,
                }));
        (!is_clean).then_some(text)
    }
}

/// The first document of the kind, as kubectl takes it.
fn parse(text: &str) -> Result<Preference, String> {
    for document in serde_norway::Deserializer::from_str(text) {
        let preference = Preference::deserialize(document).map_err(|error| error.to_string())?;
        if preference.kind == "Preference" && preference.api_version.starts_with("kubectl.config.k8s.io/") {
            return Ok(preference);
        }
    }
    Err("it holds no Preference of kubectl.config.k8s.io".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn resolve(command: &str) -> Option<PathBuf> {
        match command {
            "kubectl-latchkey" | "/bin/kubectl-latchkey" => Some("/bin/kubectl-latchkey".into()),
            "aws" => Some("/bin/aws".into()),
            _ => None,
        }
    }

    fn finding(minor: u32, policy: &str) -> Finding {
        let text = format!("apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n{policy}");
        let kuberc = Kuberc::Text { path: "/home/jane/.kube/kuberc".into(), text };
        judge(&kuberc, Some(&KubectlVersion::for_test(minor)), "kubectl-latchkey", &resolve)
    }

    #[test]
    fn policies_are_judged_as_kubectl_judges_them() {
        let list = "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n";
        let cases = [
            (36, String::new(), Verdict::Ok),
            (36, "credentialPluginPolicy: AllowAll".to_owned(), Verdict::Ok),
            (36, "credentialPluginPolicy: DenyAll".to_owned(), Verdict::Fail),
            (34, "credentialPluginPolicy: DenyAll".to_owned(), Verdict::Ok),
            (36, "credentialPluginPolicy: Sometimes".to_owned(), Verdict::Fail),
            (36, "credentialPluginPolicy: Allowlist".to_owned(), Verdict::Fail),
            (36, format!("{list}- command: kubectl-latchkey"), Verdict::Ok),
            (36, format!("{list}- name: kubectl-latchkey"), Verdict::Ok),
            (36, format!("{list}- command: /bin/kubectl-latchkey"), Verdict::Ok),
            (36, format!("{list}- command: aws"), Verdict::Fail),
            (36, format!("{list}- command: unknown"), Verdict::Fail),
            (35, format!("{list}- name: kubectl-latchkey"), Verdict::Ok),
            (35, format!("{list}- command: kubectl-latchkey"), Verdict::Fail),
            (36, format!("{list}- name: kubectl-latchkey\n  command: kubectl-latchkey"), Verdict::Fail),
            (36, format!("{list}- name: kubectl-latchkey\n- command: /bin/../bin/aws"), Verdict::Fail),
            (36, "credentialPluginPolicy: [".to_owned(), Verdict::Fail),
        ];
        for (minor, policy, verdict) in cases {
            let found = finding(minor, &policy);
            assert_eq!(found.verdict, verdict, "{minor} {policy}: {found:?}");
        }
    }

    #[test]
    fn the_mend_keeps_what_stands_there() {
        let list = "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- name: aws\n";
        let mend = finding(36, list).mend.unwrap();
        assert!(mend.contains("\n- name: kubectl-latchkey\n"), "{mend}");
        assert!(mend.ends_with(" --allowlist-entry command=aws --allowlist-entry command=kubectl-latchkey"), "{mend}");
        assert!(
            finding(35, list)
                .mend
                .unwrap()
                .ends_with(" --allowlist-entry name=aws --allowlist-entry name=kubectl-latchkey")
        );
        assert!(
            finding(36, "credentialPluginPolicy: DenyAll")
                .mend
                .unwrap()
                .ends_with("Allowlist --allowlist-entry command=kubectl-latchkey")
        );
    }

    #[test]
    fn without_a_file_there_is_no_policy() {
        for kuberc in [Kuberc::Absent, Kuberc::Off] {
            assert_eq!(judge(&kuberc, None, "kubectl-latchkey", &resolve).verdict, Verdict::Ok);
        }
        let other = Kuberc::Text { path: "/k".into(), text: "kind: Other\n---\nnothing: here".to_owned() };
        assert_eq!(judge(&other, None, "kubectl-latchkey", &resolve).verdict, Verdict::Fail);
    }
}

//! The options of `kubeconfig` as typed.

use std::path::PathBuf;
use std::str::FromStr;

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};

use super::credential::{self, UnknownName};
use super::{Command, Contexts, CredentialArgs, KubectlFlags, Topic, UsageError, parsed, suffix};

/// Options of `kubeconfig`.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
#[derive(Debug, Default, PartialEq)]
pub(crate) struct KubeconfigArgs {
    /// How to reach the clusters as an administrator or with any other right to read two objects; the context stands apart.
    pub(crate) kubectl: KubectlFlags,
    /// `--context` and `--all-contexts`.
    pub(crate) contexts: Contexts,
    /// `--api-group-suffix`.
    pub(crate) api_group_suffix: GroupSuffix,
    /// `--authenticator`.
    pub(crate) authenticator: Option<String>,
    /// `--command-path`: written in place of the bare program name.
    pub(crate) command_path: Option<String>,
    /// `--credential-issuer`.
    pub(crate) credential_issuer: Option<String>,
    /// `--force`.
    pub(crate) force: bool,
    /// `--from`: rewrite what another plugin's users say.
    pub(crate) from: Option<ForeignPlugin>,
    /// `--install-hint`: what kubectl says where the plugin is missing.
    pub(crate) install_hint: Option<String>,
    /// `--issuer-ca`: a PEM file with the issuer's roots.
    pub(crate) issuer_ca: Option<PathBuf>,
    /// How people shall log in, where not as the cluster says: the options of `credential`.
    pub(crate) login: CredentialArgs,
    /// `--merge`.
    pub(crate) merge: bool,
    /// `--name`: what the cluster and the context shall be called.
    pub(crate) name: Option<String>,
    /// `--name-template`: the same for many.
    pub(crate) name_template: Option<NameTemplate>,
    /// `--output`.
    pub(crate) output: Option<OutputTo>,
    /// `--output-dir`.
    pub(crate) output_dir: Option<PathBuf>,
    /// `--set-current`.
    pub(crate) set_current: bool,
    /// `--settings-in-cluster`.
    pub(crate) settings_in_cluster: bool,
}

/// Where one kubeconfig goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OutputTo {
    /// A file.
    File(PathBuf),
    /// `-`.
    Stdout,
}

/// Whose users can be rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForeignPlugin {
    /// int128/kubelogin, also as `kubectl oidc-login`.
    Kubelogin,
    /// Pinniped's CLI.
    Pinniped,
}

impl ForeignPlugin {
    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Kubelogin => "kubelogin",
            Self::Pinniped => "pinniped",
        }
    }
}

impl FromStr for ForeignPlugin {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        match text {
            "kubelogin" => Ok(Self::Kubelogin),
            "pinniped" => Ok(Self::Pinniped),
            _ => Err(UnknownName(FOREIGN)),
        }
    }
}

const FOREIGN: &str = "\"pinniped\" or \"kubelogin\"";

/// A name with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Placeholder(&'static str),
    Text(String),
}

impl NameTemplate {
    const PLACEHOLDERS: [&'static str; 4] = ["authenticator", "cluster", "context", "suffix"];
    const EXPECTED: &'static str =
        "letters, digits and . _ @ - (not first), with {cluster}, {context}, {authenticator} or {suffix}";

    /// The name, with what `value` says in place of each placeholder.
    pub(crate) fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Placeholder(name) => value(name),
            Part::Text(text) => text.clone(),
        });
        parts.collect()
    }
}

impl FromStr for NameTemplate {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let wrong = || UnknownName(Self::EXPECTED);
        let is_good = |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._@-".contains(letter));
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (before, placeholder, after) = match rest.split_once('{') {
                None => (rest, None, ""),
                Some((before, inside)) => {
                    let (name, after) = inside.split_once('}').ok_or_else(wrong)?;
                    (before, Some(name), after)
                }
            };
            if !is_good(before) || (parts.is_empty() && before.starts_with('-')) {
                return Err(wrong());
            }
            parts.push(Part::Text(before.to_owned()));
            if let Some(name) = placeholder {
                let known = Self::PLACEHOLDERS.into_iter().find(|known| *known == name);
                parts.push(Part::Placeholder(known.ok_or_else(wrong)?));
            }
            rest = after;
        }
        if parts.is_empty() { Err(wrong()) } else { Ok(Self(parts)) }
    }
}

impl Contexts {
    /// Whether more than one may be meant.
    pub(crate) const fn are_many(&self) -> bool {
        match self {
            Self::All => true,
            Self::Current => false,
            Self::Named(names) => names.len() > 1,
        }
    }

    /// The one that is named.
    pub(crate) fn only(&self) -> Option<&str> {
        match self {
            Self::Named(names) => names.first().map(String::as_str),
            Self::All | Self::Current => None,
        }
    }
}

/// Options of `credential` that say how people shall log in; the others follow from the cluster.
const LOGIN_OPTIONS: [&str; 30] = [
    "account",
    "additional-audiences",
    "audience",
    "client-id",
    "client-secret-env",
    "client-secret-file",
    "client-secret-keyring",
    "exchange-audience",
    "extra-params",
    "flow",
    "forbid-flows",
    "issuer",
    "login-hint",
    "login-timeout",
    "no-exchange",
    "optional-scopes",
    "prompt",
    "provider",
    "redirect-host",
    "redirect-path",
    "redirect-ports",
    "request-audience",
    "resource",
    "scopes",
    "skip-browser",
    "store",
    "token-command",
    "token-env",
    "token-file",
    "token-kind",
];

pub(super) fn kubeconfig(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = KubeconfigArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("all-contexts") if args.contexts == Contexts::Current => args.contexts = Contexts::All,
            Arg::Long("all-contexts") => return Err(both("all-contexts", "context")),
            Arg::Long("api-group-suffix") => args.api_group_suffix = suffix(parser)?,
            Arg::Long("authenticator") => args.authenticator = Some(parser.value()?.string()?),
            Arg::Long("cluster") => args.kubectl.cluster = Some(parser.value()?.string()?),
            Arg::Long("command-path") => args.command_path = Some(parser.value()?.string()?),
            Arg::Long("context") if args.contexts == Contexts::All => return Err(both("context", "all-contexts")),
            Arg::Long("context") => {
                // Only commas: names with blanks exist.
                let names = parser.value()?.string()?;
                args.contexts = Contexts::Named(names.split(',').map(|name| name.trim().to_owned()).collect());
            }
            Arg::Long("credential-issuer") => args.credential_issuer = Some(parser.value()?.string()?),
            Arg::Long("force") => args.force = true,
            Arg::Long("from") => args.from = Some(parsed(parser, "from", FOREIGN)?),
            Arg::Long("install-hint") => args.install_hint = Some(parser.value()?.string()?),
            Arg::Long("issuer-ca") => args.issuer_ca = Some(parser.value()?.into()),
            Arg::Long("kubeconfig") => args.kubectl.kubeconfig = Some(parser.value()?.into()),
            Arg::Long("merge") => args.merge = true,
            Arg::Long("name") => args.name = Some(parser.value()?.string()?),
            Arg::Long("name-template") => {
                args.name_template = Some(parsed(parser, "name-template", NameTemplate::EXPECTED)?);
            }
            Arg::Short('o') | Arg::Long("output") => {
                let path = PathBuf::from(parser.value()?);
                args.output = Some(if path.as_os_str() == "-" { OutputTo::Stdout } else { OutputTo::File(path) });
            }
            Arg::Long("output-dir") => args.output_dir = Some(parser.value()?.into()),
            Arg::Long("set-current") => args.set_current = true,
            Arg::Long("settings-in-cluster") => args.settings_in_cluster = true,
            Arg::Long("token-from-github") => args.login.token_from_github = Some(true),
            Arg::Long("user") => args.kubectl.user = Some(parser.value()?.string()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Kubeconfig)),
            Arg::Long(name) if LOGIN_OPTIONS.contains(&name) => {
                // The name is borrowed from the parser, which has to give the value as well.
                let name = name.to_owned();
                credential::option(&mut args.login, &name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    args.check()?;
    Ok(Command::Kubeconfig(Box::new(args)))
}

impl KubeconfigArgs {
    /// Options that contradict each other.
    fn check(&self) -> Result<(), UsageError> {
        if self.output_dir.is_some() && (self.output.is_some() || self.merge) {
            return Err(both("output-dir", if self.merge { "merge" } else { "output" }));
        }
        if self.from.is_some()
            && self.merge
            && (self.settings_in_cluster || self.name.is_some() || self.name_template.is_some())
        {
            return Err(UsageError::Value {
                option: "from",
                expected: "no --settings-in-cluster and no name with --merge, which rewrites the users where they stand",
                found: "one of them".to_owned(),
            });
        }
        if self.name.is_some() && self.name_template.is_some() {
            return Err(both("name", "name-template"));
        }
        if self.name.is_some() && self.contexts.are_many() {
            return Err(UsageError::Value {
                option: "name",
                expected: "one cluster; with several use --name-template",
                found: "several contexts".to_owned(),
            });
        }
        if self.set_current && (!self.merge || self.contexts.are_many()) {
            return Err(UsageError::Value {
                option: "set-current",
                expected: "--merge and one cluster",
                found: "neither or several".to_owned(),
            });
        }
        Ok(())
    }
}

fn both(option: &'static str, other: &str) -> UsageError {
    UsageError::Value {
        option,
        expected: "one of two that exclude each other",
        found: format!("--{option} beside --{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<KubeconfigArgs, UsageError> {
        match kubeconfig(&mut Parser::from_args(line.split(' ')))? {
            Command::Kubeconfig(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn how_to_log_in_is_said_as_to_credential() {
        let args = args("--flow=device --forbid-flows=paste --store none --no-exchange --context a,b").unwrap();
        assert_eq!(args.login.store, Some(crate::args::Store::None));
        assert_eq!(args.login.no_exchange, Some(true));
        assert_eq!(args.contexts, Contexts::Named(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "--all-contexts --context a",
            "--context a --all-contexts",
            "--output-dir d --output f",
            "--output-dir d --merge",
            "--name a --name-template {cluster}",
            "--name a --all-contexts",
            "--set-current",
            "--set-current --merge --all-contexts",
            "--from azure",
            "--ca-data QQ==",
            "--cluster-name x",
        ] {
            assert!(args(line).is_err(), "{line}");
        }
    }
}

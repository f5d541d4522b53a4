//! The command line as typed: which verb, which options. What they mean is `config`'s business.

mod completion;
mod credential;
mod doctor;
mod explain;
mod fleet;
mod kubeconfig;
mod login;
mod logout;
mod man;
mod rejections;
mod status;
mod token;
mod verbs;
mod version;
mod whoami;

use std::ffi::OsString;
use std::path::PathBuf;

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};
use thiserror::Error;

pub(crate) use self::completion::{COMPLETION_WORDS, CompletionArgs, Shell, words};
pub(crate) use self::credential::{CredentialArgs, Flow, RedirectHost, Store, TokenKind};
pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::explain::ExplainArgs;
pub(crate) use self::fleet::{FLEET_WORDS, FleetArgs, Whom};
pub(crate) use self::kubeconfig::{ForeignPlugin, KubeconfigArgs, NameTemplate, OutputTo};
pub(crate) use self::login::{Choice, LoginArgs};
pub(crate) use self::logout::LogoutArgs;
pub(crate) use self::rejections::{Contexts, RejectionsArgs, RejectionsFormat};
pub(crate) use self::status::StatusArgs;
pub(crate) use self::token::TokenArgs;
pub(crate) use self::verbs::VERBS;
pub(crate) use self::whoami::WhoamiArgs;

/// What the person, or kubectl, wants.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Help a shell, or kubectl, to complete words.
    Completion(CompletionArgs),
    /// Print a credential for a Kubernetes client.
    Credential(Box<CredentialArgs>),
    /// Try everything that can go wrong.
    Doctor(Box<DoctorArgs>),
    /// Say why a cluster refused.
    Explain(ExplainArgs),
    /// Compare the clusters of the fleet.
    FleetCheck(Box<FleetArgs>),
    /// Explain a verb, or all of them.
    Help(Topic),
    /// Write a kubeconfig.
    Kubeconfig(Box<KubeconfigArgs>),
    /// Log in.
    Login(Box<LoginArgs>),
    /// Log out.
    Logout(Box<LogoutArgs>),
    /// Print the manual page.
    Man,
    /// Show which tokens clusters refused.
    Rejections(Box<RejectionsArgs>),
    /// Show which logins are kept.
    Status(StatusArgs),
    /// Show what a token says.
    Token(TokenArgs),
    /// Print the version.
    Version(Format),
    /// Ask the cluster who we are.
    Whoami(WhoamiArgs),
}

/// What help is wanted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// All verbs.
    All,
    /// `completion`.
    Completion,
    /// `credential`.
    Credential,
    /// `doctor`.
    Doctor,
    /// `explain`.
    Explain,
    /// `fleet`.
    Fleet,
    /// `kubeconfig`.
    Kubeconfig,
    /// `login`.
    Login,
    /// `logout`.
    Logout,
    /// `man`.
    Man,
    /// `rejections`.
    Rejections,
    /// `status`.
    Status,
    /// `token`.
    Token,
    /// `version`.
    Version,
    /// `whoami`.
    Whoami,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For programs.
    Json,
    /// For people.
    #[default]
    Text,
    /// For programs and people.
    Yaml,
}

/// Options of `kubectl` that a plugin has to take itself: kubectl does not parse them for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KubectlFlags {
    /// `--cluster`.
    pub(crate) cluster: Option<String>,
    /// `--context`.
    pub(crate) context: Option<String>,
    /// `--kubeconfig`.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// `--user`.
    pub(crate) user: Option<String>,
}

/// Why the command line cannot be understood.
#[derive(Debug, Error)]
pub(crate) enum UsageError {
    /// An option we do not know, or without its value. Nothing unknown is ever ignored: it might have been a safeguard.
    #[error(transparent)]
    Options(#[from] lexopt::Error),
    /// A verb that needs a word behind it.
    #[error("`{command}` expects {expected}")]
    Missing {
        /// The verb.
        command: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A verb we do not know.
    #[error("unknown command {0:?}")]
    UnknownCommand(String),
    /// An option's value that means nothing.
    #[error("option --{option}: expected {expected}, found {found:?}")]
    Value {
        /// The option without dashes.
        option: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A word behind a verb that means nothing there.
    #[error("`{command}` expects {expected}, found {found:?}")]
    Word {
        /// The verb.
        command: &'static str,
        /// What would be right.
        expected: &'static str,
        /// What was given.
        found: String,
    },
}

impl KubectlFlags {
    /// Takes one of kubectl's options.
    fn option(&mut self, name: &str, parser: &mut Parser) -> Result<(), UsageError> {
        match name {
            "cluster" => self.cluster = Some(parser.value()?.string()?),
            "context" => self.context = Some(parser.value()?.string()?),
            "kubeconfig" => self.kubeconfig = Some(parser.value()?.into()),
            "user" => self.user = Some(parser.value()?.string()?),
            other => return Err(lexopt::Error::UnexpectedOption(format!("--{other}")).into()),
        }
        Ok(())
    }
}

/// Reads the command line without the program's own name.
///
/// # Errors
/// When a verb, option or value is unknown.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    match parser.next()? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::All)),
        Some(Arg::Short('V') | Arg::Long("version")) => Ok(Command::Version(Format::Text)),
        Some(Arg::Value(verb)) => match verb.string()?.as_str() {
            // The name by which programs that complete for others know it (cobra's protocol).
            "__complete" => Ok(words(parser.raw_args()?)),
            "completion" => completion::completion(&mut parser),
            "credential" => credential::credential(&mut parser),
            "doctor" => doctor::doctor(&mut parser),
            "explain" => explain::explain(&mut parser),
            "fleet" => fleet::fleet(&mut parser),
            "help" => help(&mut parser),
            "kubeconfig" => kubeconfig::kubeconfig(&mut parser),
            "login" => login::login(&mut parser),
            "logout" => logout::logout(&mut parser),
            "man" => man::man(&mut parser),
            "rejections" => rejections::rejections(&mut parser),
            "status" => status::status(&mut parser),
            "token" => token::token(&mut parser),
            "version" => version::version(&mut parser),
            "whoami" => whoami::whoami(&mut parser),
            other => Err(UsageError::UnknownCommand(other.to_owned())),
        },
        Some(other) => Err(other.unexpected().into()),
    }
}

fn help(parser: &mut Parser) -> Result<Command, UsageError> {
    let topic = match parser.next()? {
        None => Topic::All,
        Some(Arg::Value(verb)) => {
            let verb = verb.string()?;
            verbs::topic(&verb).ok_or(UsageError::UnknownCommand(verb))?
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    Ok(Command::Help(topic))
}

fn parsed<T: std::str::FromStr>(
    parser: &mut Parser,
    option: &'static str,
    expected: &'static str,
) -> Result<T, UsageError> {
    let found = parser.value()?.string()?;
    found.parse().map_err(|_| UsageError::Value { option, expected, found })
}

fn format(parser: &mut Parser) -> Result<Format, UsageError> {
    let found = parser.value()?.string()?;
    match found.as_str() {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        "yaml" => Ok(Format::Yaml),
        _ => Err(UsageError::Value { option: "output", expected: "\"text\", \"json\" or \"yaml\"", found }),
    }
}

fn suffix(parser: &mut Parser) -> Result<GroupSuffix, UsageError> {
    parsed(parser, "api-group-suffix", "a DNS name with a dot, such as \"latchkey.dev\"")
}

/// Several hosts are tried in their order.
fn redirect_hosts(parser: &mut Parser) -> Result<Vec<RedirectHost>, UsageError> {
    let found = parser.value()?.string()?;
    let hosts: Result<Vec<RedirectHost>, _> = found.split(',').map(|host| host.trim().parse()).collect();
    hosts.map_err(|_| UsageError::Value { option: "redirect-host", expected: RedirectHost::EXPECTED, found })
}

fn ports(parser: &mut Parser) -> Result<Vec<u16>, UsageError> {
    let found = parser.value()?.string()?;
    let ports: Result<Vec<u16>, _> = found.split(',').map(|port| port.trim().parse()).collect();
    ports.map_err(|_| UsageError::Value {
        option: "redirect-ports",
        expected: "port numbers separated by commas, 0 for any",
        found,
    })
}

/// Blanks or commas separate; an empty list is a list.
fn list(parser: &mut Parser) -> Result<Vec<String>, lexopt::Error> {
    let text = parser.value()?.string()?;
    Ok(text.split([',', ' ']).filter(|item| !item.is_empty()).map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_context_that_is_named_for_a_fleet_counts() {
        let Ok(Command::FleetCheck(args)) = parse_line("fleet check --context a --contexts b,c --context d") else {
            panic!("a check")
        };
        assert_eq!(args.whom, Whom::Contexts(["a", "b", "c", "d"].map(ToOwned::to_owned).to_vec()));
    }

    fn parse_line(line: &str) -> Result<Command, UsageError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn reads_the_stanza_we_write() {
        let line = "credential --issuer=https://idp --client-id=staging --scopes=email,groups --authenticator=a \
                    --redirect-host=localhost --redirect-ports=18000,0 --login-timeout=60 --skip-browser";
        let Command::Credential(args) = parse_line(line).unwrap() else { panic!("another command") };
        assert_eq!(
            *args,
            CredentialArgs {
                issuer: Some("https://idp".to_owned()),
                client_id: Some("staging".to_owned()),
                scopes: Some(vec!["email".to_owned(), "groups".to_owned()]),
                authenticator: Some("a".to_owned()),
                redirect_host: Some(vec![RedirectHost::Localhost]),
                redirect_ports: Some(vec![18000, 0]),
                login_timeout: Some(60),
                skip_browser: Some(true),
                ..CredentialArgs::default()
            }
        );
    }

    #[test]
    fn an_unknown_argument_fails_whatever_it_is() {
        for line in [
            "credential --insecure-skip-tls-verify",
            "credential stray",
            "credential --issuer",
            "credential --redirect-ports=http",
            "credential --redirect-host=0.0.0.0",
            "credential --api-version=v1alpha1",
            "credential --skip-browser=yes",
            "whoami -o yml",
            "completion",
            "completion tcsh",
            "completion bash now",
            "rejections -o yml",
            "rejections --since 24",
            "rejections --all-contexts --context a",
            "rejections --context a --all-contexts",
            "rejections staging",
            "fleet",
            "fleet list",
            "fleet check staging",
            "fleet check --all-contexts --contexts a",
            "fleet check --dir clusters --all-contexts",
            "fleet check --contexts=",
            "fleet check -o table",
            "man 1",
            "logn",
            "--context x whoami",
            "version now",
        ] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn help_is_everywhere() {
        let cases = [
            ("", Topic::All),
            ("--help", Topic::All),
            ("help", Topic::All),
            ("help whoami", Topic::Whoami),
            ("help version", Topic::Version),
            ("help help", Topic::All),
            ("completion --help", Topic::Completion),
            ("completion install -h", Topic::Completion),
            ("help rejections", Topic::Rejections),
            ("fleet -h", Topic::Fleet),
            ("fleet check --help", Topic::Fleet),
            ("man --help", Topic::Man),
            ("rejections --all-contexts -h", Topic::Rejections),
            ("credential -h", Topic::Credential),
            ("kubeconfig --context x --help", Topic::Kubeconfig),
        ];
        for (line, topic) in cases {
            assert_eq!(parse_line(line).unwrap(), Command::Help(topic), "{line}");
        }
    }

    #[test]
    fn output_dash_is_standard_output() {
        let Command::Kubeconfig(args) = parse_line("kubeconfig --output -").unwrap() else { panic!("another command") };
        assert_eq!(args.output, Some(OutputTo::Stdout));
    }
}

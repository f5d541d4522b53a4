//! The command line as typed: which verb, which options. What they mean is `config`'s business.

mod rejections;

use std::ffi::OsString;
use std::path::PathBuf;

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};
use thiserror::Error;

pub(crate) use self::rejections::{Contexts, RejectionsArgs, RejectionsFormat};
use crate::exec_credential::ApiVersion;

/// What the person, or kubectl, wants.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Print a credential for a Kubernetes client.
    Credential(Box<CredentialArgs>),
    /// Explain a verb, or all of them.
    Help(Topic),
    /// Write a kubeconfig.
    Kubeconfig(Box<KubeconfigArgs>),
    /// Show which tokens clusters refused.
    Rejections(Box<RejectionsArgs>),
    /// Print the version.
    Version,
    /// Ask the cluster who we are.
    Whoami(WhoamiArgs),
}

/// What help is wanted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// All verbs.
    All,
    /// `credential`.
    Credential,
    /// `kubeconfig`.
    Kubeconfig,
    /// `rejections`.
    Rejections,
    /// `whoami`.
    Whoami,
}

/// Options of `credential`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CredentialArgs {
    /// `--api-version`: version to answer in when the client does not say.
    pub(crate) api_version: Option<ApiVersion>,
    /// `--api-group-suffix`.
    pub(crate) api_group_suffix: GroupSuffix,
    /// `--audience`: the one audience the cluster takes; the client id by default.
    pub(crate) audience: Option<String>,
    /// `--authenticator`: name of the authenticator in the cluster.
    pub(crate) authenticator: Option<String>,
    /// `--authenticator-kind`.
    pub(crate) authenticator_kind: Option<String>,
    /// `--ca-data`: base64 of PEM, the issuer's roots.
    pub(crate) ca_data: Option<String>,
    /// `--client-id`.
    pub(crate) client_id: Option<String>,
    /// `--cluster-name`: what people call the cluster.
    pub(crate) cluster_name: Option<String>,
    /// `--concierge-ca-data`: base64 of PEM, the endpoint's roots.
    pub(crate) concierge_ca_data: Option<String>,
    /// `--concierge-endpoint`: where to exchange the token.
    pub(crate) concierge_endpoint: Option<String>,
    /// `--issuer`.
    pub(crate) issuer: Option<String>,
    /// `--login-timeout`, seconds.
    pub(crate) login_timeout: Option<u32>,
    /// `--optional-scopes`: asked for where the provider lists them.
    pub(crate) optional_scopes: Option<Vec<String>>,
    /// `--redirect-host`.
    pub(crate) redirect_host: RedirectHost,
    /// `--redirect-ports`: tried in order; 0 is any free one.
    pub(crate) redirect_ports: Option<Vec<u16>>,
    /// `--scopes`: always asked for.
    pub(crate) scopes: Vec<String>,
    /// `--skip-browser`: show the URL, start nothing.
    pub(crate) skip_browser: bool,
}

/// The host in the redirect URL, which must be one that the provider accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RedirectHost {
    /// `127.0.0.1`, which RFC 8252 section 7.3 wants.
    #[default]
    Ipv4,
    /// `[::1]`.
    Ipv6,
    /// `localhost`, which some providers insist on (RFC 8252 section 8.3 advises against it).
    Localhost,
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

/// Options of `kubeconfig`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct KubeconfigArgs {
    /// How to reach the cluster as an administrator or with any other right to read two objects.
    pub(crate) kubectl: KubectlFlags,
    /// `--api-group-suffix`.
    pub(crate) api_group_suffix: GroupSuffix,
    /// `--authenticator`.
    pub(crate) authenticator: Option<String>,
    /// `--client-id`: the authenticator's audience by default.
    pub(crate) client_id: Option<String>,
    /// `--command-path`: written in place of the bare program name.
    pub(crate) command_path: Option<String>,
    /// `--credential-issuer`.
    pub(crate) credential_issuer: Option<String>,
    /// `--force`.
    pub(crate) force: bool,
    /// `--issuer-ca`: a PEM file with the issuer's roots.
    pub(crate) issuer_ca: Option<PathBuf>,
    /// `--name`: what the cluster and the context shall be called.
    pub(crate) name: Option<String>,
    /// `--optional-scopes`.
    pub(crate) optional_scopes: Option<Vec<String>>,
    /// `--output`; standard output by default.
    pub(crate) output: Option<PathBuf>,
    /// `--redirect-host`.
    pub(crate) redirect_host: RedirectHost,
    /// `--redirect-ports`.
    pub(crate) redirect_ports: Option<Vec<u16>>,
    /// `--scopes`.
    pub(crate) scopes: Option<Vec<String>>,
}

/// Options of `whoami`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct WhoamiArgs {
    /// As whom, and where.
    pub(crate) kubectl: KubectlFlags,
    /// `--api-group-suffix`.
    pub(crate) api_group_suffix: GroupSuffix,
    /// `-o`.
    pub(crate) format: Format,
}

/// How `whoami` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For programs.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Why the command line cannot be understood.
#[derive(Debug, Error)]
pub(crate) enum UsageError {
    /// An option we do not know, or without its value. Nothing unknown is ever ignored: it might have been a safeguard.
    #[error(transparent)]
    Options(#[from] lexopt::Error),
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
}

/// Reads the command line without the program's own name.
///
/// # Errors
/// When a verb, option or value is unknown.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    match parser.next()? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::All)),
        Some(Arg::Short('V') | Arg::Long("version")) => Ok(Command::Version),
        Some(Arg::Value(verb)) => match verb.string()?.as_str() {
            "credential" => credential(&mut parser),
            "help" => help(&mut parser),
            "kubeconfig" => kubeconfig(&mut parser),
            "rejections" => rejections::rejections(&mut parser),
            "version" => parser.next()?.map_or(Ok(Command::Version), |extra| Err(extra.unexpected().into())),
            "whoami" => whoami(&mut parser),
            other => Err(UsageError::UnknownCommand(other.to_owned())),
        },
        Some(other) => Err(other.unexpected().into()),
    }
}

fn help(parser: &mut Parser) -> Result<Command, UsageError> {
    let topic = match parser.next()? {
        None => Topic::All,
        Some(Arg::Value(verb)) => match verb.string()?.as_str() {
            "credential" => Topic::Credential,
            "kubeconfig" => Topic::Kubeconfig,
            "rejections" => Topic::Rejections,
            "whoami" => Topic::Whoami,
            other => return Err(UsageError::UnknownCommand(other.to_owned())),
        },
        Some(other) => return Err(other.unexpected().into()),
    };
    Ok(Command::Help(topic))
}

fn credential(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = CredentialArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("api-group-suffix") => args.api_group_suffix = suffix(parser)?,
            Arg::Long("api-version") => {
                args.api_version = Some(parsed(parser, "api-version", "\"v1\" or \"v1beta1\"")?);
            }
            Arg::Long("audience") => args.audience = Some(parser.value()?.string()?),
            Arg::Long("authenticator") => args.authenticator = Some(parser.value()?.string()?),
            Arg::Long("authenticator-kind") => args.authenticator_kind = Some(parser.value()?.string()?),
            Arg::Long("ca-data") => args.ca_data = Some(parser.value()?.string()?),
            Arg::Long("client-id") => args.client_id = Some(parser.value()?.string()?),
            Arg::Long("cluster-name") => args.cluster_name = Some(parser.value()?.string()?),
            Arg::Long("concierge-ca-data") => args.concierge_ca_data = Some(parser.value()?.string()?),
            Arg::Long("concierge-endpoint") => args.concierge_endpoint = Some(parser.value()?.string()?),
            Arg::Long("issuer") => args.issuer = Some(parser.value()?.string()?),
            Arg::Long("login-timeout") => {
                args.login_timeout = Some(parsed(parser, "login-timeout", "whole seconds")?);
            }
            Arg::Long("optional-scopes") => args.optional_scopes = Some(list(parser)?),
            Arg::Long("redirect-host") => args.redirect_host = redirect_host(parser)?,
            Arg::Long("redirect-ports") => args.redirect_ports = Some(ports(parser)?),
            Arg::Long("scopes") => args.scopes = list(parser)?,
            Arg::Long("skip-browser") => args.skip_browser = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Credential)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Credential(Box::new(args)))
}

fn kubeconfig(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = KubeconfigArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("api-group-suffix") => args.api_group_suffix = suffix(parser)?,
            Arg::Long("authenticator") => args.authenticator = Some(parser.value()?.string()?),
            Arg::Long("client-id") => args.client_id = Some(parser.value()?.string()?),
            Arg::Long("cluster") => args.kubectl.cluster = Some(parser.value()?.string()?),
            Arg::Long("command-path") => args.command_path = Some(parser.value()?.string()?),
            Arg::Long("context") => args.kubectl.context = Some(parser.value()?.string()?),
            Arg::Long("credential-issuer") => args.credential_issuer = Some(parser.value()?.string()?),
            Arg::Long("force") => args.force = true,
            Arg::Long("issuer-ca") => args.issuer_ca = Some(parser.value()?.into()),
            Arg::Long("kubeconfig") => args.kubectl.kubeconfig = Some(parser.value()?.into()),
            Arg::Long("name") => args.name = Some(parser.value()?.string()?),
            Arg::Long("optional-scopes") => args.optional_scopes = Some(list(parser)?),
            Arg::Short('o') | Arg::Long("output") => {
                args.output = Some(PathBuf::from(parser.value()?)).filter(|path| path.as_os_str() != "-");
            }
            Arg::Long("redirect-host") => args.redirect_host = redirect_host(parser)?,
            Arg::Long("redirect-ports") => args.redirect_ports = Some(ports(parser)?),
            Arg::Long("scopes") => args.scopes = Some(list(parser)?),
            Arg::Long("user") => args.kubectl.user = Some(parser.value()?.string()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Kubeconfig)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Kubeconfig(Box::new(args)))
}

fn whoami(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = WhoamiArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("api-group-suffix") => args.api_group_suffix = suffix(parser)?,
            Arg::Long("cluster") => args.kubectl.cluster = Some(parser.value()?.string()?),
            Arg::Long("context") => args.kubectl.context = Some(parser.value()?.string()?),
            Arg::Long("kubeconfig") => args.kubectl.kubeconfig = Some(parser.value()?.into()),
            Arg::Short('o') | Arg::Long("output") => {
                let value = parser.value()?.string()?;
                args.format = match value.as_str() {
                    "json" => Format::Json,
                    "text" => Format::Text,
                    _ => {
                        return Err(UsageError::Value {
                            option: "output",
                            expected: "\"text\" or \"json\"",
                            found: value,
                        });
                    }
                };
            }
            Arg::Long("user") => args.kubectl.user = Some(parser.value()?.string()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Whoami)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Whoami(args))
}

fn parsed<T: std::str::FromStr>(
    parser: &mut Parser,
    option: &'static str,
    expected: &'static str,
) -> Result<T, UsageError> {
    let found = parser.value()?.string()?;
    found.parse().map_err(|_| UsageError::Value { option, expected, found })
}

fn suffix(parser: &mut Parser) -> Result<GroupSuffix, UsageError> {
    parsed(parser, "api-group-suffix", "a DNS name with a dot, such as \"latchkey.dev\"")
}

fn redirect_host(parser: &mut Parser) -> Result<RedirectHost, UsageError> {
    let found = parser.value()?.string()?;
    match found.as_str() {
        "127.0.0.1" => Ok(RedirectHost::Ipv4),
        "::1" | "[::1]" => Ok(RedirectHost::Ipv6),
        "localhost" => Ok(RedirectHost::Localhost),
        _ => Err(UsageError::Value {
            option: "redirect-host",
            expected: "\"127.0.0.1\", \"[::1]\" or \"localhost\"",
            found,
        }),
    }
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
                scopes: vec!["email".to_owned(), "groups".to_owned()],
                authenticator: Some("a".to_owned()),
                redirect_host: RedirectHost::Localhost,
                redirect_ports: Some(vec![18000, 0]),
                login_timeout: Some(60),
                skip_browser: true,
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
            "whoami -o yaml",
            "rejections -o yml",
            "rejections --since 24",
            "rejections --all-contexts --context a",
            "rejections --context a --all-contexts",
            "rejections staging",
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
            ("help rejections", Topic::Rejections),
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
        assert_eq!(args.output, None);
    }
}

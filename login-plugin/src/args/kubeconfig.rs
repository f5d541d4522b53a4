//! The options of `kubeconfig` as typed.

use std::path::PathBuf;

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};

use super::{Command, KubectlFlags, RedirectHost, Topic, UsageError, list, ports, redirect_hosts, suffix};

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
    /// `--redirect-host`: in the order to try them.
    pub(crate) redirect_host: Option<Vec<RedirectHost>>,
    /// `--redirect-ports`.
    pub(crate) redirect_ports: Option<Vec<u16>>,
    /// `--scopes`.
    pub(crate) scopes: Option<Vec<String>>,
}

pub(super) fn kubeconfig(parser: &mut Parser) -> Result<Command, UsageError> {
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
            Arg::Long("redirect-host") => args.redirect_host = Some(redirect_hosts(parser)?),
            Arg::Long("redirect-ports") => args.redirect_ports = Some(ports(parser)?),
            Arg::Long("scopes") => args.scopes = Some(list(parser)?),
            Arg::Long("user") => args.kubectl.user = Some(parser.value()?.string()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Kubeconfig)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Kubeconfig(Box::new(args)))
}

//! The stanza of this plugin behind a context of the person's kubeconfig: the settings that kubectl would run us with.

use std::ffi::OsString;
use std::path::Path;

use thiserror::Error;

use crate::args::{self, Command, CredentialArgs};
use crate::config::{ConfigError, Settings};
use crate::environment::Environment;
use crate::exec_credential::ExecInfo;
use crate::kubeconfig_files::{Exec, Target};

/// Our program, by whatever path.
const PROGRAM: &str = "kubectl-latchkey";

/// A stanza of ours.
#[derive(Debug)]
pub(crate) struct Stanza {
    /// Its options.
    pub(crate) args: CredentialArgs,
    /// The variables that it sets for us, which win over those of the process.
    variables: Vec<(String, String)>,
    /// Whether kubectl tells us which cluster it is for.
    is_told_the_cluster: bool,
}

/// Why there is no stanza of ours.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum StanzaError {
    /// The user proves themselves by something else.
    #[error("{who} does not log in by this plugin{}", program.as_ref().map(|program| format!(" (but by {program})")).unwrap_or_default())]
    NotOurs {
        /// Context or user.
        who: String,
        /// By what, if that is a plugin too.
        program: Option<String>,
    },
    /// Our program, with options that it does not take.
    #[error("the options of this plugin in the kubeconfig ({who}): {what}")]
    Options {
        /// Context or user.
        who: String,
        /// What is wrong with them.
        what: String,
    },
}

impl Stanza {
    /// The stanza behind a context.
    ///
    /// # Errors
    /// When there is none of ours, or its options cannot be understood.
    pub(crate) fn of(target: &Target) -> Result<Self, StanzaError> {
        let who = || match &target.context {
            Some(context) => format!("context {context:?}"),
            None => format!("user {:?}", target.user_name),
        };
        let Some(exec) = &target.exec else { return Err(StanzaError::NotOurs { who: who(), program: None }) };
        let Some(arguments) = arguments(exec) else {
            return Err(StanzaError::NotOurs { who: who(), program: Some(exec.command.clone()) });
        };
        let options = |what: String| StanzaError::Options { who: who(), what };
        match args::parse(arguments.iter().map(OsString::from)) {
            Ok(Command::Credential(args)) => Ok(Self {
                args: *args,
                variables: exec.env.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect(),
                is_told_the_cluster: exec.provide_cluster_info,
            }),
            Ok(_) => Err(options("they do not ask for a credential".to_owned())),
            Err(error) => Err(options(error.to_string())),
        }
    }

    /// Whether a token is given to it, so that nobody has to log in.
    pub(crate) const fn has_token(&self) -> bool {
        let CredentialArgs { token_command, token_env, token_file, token_from_github, .. } = &self.args;
        token_command.is_some() || token_env.is_some() || token_file.is_some() || token_from_github.is_some()
    }

    /// The environment as the plugin sees it when kubectl runs it for this stanza.
    pub(crate) fn environment(&self) -> Environment {
        Environment::Overlaid(self.variables.iter().cloned().collect())
    }

    /// The settings of a run of `credential` for this stanza. `typed` wins over what stands there; `interactive` says whether
    /// the person sits at the terminal.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub(crate) fn settings(
        &self,
        target: &Target,
        typed: CredentialArgs,
        interactive: bool,
        environment: &Environment,
    ) -> Result<Settings, ConfigError> {
        let cluster = self.is_told_the_cluster.then(|| target.cluster.clone());
        let mut args = typed.or(self.args.clone());
        args.cluster_name = args.cluster_name.or_else(|| target.context.clone());
        Settings::new(args, ExecInfo { version: None, interactive, cluster }, environment)
    }
}

/// The arguments of our program: run by itself, or, as other plugins have it, by `kubectl latchkey`.
fn arguments(exec: &Exec) -> Option<&[String]> {
    let program = Path::new(&exec.command).file_stem()?;
    if program == PROGRAM {
        return Some(&exec.args);
    }
    let (first, rest) = exec.args.split_first()?;
    (program == "kubectl" && first == "latchkey").then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec_credential::Cluster;

    fn target(command: &str, args: &[&str]) -> Target {
        let exec = Exec {
            command: command.to_owned(),
            args: args.iter().map(|&argument| argument.to_owned()).collect(),
            ..Exec::default()
        };
        Target {
            context: Some("staging".to_owned()),
            cluster_name: "staging".to_owned(),
            cluster: Cluster::default(),
            user_name: "me".to_owned(),
            exec: Some(exec),
            silencers: Vec::new(),
            impersonate: None,
            impersonate_groups: Vec::new(),
        }
    }

    #[test]
    fn a_stanza_is_ours_by_whatever_path() {
        for (command, args) in [
            ("kubectl-latchkey", &["credential", "--issuer=https://idp"][..]),
            ("/opt/bin/kubectl-latchkey", &["credential", "--issuer=https://idp"]),
            ("kubectl", &["latchkey", "credential", "--issuer=https://idp"]),
        ] {
            let stanza = Stanza::of(&target(command, args)).unwrap();
            assert_eq!(stanza.args.issuer.as_deref(), Some("https://idp"), "{command}");
        }
    }

    #[test]
    fn what_is_not_ours_is_named() {
        let other = Stanza::of(&target("aws", &["eks", "get-token"])).unwrap_err();
        assert_eq!(other.to_string(), "context \"staging\" does not log in by this plugin (but by aws)");
        let kubelogin = Stanza::of(&target("kubectl", &["oidc-login", "get-token"])).unwrap_err();
        assert!(matches!(kubelogin, StanzaError::NotOurs { .. }));
        for wrong in [&["credential", "--insecure"][..], &["whoami"], &[]] {
            let error = Stanza::of(&target("kubectl-latchkey", wrong)).unwrap_err();
            assert!(matches!(error, StanzaError::Options { .. }), "{wrong:?}");
        }
    }
}

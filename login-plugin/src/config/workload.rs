//! Settings of a run without a person: a CI job or a pod that has a token already.

use std::path::PathBuf;

use super::{Answering, ConfigError, Destination, Places};
use crate::args::CredentialArgs;
use crate::environment::Environment;

/// Everything that one run of `credential` has to know where no person logs in.
#[derive(Debug)]
pub(crate) struct WorkloadConfig {
    /// How to answer, and whom for.
    pub(crate) answering: Answering,
    /// Where the token is; read anew at each run.
    pub(crate) source: TokenSource,
    /// The one audience that the cluster takes, if it is said: a token for anything else stays here.
    pub(crate) audience: Option<String>,
    /// Who takes it.
    pub(crate) destination: Destination,
    /// Where to keep what we have.
    pub(crate) places: Places,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// What a program prints.
    Command(Vec<String>),
    /// A variable of the environment (GitLab's `id_tokens`).
    Environment(String),
    /// A file (a projected service account token).
    File(PathBuf),
    /// GitHub Actions, asked for the audience.
    GitHub,
}

impl TokenSource {
    /// `LATCHKEY_TOKEN_FILE` or `LATCHKEY_TOKEN_ENV`, by which a kubeconfig made for people serves a CI job; else the
    /// setting; none: a person has to log in.
    pub(super) fn new(args: &CredentialArgs, environment: &Environment) -> Result<Option<Self>, ConfigError> {
        let by_environment = [
            environment.text("LATCHKEY_TOKEN_FILE").map(|path| Self::File(path.into())),
            environment.text("LATCHKEY_TOKEN_ENV").map(Self::Environment),
        ];
        let by_argument = [
            args.token_command
                .as_ref()
                .map(|line| Self::Command(line.split_ascii_whitespace().map(ToOwned::to_owned).collect())),
            args.token_env.clone().map(Self::Environment),
            args.token_file.clone().map(Self::File),
            args.token_from_github.unwrap_or_default().then_some(Self::GitHub),
        ];
        let only = |sources: &[Option<Self>], words| {
            let mut given = sources.iter().flatten();
            match (given.next(), given.next()) {
                (_, Some(_)) => Err(ConfigError::Several(words)),
                (source, None) => Ok(source.cloned()),
            }
        };
        let environment = only(&by_environment, "LATCHKEY_TOKEN_FILE and LATCHKEY_TOKEN_ENV")?;
        let argument = only(&by_argument, "--token-command, --token-env, --token-file and --token-from-github")?;
        Ok(environment.or(argument))
    }
}

impl WorkloadConfig {
    pub(super) fn new(
        args: &CredentialArgs,
        answering: Answering,
        source: TokenSource,
        destination: Destination,
        environment: &Environment,
    ) -> Self {
        Self {
            answering,
            source,
            audience: args.audience.clone().or_else(|| args.client_id.clone()),
            destination,
            places: Places::new(environment),
        }
    }
}

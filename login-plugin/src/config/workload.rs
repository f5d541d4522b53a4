//! Settings of a run without a person: a CI job or a pod that has a token already.

use std::path::PathBuf;
use std::time::Duration;

use super::login::timeout;
use super::{Answering, ConfigError, Destination, Places};
use crate::args::{CredentialArgs, Store};
use crate::environment::Environment;

/// For a program that prints a token, or for GitHub: longer than either takes, shorter than a job's patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that one run of `credential` has to know where no person logs in.
#[derive(Debug)]
pub(crate) struct WorkloadConfig {
    /// How to answer, and whom for.
    pub(crate) answering: Answering,
    /// Where the token is; read anew at each run.
    pub(crate) source: TokenSource,
    /// The one audience that the cluster takes, if it is said: a token for anything else stays here.
    pub(crate) audience: Option<String>,
    /// Whom else the token may be for.
    pub(crate) additional_audiences: Vec<String>,
    /// For a program that prints a token, or for GitHub.
    pub(crate) patience: Duration,
    /// Who takes it.
    pub(crate) destination: Destination,
    /// Where to keep what we have.
    pub(crate) places: Places,
    /// Whether to keep it.
    pub(crate) store: Store,
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// What a program prints: the program and its arguments, at least one word.
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
        let command = args.token_command.as_deref().map(|line| words(line).map(Self::Command)).transpose()?;
        let by_argument = [
            command,
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
        (places, store): (Places, Store),
    ) -> Result<Self, ConfigError> {
        let audience = args.audience.clone().or_else(|| args.client_id.clone());
        // GitHub's default, the repository's owner, is no cluster's.
        if source == TokenSource::GitHub && audience.is_none() {
            return Err(ConfigError::Missing("--audience, for which GitHub gives its token,"));
        }
        let patience = timeout(args)?.unwrap_or(PATIENCE);
        let additional_audiences = args.additional_audiences.clone().unwrap_or_default();
        Ok(Self { answering, source, audience, additional_audiences, patience, destination, places, store })
    }
}

/// The words of a command line: separated by blanks, which quotes of either kind keep together. No shell reads it, so
/// nothing else means anything: a backslash is a backslash (paths of Windows have them), and no variable is replaced.
fn words(line: &str) -> Result<Vec<String>, ConfigError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    match (quote, words.first()) {
        (Some(_), _) => Err(ConfigError::TokenCommand("a quotation in it does not end")),
        (None, None) => Err(ConfigError::TokenCommand("it names no program")),
        (None, Some(_)) => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_at_blanks_and_quotes_keep_them() {
        let cases: [(&str, &[&str]); 6] = [
            ("vault read -field=token  oidc/staging", &["vault", "read", "-field=token", "oidc/staging"]),
            ("'/opt/my tools/token' --for \"the cluster\"", &["/opt/my tools/token", "--for", "the cluster"]),
            (r"C:\tools\token.exe $HOME", &[r"C:\tools\token.exe", "$HOME"]),
            ("sh -c 'echo \"$TOKEN\"'", &["sh", "-c", "echo \"$TOKEN\""]),
            ("token --prefix='' x", &["token", "--prefix=", "x"]),
            ("token ''", &["token", ""]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        for line in ["", "   ", "token 'open", "token \""] {
            assert!(matches!(words(line), Err(ConfigError::TokenCommand(_))), "{line}");
        }
    }
}

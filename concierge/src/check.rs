//! `latchkey-concierge check`: judges tokens by files, and says every step of the way. The judge is the server's own.
//!
//! Nothing of a cluster is asked. Keys come from a file, from the spec, or, if neither has them, from the issuer.

mod answer;
mod authenticators;
mod fleet;
mod key_sets;
mod lines;

use std::{
    io::{BufRead, Read, Write},
    path::PathBuf,
};

use self::{
    answer::{Judged, Unreadable},
    lines::Lines,
};
use crate::{
    authn,
    idp::proxy::Proxies,
    index::Authenticator,
    jwt::TokenFacts,
    secret::BearerToken,
    time::{Clock, UnixTime},
};

/// Most bytes of a file that holds one token: its own limit, and white space at its end.
const MAX_TOKEN_FILE_BYTES: u64 = 64 * 1024;

/// What is to be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The file with one or more `JWTAuthenticator` objects.
    pub authenticator: PathBuf,
    /// This cluster's name, by which the fleet list knows it; needed where there is a fleet list.
    pub cluster_name: Option<String>,
    /// The file with the fleet list. One may also stand beside the authenticators.
    pub fleet: Option<PathBuf>,
    /// A key set that takes the place of wherever the keys come from.
    pub jwks: Option<PathBuf>,
    /// The time to judge by; `None` is now.
    pub now: Option<UnixTime>,
    /// Which tokens.
    pub tokens: Tokens,
    /// The proxy through which issuers are asked.
    pub proxies: Proxies,
}

/// Where the tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// One, in a file.
    File(PathBuf),
    /// One, on standard input.
    Stdin,
    /// Many on standard input, one JSON object `{"id": "...", "token": "..."}` a line.
    Lines,
}

/// How a check ended (design 14.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The token was allowed; of many, each line was judged.
    Well,
    /// The token was refused; of many, a line was unreadable.
    Refused,
}

/// Why nothing was judged. Its words are for whoever typed the command.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The authenticator, its key set or the token cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The answer cannot be written.
    #[error("writing the answer: {0}")]
    Output(std::io::Error),
}

/// Judges, and writes one JSON object a token to `output`; `notes` are for people.
///
/// # Errors
/// When the authenticator or the key set is of no use, or an answer cannot be written.
pub async fn run(
    check: &Check,
    clock: &dyn Clock,
    input: impl BufRead,
    output: &mut impl Write,
    notes: &mut impl Write,
) -> Result<Ending, CheckError> {
    let authenticators = authenticators::read(check, notes).await?;
    let now = check.now.unwrap_or_else(|| clock.now());
    match &check.tokens {
        Tokens::Lines => many(&authenticators, now, input, output),
        Tokens::File(path) => {
            let file = std::fs::File::open(path)
                .map_err(|error| CheckError::Unusable(format!("opening {}: {error}", path.display())))?;
            one(&authenticators, now, &path.display().to_string(), file, output)
        }
        Tokens::Stdin => one(&authenticators, now, "-", input, output),
    }
}

fn one(
    authenticators: &[Authenticator],
    now: UnixTime,
    id: &str,
    input: impl Read,
    output: &mut impl Write,
) -> Result<Ending, CheckError> {
    let mut text = String::new();
    let read = input.take(MAX_TOKEN_FILE_BYTES).read_to_string(&mut text);
    read.map_err(|error| CheckError::Unusable(format!("reading the token from {id}: {error}")))?;
    // What `echo` and editors add is not the token's.
    let token = BearerToken::new(text.trim_end_matches(['\n', '\r']).to_owned());
    let judged = judge(authenticators, id, &token, now);
    answer::write(output, &judged)?;
    Ok(if judged.allowed() { Ending::Well } else { Ending::Refused })
}

fn many(
    authenticators: &[Authenticator],
    now: UnixTime,
    input: impl BufRead,
    output: &mut impl Write,
) -> Result<Ending, CheckError> {
    let mut ending = Ending::Well;
    for line in Lines::new(input) {
        match line.map_err(|error| CheckError::Unusable(format!("reading standard input: {error}")))? {
            Ok(line) => answer::write(output, &judge(authenticators, &line.id, &line.token, now))?,
            Err(problem) => {
                ending = Ending::Refused;
                answer::write(output, &Unreadable::new(&problem.to_string()))?;
            }
        }
    }
    Ok(ending)
}

/// Judges by each authenticator: the first that admits counts, else the one by which the token got furthest.
fn judge<'a>(authenticators: &'a [Authenticator], id: &'a str, token: &BearerToken, now: UnixTime) -> Judged<'a> {
    let several = authenticators.len() > 1;
    let mut best: Option<Judged<'a>> = None;
    for authenticator in authenticators {
        let mut passed = Vec::new();
        let mut facts = TokenFacts { bytes: token.len(), ..TokenFacts::default() };
        let outcome = authn::judge(token, authenticator, now, &mut facts, &mut passed);
        let name = several.then(|| authenticator.name.as_str());
        let judged = Judged::new(id, name, &passed, &outcome);
        if judged.allowed() {
            return judged;
        }
        if best.as_ref().is_none_or(|best| judged.steps_passed() > best.steps_passed()) {
            best = Some(judged);
        }
    }
    best.unwrap_or_else(|| unreachable!("there is at least one authenticator"))
}

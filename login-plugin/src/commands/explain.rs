//! `explain`: why a cluster refused, as far as it can be told from here, and whom to ask for the rest.

mod codes;

use std::fmt::Write as _;

pub(super) use self::codes::all as reasons;
use super::chosen::{Chosen, in_use};
use super::credential::astray;
use super::table::span;
use super::{World, print, typed};
use crate::args::{ExplainArgs, KubectlFlags};
use crate::cache::{Cache, Keys, LastRefusal, Session};
use crate::config::Destination;
use crate::failure::{Failure, Status};
use crate::kubeconfig_files::KubeconfigFiles;
use crate::output::Printable;
use crate::stanza::Stanza;
use crate::time::UnixTime;
use crate::unverified_claims::UnverifiedClaims;

/// Widest line, in characters, unless one word alone is wider: terminals are rarely narrower than 100.
const LINE_MAX_CHARS: usize = 92;

/// The longest label and a space.
const LABEL_CHARS: usize = 10;

/// Explains a code, or what happened to a context.
///
/// # Errors
/// When there is no such code, or the context is not ours.
pub(super) fn run(args: &ExplainArgs, world: World<'_>) -> Result<(), Failure> {
    match &args.code {
        Some(code) => print(&of_code(code)?),
        None => print(&of_context(&args.kubectl, world)?),
    }
}

fn of_code(code: &str) -> Result<String, Failure> {
    let Some(reason) = codes::reason(code) else {
        return Err(Failure::new(Status::Usage, format!("{code:?} is no reason of a refusal"))
            .hint("`kubectl latchkey rejections` and audit records name it in the column or member `code`"));
    };
    Ok(format!("{}\n\n{}\n{}", reason.code, paragraph(reason.meaning, "  "), paragraph(reason.mend, "  ")))
}

fn of_context(kubectl: &KubectlFlags, world: World<'_>) -> Result<String, Failure> {
    let Chosen { context, config, silencers, .. } = in_use(kubectl, world)?;
    let keys = Keys::new(&config);
    let cache = Cache::new(&config.places, config.store, world.clock, world.output);
    let now = world.clock.now();
    let mut text = String::new();
    let mut line = |label: &str, words: &str| text.push_str(&labelled(label, words));
    line("Context:", &Printable(context.as_deref().unwrap_or("(none)")).to_string());
    let endpoint = config.destination.server().map(|server| server.endpoint.as_str());
    let server = endpoint.map_or("(not told)", |endpoint| endpoint.trim_end_matches('/'));
    let authenticator = match &config.destination {
        Destination::Direct(_) => String::new(),
        Destination::Exchange(concierge) => {
            format!(", {} {}", concierge.authenticator_kind, concierge.authenticator_name)
        }
    };
    line("Cluster:", &Printable(&format!("{} at {server}{authenticator}", config.answering.cluster_name)).to_string());
    if !silencers.is_empty() {
        let beside = silencers.join(", ");
        line(
            "Beware:",
            &format!("the user in the kubeconfig has {beside} as well: kubectl uses that and never runs this plugin"),
        );
    }
    let wanted = &config.provider.audience;
    line("Asks for:", &Printable(&format!("a token for {wanted:?}, of {}", config.provider.issuer)).to_string());
    let session = cache.session(&keys.session);
    match &session {
        None => line("Login:", &format!("none is kept; `{}` makes one", typed::login(kubectl))),
        Some(session) => {
            let elsewhere = astray(&config, &cache, &keys).map(|failure| failure.message);
            let asked = (wanted.as_str(), config.provider.additional_audiences.as_slice());
            token_lines(session, (asked, endpoint, elsewhere), kubectl, world, &mut line);
        }
    }
    if let Some(attempt) = cache.failed_attempt(&keys.session) {
        line("Failed:", &format!("the last login, {} ago: {}", span(now.since(attempt.at)), attempt.failure.message));
    }
    match cache.last_refusal(&keys.credential) {
        None => line("Refused:", "never, as far as this computer knows"),
        Some(refusal) => {
            line("Refused:", &format!("{} ({} ago) by {}", refusal.at, span(now.since(refusal.at)), refusal.endpoint));
            line("", &format!("{:?}", refusal.message));
            let is_past = cache.credential(&keys.credential, now).is_some_and(|held| held.received_at > refusal.at);
            if is_past {
                line("", "since then it has let you in");
            }
            text.push_str(&next_steps(&refusal));
        }
    }
    Ok(text)
}

/// What the kept token says of itself, and whether it may go to this cluster at all: for which audience it should be and
/// for whom besides, to which server it would go, and why it does not go there if it was taken to another one so far.
fn token_lines(
    session: &Session,
    ((wanted, additional), endpoint, elsewhere): ((&str, &[String]), Option<&str>, Option<String>),
    kubectl: &KubectlFlags,
    world: World<'_>,
    line: &mut impl FnMut(&str, &str),
) {
    let now = world.clock.now();
    line("Login:", &format!("as {}", Printable(&session.identity)));
    let Some(claims) = UnverifiedClaims::read(session.id_token.expose()) else {
        return line("Token:", "it cannot be read");
    };
    let audiences = claims.audiences();
    let text = |claim| claims.text(claim).unwrap_or("nobody").to_owned();
    line("Token:", &Printable(&format!("for {audiences:?}, by {}", text("iss"))).to_string());
    line("", &Printable(&format!("about {}", text("sub"))).to_string());
    let time = |claim: &str| claims.all().get(claim).and_then(serde_json::Value::as_i64).map(UnixTime::from_secs);
    if let Some(issued) = time("iat") {
        line("", &format!("made {issued}, {} ago", span(now.since(issued))));
    }
    if let Some(expires) = time("exp") {
        let left = expires.since(now);
        let words = if left > 0 {
            format!("for another {}", span(left))
        } else {
            format!("{} ago", span(left.saturating_neg()))
        };
        line("", &format!("ends {expires}, {words}"));
    }
    match elsewhere {
        // In the words of the concierge, so that the two can be matched.
        _ if !claims.is_for_only(wanted, additional) => {
            let found = Printable(&format!("{audiences:?}")).to_string();
            line("Check:", &format!("audience {found} is not ours, expected {wanted:?}: the token is not sent"));
        }
        Some(elsewhere) => line("Check:", &format!("{}: the token is not sent", Printable(&elsewhere))),
        None => line("Check:", "the token is for what this kubeconfig asks for and no more, so it is sent there"),
    }
    for name in contexts_for(&audiences, endpoint, kubectl, world) {
        let name = Printable(&name).to_string();
        line("", &format!("it is the token of context {name:?} as well, whose server is another one"));
    }
}

/// Contexts that ask for a token of such an audience, and take it to another server than this one.
fn contexts_for(audiences: &[String], endpoint: Option<&str>, kubectl: &KubectlFlags, world: World<'_>) -> Vec<String> {
    let Ok(files) = KubeconfigFiles::read(kubectl.kubeconfig.as_deref(), world.environment) else { return Vec::new() };
    let asks = |name: &str| {
        let flags = KubectlFlags { context: Some(name.to_owned()), ..KubectlFlags::default() };
        let target = files.target(&flags).ok()?;
        let args = Stanza::of(&target).ok()?.args;
        let server = args.concierge_endpoint.unwrap_or(target.cluster.server);
        let is_here = endpoint.is_some_and(|here| here.trim_end_matches('/') == server.trim_end_matches('/'));
        args.audience.or(args.client_id).filter(|_| !is_here)
    };
    let contexts = files.contexts().map(|(name, _)| name.to_owned());
    contexts.filter(|name| asks(name).is_some_and(|audience| audiences.contains(&audience))).collect()
}

fn next_steps(refusal: &LastRefusal) -> String {
    let mut text = String::from("\nA cluster tells its reason only to its administrators. ");
    match &refusal.audit_id {
        Some(id) => {
            let _cannot_fail = write!(
                text,
                "Give them the audit id; they run:\n  latchkey-concierge audit show --audit-id {} audit.jsonl\n",
                Printable(id)
            );
        }
        None => text.push_str("It sent no audit id; give them the time.\n"),
    }
    text.push_str(
        "With the right to read them you see refused tokens of your clusters yourself:\n  kubectl latchkey rejections\n\
         What the code of the reason means:\n  kubectl latchkey explain CODE\n",
    );
    text
}

/// A label in a column of its own, with its words beside it.
fn labelled(label: &str, words: &str) -> String {
    let beside = paragraph(words, &" ".repeat(LABEL_CHARS));
    format!("{label:<LABEL_CHARS$}{}", &beside[LABEL_CHARS..])
}

/// Lines of words that fit a terminal.
fn paragraph(words: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in words.split_whitespace() {
        let last = lines.last_mut().expect("there is a first line");
        if last.chars().count() + 1 + word.chars().count() > LINE_MAX_CHARS {
            lines.push(format!("{indent}{word}"));
        } else {
            if last.len() > indent.len() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

//! The files of `tests/corpus`: each is judged as it says, here and by `check`, and together they hold every reason that
//! a token can be refused for.

#[path = "corpus/completeness.rs"]
mod completeness;
#[path = "corpus/forge.rs"]
mod forge;
#[path = "corpus/opinions.rs"]
mod opinions;
#[path = "corpus/recipe.rs"]
mod recipe;

use std::{
    panic,
    sync::{Arc, LazyLock},
    thread,
};

use latchkey_concierge::{
    authn::{self, Admitted, Reason},
    convert,
    index::{Authenticator, AuthenticatorName},
    jwt::{self, KeySet, Rejection, Step, TokenFacts, Verifier},
    mapping::GroupName,
    time::UnixTime,
};
use serde_json::{Value, json};

use self::{
    forge::{Forged, forge},
    recipe::{AUTHENTICATOR_REFUSED, KEY_SET_REFUSED, Recipe},
};
use crate::issuer::bearer;

/// The stack that the judge makes do with, however deep a token is nested (threats T18). Rules in CEL, which the
/// administrator writes, are compiled on more.
const STACK_BYTES: usize = 128 * 1024;

/// A token of a file, and what became of it.
struct Case {
    /// The file's name, and which of several texts it was made with.
    name: String,
    recipe: Recipe,
    forged: Forged,
    found: Found,
}

/// What became of it.
enum Found {
    AuthenticatorRefused(String),
    KeySetRefused(String),
    Judged(Box<Judged>),
}

struct Judged {
    outcome: Result<Admitted, Reason>,
    passed: Vec<Step>,
    facts: TokenFacts,
    dropped: Vec<String>,
    peeked: Result<String, Rejection>,
}

/// Every case, judged once for all tests.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    recipe::all()
        .into_iter()
        .flat_map(|(name, recipe)| variants(&name, &recipe))
        .map(|(n, r)| Case::new(n, r))
        .collect()
});

/// The recipe once for each text of `each`.
fn variants(name: &str, recipe: &Recipe) -> Vec<(String, Recipe)> {
    let Some((placeholder, texts)) = recipe.each.iter().next() else { return vec![(name.to_owned(), recipe.clone())] };
    assert_eq!(recipe.each.len(), 1, "{name}: one placeholder at a time");
    let variant = |text: &String| {
        let mut recipe = recipe.clone();
        let piece = recipe::Piece { text: Some(text.clone()), ..recipe::Piece::default() };
        recipe.pieces.insert(placeholder.clone(), piece);
        (format!("{name} with {text:?}"), recipe)
    };
    texts.iter().map(variant).collect()
}

#[test]
fn every_file_is_judged_as_it_says() {
    let wrong: Vec<String> = CASES.iter().flat_map(Case::differences).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

#[test]
fn files_are_named_after_their_row_and_say_something_new() {
    let mut said = std::collections::BTreeSet::new();
    for (name, recipe) in recipe::all() {
        let sound = name.split_once('-').is_some_and(|(row, rest)| {
            let number = row.strip_prefix(['T', 'C', 'K']).unwrap_or_default();
            number.parse::<u8>().is_ok()
                && !rest.is_empty()
                && rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        });
        assert!(sound, "{name}: expected the row of the threat and words, such as T13-duplicate-aud");
        assert!(said.insert(recipe.attack.clone()), "{name}: another file has the same attack");
    }
}

/// ECDSA signatures have two valid forms, and anybody can make one of the other. Records and revocation must know both
/// for one token (threats T10).
#[test]
fn the_two_forms_of_a_signature_are_one_token() {
    let twins = CASES.iter().filter(|case| case.name.starts_with("T10-other-s"));
    for case in twins.clone() {
        let Found::Judged(twin) = &case.found else { panic!("{}", case.name) };
        let forged = forge(&Recipe {
            signature: recipe::Signature { form: None, ..case.recipe.signature.clone() },
            ..case.recipe.clone()
        });
        let Found::Judged(plain) = judge(&forged) else { panic!("{}", case.name) };
        assert_ne!(forged.token, case.forged.token);
        assert!(
            plain.facts.fingerprint.is_some() && plain.facts.fingerprint == twin.facts.fingerprint,
            "{}",
            case.name
        );
    }
    assert_ne!(twins.count(), 0);
}

// === impl Case ===

impl Case {
    fn new(name: String, recipe: Recipe) -> Self {
        let forged = panic::catch_unwind(|| forge(&recipe)).unwrap_or_else(|_| panic!("{name}: nothing can be forged"));
        let found = if name.starts_with("T18") {
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            thread::scope(|scope| builder.spawn_scoped(scope, || judge(&forged)).unwrap().join().unwrap())
        } else {
            judge(&forged)
        };
        Self { name, recipe, forged, found }
    }

    /// The verdict, or [`AUTHENTICATOR_REFUSED`] or [`KEY_SET_REFUSED`].
    fn code(&self) -> &'static str {
        match &self.found {
            Found::AuthenticatorRefused(_) => AUTHENTICATOR_REFUSED,
            Found::KeySetRefused(_) => KEY_SET_REFUSED,
            Found::Judged(judged) => judged.outcome.as_ref().map_or_else(Reason::code, |_| "allowed"),
        }
    }

    /// What is not as the file says.
    fn differences(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut hold = |what: &str, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
            let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
            if found != expected {
                wrong.push(format!("{}: {what} is {found}, expected {expected}", self.name));
            }
        };
        hold("the verdict", &self.code(), &self.recipe.expect.as_str());
        let says = match &self.found {
            Found::AuthenticatorRefused(problem) | Found::KeySetRefused(problem) => problem.clone(),
            Found::Judged(judged) => {
                let step = judged.outcome.as_ref().err().and_then(Reason::step);
                hold("the step", &step.map(Step::name), &self.recipe.step.as_deref());
                // The step that fails is the one after the last that was passed, and nothing is passed after it.
                let passed = step.map_or(&Step::ALL[..], |step| &Step::ALL[..step as usize]);
                hold("the trace", &judged.passed, &passed);
                let recognised = |(found, words): (&String, &String)| found.contains(words.as_str());
                let as_said = judged.dropped.len() == self.recipe.dropped.len()
                    && judged.dropped.iter().zip(&self.recipe.dropped).all(recognised);
                hold(
                    "what is dropped",
                    &if as_said { &self.recipe.dropped } else { &judged.dropped },
                    &self.recipe.dropped,
                );
                hold("key material in a warning", &self.told_key_material(&judged.dropped), &None::<String>);
                hold_user(judged, &self.recipe, &mut hold);
                judged.outcome.as_ref().err().map(ToString::to_string).unwrap_or_default()
            }
        };
        if let Some(words) = &self.recipe.says {
            hold("what is said", &if says.contains(words) { words } else { &says }, words);
        }
        wrong
    }

    /// A member of a key that stands in what people are told of keys that are left out.
    fn told_key_material(&self, warnings: &[String]) -> Option<String> {
        const MATERIAL: [&str; 11] = ["d", "dp", "dq", "e", "k", "n", "p", "q", "qi", "x", "y"];
        let set: Value = serde_json::from_slice(&self.forged.key_set).ok()?;
        let members = set["keys"].as_array()?.iter().flat_map(|key| MATERIAL.map(|member| key[member].as_str()));
        let mut material = members.flatten().filter(|text| text.len() >= 4);
        material.find(|text| warnings.iter().any(|warning| warning.contains(text))).map(str::to_owned)
    }
}

fn hold_user(
    judged: &Judged,
    recipe: &Recipe,
    hold: &mut impl FnMut(&str, &dyn std::fmt::Debug, &dyn std::fmt::Debug),
) {
    let found = judged.outcome.as_ref().map_or(Value::Null, user);
    for (part, expected) in &recipe.user {
        hold(part, &found[part], expected);
    }
    // A token that is let in early is known by the issuer that it claims, or it would never have found its judge.
    if judged.outcome.is_ok() {
        let issuer = judged.facts.verified.as_ref().and_then(|verified| verified.iss.clone());
        hold("the issuer at first sight", &judged.peeked.as_ref().ok(), &issuer.as_ref());
    }
}

/// The user in the words of `check`.
fn user(admitted: &Admitted) -> Value {
    let user = &admitted.user;
    json!({
        "username": user.username().as_str(),
        "uid": user.uid().unwrap_or_default(),
        "groups": user.groups().iter().map(GroupName::as_str).collect::<Vec<_>>(),
        "extra": user.extra(),
    })
}

/// Judges what was forged by an authenticator made of its spec as the server makes it.
fn judge(forged: &Forged) -> Found {
    let Forged { token, key_set, spec, fleet, now } = forged;
    let spec = match convert::jwt_authenticator(spec) {
        Ok(spec) => spec,
        Err(problem) => return Found::AuthenticatorRefused(problem.to_string()),
    };
    let judge = match (&spec.issuer, &spec.keys, &spec.judge) {
        (Err(problem), _, _) => return Found::AuthenticatorRefused(problem.to_string()),
        (_, Err(problem), _) => return Found::AuthenticatorRefused(problem.to_string()),
        (_, _, Err(problem)) => return Found::AuthenticatorRefused(problem.to_string()),
        (Ok(issuer), Ok(_), Ok(judge)) => (judge.profile(issuer.clone(), fleet.siblings("staging")), judge),
    };
    let (keys, dropped) = match KeySet::parse(key_set) {
        Ok(parsed) => parsed,
        Err(problem) => return Found::KeySetRefused(problem.to_string()),
    };
    let authenticator = Authenticator {
        name: AuthenticatorName::new("staging"),
        uid: "3e1f".to_owned(),
        generation: 1,
        verifier: Verifier::new(Arc::new(judge.0), judge.1.algorithms, Arc::new(keys)),
        rules: Arc::clone(&judge.1.rules),
        credential_lifetime: None,
        claims: None,
        keys_fetched_at: UnixTime::from_secs(*now),
    };
    let (mut facts, mut passed) = (TokenFacts::default(), Vec::new());
    let outcome = authn::judge(&bearer(token), &authenticator, UnixTime::from_secs(*now), &mut facts, &mut passed);
    let dropped = dropped.iter().map(ToString::to_string).collect();
    let peeked = jwt::peek_issuer(&bearer(token)).map(|issuer| issuer.as_hint().to_owned());
    Found::Judged(Box::new(Judged { outcome, passed, facts, dropped, peeked }))
}

//! Our side: an entry of kube-apiserver's file as a `JWTAuthenticator`, judged in this process.

use std::{mem, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_concierge::{
    authn,
    convert::{self, Judge},
    fleet::Siblings,
    index::{self, Authenticator, AuthenticatorName, AuthenticatorRef, Entry},
    jwt::{Issuer, KeySet, Verifier},
    secret::BearerToken,
    time::UnixTime,
};
use serde_json::{Map, Value, json};

use super::{User, Verdict, table::merge};

/// What we say of a token, under an entry of kube-apiserver's file (with `patch` over what it becomes), for an issuer that
/// publishes `keys`.
#[must_use]
pub fn judge(entry: &Value, patch: &Value, keys: &str, token: &str, now: UnixTime) -> Verdict {
    let authenticator = match authenticator(&spec(entry, patch), keys) {
        Ok(authenticator) => authenticator,
        Err(verdict) => return verdict,
    };
    let name = AuthenticatorRef::jwt("conformance");
    let (mut writer, reader) = index::channel();
    writer.set(name.clone(), Entry::Ready(Arc::new(authenticator)));
    let verdict = authn::authenticate(&BearerToken::new(token.to_owned()), &name, &reader.snapshot(), now);
    match verdict.outcome {
        Err(reason) => Verdict::Refused(format!("{}: {reason}", reason.code())),
        Ok(admitted) => Verdict::Allowed(User {
            username: admitted.user.username().as_str().to_owned(),
            uid: admitted.user.uid().unwrap_or_default().to_owned(),
            groups: admitted.user.groups().iter().map(|group| group.as_str().to_owned()).collect(),
            extra: admitted.user.extra().clone(),
        }),
    }
}

/// Whether we take an entry of kube-apiserver's file, of which it said that it does not.
#[must_use]
pub fn validate(entry: &Value, patch: &Value) -> Verdict {
    match valid(&spec(entry, patch)) {
        Err(verdict) => verdict,
        Ok(_) => Verdict::Taken,
    }
}

fn spec(entry: &Value, patch: &Value) -> Value {
    let mut spec = translate(entry);
    merge(&mut spec, patch);
    spec
}

/// Whose tokens, and what they are judged by.
fn valid(spec: &Value) -> Result<(Issuer, Judge), Verdict> {
    let spec = convert::jwt_authenticator(spec).map_err(|problem| invalid(&problem))?;
    let issuer = spec.issuer.map_err(|problem| invalid(&problem))?;
    spec.trust.map_err(|problem| invalid(&problem))?;
    spec.keys.map_err(|problem| invalid(&problem))?;
    Ok((issuer, spec.judge.map_err(|problem| invalid(&problem))?))
}

/// The authenticator in force, or what everybody hears in its place.
fn authenticator(spec: &Value, keys: &str) -> Result<Authenticator, Verdict> {
    let (issuer, judge) = valid(spec)?;
    let keys = KeySet::parse(keys.as_bytes());
    let (keys, _) = keys.map_err(|problem| Verdict::Refused(format!("authenticator-not-ready: {problem}")))?;
    let profile = Arc::new(judge.profile(issuer, Siblings::default()));
    Ok(Authenticator {
        name: AuthenticatorName::new("conformance"),
        uid: "conformance".to_owned(),
        generation: 1,
        verifier: Verifier::new(profile, judge.algorithms, Arc::new(keys)),
        rules: judge.rules,
        credential_lifetime: judge.credential_lifetime,
        claims: None,
        keys_fetched_at: UnixTime::from_secs(0),
    })
}

fn invalid(problem: &impl ToString) -> Verdict {
    Verdict::Invalid(problem.to_string())
}

/// The same configuration in our words. What has no counterpart keeps its name, and is refused as an unknown field.
///
/// The two forms differ in three ways only. We have no `audienceMatchPolicy`: several audiences always mean any of them.
/// Absent `groups` are Pinniped's default claim with us, so "no groups" is said by an expression. And a mapping is one
/// object there, but two fields here.
#[must_use]
pub fn translate(entry: &Value) -> Value {
    let mut rest = entry.as_object().cloned().unwrap_or_default();
    let mut spec = Map::new();
    let mut issuer = taken(&mut rest, "issuer");
    rename(&mut issuer, "url", &mut spec, "issuer");
    // Empty texts are absent ones there.
    issuer.retain(|name, value| !(["discoveryURL", "certificateAuthority"].contains(&name.as_str()) && value == ""));
    rename(&mut issuer, "discoveryURL", &mut spec, "discoveryURL");
    if let Some(pem) = issuer.remove("certificateAuthority") {
        let pem = pem.as_str().unwrap_or_default();
        spec.insert("tls".to_owned(), json!({ "certificateAuthorityData": STANDARD.encode(pem) }));
    }
    match issuer.remove("audiences") {
        Some(Value::Array(mut audiences)) if audiences.len() == 1 => {
            spec.insert("audience".to_owned(), audiences.remove(0));
        }
        Some(audiences) => {
            spec.insert("audiences".to_owned(), audiences);
        }
        None => {}
    }
    if issuer.get("audienceMatchPolicy").is_some_and(|policy| policy == "" || policy == "MatchAny") {
        issuer.remove("audienceMatchPolicy");
    }
    spec.extend(issuer);
    spec.insert("claims".to_owned(), claims(taken(&mut rest, "claimMappings")).into());
    spec.extend(rest);
    spec.into()
}

fn claims(mut mappings: Map<String, Value>) -> Map<String, Value> {
    let mut claims = Map::new();
    // A prefix alone is taken there too, and makes no groups.
    let sources = ["claim", "expression"];
    let groups = mappings.get_mut("groups").and_then(Value::as_object_mut);
    let groups_absent = match groups {
        Some(groups) if sources.iter().all(|name| groups.get(*name).is_none_or(|source| source == "")) => {
            groups.retain(|name, _| name != "prefix" && !sources.contains(&name.as_str()));
            true
        }
        _ => !mappings.contains_key("groups"),
    };
    for name in ["username", "groups", "uid"] {
        let mut mapping = taken(&mut mappings, name);
        rename(&mut mapping, "claim", &mut claims, name);
        rename(&mut mapping, "prefix", &mut claims, &format!("{name}Prefix"));
        rename(&mut mapping, "expression", &mut claims, &format!("{name}Expression"));
        claims.extend(mapping);
    }
    if groups_absent {
        claims.insert("groupsExpression".to_owned(), "null".into());
    }
    claims.extend(mappings);
    claims
}

/// The members of an object, which is taken away; anything else stays where it is, to be refused.
fn taken(from: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match from.get_mut(name) {
        Some(Value::Object(members)) => {
            let members = mem::take(members);
            from.remove(name);
            members
        }
        _ => Map::new(),
    }
}

fn rename(from: &mut Map<String, Value>, name: &str, to: &mut Map<String, Value>, new_name: &str) {
    if let Some(value) = from.remove(name) {
        to.insert(new_name.to_owned(), value);
    }
}

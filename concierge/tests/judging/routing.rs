//! From a token to the authenticators that may judge it, by the issuer that it claims.

use std::sync::Arc;

use latchkey_concierge::{
    index::{self, AuthenticatorRef, Entry, Snapshot, Unready},
    jwt::{self, Issuer},
};
use serde_json::json;

use crate::issuer::{ISSUER, bearer, rs256, with_profile};

fn ready(issuer: &str) -> Entry {
    Entry::Ready(Arc::new(with_profile(|profile| profile.issuer = Issuer::new(issuer.to_owned()))))
}

fn names<'a>(snapshot: &'a Snapshot, iss: &str) -> Vec<(&'a str, bool)> {
    let found = snapshot.by_issuer(iss);
    found.map(|(authenticator, entry)| (authenticator.name.as_str(), matches!(entry, Entry::Ready(_)))).collect()
}

#[test]
fn a_token_finds_everybody_who_may_judge_it_and_nobody_else() {
    let (mut writer, reader) = index::channel();
    writer.set(AuthenticatorRef::jwt("b"), ready(ISSUER));
    writer.set(AuthenticatorRef::jwt("a"), ready(ISSUER));
    writer.set(AuthenticatorRef::jwt("other"), ready("https://other.example"));
    writer
        .set_not_ready(Unready::new(AuthenticatorRef::jwt("waiting"), "uid", 1), Some(Issuer::new(ISSUER.to_owned())));
    writer.set_not_ready(Unready::new(AuthenticatorRef::jwt("broken"), "uid", 1), None);

    let claimed = jwt::peek_issuer(&bearer(&rs256(&json!({})))).unwrap();
    let all = [("a", true), ("b", true), ("waiting", false)];
    assert_eq!(names(&reader.snapshot(), claimed.as_hint()), all);
    assert_eq!(names(&reader.snapshot(), "https://other.example"), [("other", true)]);
    for nobody in ["", "https://idp.example/", "https://nobody.example"] {
        assert_eq!(names(&reader.snapshot(), nobody), [], "{nobody}");
    }

    // A changed issuer leaves nothing behind, nor does a deleted authenticator.
    writer.set(AuthenticatorRef::jwt("b"), ready("https://other.example"));
    writer.remove(&AuthenticatorRef::jwt("a"));
    assert_eq!(names(&reader.snapshot(), ISSUER), [("waiting", false)]);
    assert_eq!(names(&reader.snapshot(), "https://other.example"), [("b", true), ("other", true)]);
    assert_eq!(reader.snapshot().iter().count(), 4);
}

#[test]
fn googles_tokens_are_found_by_either_spelling() {
    let (mut writer, reader) = index::channel();
    writer.set(AuthenticatorRef::jwt("google"), ready("https://accounts.google.com"));
    for iss in ["https://accounts.google.com", "accounts.google.com"] {
        assert_eq!(names(&reader.snapshot(), iss), [("google", true)]);
    }
}

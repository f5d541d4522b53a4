//! What a token that did not verify says of itself: read leniently, cut short, and never believed.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::ClaimedFacts;

/// Most bytes that are kept of one claim. A person reads them, and anybody may have written them; cut to the last whole
/// character, and once more where they are shown.
const MAX_CLAIM: usize = 256;

/// Most audiences that are kept; one more than is ever shown, so that it can be said that there were more.
const MAX_AUDIENCES: usize = 5;

/// Reads what the payload of a token claims; `None` if nothing can be read. Of two members with one name the first counts,
/// one of another type than it should be is passed over.
pub(super) fn peek_claimed(payload: &[u8]) -> Option<ClaimedFacts> {
    serde_json::from_slice::<Claimed>(payload).ok().map(|Claimed(facts)| facts)
}

struct Claimed(ClaimedFacts);

impl<'de> Deserialize<'de> for Claimed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Claimed;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the claims of a token")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claimed, A::Error> {
        let mut facts = ClaimedFacts::default();
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::Iss => keep(&mut facts.iss, map.next_value::<Texts>()?),
                Name::Sub => keep(&mut facts.sub, map.next_value::<Texts>()?),
                Name::Aud => {
                    let Texts(audiences) = map.next_value()?;
                    if facts.aud.is_empty() {
                        facts.aud = audiences;
                    }
                }
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Claimed(facts))
    }
}

fn keep(claim: &mut Option<String>, Texts(found): Texts) {
    if claim.is_none() {
        *claim = found.into_iter().next();
    }
}

enum Name {
    Aud,
    Iss,
    Sub,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(match name {
                    "aud" => Name::Aud,
                    "iss" => Name::Iss,
                    "sub" => Name::Sub,
                    _ => Name::Other,
                })
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The strings of a value: one, those of a list, or none of anything else.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Texts;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a claim")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![head(text).to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(Texts(found)) = list.next_element()? {
                    // Lists in a list are read as one: nothing is decided by it.
                    texts.extend(found.into_iter().take(MAX_AUDIENCES - texts.len()));
                }
                Ok(Texts(texts))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Texts(Vec::new()))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Texts, E> {
                Ok(Texts(Vec::new()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Texts, E> {
                Ok(Texts(Vec::new()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Texts, E> {
                Ok(Texts(Vec::new()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Texts, E> {
                Ok(Texts(Vec::new()))
            }

            fn visit_unit<E>(self) -> Result<Texts, E> {
                Ok(Texts(Vec::new()))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

/// The beginning of `text`, up to a character boundary.
fn head(text: &str) -> &str {
    let mut end = text.len().min(MAX_CLAIM);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(payload: &str) -> Option<ClaimedFacts> {
        peek_claimed(payload.as_bytes())
    }

    #[test]
    fn reads_what_a_person_wants_to_see() {
        let facts = claimed(r#"{"x":{"iss":"no"},"iss":"https://idp","sub":"ada","aud":["a","b"],"exp":7}"#).unwrap();
        assert_eq!((facts.iss.as_deref(), facts.sub.as_deref()), (Some("https://idp"), Some("ada")));
        assert_eq!(facts.aud, ["a", "b"]);
        assert_eq!(claimed(r#"{"aud":"a"}"#).unwrap().aud, ["a"]);
    }

    #[test]
    fn strange_types_are_passed_over() {
        let facts = claimed(r#"{"iss":7,"sub":{"a":[1]},"aud":[1,"a",["b"],null,{"c":"d"},1.5,true,-1]}"#).unwrap();
        assert_eq!(facts, ClaimedFacts { aud: vec!["a".to_owned(), "b".to_owned()], ..ClaimedFacts::default() });
        assert_eq!(claimed(r#"{"iss":"a","iss":"b"}"#).unwrap().iss.as_deref(), Some("a"));
        for nothing in ["", "[]", "{", r#"{"iss":"\ud800"}"#, "{\"iss\":\"\u{0}\"}"] {
            assert_eq!(claimed(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn is_bounded_whatever_comes() {
        let long = "ä".repeat(10_000);
        let many = vec![format!("{long:?}"); 1_000].join(",");
        let facts = claimed(&format!(r#"{{"iss":{long:?},"sub":{long:?},"aud":[{many}]}}"#)).unwrap();
        assert!(facts.iss.unwrap().len() <= MAX_CLAIM && facts.sub.unwrap().len() <= MAX_CLAIM);
        assert_eq!(facts.aud.len(), MAX_AUDIENCES);
        let deep = format!(r#"{{"aud":{}{}}}"#, "[".repeat(8_000), "]".repeat(8_000));
        assert_eq!(claimed(&deep), None, "too deep to be read, and no harm done");
        let deep = format!(r#"{{"x":{}{},"iss":"a"}}"#, "[".repeat(8_000), "]".repeat(8_000));
        assert_eq!(claimed(&deep).unwrap().iss.as_deref(), Some("a"));
    }
}

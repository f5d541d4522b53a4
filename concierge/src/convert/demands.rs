//! What a token must be, beside signed: audiences, authorized parties, kinds, ages, algorithms.

use std::time::Duration;

use latchkey_crds::authentication::{
    AdditionalAudiences as Additional, JWTAuthenticatorSpec, MAX_TOKEN_CEILING_SECONDS, SigningAlgorithm,
    TokenType as Kind, limits,
};

use super::problems::Problems;
use crate::{
    fleet::Siblings,
    jwt::{AdditionalAudiences, AlgorithmSet, Audience, Audiences, Issuer, Profile, TokenType, TokenTypes},
};

/// Everything of a [`Profile`] but its issuer, which has a condition of its own and may be wrong on its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Demands {
    audiences: Audiences,
    additional_audiences: AdditionalAudiences,
    authorized_parties: Vec<String>,
    token_types: TokenTypes,
    max_token_lifetime: Option<Duration>,
    max_token_age: Option<Duration>,
}

/// Reads the demands; `None` only beside a problem.
pub(super) fn read(spec: &JWTAuthenticatorSpec, problems: &mut Problems) -> Option<Demands> {
    let audiences = audiences(spec, problems);
    problems.set("authorizedParties", &spec.authorized_parties, (limits::PARTIES, limits::AUDIENCE_CHARS), |party| {
        blank(party).then_some("must be a client ID exactly as it stands in azp, without white space around it")
    });
    duplicates("tokenTypes", &spec.token_types, problems);
    let kinds = spec.token_types.iter().map(|kind| match kind {
        Kind::Jwt => TokenType::IdToken,
        Kind::AccessToken => TokenType::AccessToken,
    });
    Some(Demands {
        max_token_lifetime: ceiling("maxTokenLifetimeSeconds", spec.max_token_lifetime_seconds, problems),
        max_token_age: ceiling("maxTokenAgeSeconds", spec.max_token_age_seconds, problems),
        audiences: audiences?,
        additional_audiences: match spec.additional_audiences.unwrap_or_default() {
            Additional::Refuse => AdditionalAudiences::Refuse,
            Additional::Allow => AdditionalAudiences::Allow,
        },
        authorized_parties: spec.authorized_parties.clone(),
        token_types: TokenTypes::new(kinds).unwrap_or_default(),
    })
}

/// `spec.signingAlgorithms`: what is accepted at most, whatever the issuer announces.
pub(super) fn algorithms(spec: &JWTAuthenticatorSpec, problems: &mut Problems) -> AlgorithmSet {
    duplicates("signingAlgorithms", &spec.signing_algorithms, problems);
    if spec.signing_algorithms.is_empty() {
        return AlgorithmSet::default();
    }
    AlgorithmSet::from_names(spec.signing_algorithms.iter().copied().map(SigningAlgorithm::name))
}

fn audiences(spec: &JWTAuthenticatorSpec, problems: &mut Problems) -> Option<Audiences> {
    const MEND: &str =
        "must not be blank, nor begin or end with white space: write the client ID exactly as the issuer shows it";
    let names = match (&spec.audience, spec.audiences.as_slice()) {
        (None, []) => {
            problems.add("audience", "is missing: name the audience that tokens for this cluster carry");
            return None;
        }
        (Some(_), [_, ..]) => {
            problems.add("audiences", "excludes audience: move the one audience into the list");
            return None;
        }
        (Some(one), []) if one.is_empty() => {
            problems.add("audience", "is empty: name the audience that tokens for this cluster carry");
            return None;
        }
        (Some(one), []) => {
            problems.length("audience", one, limits::AUDIENCE_CHARS);
            if blank(one) {
                problems.add("audience", MEND);
            }
            vec![one.clone()]
        }
        (None, several) => {
            let bounds = (limits::AUDIENCES, limits::AUDIENCE_CHARS);
            problems.set("audiences", several, bounds, |audience| blank(audience).then_some(MEND));
            several.to_vec()
        }
    };
    Audiences::new(names.into_iter().map(Audience::new).collect())
}

fn blank(text: &str) -> bool {
    text.is_empty() || text.trim() != text
}

fn ceiling(field: &str, seconds: Option<u32>, problems: &mut Problems) -> Option<Duration> {
    let seconds = seconds?;
    if seconds == 0 {
        problems.add(field, "is 0, which refuses every token: expected 1 or more, or remove it for no ceiling");
    } else if seconds > MAX_TOKEN_CEILING_SECONDS {
        problems.add(field, &format!("is {seconds}, expected at most {MAX_TOKEN_CEILING_SECONDS} (a year)"));
    }
    Some(Duration::from_secs(seconds.into()))
}

fn duplicates<T: PartialEq>(field: &str, list: &[T], problems: &mut Problems) {
    for (position, item) in list.iter().enumerate() {
        if list[..position].contains(item) {
            problems.add(&format!("{field}[{position}]"), "is a duplicate: remove it");
        }
    }
}

// === impl Demands ===

impl Demands {
    pub(super) const fn audiences(&self) -> &Audiences {
        &self.audiences
    }

    /// The whole profile, with a sound issuer.
    pub(super) fn profile(&self, issuer: Issuer, siblings: Siblings) -> Profile {
        let Self { audiences, authorized_parties, additional_audiences, token_types, .. } = self.clone();
        let (max_token_lifetime, max_token_age) = (self.max_token_lifetime, self.max_token_age);
        Profile {
            issuer,
            audiences,
            additional_audiences,
            authorized_parties,
            token_types,
            max_token_lifetime,
            max_token_age,
            siblings,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::convert::{self, JwtSpec};

    const ISSUER: &str = "https://idp.example.com";

    fn spec(fields: &Value) -> JwtSpec {
        let mut spec = json!({"issuer": ISSUER});
        for (name, value) in fields.as_object().unwrap() {
            spec[name] = value.clone();
        }
        convert::jwt_authenticator(&spec).unwrap()
    }

    fn profile(fields: &Value) -> Profile {
        let spec = spec(fields);
        spec.judge.unwrap().profile(spec.issuer.unwrap(), Siblings::default())
    }

    fn named(names: &[&str]) -> Audiences {
        Audiences::new(names.iter().map(|name| Audience::new((*name).to_owned())).collect()).unwrap()
    }

    #[test]
    fn what_is_not_said_has_the_strict_default() {
        let expected = Profile::new(Issuer::new(ISSUER.to_owned()), named(&["a"]));
        assert_eq!(profile(&json!({"audience": "a"})), expected);
        assert_eq!(profile(&json!({"audiences": ["a"]})), expected);
        assert_eq!(spec(&json!({"audience": "a"})).judge.unwrap().algorithms, AlgorithmSet::default());
    }

    #[test]
    fn everything_that_is_said_is_demanded() {
        let fields = json!({
            "audiences": ["old", "new"], "additionalAudiences": "Allow", "authorizedParties": ["cli"],
            "tokenTypes": ["at+jwt"], "signingAlgorithms": ["EdDSA", "ES256"],
            "maxTokenLifetimeSeconds": 3600, "maxTokenAgeSeconds": 1,
        });
        let expected = Profile {
            issuer: Issuer::new(ISSUER.to_owned()),
            audiences: named(&["old", "new"]),
            additional_audiences: AdditionalAudiences::Allow,
            authorized_parties: vec!["cli".to_owned()],
            token_types: TokenTypes::new([TokenType::AccessToken]).unwrap(),
            max_token_lifetime: Some(Duration::from_hours(1)),
            max_token_age: Some(Duration::from_secs(1)),
            siblings: Siblings::default(),
        };
        assert_eq!(profile(&fields), expected);
        assert_eq!(spec(&fields).judge.unwrap().algorithms.to_string(), "ES256, EdDSA");
        let both = profile(&json!({"audience": "a", "tokenTypes": ["JWT", "at+jwt"]})).token_types;
        assert!(both.contains(TokenType::IdToken) && both.contains(TokenType::AccessToken));
    }

    #[test]
    fn every_algorithm_of_the_schema_is_one_that_can_be_verified() {
        let names = SigningAlgorithm::ALL.map(SigningAlgorithm::name);
        assert_eq!(AlgorithmSet::from_names(names), AlgorithmSet::default());
        assert_eq!(AlgorithmSet::default().iter().count(), names.len());
        for (algorithm, name) in SigningAlgorithm::ALL.into_iter().zip(names) {
            assert_eq!(serde_json::to_value(algorithm).unwrap(), json!(name));
        }
    }

    #[test]
    fn each_mistake_names_its_field_and_its_mend() {
        let many: Vec<_> = (0..17).map(|number| format!("a{number}")).collect();
        for (fields, expected) in [
            (json!({}), vec!["audience: is missing: name the audience that tokens for this cluster carry"]),
            (json!({"audience": ""}), vec!["audience: is empty: name the audience that tokens for this cluster carry"]),
            (
                json!({"audience": " a"}),
                vec![
                    "audience: must not be blank, nor begin or end with white space: write the client ID exactly as the issuer shows it",
                ],
            ),
            (
                json!({"audience": "a", "audiences": ["b"]}),
                vec!["audiences: excludes audience: move the one audience into the list"],
            ),
            (
                json!({"audiences": ["a", "", "a"]}),
                vec![
                    "audiences[1]: \"\" must not be blank, nor begin or end with white space: write the client ID exactly as the issuer shows it",
                    "audiences[2]: \"a\" is a duplicate: remove it",
                ],
            ),
            (json!({"audiences": many}), vec!["audiences: has 17 items, at most 16 are read"]),
            (
                json!({"audience": "a", "authorizedParties": ["cli ", "x", "x"]}),
                vec![
                    "authorizedParties[0]: \"cli \" must be a client ID exactly as it stands in azp, without white space around it",
                    "authorizedParties[2]: \"x\" is a duplicate: remove it",
                ],
            ),
            (
                json!({"audience": "a", "maxTokenLifetimeSeconds": 0, "maxTokenAgeSeconds": 31_536_001}),
                vec![
                    "maxTokenLifetimeSeconds: is 0, which refuses every token: expected 1 or more, or remove it for no ceiling",
                    "maxTokenAgeSeconds: is 31536001, expected at most 31536000 (a year)",
                ],
            ),
            (
                json!({"audience": "a", "tokenTypes": ["JWT", "JWT"], "signingAlgorithms": ["RS256", "ES256", "RS256"]}),
                vec!["tokenTypes[1]: is a duplicate: remove it", "signingAlgorithms[2]: is a duplicate: remove it"],
            ),
        ] {
            let invalid = spec(&fields).judge.unwrap_err();
            assert_eq!(invalid.problems().collect::<Vec<_>>(), expected, "{fields}");
        }
    }
}

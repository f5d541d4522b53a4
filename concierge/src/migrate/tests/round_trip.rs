//! There and back again: what kube-apiserver can say of a spec of ours comes back as what it was.

use proptest::{option, prelude::*, sample};

use super::*;

/// A value or none, among these.
fn some_of(values: &[Value]) -> impl Strategy<Value = Option<Value>> + use<> {
    option::of(sample::select(values.to_vec()))
}

/// A field of a spec, mostly absent, with what may stand in it.
fn fields() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("discoveryURL", vec![json!("https://idp.svc/.well-known/openid-configuration")]),
        ("additionalAudiences", vec![json!("Refuse"), json!("Allow")]),
        ("authorizedParties", vec![json!(["cli"]), json!(["cli", "a \"quoted\" one", "back\\slash"])]),
        ("maxTokenLifetimeSeconds", vec![json!(1), json!(31_536_000)]),
        (
            "claimValidationRules",
            vec![
                json!([{"claim": "hd", "requiredValue": ""}]),
                json!([{"claim": "hd", "requiredValue": "a"}, {"expression": "claims.a == 1.0"}]),
                json!([{"expression": "claims.?azp.orValue(\"\") in [\"x\"] || true", "message": "m"}]),
            ],
        ),
        (
            "userValidationRules",
            vec![
                json!([{"expression": "user.uid != ''"}]),
                json!([{"expression": "size(user.groups) > 0", "message": "m"}]),
            ],
        ),
        (
            "reservedIdentities",
            vec![
                json!({}),
                json!({"policy": "Refuse"}),
                json!({"policy": "Allow"}),
                json!({"allowed": ["system:a", "system:\"]b"]}),
            ],
        ),
        ("signingAlgorithms", vec![json!([])]),
    ]
}

fn claims() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "username",
            vec![
                json!({"username": "sub"}),
                json!({"username": "email", "usernamePrefix": "oidc:"}),
                json!({"usernameExpression": "claims.sub"}),
                json!({"usernamePrefix": ""}),
                json!({"username": ""}),
            ],
        ),
        (
            "groups",
            vec![
                json!({"groups": "roles"}),
                json!({"groupsPrefix": "g:"}),
                json!({"groupsExpression": "null"}),
                json!({"groupsExpression": "claims.roles"}),
            ],
        ),
        ("uid", vec![json!({"uid": "sub"}), json!({"uidExpression": "claims.oid"})]),
        ("extra", vec![json!({"extra": [{"key": "example.com/a", "valueExpression": "claims.a"}]})]),
    ]
}

/// A spec that kube-apiserver can say.
fn spec() -> impl Strategy<Value = Value> {
    let audiences = sample::select(vec![
        json!({"audience": "staging"}),
        json!({"audiences": ["staging"]}),
        json!({"audiences": ["next", "st\"aging\\", "clüster"]}),
    ]);
    let picked = |table: Vec<(&'static str, Vec<Value>)>| {
        table
            .into_iter()
            .map(|(name, values)| some_of(&values).prop_map(move |value| value.map(|value| (name, value))).boxed())
            .collect::<Vec<_>>()
    };
    (audiences, picked(fields()), picked(claims())).prop_map(|(audiences, fields, claims)| {
        let mut spec = json!({"issuer": "https://idp.example.com/realms/main"});
        let members = spec.as_object_mut().unwrap();
        members.extend(audiences.as_object().unwrap().clone());
        members.extend(fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
        let mut mapping = serde_json::Map::new();
        for (_, part) in claims.into_iter().flatten() {
            mapping.extend(part.as_object().unwrap().clone());
        }
        if !mapping.is_empty() {
            members.insert("claims".to_owned(), mapping.into());
        }
        spec
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_spec_comes_back_as_it_was(spec in spec(), as_json in any::<bool>()) {
        let format = if as_json { Format::Json } else { Format::Yaml };
        let (ending, there, notes) = run_on(&Convert { format, ..to_configuration() }, &authenticator(&spec));
        prop_assert_eq!(ending, Ok(Ending::Well), "{}", notes);
        let ours = Ours { faithful: true, ..Ours::default() };
        let back = Convert { format, ..with(Direction::FromConfiguration(ours)) };
        let (ending, back, notes) = run_on(&back, &there);
        prop_assert_eq!(ending, Ok(Ending::Well), "{}\n{}", notes, there);
        let [read] = convert::manifests(&back).unwrap().try_into().unwrap();
        let (was, is) = (convert::jwt_authenticator(&spec).unwrap(), convert::jwt_authenticator(&read.spec).unwrap());
        prop_assert_eq!(was.issuer, is.issuer);
        prop_assert_eq!(was.trust, is.trust);
        prop_assert_eq!(was.keys, is.keys);
        prop_assert_eq!(was.judge, is.judge, "{}\n{}", there, back);

        // And what kube-apiserver is told does not change on the way any more.
        let again = run_on(&Convert { format, ..to_configuration() }, &back);
        prop_assert_eq!(again.1, there);
    }
}

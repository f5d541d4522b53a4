//! Whole conversions.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::{option, prelude::*, sample};
use serde_json::{Value, json};

use super::*;

const CONFIGURATION: &str = r#"
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://idp.example.com/realms/main
    discoveryURL: https://idp.svc/realms/main/.well-known/openid-configuration
    audiences: [kubernetes-next, kubernetes]
    audienceMatchPolicy: MatchAny
  claimMappings:
    username: {claim: email, prefix: "oidc:"}
    groups: {expression: "dyn(claims.roles).map(r, 'role:' + r)"}
    uid: {claim: sub}
    extra:
    - {key: example.com/department, valueExpression: claims.department}
  claimValidationRules:
  - {claim: hd, requiredValue: example.com}
  - {expression: claims.level > 1, message: too low}
  userValidationRules:
  - {expression: "!user.username.startsWith('test')", message: no tests}
- issuer: {url: "https://partners.example.net", audiences: [kubernetes]}
  claimMappings:
    username: {claim: sub, prefix: ""}
"#;

/// What came of a conversion: how it ended, or what the input is no use for; the result; the notes.
fn run_on(convert: &Convert, input: &str) -> (Result<Ending, String>, String, String) {
    let (mut output, mut notes) = (Vec::new(), Vec::new());
    let ending = run(convert, input.as_bytes(), &mut output, &mut notes).map_err(|error| error.to_string());
    (ending, String::from_utf8(output).unwrap(), String::from_utf8(notes).unwrap())
}

fn with(direction: Direction) -> Convert {
    Convert { direction, files: Vec::new(), ca_file: None, allow_loss: false, format: Format::Yaml }
}

fn to_configuration() -> Convert {
    with(Direction::ToConfiguration(Version::V1))
}

fn authenticator(spec: &Value) -> String {
    let version = "authentication.concierge.latchkey.dev/v1alpha1";
    json!({"apiVersion": version, "kind": "JWTAuthenticator", "metadata": {"name": "corp"}, "spec": spec}).to_string()
}

fn without_comments(yaml: &str) -> String {
    yaml.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn a_configuration_becomes_authenticators_with_what_differs_above() {
    let (ending, output, notes) = run_on(&with(Direction::FromConfiguration(Ours::default())), CONFIGURATION);
    assert_eq!((ending, notes.as_str()), (Ok(Ending::Well), ""));
    let expected = "\
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: JWTAuthenticator
metadata:
  name: idp.example.com
spec:
  issuer: https://idp.example.com/realms/main
  discoveryURL: https://idp.svc/realms/main/.well-known/openid-configuration
  audiences:
  - kubernetes-next
  - kubernetes
  claims:
    username: email
    usernamePrefix: 'oidc:'
    groupsExpression: dyn(claims.roles).map(r, 'role:' + r)
    uid: sub
    extra:
    - key: example.com/department
      valueExpression: claims.department
  claimValidationRules:
  - claim: hd
    requiredValue: example.com
  - expression: claims.level > 1
    message: too low
  userValidationRules:
  - expression: '!user.username.startsWith(''test'')'
    message: no tests
---
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: JWTAuthenticator
metadata:
  name: partners.example.net
spec:
  issuer: https://partners.example.net
  audience: kubernetes
  claims:
    username: sub
    groupsExpression: 'null'
";
    assert_eq!(without_comments(&output), expected);
    for words in
        ["What kube-apiserver does otherwise:", "(audience-shared)", "`reservedIdentities` would", "- EdDSA is"]
    {
        assert!(output.contains(words), "{words}: {output}");
    }
}

#[test]
fn faithful_authenticators_admit_what_was_admitted() {
    let ours = Ours { faithful: true, names: vec!["corp".to_owned(), "partners".to_owned()], ..Ours::default() };
    let json = Convert { format: Format::Json, ..with(Direction::FromConfiguration(ours)) };
    let (ending, output, notes) = run_on(&json, CONFIGURATION);
    assert_eq!(ending, Ok(Ending::Well));
    let list: Value = serde_json::from_str(&output).unwrap();
    for (item, name) in list["items"].as_array().unwrap().iter().zip(["corp", "partners"]) {
        assert_eq!(item["metadata"]["name"], name);
        assert_eq!(item["spec"]["additionalAudiences"], "Allow");
        assert_eq!(item["spec"]["reservedIdentities"], json!({"policy": "Allow"}));
    }
    // JSON has no comments, so what differs is told here; what is admitted differs no more.
    assert!(notes.contains("differs: Refused here: an iat in the future"), "{notes}");
    assert!(!notes.contains("audience-shared"), "{notes}");
}

#[test]
fn what_a_configuration_says_beyond_issuers_is_told_or_refused() {
    let anonymous = format!("{CONFIGURATION}anonymous: {{enabled: true, conditions: [{{path: /livez}}]}}\n");
    let (ending, output, notes) = run_on(&with(Direction::FromConfiguration(Ours::default())), &anonymous);
    assert_eq!(ending, Ok(Ending::Well));
    assert!(notes.starts_with("note: anonymous: admits requests without credentials to /livez; that stays"), "{notes}");
    assert!(output.contains("# - note: anonymous: admits"), "{output}");

    let egress =
        CONFIGURATION.replace("audiences: [kubernetes]", "audiences: [kubernetes], egressSelectorType: cluster");
    let strict = with(Direction::FromConfiguration(Ours::default()));
    let (ending, output, notes) = run_on(&strict, &egress);
    assert_eq!((ending, output.as_str()), (Ok(Ending::Refused), ""));
    let words = "cannot be said: jwt[1].issuer.egressSelectorType: is \"cluster\"; the concierge reaches issuers from";
    assert!(notes.starts_with(words) && notes.contains("with --allow-loss the rest is"), "{notes}");
    let (ending, output, notes) = run_on(&Convert { allow_loss: true, ..strict }, &egress);
    assert_eq!(ending, Ok(Ending::Well));
    assert!(notes.starts_with("lost: jwt[1].issuer.egressSelectorType"), "{notes}");
    assert!(
        output.contains("# - lost: jwt[1].issuer.egressSelectorType") && output.contains("name: partners"),
        "{output}"
    );
}

#[test]
fn what_latchkey_would_refuse_is_not_written_whatever_is_allowed() {
    let wrong = CONFIGURATION.replace("claims.level > 1", "claims.level >").replace("example.com/department", "a/b=c");
    let allow = Convert { allow_loss: true, ..with(Direction::FromConfiguration(Ours::default())) };
    let (ending, output, notes) = run_on(&allow, &wrong);
    assert_eq!((ending, output.as_str()), (Ok(Ending::Refused), ""));
    for words in [
        "cannot be converted: jwt[0]: Latchkey would refuse it: claims.extra[0].key: \"a/b=c\" must not contain",
        "cannot be converted: jwt[0]: Latchkey would refuse it: claimValidationRules[1].expression: ",
    ] {
        assert!(notes.contains(words), "{notes}");
    }
    assert!(!notes.contains("--allow-loss"), "{notes}");
}

#[test]
fn an_authenticator_becomes_an_entry_that_guards_what_it_guarded() {
    let spec = json!({"issuer": "https://idp.example.com", "audience": "staging", "authorizedParties": ["cli"],
        "maxTokenLifetimeSeconds": 3600, "reservedIdentities": {"allowed": ["system:a"]}});
    let (ending, output, _) = run_on(&to_configuration(), &authenticator(&spec));
    assert_eq!(ending, Ok(Ending::Well));
    let expected = r#"apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: https://idp.example.com
    audiences:
    - staging
  claimValidationRules:
  - expression: type(claims.aud) == string || dyn(claims.aud).all(a, a in ["staging"])
    message: the token is for another audience too
  - expression: claims.?azp.orValue("") in ["cli"]
    message: the token was issued to another client
  - expression: has(claims.iat) && int(claims.exp) - int(claims.iat) <= 3600
    message: the token is good for longer than is allowed
  claimMappings:
    username:
      claim: username
      prefix: ''
    groups:
      claim: groups
      prefix: ''
  userValidationRules:
  - expression: (user.username in ["system:a"] || !user.username.lowerAscii().startsWith("system:")) && user.groups.all(g, (g in ["system:a"] || !g.lowerAscii().startsWith("system:")))
    message: 'names that begin with system: are Kubernetes'' own'
"#;
    assert_eq!(without_comments(&output), expected);
    let older = with(Direction::ToConfiguration(Version::V1Beta1));
    let (_, output, _) = run_on(&older, &authenticator(&spec));
    assert_eq!(without_comments(&output), expected.replace("k8s.io/v1", "k8s.io/v1beta1"));
}

#[test]
fn what_kube_apiserver_cannot_say_is_refused_by_field_or_lost_aloud() {
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    for (fields, place, reason) in [
        (json!({"jwks": {"url": "https://idp.example.com/keys"}}), "jwks", "finds keys by discovery alone"),
        (json!({"jwks": {"inline": keys}}), "jwks", "finds keys by discovery alone"),
        (json!({"tokenTypes": ["JWT"]}), "tokenTypes", "does not look at typ"),
        (json!({"signingAlgorithms": ["ES256"]}), "signingAlgorithms", "never EdDSA"),
        (json!({"maxTokenAgeSeconds": 60}), "maxTokenAgeSeconds", "cannot know what time it is"),
        (json!({"credential": {"lifetimeSeconds": 60}}), "credential.lifetimeSeconds", "the token itself"),
        (
            json!({"claims": {"distributed": {"allowedOrigins": ["https://g.example.com"]}}}),
            "claims.distributed",
            "every server",
        ),
        (
            json!({"tls": {"certificateAuthorityDataSource": {"kind": "Secret", "name": "ca", "key": "ca.crt"}}}),
            "tls.certificateAuthorityDataSource",
            "give the bundle by --ca-file",
        ),
    ] {
        let mut spec = json!({"issuer": "https://idp.example.com", "audience": "staging"});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let (ending, output, notes) = run_on(&to_configuration(), &authenticator(&spec));
        assert_eq!((ending, output.as_str()), (Ok(Ending::Refused), ""), "{fields}");
        let begins = format!("cannot be said: JWTAuthenticator corp: spec.{place}: ");
        assert!(notes.starts_with(&begins) && notes.contains(reason), "{fields}: {notes}");
        let (ending, output, notes) =
            run_on(&Convert { allow_loss: true, ..to_configuration() }, &authenticator(&spec));
        assert_eq!(ending, Ok(Ending::Well));
        assert!(notes.starts_with(&format!("lost: JWTAuthenticator corp: spec.{place}: ")), "{notes}");
        assert!(output.contains("# - lost: JWTAuthenticator corp"), "{output}");
    }
    let nine = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];
    let same = json!({"issuer": "https://idp.example.com", "audience": "staging", "signingAlgorithms": nine});
    assert_eq!(run_on(&to_configuration(), &authenticator(&same)).0, Ok(Ending::Well));
}

#[test]
fn objects_that_have_no_place_in_one_file_are_refused() {
    let one = authenticator(&json!({"issuer": "https://idp.example.com", "audience": "staging"}));
    let other = one.replace("corp", "other");
    let (ending, output, notes) =
        run_on(&Convert { allow_loss: true, ..to_configuration() }, &format!("{one}\n---\n{other}"));
    assert_eq!((ending, output.as_str()), (Ok(Ending::Refused), ""));
    let words = "cannot be converted: JWTAuthenticator other: spec.issuer: is that of JWTAuthenticator corp too";
    assert!(notes.starts_with(words), "{notes}");

    let webhook = one.replace("JWTAuthenticator", "WebhookAuthenticator");
    let (ending, _, notes) = run_on(&to_configuration(), &format!("{one}\n---\n{webhook}"));
    assert_eq!(ending, Ok(Ending::Refused));
    assert!(
        notes.contains("cannot be said: WebhookAuthenticator corp: an AuthenticationConfiguration names no"),
        "{notes}"
    );

    let (ending, output, _) = run_on(&to_configuration(), &one.replace("staging", " staging"));
    assert!(ending.unwrap_err().contains("JWTAuthenticator corp: audience: must not be blank") && output.is_empty());
    assert!(run_on(&to_configuration(), "").0.unwrap_err().contains("holds no object"));
}

/// An empty file would be no bundle at all on the other side, where everybody counts whom the system trusts.
#[test]
fn nobody_is_trusted_because_of_a_ca_file_that_is_empty_or_goes_unused() {
    let folder = std::env::temp_dir().join(format!("latchkey-convert-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let (empty, good) = (folder.join("empty.pem"), folder.join("good.pem"));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&good, rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem()).unwrap();
    let least = ["--oidc-issuer-url=https://idp.example.com".to_owned(), "--oidc-client-id=a".to_owned()];
    let flags = |more: &[String]| with(Direction::FromFlags { words: [&least, more].concat(), ours: Ours::default() });
    let of_object = authenticator(&json!({
        "issuer": "https://idp.example.com", "audience": "staging",
        "tls": {"certificateAuthorityDataSource": {"kind": "Secret", "name": "ca", "key": "ca.crt"}},
    }));
    let plain = authenticator(&json!({"issuer": "https://idp.example.com", "audience": "staging"}));
    let named = flags(&[format!("--oidc-ca-file={}", empty.display())]);
    let by = |ca: &PathBuf, convert: Convert| Convert { ca_file: Some(ca.clone()), ..convert };
    for (convert, input, expected) in [
        (named.clone(), "", "empty.pem: expected certificate authorities in PEM"),
        (by(&empty, named.clone()), "", "empty.pem: expected certificate authorities in PEM"),
        (by(&empty, to_configuration()), &of_object, "empty.pem: expected certificate authorities in PEM"),
        (by(&good, to_configuration()), &plain, "--ca-file: no authenticator has"),
        (by(&good, flags(&[])), "", "--ca-file: there is no --oidc-ca-file"),
        (by(&good, with(Direction::FromConfiguration(Ours::default()))), CONFIGURATION, "--ca-file: such a file"),
        (by(&good, with(Direction::FromPinniped(Ours::default()))), &of_object, "--ca-file: an object that holds"),
    ] {
        let (ending, output, _) = run_on(&convert, input);
        let problem = ending.expect_err(expected);
        assert!(problem.contains(expected) && output.is_empty(), "{problem}");
    }
    for (convert, input) in [(by(&good, named), ""), (by(&good, to_configuration()), of_object.as_str())] {
        assert_eq!(run_on(&convert, input).0, Ok(Ending::Well));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn flags_become_one_authenticator_and_their_file_is_read() {
    let folder = std::env::temp_dir().join(format!("latchkey-convert-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).unwrap();
    let ca = folder.join("ca.pem");
    let made = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    std::fs::write(&ca, &made).unwrap();
    let flags =
        ["--oidc-issuer-url=https://idp.example.com", "--oidc-client-id=kubernetes", "--oidc-groups-claim=groups"];
    let of = |ca: &str| {
        let words = flags.iter().map(|word| (*word).to_owned()).chain([format!("--oidc-ca-file={ca}")]).collect();
        with(Direction::FromFlags { words, ours: Ours::default() })
    };
    let (ending, output, notes) = run_on(&of(&ca.display().to_string()), "");
    assert_eq!((ending, notes.as_str()), (Ok(Ending::Well), ""));
    let expected = format!(
        "\
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: JWTAuthenticator
metadata:
  name: idp.example.com
spec:
  issuer: https://idp.example.com
  audience: kubernetes
  signingAlgorithms:
  - RS256
  claims:
    username: sub
    usernamePrefix: https://idp.example.com#
    groups: groups
  tls:
    certificateAuthorityData: {}
",
        STANDARD.encode(&made)
    );
    assert_eq!(without_comments(&output), expected);
    assert!(!output.contains("EdDSA"), "{output}");
    let elsewhere = of("/nowhere/ca.pem");
    let (ending, _, _) = run_on(&elsewhere, "");
    let problem = ending.unwrap_err();
    assert!(problem.starts_with("--oidc-ca-file: /nowhere/ca.pem: ") && problem.contains("by --ca-file"), "{problem}");
    let (_, output, _) = run_on(&Convert { ca_file: Some(ca), ..elsewhere }, "");
    assert_eq!(without_comments(&output), expected);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn pinnipeds_objects_keep_what_people_wrote() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "authentication.concierge.pinniped.dev/v1alpha1", "kind": "JWTAuthenticator",
         "metadata": {"name": "corp", "uid": "u", "generation": 3, "resourceVersion": "7", "labels": {"team": "platform"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "ours"}},
         "spec": {"issuer": "https://idp.example.com", "audience": "kubernetes", "claims": {"username": "email"},
            "tls": {"certificateAuthorityDataSource": {"kind": "ConfigMap", "name": "idp-ca", "key": "ca.crt"}}},
         "status": {"phase": "Ready"}},
        {"apiVersion": "authentication.concierge.pinniped.dev/v1alpha1", "kind": "WebhookAuthenticator",
         "metadata": {"name": "corp", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
         "spec": {"endpoint": "https://tokens.example.com/review"}},
        {"apiVersion": "config.concierge.pinniped.dev/v1alpha1", "kind": "CredentialIssuer", "metadata": {"name": "c"},
         "spec": {"impersonationProxy": {"mode": "auto"}}, "status": {"strategies": []}}]}"#;
    let pinniped = with(Direction::FromPinniped(Ours::default()));
    let (ending, output, notes) = run_on(&pinniped, list);
    assert_eq!(ending, Ok(Ending::Well));
    let expected = "\
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: JWTAuthenticator
metadata:
  annotations:
    note: ours
  labels:
    team: platform
  name: corp
spec:
  issuer: https://idp.example.com
  audience: kubernetes
  claims:
    username: email
  tls:
    certificateAuthorityDataSource:
      kind: ConfigMap
      name: idp-ca
      key: ca.crt
---
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: WebhookAuthenticator
metadata:
  name: corp
spec:
  endpoint: https://tokens.example.com/review
";
    assert_eq!(without_comments(&output), expected);
    for words in [
        "note: JWTAuthenticator corp: spec.tls.certificateAuthorityDataSource: ConfigMap idp-ca is read from Latchkey's",
        "note: WebhookAuthenticator corp: is asked in TokenReview v1 first",
        "note: CredentialIssuer c: is left out",
    ] {
        assert!(notes.contains(words), "{notes}");
    }
    assert!(output.contains("What Pinniped does otherwise:"), "{output}");

    let proxied =
        list.replace(r#""strategies": []"#, r#""strategies": [{"type": "ImpersonationProxy", "status": "Success"}]"#);
    for proxied in [proxied, list.replace("\"auto\"", "\"enabled\"")] {
        let (ending, output, notes) = run_on(&pinniped, &proxied);
        assert_eq!((ending, output.as_str()), (Ok(Ending::Refused), ""));
        assert!(notes.contains("spec.impersonationProxy: Latchkey has no impersonation proxy yet"), "{notes}");
    }
    for (from, to, words) in [
        ("\"audience\"", "\"audiense\"", "audience: is missing"),
        ("\"endpoint\"", "\"endpiont\"", "missing field `endpoint`"),
        ("\"CredentialIssuer\"", "\"FleetCluster\"", "Pinniped has no such kind"),
    ] {
        let (ending, output, notes) = run_on(&pinniped, &list.replace(from, to));
        let told = ending.err().unwrap_or(notes);
        assert!(told.contains(words) && output.is_empty(), "{to}: {told}");
    }
    let renamed =
        Ours { names: vec!["a".to_owned(), "b".to_owned()], suffix: "example.org".parse().unwrap(), faithful: true };
    let (_, output, _) = run_on(&with(Direction::FromPinniped(renamed)), list);
    for words in
        ["concierge.example.org/v1alpha1", "name: a\n", "name: b\n", "additionalAudiences: Allow", "policy: Allow"]
    {
        assert!(output.contains(words), "{words}: {output}");
    }
}

#[test]
fn names_of_the_command_line_are_names_of_objects() {
    for (names, words) in [(&["Corp", "b"][..], "metadata.name \"Corp\""), (&["corp"], "1 given for 2 objects")] {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let convert = with(Direction::FromConfiguration(Ours { names, ..Ours::default() }));
        let (ending, output, _) = run_on(&convert, CONFIGURATION);
        assert!(ending.unwrap_err().contains(words) && output.is_empty());
    }
}

/// There and back again: what kube-apiserver can say of a spec of ours comes back as what it was.
mod round_trip {
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
}

//! An `AuthenticationConfiguration` in our words, and ours in its.

use super::*;

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

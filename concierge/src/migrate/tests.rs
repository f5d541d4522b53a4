//! Whole conversions.

mod configuration;
mod flags;
mod pinniped;
mod round_trip;

use base64::{Engine as _, engine::general_purpose::STANDARD};
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
fn names_of_the_command_line_are_names_of_objects() {
    for (names, words) in [(&["Corp", "b"][..], "metadata.name \"Corp\""), (&["corp"], "1 given for 2 objects")] {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let convert = with(Direction::FromConfiguration(Ours { names, ..Ours::default() }));
        let (ending, output, _) = run_on(&convert, CONFIGURATION);
        assert!(ending.unwrap_err().contains(words) && output.is_empty());
    }
}

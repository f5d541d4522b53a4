//! What others make of the same files: our own program from the outside, and another library of the signatures.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use latchkey_concierge::jwt::Step;
use num_bigint::BigUint;
use serde_json::{Map, Value, json};

use super::{
    CASES, Case, Found,
    forge::{Forged, LISTENER},
    recipe::FleetEntry,
    user,
};
use crate::issuer::encode;

/// The longest line that `check` reads.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// `latchkey-concierge check` is given what was forged, in as few runs as there are authenticators with their keys.
#[test]
fn check_judges_the_same() {
    let mut desks: BTreeMap<(String, String, &[u8], i64), Vec<&Case>> = BTreeMap::new();
    for case in CASES.iter() {
        let Forged { spec, key_set, now, .. } = &case.forged;
        desks.entry((spec.to_string(), fleet(case).to_string(), key_set, *now)).or_default().push(case);
    }
    for (number, ((spec, fleet, key_set, now), cases)) in desks.into_iter().enumerate() {
        let desk = desk(number, &spec, &fleet, key_set);
        let line = |(id, case): (usize, &&Case)| json!({"id": id.to_string(), "token": case.forged.token}).to_string();
        let lines: Vec<String> = cases.iter().enumerate().map(line).collect();
        let (few, long): (Vec<_>, Vec<_>) =
            cases.iter().zip(&lines).enumerate().partition(|(_, (_, line))| line.len() < MAX_LINE_BYTES);
        let input: String = few.iter().flat_map(|(_, (_, line))| [line.as_str(), "\n"]).collect();
        let answers = check(&desk, now, &[], &input);
        if let Some(refused) = cases.iter().find(|case| !matches!(case.found, Found::Judged(_))) {
            assert_eq!(answers.status.code(), Some(2), "{}", refused.name);
            assert!(answers.stdout.is_empty() && !answers.stderr.is_empty(), "{}", refused.name);
            continue;
        }
        assert_eq!(answers.status.code(), Some(0), "{}", String::from_utf8_lossy(&answers.stderr));
        let answers = read(&answers);
        assert_eq!(answers.len(), few.len());
        for ((id, (case, _)), answer) in few.into_iter().zip(&answers) {
            assert_eq!(answer["id"], id.to_string());
            hold(case, answer);
        }
        for (_, (case, _)) in long {
            hold(case, &read(&check(&desk, now, &["--token", "-"], &case.forged.token))[0]);
        }
    }
    // Some tokens name addresses and ask for a visit there (threats T6).
    assert_eq!(
        LISTENER.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "somebody fetched what a header points at"
    );
}

/// The fleet list as kubectl prints it.
fn fleet(case: &Case) -> Value {
    let item = |(name, FleetEntry { audiences, issuers }): (&String, &FleetEntry)| {
        json!({
            "apiVersion": "config.concierge.latchkey.dev/v1alpha1",
            "kind": "FleetCluster",
            "metadata": {"name": name},
            "spec": {"audiences": audiences, "issuers": issuers},
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": case.recipe.fleet.iter().map(item).collect::<Vec<_>>()})
}

fn desk(number: usize, spec: &str, fleet: &str, key_set: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus").join(number.to_string());
    fs::create_dir_all(&folder).unwrap();
    let authenticator = json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1",
        "kind": "JWTAuthenticator",
        "metadata": {"name": "staging"},
        "spec": serde_json::from_str::<Value>(spec).unwrap(),
    });
    fs::write(folder.join("staging.yaml"), authenticator.to_string()).unwrap();
    fs::write(folder.join("keys.json"), key_set).unwrap();
    // An empty list beside the authenticators is no list at all; in a file of its own it would be a mistake.
    let _ = fs::remove_file(folder.join("fleet.json"));
    if fleet.contains("FleetCluster") {
        fs::write(folder.join("fleet.json"), fleet).unwrap();
    }
    folder
}

fn check(desk: &Path, now: i64, flags: &[&str], input: &str) -> Output {
    let now = jiff::Timestamp::from_second(now).unwrap().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey-concierge"))
        .args(["check", "--authenticator", "staging.yaml", "--jwks", "keys.json", "--now", &now])
        .args(
            desk.join("fleet.json")
                .exists()
                .then_some(["--fleet", "fleet.json", "--cluster-name", "staging"])
                .into_iter()
                .flatten(),
        )
        .args(flags)
        .current_dir(desk)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // Beside the reading, or both pipes could be full. A check that ends before it has read everything closes its
        // end: that is its right.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output().unwrap()
    })
}

fn read(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn hold(case: &Case, answer: &Value) {
    let Found::Judged(judged) = &case.found else { panic!("{}: nothing was judged here", case.name) };
    let name = &case.name;
    assert_eq!(answer["allowed"], judged.outcome.is_ok(), "{name}: {answer}");
    assert_eq!(answer.get("reason").and_then(Value::as_str), judged.outcome.is_err().then(|| case.code()), "{name}");
    assert_eq!(answer.get("user"), judged.outcome.as_ref().ok().map(user).as_ref(), "{name}");
    let steps = answer["steps"].as_array().unwrap();
    assert_eq!(steps.len(), Step::ALL.len(), "{name}");
    for (position, (step, told)) in Step::ALL.into_iter().zip(steps).enumerate() {
        let outcome = match position {
            _ if position < judged.passed.len() => "passed",
            _ if position == judged.passed.len() => "failed",
            _ => "skipped",
        };
        assert_eq!((&told["step"], &told["outcome"]), (&json!(step.name()), &json!(outcome)), "{name}");
    }
}

/// `jsonwebtoken` takes each signature that we take. The other way round it may take more: it does not look at a key's
/// `alg`, nor at how an Ed25519 signature is written.
#[test]
fn another_library_takes_every_signature_that_we_take() {
    let mut asked = 0;
    for case in CASES.iter() {
        let Found::Judged(judged) = &case.found else { continue };
        if !judged.passed.contains(&Step::Signature) {
            continue;
        }
        let header = judged.facts.header.as_ref().unwrap();
        // It has no ES512.
        let Some(algorithm) = algorithm(&header.alg) else { continue };
        let set: Value = serde_json::from_slice(&case.forged.key_set).unwrap();
        let kind = kind(&header.alg);
        let fits = |key: &&Value| {
            (key["kty"].as_str(), key["crv"].as_str()) == kind
                && header.kid.as_deref().is_none_or(|kid| key["kid"] == kid)
        };
        let (input, signature) = case.forged.token.rsplit_once('.').unwrap();
        let taken = set["keys"].as_array().unwrap().iter().filter(fits).any(|key| {
            jsonwebtoken::crypto::verify(signature, input.as_bytes(), &decoding_key(key), algorithm).unwrap()
        });
        assert!(taken, "{}", case.name);
        asked += 1;
    }
    assert!(asked > 100, "only {asked} signatures were asked about");
}

/// The public key alone, spelled as RFC 7518 2 wants it: the other library takes no zeros before a number.
fn decoding_key(jwk: &Value) -> DecodingKey {
    let member = |name: &str| jwk[name].as_str().unwrap();
    if jwk["kty"] != "RSA" {
        let members = ["kty", "crv", "x", "y"].into_iter().filter(|name| jwk.get(name).is_some());
        let bare: Value = members.map(|name| (name.to_owned(), jwk[name].clone())).collect::<Map<_, _>>().into();
        return DecodingKey::from_jwk(&serde_json::from_value(bare).unwrap()).unwrap();
    }
    let number = |name| encode(&BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(member(name)).unwrap()).to_bytes_be());
    DecodingKey::from_rsa_components(&number("n"), &number("e")).unwrap()
}

fn algorithm(name: &str) -> Option<Algorithm> {
    if name == "Ed25519" { Some(Algorithm::EdDSA) } else { name.parse().ok() }
}

fn kind(algorithm: &str) -> (Option<&'static str>, Option<&'static str>) {
    match algorithm {
        "ES256" => (Some("EC"), Some("P-256")),
        "ES384" => (Some("EC"), Some("P-384")),
        "EdDSA" | "Ed25519" => (Some("OKP"), Some("Ed25519")),
        _ => (Some("RSA"), None),
    }
}

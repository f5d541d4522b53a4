//! `latchkey-concierge check` as somebody types it: files and lines in, JSON and exit codes out.

#![expect(clippy::unwrap_used, reason = "a test whose own set-up fails has failed")]

#[expect(dead_code, reason = "the judge's tests use more of it")]
#[path = "judging/issuer.rs"]
mod issuer;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use self::issuer::{AUDIENCE, ISSUER, key, key_set, keys, rs256};

/// [`issuer::NOW`] as people write it.
const NOW: &str = "2026-11-21T04:00:00Z";

/// A folder of files for one test.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let desk = Self(folder);
        desk.write("keys.json", &key_set(keys().iter().map(|key| &key.jwk)));
        desk.write("corp.yaml", &authenticator("corp", AUDIENCE, &json!({})));
        desk
    }

    fn write(&self, name: &str, content: &(impl AsRef<[u8]> + ?Sized)) {
        fs::write(self.0.join(name), content).unwrap();
    }

    fn check(&self, flags: &[&str], input: &str) -> Output {
        self.run("check", flags, input)
    }

    fn run(&self, verb: &str, flags: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey-concierge"))
            .arg(verb)
            .args(flags)
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A check that ends before it has read everything closes the pipe: that is its right.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// With the usual authenticator, keys and time.
    fn usual(&self, flags: &[&str], input: &str) -> Output {
        let usual = ["--authenticator", "corp.yaml", "--jwks", "keys.json", "--now", NOW];
        self.check(&[&usual[..], flags].concat(), input)
    }
}

fn authenticator(name: &str, audience: &str, more: &Value) -> String {
    let mut spec = json!({"issuer": ISSUER, "audience": audience});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1",
        "kind": "JWTAuthenticator",
        "metadata": {"name": name},
        "spec": spec,
    })
    .to_string()
}

fn answers(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn outcome<'a>(answer: &'a Value, step: &str) -> &'a str {
    let steps = answer["steps"].as_array().unwrap();
    steps.iter().find(|entry| entry["step"] == step).unwrap()["outcome"].as_str().unwrap()
}

#[test]
fn a_good_token_is_allowed_with_its_user_and_every_step() {
    let desk = Desk::new("good");
    desk.write("token.jwt", &format!("{}\n", rs256(&json!({"jti": "1"}))));
    let output = desk.usual(&["--token", "token.jwt"], "");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    let [answer] = &answers(&output)[..] else { panic!("one answer") };
    assert_eq!((&answer["id"], &answer["allowed"]), (&json!("token.jwt"), &json!(true)));
    assert!(answer.get("reason").is_none() && answer.get("authenticator").is_none(), "{answer}");
    let user = json!({
        "username": "ada", "uid": "", "groups": ["developers", "oncall"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]},
    });
    assert_eq!(answer["user"], user);
    let steps = answer["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["outcome"] == "passed"), "{answer}");
    assert_eq!((&steps[0]["step"], &steps[steps.len() - 1]["step"]), (&json!("size"), &json!("user-rules")));
}

#[test]
fn a_refused_token_has_its_reason_at_its_step() {
    let desk = Desk::new("refused");
    let output = desk.usual(&["--token", "-"], &rs256(&json!({"aud": "production"})));
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let [answer] = &answers(&output)[..] else { panic!("one answer") };
    assert_eq!((&answer["id"], &answer["allowed"]), (&json!("-"), &json!(false)));
    assert_eq!(answer["reason"], "audience-mismatch");
    assert!(answer.get("user").is_none(), "{answer}");
    for (step, expected) in [("signature", "passed"), ("audience", "failed"), ("times", "skipped")] {
        assert_eq!(outcome(answer, step), expected, "{step}");
    }
    let failed = answer["steps"].as_array().unwrap().iter().find(|step| step["outcome"] == "failed").unwrap();
    assert!(failed["detail"].as_str().unwrap().contains("production"), "{failed}");
}

#[test]
fn a_conversion_says_how_it_ended_and_what_it_wrote_is_an_authenticator() {
    let desk = Desk::new("convert");
    let there = desk.run("convert", &["--to", "authentication-configuration", "corp.yaml"], "");
    assert_eq!((there.status.code(), there.stderr.as_slice()), (Some(0), &b""[..]));
    desk.write("authentication.yaml", &there.stdout);
    let from = ["--from", "authentication-configuration"];
    let back = desk.run("convert", &[&from[..], &["--name", "corp", "authentication.yaml"]].concat(), "");
    assert_eq!(back.status.code(), Some(0));
    desk.write("corp.yaml", &back.stdout);
    let judged = desk.usual(&["--token", "-"], &rs256(&json!({})));
    assert_eq!(judged.status.code(), Some(0), "{}", String::from_utf8_lossy(&judged.stderr));

    let lossy = authenticator("corp", AUDIENCE, &json!({"maxTokenAgeSeconds": 60}));
    let refused = desk.run("convert", &["--to", "authentication-configuration", "-"], &lossy);
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(1), &b""[..]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("corp: spec.maxTokenAgeSeconds: "));
    let lossy = desk.run("convert", &["--to", "authentication-configuration", "--allow-loss"], &lossy);
    assert!(lossy.status.code() == Some(0) && !lossy.stdout.is_empty());

    let unusable = desk.run("convert", &from, "jwt: []");
    assert_eq!((unusable.status.code(), unusable.stdout.as_slice()), (Some(2), &b""[..]));
    let flags = ["--from", "oidc-flags", "--", "--oidc-issuer-url=https://a.example.com", "--oidc-client-id=b"];
    assert_eq!(desk.run("convert", &flags, "").status.code(), Some(0));
    for mistake in [&["corp.yaml"][..], &["--from", "pinniped", "--", "--oidc-client-id=b"], &["--from", "yaml"]] {
        assert_eq!(desk.run("convert", mistake, "").status.code(), Some(64), "{mistake:?}");
    }
}

#[test]
fn many_tokens_are_answered_line_by_line() {
    let desk = Desk::new("lines");
    let line = |id: &str, token: &str| format!("{}\n", json!({"id": id, "token": token}));
    let input = line("good", &rs256(&json!({}))) + &line("late", &rs256(&json!({"exp": 1}))) + &line("junk", "junk");
    let output = desk.usual(&[], &input);
    assert_eq!(output.status.code(), Some(0), "a refused token is judged: {}", words(&output));
    let answers_of = |output: &Output| {
        answers(output).iter().map(|answer| (answer["id"].clone(), answer["reason"].clone())).collect::<Vec<_>>()
    };
    let expected =
        [(json!("good"), json!(null)), (json!("late"), json!("expired")), (json!("junk"), json!("malformed-token"))];
    assert_eq!(answers_of(&output), expected);

    let output = desk.usual(&[], &format!("{{\"id\":7}}\n{input}"));
    assert_eq!(output.status.code(), Some(1), "a line was unreadable");
    let first = &answers(&output)[0];
    assert_eq!(first["id"], json!(null));
    assert!(first["error"].as_str().unwrap().starts_with("line 1: expected"), "{first}");
    assert_eq!(answers_of(&output)[1..], expected);
}

#[test]
fn of_several_authenticators_the_one_that_admits_counts_else_the_one_that_came_furthest() {
    let desk = Desk::new("several");
    let both = [authenticator("old", "old", &json!({})), authenticator("corp", AUDIENCE, &json!({}))].join("\n---\n");
    desk.write("corp.yaml", &both);
    let answer = |changes: &Value| answers(&desk.usual(&["--token", "-"], &rs256(changes))).remove(0);
    assert_eq!(answer(&json!({}))["authenticator"], "corp");
    assert_eq!(answer(&json!({"aud": "old"}))["authenticator"], "old");
    let late = answer(&json!({"exp": 1}));
    assert_eq!((&late["authenticator"], &late["reason"]), (&json!("corp"), &json!("expired")));
}

#[test]
fn keys_stand_in_the_spec_as_well_and_keys_of_no_use_are_told() {
    let desk = Desk::new("inline");
    let weak = json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"});
    let set = String::from_utf8(key_set([&key("rsa").jwk, &weak])).unwrap();
    desk.write("corp.yaml", &authenticator("corp", AUDIENCE, &json!({"jwks": {"inline": set}})));
    let output = desk.check(&["--authenticator", "corp.yaml", "--now", NOW, "--token", "-"], &rs256(&json!({})));
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert!(words(&output).contains("not used: key") && words(&output).contains("shared"), "{}", words(&output));
    assert!(!words(&output).contains("c2VjcmV0"));
}

#[test]
fn what_is_of_no_use_ends_with_two_and_says_all_of_it() {
    let desk = Desk::new("unusable");
    let bad =
        json!({"audience": "", "claims": {"username": "a", "usernameExpression": "claims.a"}, "issuer": "http://a"});
    desk.write("bad.yaml", &authenticator("bad", "x", &bad));
    desk.write("empty.json", "{\"keys\":[]}");
    desk.write("twice.yaml", &authenticator("corp", AUDIENCE, &json!({})).replace("\"spec\"", "\"kind\":1,\"spec\""));
    for (flags, expected) in [
        (&["--authenticator", "bad.yaml"][..], &["https", "audience", "usernameExpression"][..]),
        (&["--authenticator", "missing.yaml"], &["missing.yaml: No such file"]),
        (&["--authenticator", "keys.json"], &["keys.json: document 1: kind is missing"]),
        (&["--authenticator", "twice.yaml"], &["duplicate entry"]),
        (&["--authenticator", "corp.yaml", "--jwks", "empty.json"], &["empty.json: "]),
        (&["--authenticator", "corp.yaml", "--jwks", "corp.yaml"], &["corp.yaml: "]),
        (&["--authenticator", "corp.yaml", "--jwks", "keys.json", "--token", "none.jwt"], &["none.jwt: No such file"]),
    ] {
        let output = desk.check(flags, "");
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", words(&output));
        assert!(output.stdout.is_empty());
        for part in expected {
            assert!(words(&output).contains(part), "{part}: {}", words(&output));
        }
    }
}

#[test]
fn with_the_fleet_list_a_token_is_told_by_whose_it_is_and_a_shared_audience_is_of_no_use() {
    let desk = Desk::new("fleet");
    let cluster = |name: &str, audience: &str, more: &Value| {
        let mut spec = json!({"audiences": [audience], "contact": "#oncall"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({
            "apiVersion": "config.concierge.latchkey.dev/v1alpha1", "kind": "FleetCluster",
            "metadata": {"name": name}, "spec": spec,
        })
        .to_string()
    };
    let list = |clusters: &[String]| clusters.join("\n---\n");
    let ours = || cluster("staging", AUDIENCE, &json!({}));
    desk.write("fleet.yaml", &list(&[ours(), cluster("production", "k8s-production", &json!({}))]));
    let fleet = ["--fleet", "fleet.yaml", "--cluster-name", "staging", "--token", "-"];
    let other = rs256(&json!({"aud": "k8s-production"}));
    let output = desk.usual(&fleet, &other);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert_eq!(answers(&output)[0]["reason"], "audience-other-cluster");
    assert_eq!(answers(&desk.usual(&["--token", "-"], &other))[0]["reason"], "audience-mismatch");
    assert_eq!(desk.usual(&fleet, &rs256(&json!({}))).status.code(), Some(0));

    let beside =
        list(&[authenticator("corp", AUDIENCE, &json!({})), cluster("production", "k8s-production", &json!({}))]);
    desk.write("both.yaml", &beside);
    let check =
        |flags: &[&str]| desk.check(&[&["--jwks", "keys.json", "--now", NOW, "--token", "-"], flags].concat(), &other);
    let output = check(&["--authenticator", "both.yaml", "--cluster-name", "staging"]);
    assert_eq!(answers(&output)[0]["reason"], "audience-other-cluster", "beside the authenticator");

    desk.write("shared.yaml", &cluster("production", AUDIENCE, &json!({})));
    desk.write("misspelt.yaml", &cluster("production", "k8s-production", &json!({"audience": "x"})));
    let corp = ["--authenticator", "corp.yaml", "--cluster-name", "staging", "--fleet"];
    for (flags, expected) in [
        ([&corp[..], &["shared.yaml"]].concat(), "is cluster production's too (contact: #oncall): each would take"),
        ([&corp[..], &["misspelt.yaml"]].concat(), "misspelt.yaml: FleetCluster production: audience: this version"),
        ([&corp[..], &["corp.yaml"]].concat(), "corp.yaml: JWTAuthenticator corp: expected FleetCluster objects only"),
        ([&corp[..], &["missing.yaml"]].concat(), "missing.yaml: No such file"),
        (vec!["--authenticator", "both.yaml"], "say with --cluster-name which of them is this cluster"),
        (
            vec!["--authenticator", "both.yaml", "--cluster-name", "a", "--fleet", "fleet.yaml"],
            "FleetCluster production stands twice",
        ),
    ] {
        let output = check(&flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", words(&output));
        assert!(output.stdout.is_empty() && words(&output).contains(expected), "{expected}: {}", words(&output));
    }
    let output = check(&["--authenticator", "corp.yaml", "--fleet", "fleet.yaml"]);
    assert_eq!(output.status.code(), Some(64), "whose list it is must be said");
}

#[test]
fn mistakes_in_the_command_end_with_64_and_help_with_0() {
    let desk = Desk::new("usage");
    for flags in [&[][..], &["--authenticator"], &["--authenticator", "corp.yaml", "--now", "soon"], &["--tokens", "x"]]
    {
        let output = desk.check(flags, "");
        assert_eq!(output.status.code(), Some(64), "{flags:?}");
        assert!(words(&output).contains("Usage") || words(&output).contains("--help"), "{}", words(&output));
    }
    let help = desk.check(&["--help"], "");
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Exit code"));
}

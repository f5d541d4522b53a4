//! `latchkey-concierge audit` as somebody types it: logs in, verdicts, rows and exit codes out.

#![expect(clippy::unwrap_used, reason = "a test whose own set-up fails has failed")]

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use latchkey_concierge::audit::{
    chain::{Chain, Identity},
    checkpoint::{Keys, PublicKey, SigningKey, origin, sign},
};
use serde_json::{Value, json};

/// PKCS#8 of an Ed25519 key (RFC 8410 section 10.3) up to its seed.
const PKCS8: &str = "302e020100300506032b657004220420";

/// A folder of files for one test.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), content).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-concierge"));
        command.arg("audit").args(words).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn audit(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Exit code and both outputs.
    fn all(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let output = self.audit(words);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A log of one life, as a sink writes it.
struct Writer {
    identity: Identity,
    chain: Chain,
    seq: u64,
    lines: Vec<Vec<u8>>,
    notes: Vec<String>,
}

fn key() -> SigningKey {
    let der = [hex::decode(PKCS8).unwrap(), vec![7; 32]].concat();
    SigningKey::from_pkcs8(&der).unwrap()
}

fn public() -> PublicKey {
    key().public()
}

impl Writer {
    fn new() -> Self {
        let identity = Identity { cluster: "production".into(), replica: "latchkey-0".into(), life: 1_795_222_800_000 };
        let chain = Chain::new(&identity, None);
        let mut writer = Self { identity, chain, seq: 0, lines: Vec::new(), notes: Vec::new() };
        writer.line("audit.started", "info", "started", &json!({}));
        writer
    }

    fn line(&mut self, kind: &str, severity: &str, code: &str, more: &Value) {
        let second = self.lines.len();
        let mut body = format!(
            "\"time\":\"2026-11-21T01:{:02}:{:02}.000000Z\",\"kind\":\"{kind}\",\"severity\":\"{severity}\",\"code\":\"{code}\"",
            second / 60,
            second % 60
        );
        for (name, value) in more.as_object().unwrap() {
            write!(body, ",\"{name}\":{value}").unwrap();
        }
        let mut line = Vec::new();
        self.chain.append(self.seq, body.as_bytes(), &mut line);
        self.lines.push(line);
    }

    fn event(&mut self, kind: &str, severity: &str, code: &str, more: &Value) {
        self.seq += 1;
        self.line(kind, severity, code, more);
    }

    fn replay(&mut self) {
        let more = json!({
            "auditID": "5c1e", "authenticator": {"name": "corp"}, "peer": {"ip": "203.0.113.9", "port": 4711},
            "userAgent": "kubectl\u{9b}31m", "token": {"fingerprint": format!("sha256:{}", "9f2c".repeat(16)), "bytes": 7},
            "verified": {"sub": "ada\u{202e}"}, "claimedCluster": "staging", "state": "live", "detail": "for staging",
        });
        self.event("token.refused", "high", "audience-other-cluster", &more);
    }

    fn checkpoint(&mut self) {
        let note = sign(&origin(&self.identity, "file"), self.chain.size(), &self.chain.root(), &Keys::one(key()));
        self.line("audit.checkpoint", "info", "checkpoint", &json!({"note": note}));
        self.notes.push(note);
    }

    /// Ten records with a replay among them, ended in order.
    fn usual() -> Self {
        let mut writer = Self::new();
        for number in 0..3 {
            writer.event(
                "token.accepted",
                "info",
                "accepted",
                &json!({"identity": {"username": format!("user-{number}"), "groups": 1}}),
            );
        }
        writer.replay();
        writer.checkpoint();
        writer.event("token.refused", "low", "expired", &json!({"claimed": {"sub": "eve"}, "count": 12}));
        writer.line("audit.stopped", "info", "stopped", &json!({}));
        writer.checkpoint();
        writer
    }

    fn bytes(&self) -> Vec<u8> {
        self.lines.concat()
    }
}

#[test]
fn a_good_log_is_said_to_be_good_and_by_what() {
    let desk = Desk::new("good");
    let writer = Writer::usual();
    desk.write("audit.jsonl", writer.bytes());
    let key = public().to_string();
    let (code, answer, notes) = desk.all(&["verify", "--key", &key, "--require-signed", "audit.jsonl"]);
    let expected = format!(
        "intact and complete: 1 log, 9 records, 1 file, {} bytes

cluster production, replica latchkey-0, file, life 1795222800000 (since 2026-11-21T01:00:00Z)
  records    9 from number 0 (2026-11-21T01:00:00.000000Z) to 5 (2026-11-21T01:00:08.000000Z)
  integrity  intact to number 5
  complete   yes; ended in order
  signed     to number 5 by key {key}; nothing after it
",
        writer.bytes().len()
    );
    assert_eq!((code, answer, notes), (Some(0), expected, String::new()));
    // The same by every way to hand over a key and a checkpoint.
    let verifier = public().verifier_key("latchkey.dev/audit");
    desk.write("keys.txt", format!("# of the cluster\n{key}\n"));
    desk.write(
        "issuer.yaml",
        format!("kind: CredentialIssuer\nstatus:\n  audit:\n    publicKeys:\n    - publicKey: {key}\n"),
    );
    desk.write("notes.txt", writer.notes.join("\n"));
    let heads = json!({"kind": "ConfigMap", "metadata": {"name": "latchkey-audit-heads"}, "data": {"latchkey-0.file": writer.notes[1]}});
    desk.write("heads.json", heads.to_string());
    for key in [verifier.as_str(), "keys.txt", "issuer.yaml"] {
        for checkpoint in ["notes.txt", "heads.json"] {
            let words = ["verify", "--key", key, "--checkpoint", checkpoint, "--require-signed", "audit.jsonl"];
            let output = desk.audit(&words);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{key} {checkpoint}: {}{}",
                text(&output.stdout),
                text(&output.stderr)
            );
        }
    }
}

#[test]
fn one_edited_byte_is_pointed_at() {
    let desk = Desk::new("edited");
    let mut writer = Writer::usual();
    let fourth = text(&writer.lines[4]);
    writer.lines[4] = fourth.replace("\"high\"", "\"info\"").into_bytes();
    desk.write("audit.jsonl", writer.bytes());
    let key = public().to_string();
    let (code, answer, _) = desk.all(&["verify", "--key", &key, "audit.jsonl"]);
    let offset: usize = writer.lines[..4].iter().map(Vec::len).sum();
    let finding = format!(
        "  !! edited: audit.jsonl:5 (byte {offset}, record 4): this line was changed after it was written: the line after it \
         carries the hash of another text\n"
    );
    assert_eq!(code, Some(1), "{answer}");
    assert!(answer.starts_with("NOT INTACT: 1 log, 9 records, 1 file, "), "{answer}");
    assert!(
        answer.contains("integrity  NOT INTACT: intact to number 3 only\n") && answer.contains(&finding),
        "{answer}"
    );
    let (code, answer, _) = desk.all(&["verify", "--key", &key, "-o", "json", "audit.jsonl"]);
    let report: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &report["verdict"], &report["logs"][0]["intactUntil"]), (Some(1), &json!("broken"), &json!(3)));
    let found = &report["logs"][0]["findings"][0];
    assert_eq!((&found["code"], &found["line"], &found["offset"]), (&json!("edited"), &json!(5), &json!(offset)));
}

#[test]
fn a_tail_cut_off_shows_only_against_the_anchor() {
    let desk = Desk::new("tail");
    let writer = Writer::usual();
    desk.write("audit.jsonl", writer.lines[..7].concat());
    desk.write("heads.txt", &writer.notes[1]);
    let (code, answer, _) = desk.all(&["verify", "audit.jsonl"]);
    assert_eq!(code, Some(0), "{answer}");
    assert!(answer.contains("no audit.stopped at its end"), "{answer}");
    let (code, answer, _) = desk.all(&["verify", "--checkpoint", "heads.txt", "audit.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(
        answer.contains("tail-missing: audit.jsonl:7 ")
            && answer.contains("heads.txt knows 8 lines of this log, here are 7"),
        "{answer}"
    );
}

#[test]
fn parts_are_put_in_order_whatever_they_are_called_and_however_packed() {
    let desk = Desk::new("parts");
    let writer = Writer::usual();
    desk.write("audit-z.jsonl", writer.lines[..3].concat());
    desk.write("audit-b.jsonl.zst", zstd::stream::encode_all(&writer.lines[3..6].concat()[..], 3).unwrap());
    desk.write("audit-a.jsonl", writer.lines[6..].concat());
    let (code, answer, notes) = desk.all(&["verify", "audit-a.jsonl", "audit-b.jsonl.zst", "audit-z.jsonl"]);
    assert_eq!(code, Some(0), "{answer}{notes}");
    let (code, answer, _) = desk.all(&["verify", "audit-a.jsonl", "audit-z.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(
        answer.contains("records 3 to 4 are missing") && answer.contains("a file may have been left out"),
        "{answer}"
    );
    let (code, answer, _) = desk.all(&["verify", "audit-a.jsonl"]);
    assert_eq!(code, Some(3));
    assert!(
        answer.starts_with("intact but incomplete") && answer.contains(" ! beginning-missing: audit-a.jsonl:1 "),
        "{answer}"
    );
}

#[test]
fn standard_input_and_mixed_output_are_read() {
    let desk = Desk::new("stdin");
    let writer = Writer::usual();
    let mixed: Vec<u8> = writer.lines.iter().flat_map(|line| [&b"{\"level\":\"INFO\"}\n"[..], line].concat()).collect();
    for (flags, expected) in [(&["verify", "-"][..], 1), (&["verify", "--mixed", "-"], 0)] {
        let mut child = desk.command(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&mixed).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(expected), "{}", text(&output.stdout));
    }
}

#[test]
fn what_cannot_be_read_is_said_with_its_own_exit_code() {
    let desk = Desk::new("unreadable");
    desk.write("empty.jsonl", "");
    desk.write("audit.jsonl", Writer::usual().bytes());
    desk.write("prose.txt", "no key, no checkpoint\n");
    for (words, code, expected) in [
        (&["verify", "none.jsonl"][..], 2, "reading none.jsonl: "),
        (&["verify", "."], 2, "it is a folder"),
        (&["verify", "empty.jsonl"], 2, "no audit record in empty.jsonl"),
        (&["verify", "prose.txt"], 2, "no audit record in prose.txt"),
        (&["verify", "--mixed", "prose.txt"], 2, "no audit record in prose.txt"),
        (&["show", "prose.txt"], 2, "no audit record in prose.txt"),
        (&["verify", "--key", "prose.txt", "audit.jsonl"], 2, "--key prose.txt: "),
        (&["verify", "--key", "none", "audit.jsonl"], 2, "there is no file of this name"),
        (&["verify", "--checkpoint", "prose.txt", "audit.jsonl"], 2, "--checkpoint prose.txt: line 1: "),
        (&["verify"], 64, "FILE"),
        (&["verify", "--require-signed", "audit.jsonl"], 64, "--key"),
        (&["show", "--since", "yesterday", "audit.jsonl"], 64, "30m"),
        (&["tail", "-n", "100000", "audit.jsonl"], 64, "10000"),
    ] {
        let (found, _, notes) = desk.all(words);
        assert_eq!(found, Some(code), "{words:?}: {notes}");
        assert!(notes.contains(expected), "{words:?}: {notes}");
    }
    for verb in ["verify", "show", "tail"] {
        let (code, help, _) = desk.all(&[verb, "--help"]);
        assert_eq!(code, Some(0));
        assert!(help.contains("Exit code: 0") && help.contains("Examples:"), "{help}");
    }
}

#[test]
fn records_are_shown_in_columns_and_harmless() {
    let desk = Desk::new("show");
    desk.write("audit.jsonl", Writer::usual().bytes());
    let (code, shown, notes) = desk.all(&["show", "--kind", "token.", "audit.jsonl"]);
    let expected = "\
TIME                         SEVERITY  CODE                    WHO                           FROM             FOR               COUNT
2026-11-21T01:00:01.000000Z  info      accepted                user-0                        -                production        -
2026-11-21T01:00:02.000000Z  info      accepted                user-1                        -                production        -
2026-11-21T01:00:03.000000Z  info      accepted                user-2                        -                production        -
2026-11-21T01:00:04.000000Z  high      audience-other-cluster  ada\u{fffd}                          203.0.113.9      staging (live)    -
2026-11-21T01:00:06.000000Z  low       expired                 eve?                          -                production        12
";
    assert_eq!((code, shown.as_str(), notes.as_str()), (Some(0), expected, ""));
    let (_, wide, _) =
        desk.all(&["show", "--claimed-cluster", "staging", "--fingerprint", "9f2c", "-o", "wide", "audit.jsonl"]);
    assert_eq!(wide.lines().count(), 2, "{wide}");
    assert!(wide.contains("9f2c9f2c9f2c9f2c  latchkey-0#4") && wide.contains("kubectl\u{fffd}31m"), "{wide:?}");
    let (_, lines, _) = desk.all(&["show", "--severity", "high", "-o", "json", "audit.jsonl"]);
    let record: Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!((&record["verified"]["sub"], lines.is_ascii()), (&json!("ada\u{202e}"), true));
    let (_, none, _) = desk.all(&["show", "--subject", "nobody", "audit.jsonl"]);
    assert_eq!(none.lines().count(), 1, "the heading alone");
}

#[test]
fn the_last_records_and_those_that_follow_are_shown() {
    /// Ended with the test, however it ends.
    struct Running(Child);
    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let desk = Desk::new("tail-f");
    let mut writer = Writer::usual();
    desk.write("audit.jsonl", writer.bytes());
    let (code, shown, _) = desk.all(&["tail", "-n", "2", "--kind", "token.accepted", "audit.jsonl"]);
    assert_eq!((code, shown.lines().count()), (Some(0), 3), "{shown}");
    assert!(shown.contains("user-1") && shown.contains("user-2"), "{shown}");

    let mut child =
        Running(desk.command(&["tail", "-f", "-n", "1", "audit.jsonl"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("TIME"));
    assert!(next().contains("checkpoint"));
    let mut grow = || {
        writer.replay();
        let mut file = fs::OpenOptions::new().append(true).create(true).open(desk.0.join("audit.jsonl")).unwrap();
        file.write_all(writer.lines.last().unwrap()).unwrap();
    };
    grow();
    fs::rename(desk.0.join("audit.jsonl"), desk.0.join("audit-1.jsonl")).unwrap();
    assert!(next().contains("audience-other-cluster"), "the last of the old file");
    grow();
    assert!(next().contains("audience-other-cluster"), "the first of the new one");
}

//! A server whose audit log is watched: load on it, what it answered, what its files say, and what the verifier says of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_concierge::audit::checkpoint::SigningKey;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    desk::{Desk, Server, fresh, manifest},
    issuer::{AUDIENCE, rs256},
    waiting::until,
};

/// PKCS#8 of an Ed25519 key (RFC 8410 section 10.3), its seed zeros.
const PKCS8: &str = "302e020100300506032b657004220420";

/// A desk with a signed audit log.
pub(crate) struct Watch {
    pub(crate) desk: Desk,
    key: String,
    granted: Arc<Mutex<BTreeSet<String>>>,
}

/// Callers that ask without end.
pub(crate) struct Load(Vec<JoinHandle<()>>);

/// What the verifier said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) report: Value,
}

impl Watch {
    pub(crate) fn new(name: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let desk = Desk::new(name);
        desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({})));
        let key = key().public().to_string();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8()));
        fs::write(desk.folder.join("audit.pem"), pem).unwrap();
        Self { desk, key, granted: Arc::default() }
    }

    /// A server whose log is closed every hundred records and sealed every second.
    pub(crate) async fn serve(&self, more: &[&str], stdout: Stdio) -> Server {
        let usual = ["--audit-signing-key=audit.pem", "--audit-rotate-bytes=64KiB", "--audit-checkpoint-every=1s"];
        let server = self.desk.serve_with(&[&usual[..], more].concat(), stdout);
        until("readiness", async || (server.get("/readyz").await.0 == 200).then_some(())).await;
        server
    }

    /// Asks about a good token, on a connection of its own or an old one; the answer is kept if it is a yes.
    pub(crate) async fn is_granted(&self, server: &Server) -> bool {
        self.status(server).await["authenticated"] == true
    }

    pub(crate) async fn status(&self, server: &Server) -> Value {
        let (status, id) = ask(&server.client, &server.review, &fresh(AUDIENCE)).await.unwrap();
        if status["authenticated"] == true {
            self.granted.lock().unwrap().insert(id);
        }
        status
    }

    /// Some callers, each with a connection of its own; two of three tokens are good.
    pub(crate) fn load(&self, server: &Server, callers: usize) -> Load {
        let one = |caller| {
            let (client, url, granted) = (self.desk.client(), server.review.clone(), Arc::clone(&self.granted));
            tokio::spawn(async move {
                for number in 0_u64.. {
                    let token = if number % 3 == 0 { other(caller, number) } else { fresh(AUDIENCE) };
                    // Whoever is killed answers nobody.
                    let Some((status, id)) = ask(&client, &url, &token).await else { return };
                    if status["authenticated"] == true {
                        granted.lock().unwrap().insert(id);
                    }
                }
            })
        };
        Load((0..callers).map(one).collect())
    }

    /// How many were answered with a yes so far.
    pub(crate) fn granted(&self) -> usize {
        self.granted.lock().unwrap().len()
    }

    /// All files of the log, as `audit*.jsonl*` names them.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let folder = self.desk.folder.join(self.desk.log);
        let entries = fs::read_dir(folder.parent().unwrap()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_log = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("audit") && name.contains(".jsonl")
        };
        let mut files: Vec<_> = paths.filter(is_log).collect();
        files.sort();
        files
    }

    /// What `audit verify` says of these files. The server must have ended: it would move them away while they are read.
    pub(crate) fn verify(&self, more: &[&str], files: &[PathBuf]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-concierge"));
        command.args(["audit", "verify", "--output=json", "--key", &self.key]).args(more).args(files);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let notes = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {notes}"));
        Said { code: output.status.code(), report }
    }

    /// Every yes is in the files, and the numbers of each life have no hole that no gap tells. How many records there are.
    pub(crate) fn account(&self) -> usize {
        let records = self.records();
        let ids: BTreeSet<&str> = records
            .iter()
            .filter(|record| record["code"] == "accepted")
            .filter_map(|record| record["auditID"].as_str())
            .collect();
        let granted = self.granted.lock().unwrap();
        let missing: Vec<_> = granted.iter().filter(|id| !ids.contains(id.as_str())).collect();
        assert!(missing.is_empty(), "answered and not recorded: {missing:?}");
        let mut lives: BTreeMap<u64, (BTreeSet<u64>, u64)> = BTreeMap::new();
        for record in &records {
            let (numbers, told) = lives.entry(record["life"].as_u64().unwrap()).or_default();
            if record["kind"] == "audit.gap" {
                let dropped = record["dropped"].as_object().unwrap();
                *told += dropped.values().map(|count| count.as_u64().unwrap()).sum::<u64>();
            } else if !record["kind"].as_str().unwrap().starts_with("audit.") {
                assert!(numbers.insert(record["seq"].as_u64().unwrap()), "twice: {record}");
            }
        }
        for (life, (numbers, told)) in lives {
            let last = numbers.last().copied().unwrap_or(0);
            assert!(
                last - numbers.len() as u64 <= told,
                "life {life}: {} of {last} records, {told} told",
                numbers.len()
            );
        }
        records.len()
    }

    /// The whole lines of all files, each piece once.
    fn records(&self) -> Vec<Value> {
        let files = self.files();
        let compressed = |file: &Path| file.with_extension("jsonl.zst");
        let wanted = |file: &&PathBuf| {
            let is_plain = file.extension().is_some_and(|ending| ending == "jsonl");
            file.extension().is_some_and(|ending| ending == "zst") || is_plain && !files.contains(&compressed(file))
        };
        let mut records = Vec::new();
        for file in files.iter().filter(wanted) {
            let mut text = Vec::new();
            let mut source = File::open(file).unwrap();
            if file.extension().is_some_and(|ending| ending == "zst") {
                zstd::Decoder::new(source).unwrap().read_to_end(&mut text).unwrap();
            } else {
                source.read_to_end(&mut text).unwrap();
            }
            let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
            records.extend(lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()));
        }
        records
    }
}

impl Load {
    /// Until the server is gone.
    pub(crate) async fn end(self) {
        for caller in self.0 {
            caller.await.unwrap();
        }
    }

    pub(crate) async fn stop(self) {
        for caller in self.0 {
            caller.abort();
            let _ = caller.await;
        }
    }
}

impl Said {
    /// The codes of all findings, each once.
    pub(crate) fn codes(&self) -> BTreeSet<&str> {
        let logs = self.report["logs"].as_array().unwrap();
        let of_logs = logs.iter().flat_map(|log| log["findings"].as_array().unwrap());
        let all = of_logs.chain(self.report["findings"].as_array().unwrap());
        all.map(|finding| finding["code"].as_str().unwrap()).collect()
    }

    /// The log of the last life.
    pub(crate) fn last(&self) -> &Value {
        let logs = self.report["logs"].as_array().unwrap().iter();
        logs.max_by_key(|log| log["life"].as_u64().unwrap()).unwrap()
    }
}

/// The status, and the request's audit id; `None` if there is no whole answer.
async fn ask(client: &Client, url: &str, token: &str) -> Option<(Value, String)> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let answer = client.post(url).body(review.to_string()).send().await.ok()?;
    let id = answer.headers()["audit-id"].to_str().unwrap().to_owned();
    let mut answer: Value = serde_json::from_str(&answer.text().await.ok()?).unwrap();
    Some((answer["status"].take(), id))
}

/// A token for somebody else; no two are taken for repeats of each other.
fn other(caller: usize, number: u64) -> String {
    let now = jiff::Timestamp::now().as_second();
    rs256(&json!({"aud": "k8s-elsewhere", "iat": now, "exp": now + 300, "jti": format!("{caller}-{number}-{now}")}))
}

/// The key that signs.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_pkcs8(&pkcs8()).unwrap()
}

fn pkcs8() -> Vec<u8> {
    [hex::decode(PKCS8).unwrap(), vec![0; 32]].concat()
}

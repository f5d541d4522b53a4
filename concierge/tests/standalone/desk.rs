//! The server without an API server, as tests start it: in a folder of its own, with certificates and authenticators.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer, KeyPair};
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};

use crate::{
    issuer::{ISSUER, key, key_set, rs256},
    waiting::PATIENCE,
};

/// Who may ask for reviews, and how the listener shows itself.
pub(crate) const REVIEW: [&str; 3] =
    ["--review-client-ca-file=ca.crt", "--review-tls-cert-file=tls.crt", "--review-tls-key-file=tls.key"];

/// A folder with all that the server needs.
pub(crate) struct Desk {
    pub(crate) folder: PathBuf,
    /// The audit log, from the folder.
    pub(crate) log: &'static str,
    authority: String,
    identity: String,
}

/// The server at work; killed when dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    log: mpsc::Receiver<Value>,
    admin: String,
    pub(crate) review: String,
    pub(crate) client: Client,
}

impl Desk {
    pub(crate) fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("standalone-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("authenticators")).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pair = KeyPair::generate().unwrap();
        let authority = params.self_signed(&pair).unwrap().pem();
        let signer = Signer::new(params, pair);
        let (certificate, secret) = leaf(&signer, "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
        fs::write(folder.join("ca.crt"), &authority).unwrap();
        fs::write(folder.join("tls.crt"), certificate).unwrap();
        fs::write(folder.join("tls.key"), secret).unwrap();
        let (certificate, secret) = leaf(&signer, "kube-apiserver", ExtendedKeyUsagePurpose::ClientAuth);
        Self { folder, log: "audit.jsonl", authority, identity: certificate + &secret }
    }

    /// As careful tools write.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let draft = self.folder.join(format!("{name}.draft"));
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.folder.join("authenticators").join(name)).unwrap();
    }

    pub(crate) fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-concierge"));
        command.args(["--cluster-name=staging", "--authenticators=authenticators", "--admin-address=127.0.0.1:0"]);
        command.args(["--review-address=127.0.0.1:0", "--audit-log", self.log, "--shutdown-grace=0s"]).args(flags);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[], Stdio::null())
    }

    pub(crate) fn serve_with(&self, more: &[&str], stdout: Stdio) -> Server {
        let mut process = self.command(&[&REVIEW, more].concat()).stdout(stdout).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let client = self.client();
        let mut server = Server { process, log, admin: String::new(), review: String::new(), client };
        server.admin = format!("http://{}", server.listens("admin"));
        server.review = format!("https://{}/token-review", server.listens("TokenReview"));
        server
    }

    /// A caller with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::builder()
            .tls_certs_only([Certificate::from_pem(self.authority.as_bytes()).unwrap()])
            .identity(Identity::from_pem(self.identity.as_bytes()).unwrap())
            .no_proxy()
            .build()
            .unwrap()
    }

    /// A start that ends at once, and what it said.
    pub(crate) fn refused(&self, flags: &[&str]) -> String {
        let Output { status, stderr, .. } = self.command(flags).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "Stopped", "{last}");
        last["error"].as_str().unwrap().to_owned()
    }
}

impl Server {
    pub(crate) fn logged(&self, found: impl Fn(&Value) -> bool) -> Value {
        loop {
            let record = self.log.recv_timeout(PATIENCE).expect("it is logged");
            if found(&record) {
                return record;
            }
        }
    }

    pub(crate) fn listens(&self, listener: &str) -> String {
        let record = self.logged(|record| record["message"] == "Listening" && record["listener"] == listener);
        record["address"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.admin)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The status of a `TokenReview`.
    pub(crate) async fn ask(&self, token: &str) -> Value {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let answer = self.client.post(&self.review).body(review.to_string()).send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["status"].take()
    }

    /// Whether a token of this audience is admitted.
    pub(crate) async fn admits(&self, audience: &str) -> bool {
        self.ask(&fresh(audience)).await["authenticated"] == true
    }

    /// The conditions of an authenticator, as the admin port shows them: type to status and message.
    pub(crate) async fn condition(&self, name: &str, condition: &str) -> (String, String) {
        let page: Value = serde_json::from_str(&self.get("/authenticators").await.1).unwrap();
        let shown = page["authenticators"].as_array().unwrap().iter().find(|shown| shown["name"] == name);
        let conditions = shown.map(|shown| shown["status"]["conditions"].as_array().unwrap().clone());
        let found = conditions.unwrap_or_default().into_iter().find(|found| found["type"] == condition);
        let word = |field: &str| found.as_ref().map_or_else(String::new, |f| f[field].as_str().unwrap().to_owned());
        (word("status"), word("message"))
    }

    pub(crate) fn stop(mut self) {
        let killed = Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status().unwrap();
        assert!(killed.success());
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn leaf(signer: &Signer<'_, KeyPair>, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    let pair = KeyPair::generate().unwrap();
    (params.signed_by(&pair, signer).unwrap().pem(), pair.serialize_pem())
}

/// A good token for `audience` by the machine's clock.
pub(crate) fn fresh(audience: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    rs256(&json!({"aud": audience, "iat": now, "exp": now + 300}))
}

/// An authenticator that needs no network, with `more` in its spec.
pub(crate) fn manifest(name: &str, audience: &str, more: &Value) -> String {
    let keys = String::from_utf8(key_set([&key("rsa").jwk])).unwrap();
    let mut spec = json!({"issuer": ISSUER, "audience": audience, "jwks": {"inline": keys}});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
        "metadata": {"name": name}, "spec": spec,
    })
    .to_string()
}

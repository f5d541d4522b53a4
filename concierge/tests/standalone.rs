//! The server without an API server: authenticators from a folder, `TokenReview`s over mutual TLS, nothing else.

#![expect(clippy::unwrap_used, reason = "a test whose own set-up fails has failed")]

#[expect(dead_code, reason = "the judge's tests use more of it")]
#[path = "judging/issuer.rs"]
mod issuer;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer, KeyPair};
use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};

use self::issuer::{AUDIENCE, ISSUER, key, key_set, rs256};

/// For what should happen within seconds; the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A folder with all that the server needs.
struct Desk {
    folder: PathBuf,
    authority: String,
    identity: String,
}

/// The server at work; killed when dropped.
struct Server {
    process: Child,
    log: mpsc::Receiver<Value>,
    admin: String,
    review: String,
    client: Client,
}

impl Desk {
    fn new(name: &str) -> Self {
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
        Self { folder, authority, identity: certificate + &secret }
    }

    /// As careful tools write.
    fn write(&self, name: &str, text: &str) {
        let draft = self.folder.join(format!("{name}.draft"));
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.folder.join("authenticators").join(name)).unwrap();
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey-concierge"));
        command.args(["--cluster-name=staging", "--authenticators=authenticators", "--admin-address=127.0.0.1:0"]);
        command.args(["--review-address=127.0.0.1:0", "--audit-log=audit.jsonl", "--shutdown-grace=0s"]).args(flags);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn serve(&self) -> Server {
        let flags =
            ["--review-client-ca-file=ca.crt", "--review-tls-cert-file=tls.crt", "--review-tls-key-file=tls.key"];
        let mut process = self.command(&flags).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(self.authority.as_bytes()).unwrap()])
            .identity(Identity::from_pem(self.identity.as_bytes()).unwrap())
            .no_proxy()
            .build()
            .unwrap();
        let mut server = Server { process, log, admin: String::new(), review: String::new(), client };
        server.admin = format!("http://{}", server.listens("admin"));
        server.review = format!("https://{}/token-review", server.listens("TokenReview"));
        server
    }

    /// A start that ends at once, and what it said.
    fn refused(&self, flags: &[&str]) -> String {
        let Output { status, stderr, .. } = self.command(flags).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "Stopped", "{last}");
        last["error"].as_str().unwrap().to_owned()
    }
}

impl Server {
    fn logged(&self, found: impl Fn(&Value) -> bool) -> Value {
        loop {
            let record = self.log.recv_timeout(PATIENCE).expect("it is logged");
            if found(&record) {
                return record;
            }
        }
    }

    fn listens(&self, listener: &str) -> String {
        let record = self.logged(|record| record["message"] == "Listening" && record["listener"] == listener);
        record["address"].as_str().unwrap().to_owned()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.admin)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The status of a `TokenReview`.
    async fn ask(&self, token: &str) -> Value {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
        let answer = self.client.post(&self.review).body(review.to_string()).send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["status"].take()
    }

    /// Whether a token of this audience is admitted.
    async fn admits(&self, audience: &str) -> bool {
        self.ask(&fresh(audience)).await["authenticated"] == true
    }

    /// The conditions of an authenticator, as the admin port shows them: type to status and message.
    async fn condition(&self, name: &str, condition: &str) -> (String, String) {
        let page: Value = serde_json::from_str(&self.get("/authenticators").await.1).unwrap();
        let shown = page["authenticators"].as_array().unwrap().iter().find(|shown| shown["name"] == name);
        let conditions = shown.map(|shown| shown["status"]["conditions"].as_array().unwrap().clone());
        let found = conditions.unwrap_or_default().into_iter().find(|found| found["type"] == condition);
        let word = |field: &str| found.as_ref().map_or_else(String::new, |f| f[field].as_str().unwrap().to_owned());
        (word("status"), word("message"))
    }

    fn stop(mut self) {
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
fn fresh(audience: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    rs256(&json!({"aud": audience, "iat": now, "exp": now + 300}))
}

/// An authenticator that needs no network, with `more` in its spec.
fn manifest(name: &str, audience: &str, more: &Value) -> String {
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

async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not seen in time: {what}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_rule_from_their_first_word_to_their_last() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let desk = Desk::new("story");
    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({})));
    desk.write("partners.yaml", &manifest("partners", "k8s-partners", &json!({})));
    let bundle = json!({"certificateAuthorityDataSource": {"kind": "ConfigMap", "name": "ca", "key": "ca.crt"}});
    desk.write("far.yaml", &manifest("far", "k8s-far", &json!({"issuer": "https://far.example", "tls": bundle})));
    let server = desk.serve();
    until("readiness", async || (server.get("/readyz").await.0 == 200).then_some(())).await;

    let status = server.ask(&fresh(AUDIENCE)).await;
    assert_eq!(status["user"]["username"], "ada", "{status}");
    assert_eq!(status["user"]["groups"], json!(["developers", "oncall"]));
    assert!(
        server.admits("k8s-partners").await && !server.admits("production").await && !server.admits("k8s-far").await
    );
    assert_eq!(server.condition("corp", "Ready").await.0, "True");
    let (status, message) = server.condition("far", "TLSConfigurationValid").await;
    assert!(
        status == "False" && message.contains("put the PEM bundle itself into certificateAuthorityData"),
        "{message}"
    );

    // The very token that was admitted a moment ago, and is remembered, falls under the new rule.
    let token = fresh(AUDIENCE);
    assert_eq!(server.ask(&token).await["authenticated"], true);
    let rules = json!([{"expression": "claims.username != 'ada'", "message": "ada has left"}]);
    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({"claimValidationRules": rules})));
    until("the new rule", async || (server.ask(&token).await["authenticated"] != true).then_some(())).await;

    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({})));
    until("her return", async || (server.ask(&token).await["authenticated"] == true).then_some(())).await;
    desk.write("corp.yaml", "apiVersion: authentication.concierge.latchkey.dev/v1alpha1\nkind: [JWTAuthenticator\n");
    let status = until("the broken file", async || {
        let status = server.ask(&token).await;
        (status["authenticated"] != true).then_some(status)
    })
    .await;
    // Nobody can tell now, so the API server is not to remember it as a no.
    assert_eq!(status["error"], "temporarily unable to decide", "{status}");
    let logged = server.logged(|record| record["level"] == "ERROR");
    assert_eq!(logged["file"], "corp.yaml", "{logged}");
    assert!(logged["problem"].as_str().unwrap().contains("line 3"), "{logged}");
    let message = until("not ready", async || {
        let (status, message) = server.condition("corp", "AuthenticatorValid").await;
        (status == "False").then_some(message)
    })
    .await;
    assert!(message.contains("corp.yaml: document 1: cannot be read"), "{message}");
    assert!(server.admits("k8s-partners").await, "the others go on");
    assert_eq!(server.get("/readyz").await.0, 200);
    assert!(server.get("/metrics").await.1.contains("latchkey_authenticator_files_wrong 1\n"));

    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({})));
    until("the mended file", async || (server.ask(&token).await["authenticated"] == true).then_some(())).await;
    fs::remove_file(desk.folder.join("authenticators/corp.yaml")).unwrap();
    until("its end", async || (server.ask(&token).await["authenticated"] != true).then_some(())).await;
    assert!(server.admits("k8s-partners").await);

    let records = fs::read_to_string(desk.folder.join("audit.jsonl")).unwrap();
    for code in ["accepted", "claim-rule-failed", "audience-mismatch"] {
        assert!(records.contains(&format!(r#""code":"{code}""#)), "{code}");
    }
    server.stop();
}

#[test]
fn a_start_that_could_serve_nobody_says_what_to_give() {
    let desk = Desk::new("starts");
    let caller = "--review-client-ca-file=ca.crt";
    let whole = [caller, "--review-tls-cert-file=tls.crt", "--review-tls-key-file=tls.key"];
    assert!(desk.refused(&[]).contains("say by --review-client-ca-file who may ask"));
    assert!(desk.refused(&[caller]).contains("give --review-tls-cert-file and --review-tls-key-file"));
    assert_eq!(
        desk.refused(&whole),
        "reading --authenticators: authenticators holds no file that ends in .yaml, .yml or .json: put JWTAuthenticator \
         manifests there"
    );
    desk.write("corp.yaml", "kind: Deployment\n");
    let said = desk.refused(&whole);
    assert!(said.contains("corp.yaml: document 1: kind \"Deployment\": expected JWTAuthenticator"), "{said}");
    fs::remove_dir_all(desk.folder.join("authenticators")).unwrap();
    assert!(desk.refused(&whole).contains("authenticators cannot be read: No such file"));
}

//! Jobs and pods with a token of their own: from a file, a variable, a program, or GitHub.

use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::plugin::{Laptop, Run, credential};
use crate::site::{CLIENT, Exchange, Site, now};

/// A token as far as this plugin can tell: nobody here checks its signature, the cluster does.
fn token(claims: &Value) -> String {
    format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
}

pub(crate) fn good(job: &str) -> String {
    token(&json!({"aud": CLIENT, "sub": job, "exp": now() + 600}))
}

fn with_file<'a>(laptop: &'a Laptop, site: &Site) -> Run<'a> {
    credential(laptop, site).with(&format!("--token-file={}", laptop.path("token").display()))
}

fn sent(site: &Site) -> Vec<String> {
    site.seen(|seen| seen.exchanges.iter().map(|it| it["spec"]["token"].as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn a_projected_token_is_exchanged_and_read_anew_at_each_run() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = with_file(&laptop, &site);
    let (first, second) = (good("a"), good("b"));
    fs::write(laptop.path("token"), format!("{first}\n")).unwrap();
    let answer = run.end().await;
    answer.credential();
    assert_eq!(run.end().await.stdout, answer.stdout, "the same bytes within one window");
    assert_eq!(sent(&site), std::slice::from_ref(&first));
    fs::write(laptop.path("token"), &second).unwrap();
    run.end().await.credential();
    assert_eq!(sent(&site), [first, second], "another token is another credential");
    assert_eq!(site.seen(|seen| seen.discovery), 0, "no provider is asked");
}

#[tokio::test]
async fn what_is_no_token_is_sent_nowhere() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let file = with_file(&laptop, &site);
    assert!(file.end().await.failure(2).contains("cannot read the token file"));
    for (content, words) in [
        ("", "holds nothing"),
        ("\n\n", "holds nothing"),
        ("a.b.c\nd.e.f\n", "holds several lines"),
        ("no token today", "holds other text"),
        // What a kubeconfig of somebody else may name in place of a token.
        ("ghp_0123456789abcdefABCDEF", "holds no JWT"),
    ] {
        fs::write(laptop.path("token"), content).unwrap();
        let ended = file.end().await;
        let said = ended.failure(2);
        assert!(said.contains(words) && said.contains("expected one token"), "{said}");
        assert!(content.trim().is_empty() || !said.contains(content.trim()), "nothing of it is repeated: {said}");
    }
    fs::write(laptop.path("token"), "x".repeat(70_000)).unwrap();
    assert!(file.end().await.failure(2).contains("more than 64 KiB"));
    let variable = credential(&laptop, &site).with("--token-env=JOB_TOKEN").end().await;
    assert!(variable.failure(2).contains("variable JOB_TOKEN holds nothing"), "{variable:?}");
    assert_eq!(site.exchanges(), 0);
}

/// A pipe would be waited for as long as nobody writes into it.
#[tokio::test]
async fn a_pipe_in_place_of_the_file_is_not_waited_for() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let made = std::process::Command::new("mkfifo").arg(laptop.path("token")).status().unwrap();
    assert!(made.success());
    assert!(with_file(&laptop, &site).end().await.failure(2).contains("not a regular file"));
}

#[tokio::test]
async fn a_token_for_another_cluster_stays_here_in_the_words_of_the_audit_log() {
    let (site, laptop) = (Site::start(), Laptop::new());
    for (audience, code) in [
        (json!("production"), "audience-mismatch"),
        (json!([CLIENT, "production"]), "audience-shared"),
        (Value::Null, "audience-missing"),
    ] {
        let run = credential(&laptop, &site)
            .with("--token-env=JOB_TOKEN")
            .set("JOB_TOKEN", token(&json!({"aud": audience, "exp": now() + 600})));
        let ended = run.end().await;
        let said = ended.failure(4);
        assert!(said.contains(code) && said.contains("nothing was sent to the cluster"), "{said}");
    }
    assert_eq!(site.exchanges(), 0);
    // Whom the kubeconfig names for people it names for a job.
    let both = token(&json!({"aud": [CLIENT, "project"], "exp": now() + 600}));
    let run = credential(&laptop, &site).with("--token-env=JOB_TOKEN").set("JOB_TOKEN", both);
    run.with("--additional-audiences=project").end().await.credential();
}

#[tokio::test]
async fn variables_make_a_persons_kubeconfig_serve_a_job() {
    let (site, laptop) = (Site::start(), Laptop::new());
    fs::write(laptop.path("token"), good("file")).unwrap();
    let by_file =
        credential(&laptop, &site).set("CI", "true").set("LATCHKEY_TOKEN_FILE", laptop.path("token").to_str().unwrap());
    by_file.end().await.credential();
    let by_variable = credential(&laptop, &site)
        .set("CI", "true")
        .set("LATCHKEY_TOKEN_ENV", "ID_TOKEN")
        .set("ID_TOKEN", good("variable"));
    by_variable.end().await.credential();
    assert_eq!(site.exchanges(), 2);
    // A job waits for a busy cluster as a person does.
    fs::write(laptop.path("token"), good("file of the next hour")).unwrap();
    site.behave(|behaviour| behaviour.turned_away = vec![(429, Some("0"))]);
    by_file.end().await.credential();
    assert_eq!(site.exchanges(), 4);
    let both = by_file.set("LATCHKEY_TOKEN_ENV", "ID_TOKEN").end().await;
    assert!(both.failure(2).contains("only one of LATCHKEY_TOKEN_FILE and LATCHKEY_TOKEN_ENV"), "{both:?}");
}

#[tokio::test]
async fn a_program_prints_the_token() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let printed = good("program");
    let script = format!("#!/bin/sh\necho 'asking the vault' >&2\n[ \"$1\" = 'for staging' ] && echo {printed}\n");
    let program = laptop.executable("a program", &script);
    let run = credential(&laptop, &site).with(&format!("--token-command='{}' \"for staging\"", program.display()));
    let ended = run.end().await;
    ended.credential();
    assert!(ended.said.contains("asking the vault"), "its words are the person's to read");
    run.end().await.credential();
    assert_eq!(sent(&site), [printed], "one token, one exchange");
}

#[tokio::test]
async fn a_program_that_gives_no_token_is_named_and_not_waited_for() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = |line: &str| credential(&laptop, &site).with(&format!("--token-command={line}"));
    for (line, status, words) in [
        ("false", 1, "(false) failed: exit status: 1"),
        ("/no/such/program", 1, "(/no/such/program) failed: "),
        ("sh -c 'echo a.b.c; exit 3'", 1, "exit status: 3"),
        ("sh -c 'echo a.b.c; echo d.e.f'", 2, "the output of sh holds several lines"),
        ("true", 2, "the output of true holds nothing"),
        ("yes", 2, "more than 64 KiB"),
        ("sh 'open", 2, "--token-command: a quotation in it does not end"),
        ("", 2, "--token-command: it names no program"),
    ] {
        let ended = run(line).end().await;
        let said = ended.failure(status);
        assert!(said.contains(words) && !said.contains("a.b.c"), "{line}: {said}");
    }
    let hangs = run("sleep 600").with("--login-timeout=1").end().await;
    assert!(hangs.failure(1).contains("(sleep) failed: it took longer than 1 second"), "{hangs:?}");
    assert_eq!(site.exchanges(), 0);
}

/// client-go asks again, without a word, when the server answered 401.
#[tokio::test]
async fn a_refused_credential_is_exchanged_anew_silently() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = with_file(&laptop, &site);
    fs::write(laptop.path("token"), good("a")).unwrap();
    let first = run.end().await;
    first.credential();
    let older = |laptop: &Laptop| {
        laptop.edit("credentials", |it| it["received_at"] = json!(it["received_at"].as_i64().unwrap() - 11));
    };
    older(&laptop);
    let second = run.end().await;
    second.credential();
    assert_eq!(site.exchanges(), 2);
    assert_ne!(first.stdout, second.stdout);
    // The cluster is away: what is there is handed out, and not asked about at each call.
    older(&laptop);
    site.behave(|behaviour| behaviour.exchange = Exchange::NotWell);
    assert_eq!(run.end().await.credential()["status"]["clientKeyData"], second.credential()["status"]["clientKeyData"]);
    let asked = site.exchanges();
    run.end().await.credential();
    assert_eq!(site.exchanges(), asked);
    // The cluster says no: it is not handed out again.
    laptop.edit("credentials", |it| it["suspected_at"] = json!(it["received_at"]));
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    run.end().await.failure(5);
    assert_eq!(
        fs::read_dir(laptop.path("cache/credentials"))
            .unwrap()
            .filter(|it| it.as_ref().unwrap().path().extension().is_some_and(|it| it == "json"))
            .count(),
        0
    );
}

#[tokio::test]
async fn an_old_token_is_the_likely_reason_of_a_refusal() {
    let (site, laptop) = (Site::start(), Laptop::new());
    site.behave(|behaviour| behaviour.exchange = Exchange::Refused);
    let run = credential(&laptop, &site).with("--token-env=JOB_TOKEN");
    let run = run.set("JOB_TOKEN", token(&json!({"aud": CLIENT, "exp": now() - 60})));
    let ended = run.end().await;
    let said = ended.failure(5);
    assert!(said.contains("audit-42") && said.contains("seconds ago by this computer's clock"), "{said}");
    // kubectl runs us five times for one command that fails: one refusal, and the same words.
    assert_eq!(run.end().await.failure(5), said);
    assert_eq!(site.exchanges(), 1);
    run.set("JOB_TOKEN", good("another")).end().await.failure(5);
    assert_eq!(site.exchanges(), 2, "another token may be a better one");
}

#[tokio::test]
async fn the_token_itself_is_handed_out_where_the_server_takes_it_until_shortly_before_its_end() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let token_of_job = good("a");
    let run = credential(&laptop, &site).with("--no-exchange").with("--token-env=JOB_TOKEN");
    let answer = run.set("JOB_TOKEN", &token_of_job).end().await.credential();
    assert_eq!(answer["status"]["token"], token_of_job);
    let until: jiff::Timestamp = answer["status"]["expirationTimestamp"].as_str().unwrap().parse().unwrap();
    assert!((565..=570).contains(&(until.as_second() - now())), "{until}");
    let ended = credential(&laptop, &site).with("--no-exchange").with("--token-env=JOB_TOKEN");
    let past = ended.set("JOB_TOKEN", token(&json!({"aud": CLIENT, "exp": now() - 1}))).end().await.credential();
    assert_eq!(past["status"].get("expirationTimestamp"), None, "a past timestamp would make clients loop");
}

#[tokio::test]
async fn github_is_asked_for_the_cluster_s_audience_and_once_for_a_job() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let roots = laptop.path("roots.pem");
    fs::write(&roots, &site.roots).unwrap();
    let run = credential(&laptop, &site)
        .with("--token-from-github")
        .set("GITHUB_ACTIONS", "true")
        .set("SSL_CERT_FILE", roots.to_str().unwrap())
        .set("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/actions/token?api-version=2.0", site.url()))
        .set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-secret");
    site.behave(|behaviour| behaviour.job_token_failures = vec![503]);
    let first = run.end().await;
    first.credential();
    let asked = site.seen(|seen| seen.job_tokens.clone());
    assert_eq!(asked.len(), 2, "a stumble is forgiven");
    assert_eq!((asked[0]["audience"].as_str(), asked[0]["api-version"].as_str()), (CLIENT, "2.0"));
    assert_eq!(asked[0][":authorization"], "Bearer job-secret");
    assert_eq!(run.end().await.stdout, first.stdout);
    assert_eq!((site.seen(|seen| seen.job_tokens.len()), site.exchanges()), (2, 1), "nobody is asked again");
    let refused = Laptop::new();
    site.behave(|behaviour| behaviour.job_token_failures = vec![403]);
    let again = Run { laptop: &refused, arguments: run.arguments.clone(), environment: run.environment.clone() };
    assert!(again.end().await.failure(1).contains("GitHub Actions gives no token: it answered 403"));
    let bare = credential(&refused, &site).with("--token-from-github").end().await;
    assert!(bare.failure(1).contains("`permissions: id-token: write`"), "{bare:?}");
}

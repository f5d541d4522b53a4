//! The exec protocol from outside: versions, what is missing, what is odd.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::plugin::{Laptop, Run, credential, exec_info, log_in};
use crate::site::{CLIENT, Site, base64};

#[tokio::test]
async fn answers_in_the_version_of_the_question() {
    let (site, laptop) = (Site::start(), Laptop::new());
    for version in ["v1", "v1beta1"] {
        let run = credential(&laptop, &site).set("KUBERNETES_EXEC_INFO", exec_info(&site, version));
        let answer = run.end_with_login(&site).await.credential();
        assert_eq!(answer["apiVersion"], format!("client.authentication.k8s.io/{version}"));
        let status = &answer["status"];
        assert!(status["clientCertificateData"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
        assert!(status["clientKeyData"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(status["expirationTimestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(status.get("token"), None, "one kind of credential");
    }
}

#[tokio::test]
async fn missing_exec_info_is_fine_when_the_endpoint_is_an_argument() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let bare = || credential(&laptop, &site).set("KUBERNETES_EXEC_INFO", "");
    assert!(bare().end().await.failure(2).contains("--concierge-endpoint"));
    let run = bare()
        .with(&format!("--concierge-endpoint={}", site.url()))
        .with(&format!("--concierge-ca-data={}", base64(&site.roots)));
    let answer = run.end_with_login(&site).await.credential();
    assert_eq!(answer["apiVersion"], "client.authentication.k8s.io/v1");
    let beta = run.with("--api-version=v1beta1").end().await.credential();
    assert_eq!(beta["apiVersion"], "client.authentication.k8s.io/v1beta1");
}

#[tokio::test]
async fn unknown_version_is_refused_and_both_known_ones_are_named() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site).set("KUBERNETES_EXEC_INFO", exec_info(&site, "v1alpha1"));
    let ended = run.end().await;
    let said = ended.failure(2);
    for words in ["v1alpha1", "client.authentication.k8s.io/v1\"", "client.authentication.k8s.io/v1beta1\""] {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn a_cluster_block_of_a_hundred_kibibytes_is_read() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let many = site.roots.repeat(90 * 1024 * 3 / 4 / site.roots.len());
    let info = json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {
            "server": site.url(), "certificate-authority-data": base64(&many), "config": {"unknown": true}}},
    });
    let run = credential(&laptop, &site).set("KUBERNETES_EXEC_INFO", info.to_string());
    run.end_with_login(&site).await.credential();
}

#[tokio::test]
async fn tls_verification_is_never_given_up() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let info = json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {"server": site.url(), "insecure-skip-tls-verify": true}},
    });
    let run = credential(&laptop, &site).set("KUBERNETES_EXEC_INFO", info.to_string());
    assert!(run.end().await.failure(2).contains("TLS verification"));
    assert_eq!(site.seen(|seen| seen.discovery), 0);
}

#[tokio::test]
async fn another_server_name_leads_to_the_same_server() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let info = |name: &str| {
        json!({
            "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
            "spec": {"cluster": {"server": format!("https://localhost:{}", site.port()), "tls-server-name": name,
                "certificate-authority-data": base64(&site.roots)}},
        })
        .to_string()
    };
    let run = |name| credential(&laptop, &site).set("KUBERNETES_EXEC_INFO", info(name));
    run("cluster.test").end_with_login(&site).await.credential();
    let ended = run("other.test").end().await;
    assert!(ended.failure(2).contains("another tls-server-name"), "{ended:?}");
    // Where nothing is known of the server, its certificate decides.
    std::fs::remove_file(laptop.entry("sessions", "server")).unwrap();
    let ended = run("other.test").end().await;
    assert!(ended.failure(6).contains("certificate"), "{ended:?}");
    assert_eq!(site.exchanges(), 1);
}

#[tokio::test]
async fn second_call_asks_nobody_and_gives_the_same_bytes() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let first = run.end_with_login(&site).await;
    first.credential();
    let before = (site.seen(|seen| (seen.discovery, seen.logins, seen.refreshes)), site.exchanges());
    assert_eq!(before, ((1, 1, 0), 1));
    let second = run.end().await;
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(second.said, "", "nothing to say");
    assert_eq!((site.seen(|seen| (seen.discovery, seen.logins, seen.refreshes)), site.exchanges()), before);
}

#[tokio::test]
async fn standard_output_closed_early_loses_nothing() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let mut running = run.start();
    drop(running.child.stdout.take());
    let url = running.url().await.unwrap();
    crate::plugin::log_in(&site, &url).await;
    let ended = running.end().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.said.contains("standard output took no more") && !ended.said.contains("panicked"), "{ended:?}");
    run.end().await.credential();
    assert_eq!((site.seen(|seen| seen.logins), site.exchanges()), (1, 1), "what was won is kept");
}

#[tokio::test]
async fn standard_error_closed_is_nothing_to_die_of() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    laptop.edit("credentials", |entry| *entry = json!("damaged"));
    // It would have something to say, and nobody listens.
    let mut child = run.command().stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn standard_input_that_never_ends_stays_unread() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    // As the Java client does: an open pipe that nobody writes to.
    let mut command = run.command();
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stderr));
    let line = lines.next_line().await.unwrap().unwrap();
    let url = line.split_ascii_whitespace().find(|word| word.starts_with("https://")).unwrap().parse().unwrap();
    crate::plugin::log_in(&site, &url).await;
    let stdin = child.stdin.take();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    drop(stdin);
}

#[tokio::test]
async fn proxies_of_the_environment_are_honoured() {
    let (site, laptop) = (Site::start(), Laptop::new());
    // Nobody listens there: whoever obeys it cannot succeed.
    let proxied = || credential(&laptop, &site).set("HTTPS_PROXY", "http://127.0.0.1:9");
    assert!(proxied().end().await.failure(6).contains("cannot reach the identity provider"));
    proxied().set("NO_PROXY", "127.0.0.1").end_with_login(&site).await.credential();
}

/// The question of a client, with this cluster block.
fn question(cluster: &Value) -> String {
    json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": cluster}})
    .to_string()
}

/// The run without any setting: they stand with the cluster.
fn bare<'a>(laptop: &'a Laptop, cluster: &Value) -> Run<'a> {
    let environment = vec![("KUBERNETES_EXEC_INFO", question(cluster))];
    Run { laptop, arguments: vec!["credential".to_owned(), "--skip-browser".to_owned()], environment }
}

fn settings(site: &Site) -> Value {
    json!({"issuer": site.issuer(), "clientId": CLIENT, "caData": base64(&site.roots), "authenticator": "people",
        "clusterName": "Staging"})
}

#[tokio::test]
async fn the_raw_cluster_block_of_the_python_client_is_understood() {
    let (site, laptop) = (Site::start(), Laptop::new());
    std::fs::write(laptop.path("ca.pem"), &site.roots).unwrap();
    let block = |authority: &std::path::Path| {
        json!({"server": site.url(), "certificate-authority": authority, "extensions": [
            {"name": "minikube.sigs.k8s.io", "extension": {"provider": "minikube.sigs.k8s.io"}},
            {"name": "client.authentication.k8s.io/exec", "extension": settings(&site)}]})
    };
    let ended = bare(&laptop, &block(&laptop.path("no-such.pem"))).end().await;
    assert!(ended.failure(2).contains("no-such.pem"), "{ended:?}");
    bare(&laptop, &block(&laptop.path("ca.pem"))).end_with_login(&site).await.credential();
    assert_eq!(site.exchanges(), 1);
}

#[tokio::test]
async fn settings_of_the_cluster_suffice_and_null_is_none() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let block = |config: Value| {
        json!({"server": site.url(), "certificate-authority-data": base64(&site.roots), "config": config,
            "tls-server-name": null, "disable-compression": false, "novelty": {"of": "tomorrow"}})
    };
    let ended = bare(&laptop, &block(Value::Null)).end().await;
    assert!(ended.failure(2).contains("is required"), "{ended:?}");
    bare(&laptop, &block(settings(&site))).end_with_login(&site).await.credential();
}

#[tokio::test]
async fn standard_input_with_data_stays_unread() {
    let (site, laptop) = (Site::start(), Laptop::new());
    // `kubectl apply -f -`: the manifest is for kubectl.
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"kind: ConfigMap\n").unwrap();
    drop(writer);
    let run = credential(&laptop, &site);
    let mut command = run.command();
    command.stdin(reader.try_clone().unwrap());
    Run::end_command(command, &site).await.credential();
    let mut left = String::new();
    reader.read_to_string(&mut left).unwrap();
    assert_eq!(left, "kind: ConfigMap\n");
}

#[tokio::test]
async fn a_terminal_that_is_not_ours_to_read_stays_unread() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let pty = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&pty).unwrap();
    rustix::pty::unlockpt(&pty).unwrap();
    let name = rustix::pty::ptsname(&pty, Vec::new()).unwrap();
    let mut terminal = std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    std::fs::File::from(pty.try_clone().unwrap()).write_all(b"for the shell\n").unwrap();
    // The client says that nobody sits there: the lines are for somebody else.
    let run = credential(&laptop, &site);
    let mut command = run.command();
    command.stdin(terminal.try_clone().unwrap());
    Run::end_command(command, &site).await.credential();
    let mut line = [0; 32];
    let read = terminal.read(&mut line).unwrap();
    assert_eq!(&line[..read], b"for the shell\n");
}

#[tokio::test]
async fn descriptors_may_be_closed_from_the_start() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    let first = run.end_with_login(&site).await;
    for closed in ["<&-", "2>&-", "<&- 2>&-"] {
        let mut command = Command::new("sh");
        let inner = run.command();
        command.arg("-c").arg(format!("exec \"$0\" \"$@\" {closed}"));
        command.arg(inner.as_std().get_program()).args(inner.as_std().get_args()).env_clear();
        command.envs(inner.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.stderr(Stdio::piped()).output().await.unwrap();
        assert!(output.status.success(), "{closed}: {output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), first.stdout, "{closed}");
    }
}

#[tokio::test]
async fn under_sudo_the_persons_own_login_is_mentioned_and_their_home_is_spared() {
    let (site, laptop) = (Site::start(), Laptop::new());
    // Only root can stand for sudo.
    let home = laptop.path("home");
    std::fs::create_dir(&home).unwrap();
    if std::os::unix::fs::chown(&home, Some(12_345), None).is_err() {
        return;
    }
    let run = || credential(&laptop, &site).set("LATCHKEY_CACHE_DIR", "").set("SUDO_USER", "jane");
    let ended = run().set("LATCHKEY_FLOW", "none").end().await;
    assert!(ended.failure(3).contains("login of jane is not used"), "{ended:?}");
    run().end_with_login(&site).await.credential();
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0, "no file of root's in another home");
}

/// fabric8's Java client gives the plugin one pipe for both.
#[tokio::test]
async fn where_words_and_answer_share_a_pipe_the_answer_stands_alone() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let opened = laptop.path("opened");
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > {0}.part\nmv {0}.part {0}\n", opened.display());
    let browser = laptop.executable("browser", &script);
    let mut run = credential(&laptop, &site).set("LATCHKEY_BROWSER", browser.to_str().unwrap());
    run.arguments.retain(|argument| argument != "--skip-browser");
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = run.command();
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    // It holds the other end.
    drop(command);
    let url = async {
        loop {
            match std::fs::read_to_string(&opened) {
                Ok(url) => break url,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let url = tokio::time::timeout(std::time::Duration::from_secs(30), url).await.unwrap();
    log_in(&site, &url.parse().unwrap()).await;
    assert!(child.wait().await.unwrap().success());
    let mut both = String::new();
    reader.read_to_string(&mut both).unwrap();
    assert_eq!(both.matches('\n').count(), 1, "{both}");
    assert_eq!(serde_json::from_str::<Value>(&both).unwrap()["kind"], "ExecCredential");
}

/// Names in a kubeconfig come from whoever wrote it (CVE-2021-25743 was one way to use that).
#[tokio::test]
async fn no_name_of_a_kubeconfig_rewrites_the_screen() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let hostile = "\u{1b}[2J\u{9b}31m\u{202e}x";
    for option in ["cluster-name", "account", "token-file", "token-env", "client-secret-file", "provider", "issuer"] {
        let run = credential(&laptop, &site).with(&format!("--{option}={hostile}")).with("--flow=none");
        let ended = run.end().await;
        assert!(!ended.status.success(), "{option}");
        assert!(!ended.said.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{option}: {ended:?}");
    }
}

//! `completion`: what kubectl and the shells are told, the scripts in the shells that are here, and the link.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::not_run::not_run;
use crate::plugin::{Laptop, Run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-latchkey");

const KUBECONFIG: &str = "
contexts:
- {name: staging, context: {cluster: kind-staging, user: me}}
- {name: 'arn:aws:eks:prod', context: {cluster: prod, user: me}}
clusters:
- {name: kind-staging, cluster: {server: 'https://staging.example:6443'}}
- {name: prod, cluster: {server: 'https://prod.example:6443'}}
users:
- {name: me, user: {exec: {command: no-such-program}}}
";

fn laptop() -> Laptop {
    let laptop = Laptop::new();
    fs::create_dir(laptop.path("bin")).unwrap();
    fs::write(laptop.path("kubeconfig"), KUBECONFIG).unwrap();
    symlink(PROGRAM, laptop.path("bin/kubectl-latchkey")).unwrap();
    symlink(PROGRAM, laptop.path("bin/kubectl_complete-latchkey")).unwrap();
    laptop
}

/// A program of this laptop's, which finds ours and the kubeconfig.
fn program(laptop: &Laptop, name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", laptop.path("bin").display()))
        .env("HOME", laptop.path("home"))
        .env("KUBECONFIG", laptop.path("kubeconfig"))
        .env("TERM", "dumb")
        .stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{output:?}");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn completed(laptop: &Laptop, words: &[&str]) -> String {
    let name = laptop.path("bin/kubectl_complete-latchkey");
    said(&program(laptop, name.to_str().unwrap()).args(words).output().unwrap())
}

#[test]
fn kubectl_gets_candidates_and_a_directive() {
    let laptop = laptop();
    assert_eq!(completed(&laptop, &["vers"]), "version\tShow the version\n:4\n");
    assert_eq!(
        completed(&laptop, &["whoami", "--context", ""]),
        "staging\thttps://staging.example:6443\narn:aws:eks:prod\thttps://prod.example:6443\n:4\n"
    );
    assert_eq!(completed(&laptop, &["whoami", "--cluster=pr"]), "prod\thttps://prod.example:6443\n:4\n");
    assert_eq!(completed(&laptop, &["whoami", "--user", "x"]), ":4\n");
    // Words that look like our own options are not: somebody is typing them.
    assert_eq!(completed(&laptop, &["--version"]), ":4\n");
}

#[test]
fn trouble_is_silent() {
    let laptop = laptop();
    fs::write(laptop.path("kubeconfig"), "contexts: [{name: {}}]").unwrap();
    assert_eq!(completed(&laptop, &["whoami", "--context", ""]), ":4\n");
    assert_eq!(completed(&laptop, &["whoami", "--kubeconfig", "/no/such/file", "--context", ""]), ":4\n");
    assert_eq!(completed(&laptop, &[]), ":4\n");
    assert_eq!(completed(&laptop, &["no-such-verb", "--", ""]), ":4\n");
}

/// The shell, if it is on this machine; else that is said.
fn shell(name: &str) -> Option<String> {
    let found = [format!("/usr/bin/{name}"), format!("/bin/{name}")].into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        not_run(&format!("completion in {name}"), &format!("the Debian package {name} is not here"));
    }
    found
}

#[test]
fn bash_completes_by_the_script() {
    let Some(bash) = shell("bash") else { return };
    let laptop = laptop();
    let complete = |line: &str, words: &str, index: usize| {
        let script = format!(
            "source <(kubectl-latchkey completion bash)\n\
             COMP_LINE='{line}' COMP_POINT=${{#COMP_LINE}} COMP_WORDS=({words}) COMP_CWORD={index}\n\
             _kubectl_latchkey\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        said(&program(&laptop, &bash).args(["--norc", "-c", &script]).output().unwrap())
    };
    assert_eq!(complete("kubectl-latchkey who", "kubectl-latchkey who", 1), "whoami\n");
    assert_eq!(complete("kubectl-latchkey whoami -o ", "kubectl-latchkey whoami -o ''", 3), "text\njson\nyaml\n");
    // Bash cuts words at = and at : and replaces only what stands behind the last of them.
    let cut = complete("kubectl-latchkey whoami --context=st", "kubectl-latchkey whoami --context = st", 4);
    assert_eq!(cut, "staging\n");
    let cut =
        complete("kubectl-latchkey whoami --context arn:aws:e", "kubectl-latchkey whoami --context arn : aws : e", 7);
    assert_eq!(cut, "eks:prod\n");
}

#[test]
fn zsh_and_fish_take_their_scripts() {
    let laptop = laptop();
    if let Some(zsh) = shell("zsh") {
        let script = "autoload -Uz compinit; compinit -u -D; source <(kubectl-latchkey completion zsh); \
                      print -r -- $_comps[kubectl-latchkey]";
        assert_eq!(said(&program(&laptop, &zsh).args(["-f", "-c", script]).output().unwrap()), "_kubectl_latchkey\n");
    }
    if let Some(fish) = shell("fish") {
        let ask = |line: &str| {
            let script = format!("kubectl-latchkey completion fish | source; complete -C '{line}'");
            said(&program(&laptop, &fish).args(["--no-config", "-c", &script]).output().unwrap())
        };
        assert_eq!(ask("kubectl-latchkey vers"), "version\tShow the version\n");
        assert_eq!(ask("kubectl-latchkey whoami --context=st"), "--context=staging\thttps://staging.example:6443\n");
        assert_eq!(ask("kubectl-latchkey whoami -o j"), "json\n");
    }
}

#[tokio::test]
async fn install_makes_the_link_and_says_where() {
    let laptop = laptop();
    let directory = laptop.path("links");
    fs::create_dir(&directory).unwrap();
    let option = format!("--directory={}", directory.display());
    let run = || Run {
        laptop: &laptop,
        arguments: vec!["completion".to_owned(), "install".to_owned(), option.clone()],
        environment: Vec::new(),
    };
    let link = directory.join("kubectl_complete-latchkey");
    let made = run().end().await;
    assert!(made.status.success() && made.stdout.is_empty(), "{made:?}");
    assert_eq!(
        made.said,
        format!(
            "Made {}: kubectl now completes `kubectl latchkey`.\n{} is not in PATH: kubectl does not find it there.",
            link.display(),
            directory.display()
        )
    );
    let answer = Command::new(&link).arg("vers").output().unwrap();
    assert_eq!(said(&answer), "version\tShow the version\n:4\n");
    let again = run().set("PATH", directory.to_str().unwrap()).end().await;
    assert_eq!(again.said, format!("{} is there already: kubectl completes `kubectl latchkey`.", link.display()));
    // One of an earlier place is made anew; what is not ours stays.
    fs::remove_file(&link).unwrap();
    symlink("/old/place/kubectl-latchkey", &link).unwrap();
    assert!(run().end().await.said.starts_with("Made "));
    fs::remove_file(&link).unwrap();
    fs::write(&link, "mine").unwrap();
    let refused = run().end().await;
    assert!(refused.failure(1).contains("another file stands there"), "{refused:?}");
    assert!(refused.said.contains("hint: make it yourself: ln -s "), "{refused:?}");
    assert_eq!(fs::read_to_string(&link).unwrap(), "mine");
}

#[tokio::test]
async fn every_shell_has_a_script_and_others_are_refused() {
    let laptop = Laptop::new();
    for shell in ["bash", "zsh", "fish", "powershell", "nushell"] {
        let arguments = vec!["completion".to_owned(), shell.to_owned()];
        let ended = Run { laptop: &laptop, arguments, environment: Vec::new() }.end().await;
        assert!(ended.status.success() && ended.stdout.contains("__complete") && ended.said.is_empty(), "{ended:?}");
    }
    let arguments = vec!["completion".to_owned(), "tcsh".to_owned()];
    let ended = Run { laptop: &laptop, arguments, environment: Vec::new() }.end().await;
    assert!(ended.failure(2).contains("bash, zsh, fish, powershell, nushell or install"), "{ended:?}");
}

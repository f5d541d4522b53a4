//! The stanza in the kubeconfig: would kubectl run it, is it ours, and does it make sense.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::kubeconfig::{Context, Exec};
use super::report::Finding;
use super::tools::SearchPath;
use crate::args::{self, Command};
use crate::config::Settings;
use crate::environment::Environment;
use crate::exec_credential::{ApiVersion, ExecInfo};
use crate::output::Printable;

/// What can be looked at further.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    /// The stanza and the program that it names, if that is ours.
    pub(super) runs: Option<(Exec, PathBuf)>,
    /// What it means, if it makes sense.
    pub(super) settings: Option<Settings>,
}

/// Judges the stanza of a context. `ourselves` is the file of this process.
pub(super) fn judge(context: &Context, path: &SearchPath, ourselves: &Path, environment: &Environment) -> Judged {
    let mut judged = Judged::default();
    match exec(context) {
        Err(finding) => judged.findings.push(*finding),
        Ok(exec) => {
            judged.findings.extend(form(&exec));
            match program(&exec, path, ourselves) {
                Err(finding) => judged.findings.push(*finding),
                Ok(program) => {
                    judged.runs = Some((exec.clone(), program));
                    match meaning(context, &exec, environment) {
                        Err(finding) => judged.findings.push(*finding),
                        Ok(settings) => judged.settings = Some(settings),
                    }
                }
            }
            if judged.findings.is_empty() {
                judged.findings.push(Finding::ok(
                    "stanza",
                    format!("user {} runs {}", Printable(&context.user_name), exec.command),
                ));
            }
        }
    }
    judged.findings.extend(silenced(context));
    judged
}

fn exec(context: &Context) -> Result<Exec, Box<Finding>> {
    let write = || format!("write a new one: kubectl latchkey kubeconfig --context {:?} ...", context.name);
    let fail = |found: String, mend: String| Box::new(Finding::fail("stanza", found, mend));
    if context.cluster.is_none() {
        return Err(fail(
            format!("cluster {} is not in the kubeconfig", Printable(&context.cluster_name)),
            "`kubectl config get-clusters` lists them; the file that holds it may be missing in KUBECONFIG".to_owned(),
        ));
    }
    let Some(user) = &context.user else {
        return Err(fail(
            format!("user {} is not in the kubeconfig", Printable(&context.user_name)),
            "`kubectl config get-users` lists them; the file that holds it may be missing in KUBECONFIG".to_owned(),
        ));
    };
    user.exec.clone().ok_or_else(|| {
        Box::new(Finding::warn(
            "stanza",
            format!("user {} logs in without a credential plugin", Printable(&context.user_name)),
            write(),
        ))
    })
}

/// What client-go itself looks at before it runs anything.
fn form(exec: &Exec) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_v1 = exec.api_version == ApiVersion::V1.as_str();
    if !is_v1 && exec.api_version != ApiVersion::V1Beta1.as_str() {
        findings.push(Finding::fail(
            "stanza",
            format!("its apiVersion is {:?}, which kubectl no longer takes", exec.api_version),
            "set it to client.authentication.k8s.io/v1",
        ));
    }
    match exec.interactive_mode.as_str() {
        "IfAvailable" => {}
        "" if !is_v1 => {}
        "" => findings.push(Finding::fail(
            "stanza",
            "its interactiveMode is missing, and kubectl refuses it",
            "set interactiveMode: IfAvailable",
        )),
        "Never" => findings.push(Finding::warn(
            "stanza",
            "interactiveMode: Never: nothing can be pasted into the terminal, and some clients hide our words",
            "set interactiveMode: IfAvailable",
        )),
        "Always" => findings.push(Finding::warn(
            "stanza",
            "interactiveMode: Always: `kubectl apply -f -` and programs from the desktop fail",
            "set interactiveMode: IfAvailable",
        )),
        other => findings.push(Finding::fail(
            "stanza",
            format!("its interactiveMode is {other:?}, which kubectl refuses"),
            "set interactiveMode: IfAvailable",
        )),
    }
    findings
}

fn program(exec: &Exec, path: &SearchPath, ourselves: &Path) -> Result<PathBuf, Box<Finding>> {
    let name = Path::new(&exec.command).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if name == "kubectl" && exec.args.iter().flatten().next().is_some_and(|first| first == "latchkey") {
        return Err(Box::new(Finding::warn(
            "stanza",
            "its command is kubectl, which starts twice for each call, is missing in programs from the desktop, and has to be allowed as a whole by a kuberc policy",
            "set command: kubectl-latchkey, and take `latchkey` out of the args",
        )));
    }
    let Some(program) = path.resolve(&exec.command) else {
        let what = format!("its command {} is not found", Printable(&exec.command));
        let mend = format!("put its directory into PATH, or set command: {}", ourselves.display());
        return Err(Box::new(if name == "kubectl-latchkey" {
            Finding::fail("stanza", what, mend)
        } else {
            Finding::warn("stanza", what, "it is another program's stanza; install that program")
        }));
    };
    let is_ours = std::fs::canonicalize(&program).is_ok_and(|real| real == ourselves);
    if !is_ours && name != "kubectl-latchkey" {
        return Err(Box::new(Finding::warn(
            "stanza",
            format!("logs in by another program: {}", Printable(&exec.command)),
            "`kubectl latchkey kubeconfig` writes a stanza for this one",
        )));
    }
    Ok(program)
}

/// What the arguments mean, together with what stands at the cluster.
fn meaning(context: &Context, exec: &Exec, environment: &Environment) -> Result<Settings, Box<Finding>> {
    let again = "`kubectl latchkey kubeconfig` writes a stanza that is complete";
    let fail = |found: String, mend: &str| Box::new(Finding::fail("settings", found, mend));
    let arguments = exec.args.iter().flatten().map(OsString::from);
    let arguments = match args::parse(arguments) {
        Ok(Command::Credential(arguments)) => *arguments,
        Ok(_) => {
            return Err(fail(
                "the stanza's args do not begin with `credential`".to_owned(),
                "put `credential` in front of them",
            ));
        }
        Err(error) => return Err(fail(format!("the stanza's args: {}", Printable(&error.to_string())), again)),
    };
    let cluster = context.cluster();
    if !exec.provide_cluster_info && cluster.settings().is_some() {
        return Err(fail(
            "settings stand with the cluster, and do not reach the plugin without provideClusterInfo".to_owned(),
            "set provideClusterInfo: true",
        ));
    }
    let exec_info = ExecInfo {
        version: exec.api_version.parse().ok(),
        interactive: false,
        cluster: exec.provide_cluster_info.then_some(cluster),
    };
    // The stanza's own variables win over those of the person.
    let own = exec.env.iter().flatten().map(|variable| (variable.name.clone(), variable.value.clone()));
    let own: BTreeMap<String, String> = own.collect();
    let overlaid = Environment::Overlaid(own);
    let environment = if exec.env.iter().flatten().next().is_some() { &overlaid } else { environment };
    Settings::new(arguments, exec_info, environment)
        .map_err(|error| fail(Printable(&error.to_string()).to_string(), again))
}

fn silenced(context: &Context) -> Option<Finding> {
    let user = context.user.as_ref().filter(|user| user.exec.is_some())?;
    let silencers = user.silencers();
    let first = silencers.first()?;
    let name = Printable(&context.user_name).to_string();
    Some(Finding::fail(
        "silenced",
        format!("user {name} has {} as well, so that no client ever runs the plugin", silencers.join(", ")),
        format!("kubectl config unset 'users.{name}.{first}'"),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::report::Verdict;
    use super::*;

    fn context(user: Value) -> Context {
        Context {
            name: "staging".to_owned(),
            cluster_name: "staging".to_owned(),
            user_name: "jane".to_owned(),
            cluster: Some(json!({"server": "https://c:6443"})),
            user: Some(serde_json::from_value(user).unwrap()),
        }
    }

    fn exec(change: impl FnOnce(&mut Value)) -> Value {
        let mut exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
            "args": ["credential", "--issuer=https://idp", "--client-id=a", "--authenticator=b"],
            "interactiveMode": "IfAvailable", "provideClusterInfo": true});
        change(&mut exec);
        json!({"exec": exec})
    }

    /// `/bin/sh` stands for this program: it is there and may be run.
    fn found(context: &Context) -> Vec<(Verdict, String)> {
        let ourselves = std::fs::canonicalize("/bin/sh").unwrap();
        let judged = judge(context, &SearchPath::new("/nowhere"), &ourselves, &Environment::Table(BTreeMap::new()));
        judged.findings.into_iter().map(|finding| (finding.verdict, finding.found)).collect()
    }

    #[test]
    fn a_good_stanza_is_good() {
        assert_eq!(found(&context(exec(|_| ()))), [(Verdict::Ok, "user jane runs /bin/sh".to_owned())]);
    }

    #[test]
    fn each_mistake_is_found() {
        type Change = fn(&mut Value);
        let cases: [(Change, Verdict, &str); 11] = [
            (|exec| exec["apiVersion"] = "client.authentication.k8s.io/v1alpha1".into(), Verdict::Fail, "v1alpha1"),
            (|exec| exec["interactiveMode"] = Value::from(""), Verdict::Fail, "interactiveMode is missing"),
            (|exec| exec["interactiveMode"] = "Sometimes".into(), Verdict::Fail, "Sometimes"),
            (|exec| exec["interactiveMode"] = "Never".into(), Verdict::Warn, "pasted"),
            (|exec| exec["interactiveMode"] = "Always".into(), Verdict::Warn, "apply -f -"),
            (|exec| exec["command"] = "kubectl-latchkey".into(), Verdict::Fail, "not found"),
            (|exec| exec["command"] = "aws\u{1b}[2J".into(), Verdict::Warn, "aws\\u{1b}"),
            (|exec| exec["args"] = json!(["whoami"]), Verdict::Fail, "do not begin with `credential`"),
            (|exec| exec["args"] = json!(["credential", "--isuer=x"]), Verdict::Fail, "--isuer"),
            (
                |exec| exec["args"] = json!(["credential", "--issuer=http://idp", "--no-exchange"]),
                Verdict::Fail,
                "https://",
            ),
            (|exec| exec["provideClusterInfo"] = false.into(), Verdict::Fail, "provideClusterInfo: true"),
        ];
        for (change, verdict, words) in cases {
            let found = found(&context(exec(change)));
            assert!(found.iter().any(|(found, text)| *found == verdict && text.contains(words)), "{words}: {found:?}");
        }
        let kubectl = context(exec(|exec| {
            exec["command"] = "kubectl".into();
            exec["args"] = json!(["latchkey", "credential"]);
        }));
        assert!(found(&kubectl)[0].1.contains("starts twice"));
    }

    #[test]
    fn what_silences_the_stanza_is_named_and_never_shown() {
        let mut user = exec(|_| ());
        user["token"] = "TOP-SECRET".into();
        let found = found(&context(user));
        assert_eq!(found[1].0, Verdict::Fail);
        assert!(found[1].1.contains("has token as well") && !found[1].1.contains("SECRET"), "{found:?}");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let nobody = Context { user: None, ..context(json!({})) };
        let nowhere = Context { cluster: None, ..context(json!({})) };
        assert!(found(&nobody)[0].1.contains("user jane is not"));
        assert!(found(&nowhere)[0].1.contains("cluster staging is not"));
        assert_eq!(found(&context(json!({"token": "t"})))[0].0, Verdict::Warn);
    }
}

//! `doctor`: tries everything that can go wrong between kubectl, this computer, the provider and the cluster, and says what
//! to do about it. It changes nothing, logs nobody in, and shows no secret.

mod answer;
mod cluster;
mod context;
mod desktop;
mod keeping;
mod kubeconfig;
mod kuberc;
mod provider;
mod reach;
mod report;
mod stanza;
mod surroundings;
mod together;
mod tools;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use self::context::Machine;
use self::kubeconfig::{Context, View};
use self::kuberc::Kuberc;
use self::report::{Finding, Report, Section};
use self::tools::{KubectlVersion, SearchPath, Tools, Versions};
use super::{World, data, runtime};
use crate::args::DoctorArgs;
use crate::config::Places;
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::flows::{Place, Reader};
use crate::kubectl::{Kubectl, KubectlError, Quietly};
use crate::output::{Output, Printable};
use crate::platform::{desktop as desktop_of, sudo};

/// kubectl reads files and prints them.
const KUBECTL_DEADLINE: Duration = Duration::from_secs(4);

/// For everything. Its page of help promises a second more, for what is printed and for programs that have to be ended.
const DEADLINE: Duration = Duration::from_secs(24);

/// Contexts at the same time: each runs a plugin, a kubectl and some requests.
const CONTEXTS_AT_ONCE: usize = 8;

/// Prints what was found.
///
/// # Errors
/// When a check failed, or standard output takes no more.
pub(super) fn run(args: &DoctorArgs, world: World<'_>) -> Result<(), Failure> {
    let report = runtime()?.block_on(examine(args, world, Instant::now() + DEADLINE));
    data::show(&report, args.format, || report.text(Output::is_coloured(world.environment)))?;
    match report.failed() {
        0 => Ok(()),
        1 => Err(Failure::new(Status::General, "1 check failed")),
        failed => Err(Failure::new(Status::General, format!("{failed} checks failed"))),
    }
}

async fn examine(args: &DoctorArgs, world: World<'_>, end: Instant) -> Report {
    let environment = world.environment;
    let path = SearchPath::of(environment);
    let program =
        environment.text("KUBECTL_PATH").map_or_else(|| path.resolve("kubectl"), |path| Some(PathBuf::from(path)));
    let kubectl = Kubectl::new(
        &crate::args::KubectlFlags { kubeconfig: args.kubectl.kubeconfig.clone(), ..Default::default() },
        environment,
    );
    let version = async {
        match program {
            None => None,
            Some(program) => Some((program, version(&kubectl).await)),
        }
    };
    let view = async {
        // Raw, because the roots are hidden otherwise; of secrets only their presence is kept.
        kubectl
            .quiet_json::<View>(&["config", "view", "--raw", "-o", "json"], Quietly::WithoutLogin, KUBECTL_DEADLINE)
            .await
    };
    let (version, view, desktop) = tokio::join!(version, view, desktop::path());
    let tools = Tools::find(&path, version);
    let kuberc = kuberc(environment);
    let mut sections = vec![Section { about: "This computer".to_owned(), checks: computer(&tools, environment) }];
    let machine =
        Machine { path: &path, desktop: desktop.as_ref(), tools: &tools, kuberc: &kuberc, flags: &args.kubectl };
    let is_typed = args.typed.is_some();
    let contexts = match &args.typed {
        Some(typed) => Ok(vec![typed_context(typed, &tools)]),
        None => contexts(args, view),
    };
    match contexts {
        Err(finding) => sections.push(Section { about: "The kubeconfig".to_owned(), checks: vec![*finding] }),
        Ok(contexts) => {
            let names: Vec<String> = contexts.iter().map(|context| context.name.clone()).collect();
            let examined = contexts.into_iter().map(|context| context::examine(context, is_typed, &machine, world));
            let examined = together::all(examined, CONTEXTS_AT_ONCE, end).await;
            sections.extend(
                examined
                    .into_iter()
                    .zip(names)
                    .map(|(section, name)| section.unwrap_or_else(|| out_of_time(&name, is_typed))),
            );
        }
    }
    Report::new(sections)
}

fn out_of_time(context: &str, is_typed: bool) -> Section {
    let (about, mend) = if is_typed {
        ("The options".to_owned(), "try again when this computer has less to do".to_owned())
    } else {
        (format!("Context {context}"), format!("examine it alone: kubectl latchkey doctor --context {context:?}"))
    };
    let found = format!("not examined within {} s", DEADLINE.as_secs());
    Section { about, checks: vec![Finding::warn("time", found, mend)] }
}

fn computer(tools: &Tools, environment: &Environment) -> Vec<Finding> {
    let mut findings = tools.judge();
    let places = Places::new(environment);
    let caller = sudo::caller(environment);
    if let Some(caller) = &caller {
        findings.push(Finding::warn(
            "sudo",
            format!("this runs as root, and logins of {} are not used", Printable(caller)),
            "run kubectl without sudo",
        ));
    }
    for ((what, tried), path) in keeping::attempt(&places).into_iter().zip([&places.state, &places.cache]) {
        findings.push(keeping::judge(what, path.as_deref(), &tried, caller.as_deref()));
    }
    findings.push(keeping::judge_keyring(&keeping::attempt_keyring(&places.keyring)));
    findings.push(surroundings::judge_browser(&Place::new(environment, desktop_of::system(), Reader::Nobody)));
    findings.push(context::terminal());
    findings.extend(surroundings::judge_variables(environment));
    findings
}

async fn version(kubectl: &Kubectl) -> Result<KubectlVersion, String> {
    let arguments = ["version", "--client", "-o", "json"];
    let versions: Result<Versions, _> = kubectl.quiet_json(&arguments, Quietly::WithoutLogin, KUBECTL_DEADLINE).await;
    versions.map_err(|error| Printable(&error.to_string()).to_string())?.client()
}

fn contexts(args: &DoctorArgs, view: Result<View, KubectlError>) -> Result<Vec<Context>, Box<Finding>> {
    let view = view.map_err(|error| {
        let mend = match error {
            KubectlError::NotFound(_) => "see above: kubectl",
            _ => "`kubectl config view` shows it; compare KUBECONFIG with the files that exist",
        };
        Box::new(Finding::fail("kubeconfig", format!("it cannot be read: {}", Printable(&error.to_string())), mend))
    })?;
    view.contexts(&args.kubectl, args.all_contexts).map_err(|why| {
        Box::new(Finding::fail(
            "kubeconfig",
            why,
            "`kubectl config get-contexts` lists them; name one by --context, or set KUBECONFIG",
        ))
    })
}

/// Options without a kubeconfig, as a context whose stanza would be made of them.
fn typed_context(typed: &[String], tools: &Tools) -> Context {
    let arguments: Vec<&str> = std::iter::once("credential").chain(typed.iter().map(String::as_str)).collect();
    let user = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "IfAvailable",
        "command": tools.ourselves, "args": arguments,
        "provideClusterInfo": false}});
    Context {
        name: "the options".to_owned(),
        user_name: "the options".to_owned(),
        cluster: Some(json!({})),
        user: serde_json::from_value(user).ok(),
        ..Context::default()
    }
}

fn kuberc(environment: &Environment) -> Kuberc {
    let path = match environment.text("KUBERC") {
        Some(setting) if setting == "off" => return Kuberc::Off,
        Some(path) => PathBuf::from(path),
        None => match environment.absolute_path("HOME") {
            Some(home) => home.join(".kube/kuberc"),
            None => return Kuberc::Absent,
        },
    };
    match kubeconfig::read_bounded(&path) {
        Ok(text) => Kuberc::Text { text: String::from_utf8_lossy(&text).into_owned(), path },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kuberc::Absent,
        Err(error) => Kuberc::Unreadable { why: error.to_string(), path },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Topic;
    use crate::commands::help;

    #[test]
    fn the_promise_of_an_end_is_kept() {
        let promised = format!("ends within {} seconds", DEADLINE.as_secs() + 1);
        assert!(help::text(Topic::Doctor).contains(&promised), "{promised}");
        // What comes before the contexts has limits of its own, which leave most of the time to them.
        assert!(KUBECTL_DEADLINE * 4 < DEADLINE);
    }

    #[test]
    fn what_was_not_examined_in_time_is_named() {
        let text = Report::new(vec![out_of_time("staging", false), out_of_time("", true)]).text(false);
        assert!(text.contains("Context staging\n  warn  time"), "{text}");
        assert!(text.contains("not examined within 24 s"), "{text}");
        assert!(text.contains("kubectl latchkey doctor --context \"staging\""), "{text}");
        assert!(text.contains("The options\n"), "{text}");
    }
}

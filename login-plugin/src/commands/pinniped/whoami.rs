//! `whoami` in the words of Pinniped's CLI, asked through the reader's own kubeconfig.

use std::time::Duration;

use latchkey_crds::groups::VERSION;
use latchkey_crds::identity::{PLURAL, WhoAmIRequest};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::args::KubectlFlags;
use crate::commands::whoami::Question;
use crate::commands::{World, print, runtime};
use crate::failure::{Failure, Status};
use crate::kubeconfig_files::{KubeconfigFiles, Target};
use crate::kubectl::Kubectl;
use crate::output::Printable;
use crate::pinniped::{Output, Whoami};

/// Prints who we are.
///
/// # Errors
/// When the cluster cannot be asked.
pub(super) fn run(args: &Whoami, world: World<'_>) -> Result<(), Failure> {
    let flags =
        KubectlFlags { context: args.context.clone(), kubeconfig: args.kubeconfig.clone(), ..KubectlFlags::default() };
    let kubectl = Kubectl::new(&flags, world.environment);
    let path = format!("/apis/{}/{VERSION}/{PLURAL}", args.suffix.identity());
    let question = serde_json::to_vec(&WhoAmIRequest::new(&args.suffix)).expect("constant strings serialize");
    let file = Question::write(&question)
        .map_err(|error| Failure::new(Status::General, format!("cannot write a temporary file: {error}")))?;
    let file = file.path().to_string_lossy();
    let limit = args.timeout.map_or(Kubectl::LOGIN_DEADLINE, Duration::from_secs);
    let target = KubeconfigFiles::read(args.kubeconfig.as_deref(), world.environment)
        .and_then(|files| files.target(&flags))
        .ok();
    let request = ["create", "--raw", &path, "-f", &file];
    let answer: Value = runtime()?.block_on(async {
        let answer = timeout(limit, kubectl.json(&request)).await.map_err(|_| {
            Failure::new(Status::Unreachable, format!("could not complete WhoAmIRequest within {limit:?}"))
        })?;
        answer.map_err(|error| {
            Failure::new(Status::General, format!("could not complete WhoAmIRequest: {error}"))
                .hint("is the Pinniped WhoAmI API running and healthy, and --api-group-suffix the one it serves?")
        })
    })?;
    print(&match args.output {
        Output::Text => text(target.as_ref().map(place), &answer),
        Output::Json => format!("{:#}\n", named(answer, args)),
        Output::Yaml => serde_norway::to_string(&named(answer, args)).expect("JSON can be written as YAML"),
    })
}

/// The answer with kind and version, which some servers leave out.
fn named(mut answer: Value, args: &Whoami) -> Value {
    if answer.is_object() {
        answer["kind"] = json!("WhoAmIRequest");
        answer["apiVersion"] = json!(format!("{}/{VERSION}", args.suffix.identity()));
    }
    answer
}

fn place(target: &Target) -> (&str, &str) {
    (&target.cluster_name, &target.cluster.server)
}

/// `cluster` is its name and address, where the kubeconfig says them.
fn text(cluster: Option<(&str, &str)>, answer: &Value) -> String {
    let (name, server) = cluster.unwrap_or(("???", "???"));
    let user = &answer["status"]["kubernetesUserInfo"]["user"];
    let groups: Vec<String> = user["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|group| Printable(group).to_string())
        .collect();
    let [name, server, username] = [name, server, user["username"].as_str().unwrap_or_default()].map(Printable);
    format!(
        "Current cluster info:\n\nName: {name}\nURL: {server}\n\nCurrent user info:\n\nUsername: {username}\nGroups: {}\n",
        groups.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_stock_programs() {
        let answer = json!({"status": {"kubernetesUserInfo": {"user":
            {"username": "jane\u{1b}[2J", "groups": ["developers", "system:authenticated"]}}}});
        assert_eq!(
            text(Some(("staging", "https://c:6443")), &answer),
            "Current cluster info:\n\nName: staging\nURL: https://c:6443\n\nCurrent user info:\n\n\
             Username: jane\\u{1b}[2J\nGroups: developers, system:authenticated\n"
        );
        assert!(text(None, &answer).contains("Name: ???\nURL: ???\n"));
    }
}

//! `whoami`: what the cluster takes us for, asked through the reader's kubeconfig.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use latchkey_crds::groups::VERSION;
use latchkey_crds::identity::{PLURAL, WhoAmIRequest};

use super::kubeconfig::reader::View;
use super::{World, print, runtime};
use crate::args::{Format, WhoamiArgs};
use crate::failure::{Failure, Status};
use crate::kubectl::Kubectl;
use crate::output::Printable;

/// Prints who we are.
///
/// # Errors
/// When the cluster cannot be asked.
pub(super) fn run(args: &WhoamiArgs, world: World<'_>) -> Result<(), Failure> {
    let kubectl = Kubectl::new(&args.kubectl, world.environment);
    let question = WhoAmIRequest::new(&args.api_group_suffix);
    let path = format!("/apis/{}/{VERSION}/{PLURAL}", args.api_group_suffix.identity());
    // Not by standard input: kubectl would think that nobody sits there, and a login could not ask.
    let file = Question::write(&serde_json::to_vec(&question).expect("constant strings serialize"))
        .map_err(|error| Failure::new(Status::General, format!("cannot write a temporary file: {error}")))?;
    let (view, answer): (View, WhoAmIRequest) = runtime()?.block_on(async {
        let view = kubectl.json(&["config", "view", "--minify", "-o", "json"]).await?;
        let answer = kubectl.json(&["create", "--raw", &path, "-f", &file.0.to_string_lossy()]).await;
        let answer = answer.map_err(|error| {
            Failure::from(error).hint(format!(
                "if the API group {} is not known there, the concierge is not installed or has another --api-group-suffix",
                args.api_group_suffix.identity()
            ))
        })?;
        Ok::<_, Failure>((view, answer))
    })?;
    match args.format {
        Format::Json => {
            let mut json = serde_json::to_string_pretty(&answer).expect("strings and maps serialize");
            json.push('\n');
            print(&json)
        }
        Format::Text => print(&text(&view, &answer)),
    }
}

fn text(view: &View, answer: &WhoAmIRequest) -> String {
    let user = &answer.status.kubernetes_user_info.user;
    let (name, cluster) = view.cluster().map_or(("", None), |(name, cluster)| (name, Some(cluster)));
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        let _cannot_fail = writeln!(text, "{label:<9} {}", Printable(value));
    };
    line("Cluster:", name);
    if let Some(cluster) = cluster {
        line("Server:", &cluster.server);
    }
    line("Username:", &user.username);
    if !user.uid.is_empty() {
        line("UID:", &user.uid);
    }
    let mut label = "Groups:";
    for group in &user.groups {
        line(label, group);
        label = "";
    }
    text
}

/// A private file with the question, gone afterwards.
struct Question(PathBuf);

impl Question {
    fn write(question: &[u8]) -> io::Result<Self> {
        let mut name = [0; 16];
        aws_lc_rs::rand::fill(&mut name).expect("the operating system gives random bytes");
        let name = u128::from_be_bytes(name);
        let path = std::env::temp_dir().join(format!("latchkey-whoami-{name:032x}.json"));
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        let question_file = Self(path);
        file.write_all(question)?;
        Ok(question_file)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let _gone = fs::remove_file(Path::new(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_name_groups_and_cluster_and_nothing_that_moves_the_cursor() {
        let view: View = serde_json::from_value(json!({
            "clusters": [{"name": "staging", "cluster": {"server": "https://c:6443"}}],
        }))
        .unwrap();
        let answer: WhoAmIRequest = serde_json::from_value(json!({"status": {"kubernetesUserInfo": {"user":
            {"username": "jane\u{1b}[2J", "groups": ["developers", "system:authenticated"]}}}}))
        .unwrap();
        assert_eq!(
            text(&view, &answer),
            "Cluster:  staging\n\
             Server:   https://c:6443\n\
             Username: jane\\u{1b}[2J\n\
             Groups:   developers\n          system:authenticated\n"
        );
    }
}

//! `whoami`: what the cluster takes us for, asked through the reader's kubeconfig.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use latchkey_crds::groups::VERSION;
use latchkey_crds::identity::{PLURAL, WhoAmIRequest};

use super::{World, data, runtime};
use crate::args::WhoamiArgs;
use crate::failure::{Failure, Status};
use crate::kubeconfig_files::{KubeconfigFiles, Target};
use crate::kubectl::{Kubectl, KubectlError};
use crate::output::Printable;
use crate::platform::files;
use crate::stanza::Stanza;

/// Prints who we are.
///
/// # Errors
/// When the cluster cannot be asked.
pub(super) fn run(args: &WhoamiArgs, world: World<'_>) -> Result<(), Failure> {
    // Only for what is shown besides: inside a pod there is no kubeconfig, and kubectl knows its way all the same.
    let target = KubeconfigFiles::read(args.kubectl.kubeconfig.as_deref(), world.environment)
        .and_then(|files| files.target(&args.kubectl))
        .ok();
    let suffix_of_stanza = || Stanza::of(target.as_ref()?).ok()?.args.api_group_suffix;
    let suffix = args.api_group_suffix.clone().or_else(suffix_of_stanza).unwrap_or_default();
    let kubectl = Kubectl::new(&args.kubectl, world.environment);
    let path = format!("/apis/{}/{VERSION}/{PLURAL}", suffix.identity());
    // Not by standard input: kubectl would think that nobody sits there, and a login could not ask.
    let question = serde_json::to_vec(&WhoAmIRequest::new(&suffix)).expect("constant strings serialize");
    let file = Question::write(&question)
        .map_err(|error| Failure::new(Status::General, format!("cannot write a temporary file: {error}")))?;
    let file_path = file.path().to_string_lossy();
    let impersonation = args.impersonation();
    let mut command = vec!["create", "--raw", &path, "-f", &file_path];
    command.extend(impersonation.iter().map(String::as_str));
    let answer: WhoAmIRequest = runtime()?.block_on(kubectl.json(&command)).map_err(|error| {
        let is_answer = matches!(error, KubectlError::Failed { .. });
        let failure = Failure::from(error);
        if !is_answer {
            return failure;
        }
        failure.hint(format!(
            "if the API group {} is not known there, the concierge is not installed or has another --api-group-suffix",
            suffix.identity()
        ))
    })?;
    data::show(&answer, args.format, || text(target.as_ref(), args, &answer))
}

fn text(target: Option<&Target>, args: &WhoamiArgs, answer: &WhoAmIRequest) -> String {
    let user = &answer.status.kubernetes_user_info.user;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        let _cannot_fail = writeln!(text, "{label:<9} {}", Printable(value));
    };
    if let Some(target) = target {
        // The name that people gave it, where a stanza of ours has one.
        let named = Stanza::of(target).ok().and_then(|stanza| stanza.args.cluster_name);
        line("Cluster:", named.as_deref().unwrap_or(&target.cluster_name));
        line("Server:", &target.cluster.server);
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
    let mut label = "Extra:";
    for (key, values) in &user.extra {
        line(label, &format!("{key}={}", values.join(",")));
        label = "";
    }
    if let Some(acting) = acting(target, args) {
        line("Acting:", &acting);
    }
    text
}

/// Impersonation is added after the login, so the plugin knows nothing of it; the person should.
fn acting(target: Option<&Target>, args: &WhoamiArgs) -> Option<String> {
    let with = |groups: &[String]| match groups {
        [] => String::new(),
        groups => format!(" with groups {}", groups.join(", ")),
    };
    if let Some(name) = &args.act_as {
        return Some(format!("as {name}{} (--as)", with(&args.act_as_groups)));
    }
    let target = target?;
    let name = target.impersonate.as_ref()?;
    let groups = with(&target.impersonate_groups);
    Some(format!("as {name}{groups} (user {:?} of the kubeconfig says so)", target.user_name))
}

/// A private file with the question, gone afterwards.
pub(super) struct Question(PathBuf);

impl Question {
    pub(super) fn write(question: &[u8]) -> io::Result<Self> {
        let mut name = [0; 16];
        aws_lc_rs::rand::fill(&mut name).expect("the operating system gives random bytes");
        let name = u128::from_be_bytes(name);
        let path = std::env::temp_dir().join(format!("latchkey-whoami-{name:032x}.json"));
        let mut file = files::create_private(&path)?;
        let question_file = Self(path);
        file.write_all(question)?;
        Ok(question_file)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let _gone = fs::remove_file(Path::new(&self.0));
    }
}

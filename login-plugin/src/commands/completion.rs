//! `completion`: scripts for shells, the link for kubectl, and the candidates for a word that is being typed.

mod candidates;
mod install;
mod scripts;

use std::path::Path;

use self::candidates::{Candidate, Names};
use super::{World, print};
use crate::args::{CompletionArgs, KubectlFlags};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::kubeconfig_files::KubeconfigFiles;

/// The program that kubectl (1.26 and later) looks for when it wants words behind `kubectl latchkey` completed.
pub(super) const KUBECTL_NAME: &str = "kubectl_complete-latchkey";

/// Does what was asked for.
///
/// # Errors
/// When the link cannot be made, or nobody takes the answer.
pub(super) fn run(args: &CompletionArgs, world: World<'_>) -> Result<(), Failure> {
    match args {
        CompletionArgs::Install { directory } => install::run(directory.as_deref(), world),
        CompletionArgs::Script(shell) => print(scripts::text(*shell)),
        CompletionArgs::Words(words) => print(&candidates::complete(words, &OfFiles(world.environment)).to_string()),
    }
}

/// Names out of the person's kubeconfig files. A file that cannot be read offers nothing, and says nothing: the person is
/// in the middle of a line.
struct OfFiles<'a>(&'a Environment);

impl Names for OfFiles<'_> {
    fn of(&self, option: &str, kubeconfig: Option<&str>) -> Vec<Candidate> {
        let Ok(files) = KubeconfigFiles::read(kubeconfig.map(Path::new), self.0) else { return Vec::new() };
        match option {
            "cluster" => files.clusters().map(|(name, server)| Candidate::new(name, server)).collect(),
            "context" | "contexts" => {
                let server = |name: &str| {
                    let flags = KubectlFlags { context: Some(name.to_owned()), ..KubectlFlags::default() };
                    files.target(&flags).map(|target| target.cluster.server).unwrap_or_default()
                };
                files.contexts().map(|(name, _)| Candidate::new(name, &server(name))).collect()
            }
            "user" => files.users().map(|name| Candidate::new(name, "")).collect(),
            _ => Vec::new(),
        }
    }
}

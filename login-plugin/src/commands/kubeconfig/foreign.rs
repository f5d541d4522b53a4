//! Rewrites what another plugin's users say in our words. What cannot be said is an error that names the flag.

mod kubelogin;
mod pinniped;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_norway::Mapping;

use super::discover::{Found, Reader, from_view};
use super::entries::{Entry, Kind, program_name};
use super::fleet;
use super::merge::{Guard, Wish};
use super::reader::{Exec, NamedContext, View};
use super::stanza::{self, Manner};
use crate::args::{Contexts, CredentialArgs, ForeignPlugin, KubeconfigArgs};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::kubectl::Kubectl;
use crate::output::Output;

/// A foreign user in our words.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rewritten {
    login: CredentialArgs,
    /// Variables of the stanza: the foreign one's that are not its own business, and ours.
    environment: Vec<(String, String)>,
    /// Flags that mean nothing here, and that nothing is lost with.
    left_out: Vec<String>,
}

/// A context with its user rewritten.
#[derive(Debug)]
pub(super) struct Foreign {
    pub(super) found: Found,
    user: String,
}

/// Reads the users behind the contexts that are meant. Of all contexts those of other programs are passed over.
///
/// # Errors
/// When a context that is meant logs in by something else, or by something that cannot be said in our words.
pub(super) async fn read(
    args: &KubeconfigArgs,
    plugin: ForeignPlugin,
    environment: &Environment,
    output: &Output,
) -> Result<Vec<Foreign>, Failure> {
    let view: View =
        Kubectl::new(&args.kubectl_of(None), environment).json(&["config", "view", "--raw", "-o", "json"]).await?;
    let current = [view.current().to_owned()];
    let contexts: Vec<&NamedContext> = match &args.contexts {
        Contexts::All => view.contexts().iter().filter(|context| rest(&view, context, plugin).is_some()).collect(),
        Contexts::Current => fleet::named(&view, &current)?,
        Contexts::Named(names) => fleet::named(&view, names)?,
    };
    let mut all = Vec::new();
    for context in contexts {
        if view.is_ours(context) {
            continue;
        }
        let (exec, arguments) = rest(&view, context, plugin).ok_or_else(|| {
            Failure::new(
                Status::Usage,
                format!("the user of context {:?} does not log in by {}", context.name, plugin.as_str()),
            )
        })?;
        let rewritten = match plugin {
            ForeignPlugin::Kubelogin => kubelogin::rewritten(arguments, &args.login, environment),
            ForeignPlugin::Pinniped => pinniped::rewritten(arguments, environment),
        };
        let rewritten = rewritten.and_then(|rewritten| rewritten.with_variables(exec, plugin));
        let rewritten = rewritten.map_err(|failure| Failure {
            message: format!("context {}: {}", context.name, failure.message),
            ..failure
        })?;
        if !rewritten.left_out.is_empty() {
            output.say(&format!("Left out of context {}: {}", context.name, rewritten.left_out.join(", ")));
        }
        let kubectl = Kubectl::new(&args.kubectl_of(Some(&context.name)), environment);
        let mut found = from_view(&Reader { kubectl: &kubectl, is_one_of_many: false }.view().await?)?.checked()?;
        found.login = args.login.clone().or(rewritten.login);
        found.environment = rewritten.environment;
        found.suffix = found.login.api_group_suffix.clone().unwrap_or_default();
        // Whoever knows the context by its name goes on knowing it.
        found.cluster_name.clone_from(&context.name);
        all.push(Foreign { found, user: context.context.user.clone() });
    }
    Ok(all)
}

/// The users as they shall stand where they stand, under their old names.
pub(super) fn in_place(foreign: &[Foreign], manner: &Manner) -> Vec<Wish> {
    let mut seen = BTreeSet::new();
    foreign
        .iter()
        .filter(|one| seen.insert(&one.user))
        .map(|one| {
            let mut login = one.found.login.clone();
            // Of a user that several clusters share, none is the cluster.
            if foreign.iter().filter(|other| other.user == one.user).count() == 1 {
                login.cluster_name.get_or_insert_with(|| one.found.context.clone());
            }
            let exec = stanza::exec(&login, &one.found.environment, manner);
            let body = Mapping::from_iter([("exec".into(), exec)]);
            Wish { entry: Entry { kind: Kind::User, name: one.user.clone(), body }, guard: Guard::Known }
        })
        .collect()
}

/// The foreign stanza of a context, and its arguments behind the verb.
fn rest<'a>(view: &'a View, context: &NamedContext, plugin: ForeignPlugin) -> Option<(&'a Exec, &'a [String])> {
    let exec = view.exec(&context.context.user)?;
    let words: Vec<&str> = exec.args.iter().map(String::as_str).collect();
    let skipped = match (plugin, program_name(&exec.command), words.as_slice()) {
        (ForeignPlugin::Pinniped, "pinniped", ["login", ..]) => 0,
        (ForeignPlugin::Kubelogin, "kubectl" | "oc", ["oidc-login", "get-token", ..]) => 2,
        (ForeignPlugin::Kubelogin, "kubelogin" | "kubectl-oidc_login" | "oidc-login", ["get-token", ..]) => 1,
        _ => return None,
    };
    Some((exec, &exec.args[skipped..]))
}

impl Rewritten {
    /// Takes over the variables that other programs read as well, such as proxies.
    fn with_variables(mut self, exec: &Exec, plugin: ForeignPlugin) -> Result<Self, Failure> {
        for variable in &exec.env {
            match (plugin, variable.name.as_str()) {
                (ForeignPlugin::Pinniped, "PINNIPED_USERNAME" | "PINNIPED_PASSWORD") => {
                    return Err(unmappable(&variable.name, "a password is never taken from a kubeconfig"));
                }
                (ForeignPlugin::Pinniped, "PINNIPED_DEBUG" | "PINNIPED_SKIP_PRINT_LOGIN_URL")
                | (ForeignPlugin::Kubelogin, "KUBECACHEDIR") => self.left_out.push(variable.name.clone()),
                _ => self.environment.push((variable.name.clone(), variable.value.clone())),
            }
        }
        Ok(self)
    }
}

fn unmappable(flag: &str, why: &str) -> Failure {
    Failure::new(Status::Usage, format!("{flag} has no counterpart here: {why}")).hint("nothing was written")
}

/// All roots in one bundle, base64 of PEM.
fn bundle<'a>(flag: &str, files: impl Iterator<Item = &'a Path>, mut pem: Vec<u8>) -> Result<Option<String>, Failure> {
    for path in files {
        let file = fs::read(path).map_err(|error| {
            Failure::new(Status::Usage, format!("{flag} {}: {error}", path.display())).hint("nothing was written")
        })?;
        pem.extend(file);
        pem.push(b'\n');
    }
    Ok((!pem.is_empty()).then(|| BASE64_STANDARD.encode(pem)))
}

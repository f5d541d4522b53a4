//! Which logins a person means: that of a context, those of all contexts, or one whose options are typed.

use super::World;
use crate::args::{Choice, CredentialArgs, KubectlFlags};
use crate::config::{CredentialConfig, Settings};
use crate::environment::Environment;
use crate::exec_credential::ExecInfo;
use crate::failure::{Failure, Status};
use crate::kubeconfig_files::{KubeconfigFiles, Target};
use crate::platform::terminal;
use crate::stanza::{Stanza, StanzaError};

/// A login, and the cluster it is for.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The context; none where the options were typed.
    pub(super) context: Option<String>,
    /// The settings.
    pub(super) config: CredentialConfig,
    /// The environment as the plugin sees it when kubectl runs it for this context.
    pub(super) environment: Environment,
    /// What stands beside the plugin in the user's entry, so that clients use that and never run it.
    pub(super) silencers: Vec<&'static str>,
}

/// A context whose login cannot be told.
#[derive(Debug)]
pub(super) struct Unclear {
    /// The context.
    pub(super) context: String,
    /// Why.
    pub(super) failure: Failure,
}

/// The logins that are meant; with all contexts there is at least one of ours.
///
/// # Errors
/// When there is none, or the one that is meant cannot be told.
pub(super) fn chosen(choice: &Choice, world: World<'_>) -> Result<Vec<Result<Chosen, Unclear>>, Failure> {
    let Choice { all_contexts, kubectl, credential } = choice;
    if credential.issuer.is_some() && !all_contexts {
        return typed(choice, world).map(|chosen| vec![Ok(chosen)]);
    }
    let files = KubeconfigFiles::read(kubectl.kubeconfig.as_deref(), world.environment)?;
    if !all_contexts {
        let target = files.target(kubectl)?;
        return of_target(&target, credential, &Stanza::of(&target)?).map(|chosen| vec![Ok(chosen)]);
    }
    let mut found = Vec::new();
    for (name, _) in files.contexts() {
        let flags = KubectlFlags { context: Some(name.to_owned()), ..KubectlFlags::default() };
        // A context without cluster or user is nobody's.
        let Ok(target) = files.target(&flags) else { continue };
        let unclear = |failure| Unclear { context: name.to_owned(), failure };
        match Stanza::of(&target) {
            Err(StanzaError::NotOurs { .. }) => {}
            Err(error) => found.push(Err(unclear(error.into()))),
            // A job's token is nobody's login.
            Ok(stanza) if stanza.has_token() => {}
            Ok(stanza) => found.push(of_target(&target, credential, &stanza).map_err(unclear)),
        }
    }
    if found.is_empty() {
        return Err(Failure::new(Status::Usage, "no context of the kubeconfig logs in by this plugin")
            .hint("`kubectl latchkey kubeconfig` writes one that does"));
    }
    Ok(found)
}

/// The login of one context.
///
/// # Errors
/// When it cannot be told.
pub(super) fn in_use(kubectl: &KubectlFlags, world: World<'_>) -> Result<Chosen, Failure> {
    let files = KubeconfigFiles::read(kubectl.kubeconfig.as_deref(), world.environment)?;
    let target = files.target(kubectl)?;
    of_target(&target, &CredentialArgs::default(), &Stanza::of(&target)?)
}

fn typed(choice: &Choice, world: World<'_>) -> Result<Chosen, Failure> {
    let Choice { kubectl, credential, .. } = choice;
    // A context gives its cluster only if it is named: the login is another one.
    let cluster = match kubectl {
        KubectlFlags { context: None, cluster: None, .. } => None,
        flags => {
            let files = KubeconfigFiles::read(flags.kubeconfig.as_deref(), world.environment)?;
            Some(files.target(flags)?.cluster)
        }
    };
    let exec = ExecInfo { version: None, interactive: terminal::is_ours(), cluster };
    let settings = Settings::new(credential.clone(), exec, &Environment::Process)?;
    Ok(Chosen {
        context: None,
        config: of_person(settings, "these options")?,
        environment: Environment::Process,
        silencers: Vec::new(),
    })
}

fn of_target(target: &Target, typed: &CredentialArgs, stanza: &Stanza) -> Result<Chosen, Failure> {
    let environment = stanza.environment();
    let settings = stanza.settings(target, typed.clone(), terminal::is_ours(), &environment)?;
    let who = target.context.as_ref().unwrap_or(&target.user_name);
    let config = of_person(settings, who)?;
    Ok(Chosen { context: target.context.clone(), config, environment, silencers: target.silencers.clone() })
}

fn of_person(settings: Settings, who: &str) -> Result<CredentialConfig, Failure> {
    match settings {
        Settings::Person(config) => Ok(*config),
        Settings::Workload(_) => {
            Err(Failure::new(Status::Usage, format!("nobody logs in for {who}: a token is given to it"))
                .hint("look at LATCHKEY_TOKEN_FILE, LATCHKEY_TOKEN_ENV and the --token options in the kubeconfig"))
        }
    }
}

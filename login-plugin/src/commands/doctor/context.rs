//! One context from the stanza to the cluster: what is tried, in which order, and what at the same time.

use std::path::Path;
use std::time::Duration;

use super::answer;
use super::cluster::{self, Asked};
use super::desktop;
use super::keeping::{self, Login};
use super::kubeconfig::Context;
use super::kuberc::{self, Kuberc};
use super::report::{Finding, Section, Verdict};
use super::stanza::{self, Judged};
use super::tools::{SearchPath, Tools};
use super::{provider, surroundings};
use crate::args::KubectlFlags;
use crate::cache::{Cache, Keys};
use crate::commands::World;
use crate::config::{CredentialConfig, Destination, Server, Settings};
use crate::kubectl::{Kubectl, Quietly};
use crate::output::{Output, Talk};
use crate::platform::terminal;
use crate::time::UnixTime;

/// One object of a cluster that has just answered.
const AUTHENTICATOR_DEADLINE: Duration = Duration::from_secs(4);

/// What all contexts share.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) path: &'a SearchPath,
    pub(super) desktop: Option<&'a SearchPath>,
    pub(super) tools: &'a Tools,
    pub(super) kuberc: &'a Kuberc,
    pub(super) flags: &'a KubectlFlags,
}

/// Examines one context. `typed` says that it was made of options and is in no kubeconfig.
pub(super) async fn examine(context: Context, typed: bool, machine: &Machine<'_>, world: World<'_>) -> Section {
    let about = if typed { "The options".to_owned() } else { format!("Context {}", context.name) };
    let Judged { mut findings, runs, settings } =
        stanza::judge(&context, machine.path, &machine.tools.ourselves, world.environment);
    if let Some(path) = context.authority_file()
        && let Err(error) = super::kubeconfig::read_bounded(&path)
    {
        findings.push(Finding::fail(
            "roots",
            format!("the cluster's certificate-authority {}: {error}", path.display()),
            "correct the path in the kubeconfig, or put the data into certificate-authority-data",
        ));
    }
    let mut answered = None;
    if let Some((exec, program)) = &runs {
        let mut is_forbidden = false;
        if !typed {
            let policy = kuberc::judge(machine.kuberc, machine.tools.version(), &exec.command, &|command| {
                machine.path.resolve(command)
            });
            is_forbidden = policy.verdict == Verdict::Fail;
            findings.push(policy);
            findings.extend(machine.desktop.map(|desktop| desktop::judge(desktop, &exec.command, program)));
        }
        // What kubectl may not run, we do not run for it.
        if settings.is_some() && !is_forbidden {
            answered = Some(answer::ask(&context, exec, Path::new(program)));
        }
    }
    let api_version = runs.as_ref().map(|(exec, _)| exec.api_version.clone()).unwrap_or_default();
    let ask = async {
        match answered {
            Some(ask) => Some(ask.await),
            None => None,
        }
    };
    let own = Server::of_cluster(context.cluster()).ok().flatten().filter(|_| !typed);
    match settings {
        None => {}
        Some(Settings::Person(config)) => {
            let kept_since = kept_since(&config, world);
            let (answered, provided, asked, kubectls, bound) = tokio::join!(
                ask,
                provider::ask(&config),
                cluster::ask(&config.destination),
                cluster::ask_for_kubectl(own, &config.destination),
                surroundings::bind(&config.login)
            );
            findings
                .extend(answered.as_ref().map(|answered| answered.judge(&api_version, kept_since, world.clock.now())));
            findings.push(keeping::judge_login(login(&config, world).as_ref(), world.clock.now()));
            findings.push(surroundings::judge_loopback(&bound));
            findings.extend(provided.iter().flat_map(|facts| facts.judge(&config, world.clock)));
            let may_look = !typed && answered.is_some_and(|answered| answered.is_credential());
            findings.extend(
                judge_cluster(&context, &config.destination, (asked, kubectls), may_look, machine, world).await,
            );
        }
        Some(Settings::Workload(config)) => {
            let (answered, asked, kubectls) = tokio::join!(
                ask,
                cluster::ask(&config.destination),
                cluster::ask_for_kubectl(own, &config.destination)
            );
            findings.extend(answered.as_ref().map(|answered| answered.judge(&api_version, None, world.clock.now())));
            let may_look = !typed && answered.is_some_and(|answered| answered.is_credential());
            findings.extend(
                judge_cluster(&context, &config.destination, (asked, kubectls), may_look, machine, world).await,
            );
        }
    }
    Section { about, checks: findings }
}

/// `kubectls` is what is wrong with kubectl's own way there; `may_look` says that there is a credential for it.
async fn judge_cluster(
    context: &Context,
    destination: &Destination,
    (asked, kubectls): (Option<Asked>, Option<Finding>),
    may_look: bool,
    machine: &Machine<'_>,
    world: World<'_>,
) -> Vec<Finding> {
    let mut findings = asked.map(|asked| cluster::judge(&asked, destination, world.clock)).unwrap_or_default();
    // With a credential at hand kubectl may look; without, it would only be refused.
    if let Destination::Exchange(concierge) = destination
        && may_look
        && kubectls.is_none()
        && machine.tools.kubectl.is_some()
    {
        let flags = KubectlFlags { context: Some(context.name.clone()), ..machine.flags.clone() };
        let kubectl = Kubectl::new(&flags, world.environment);
        let resource = cluster::authenticator_resource(concierge);
        let arguments = ["get", &resource, &concierge.authenticator_name, "-o", "json"];
        let said = kubectl.quiet_json(&arguments, Quietly::WithoutLogin, AUTHENTICATOR_DEADLINE).await;
        findings.push(cluster::judge_authenticator(concierge, said));
    }
    findings.extend(kubectls);
    findings
}

/// Since when the credential is kept that the plugin would answer with, if one is.
fn kept_since(config: &CredentialConfig, world: World<'_>) -> Option<UnixTime> {
    let silent = Output::new(Talk::Not);
    let cache = Cache::new(&config.places, config.store, world.clock, &silent);
    cache.credential(&Keys::new(config).credential, world.clock.now()).map(|held| held.received_at)
}

/// The login that is kept, if one is.
fn login(config: &CredentialConfig, world: World<'_>) -> Option<Login> {
    let silent = Output::new(Talk::Not);
    let session = Cache::new(&config.places, config.store, world.clock, &silent).session(&Keys::new(config).session)?;
    Some(Login {
        identity: session.identity,
        usable_until: session.usable_until,
        renewable: session.refresh_token.is_some(),
    })
}

/// Whether the terminal on standard input is the person's and ours to read.
pub(super) fn terminal() -> Finding {
    surroundings::judge_terminal(terminal::is_ours())
}

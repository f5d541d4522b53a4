//! `login oidc`: our own login, with the settings, and in the files, of Pinniped's CLI.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{concierge_args, exec_info, hand_over, kept};
use crate::args::{CredentialArgs, Flow, RedirectHost, Store};
use crate::cache::{Cache, EntryName, Keys};
use crate::commands::World;
use crate::commands::credential::{self, workload};
use crate::config::{CredentialConfig, Settings, SupervisorFlow, SupervisorLogin, read_roots};
use crate::environment::Environment;
use crate::exec_credential::{ApiVersion, ExecInfo};
use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::pinniped::{CredentialKey, Login, OidcLogin, SessionFile, SessionKey, Wanted};
use crate::platform::process::ProcessIdentity;
use crate::session::Context;

/// Prints an `ExecCredential` for who logs in.
///
/// # Errors
/// When there is no credential to be had.
pub(super) fn run(login: &Login, by: &OidcLogin, arguments: &[String], world: World<'_>) -> Result<(), Failure> {
    let World { clock, environment, output } = world;
    // The stock program asks standard input itself; a client that knows better is believed.
    let interactive =
        ExecInfo::read(environment).ok().filter(|info| info.version.is_some()).is_none_or(|info| info.interactive);
    output.settle(environment.switch("LATCHKEY_QUIET"), interactive);
    let config = match settings(login, by, interactive, environment)? {
        Settings::Person(config) => *config,
        // A job's own token serves a kubeconfig that was made for people.
        Settings::Workload(config) => return workload::run(&config, world),
    };
    let key = CredentialKey::of_oidc(arguments, exec_info(world).as_deref());
    let mut kept = kept(login, &key, world);
    kept.debug = by.debug_session_cache;
    let session = SessionKey {
        client_id: by.client_id.clone(),
        issuer: by.issuer.clone(),
        listen_port: by.listen_port,
        scopes: by.scopes.clone(),
        upstream: by.upstream.as_ref().map(|upstream| upstream.name.clone()),
    };
    let keys = keys(&config, by, &session, &key);
    let wanted = match &config.provider.exchange_audience {
        Some(_) => Wanted::AccessToken,
        None => Wanted::IdTokenFor(config.provider.audience.clone()),
    };
    let file = by.session_cache.as_ref().map(|path| SessionFile::new(path.clone(), wanted));
    kept.sessions = file.map(|file| (file, session));
    let cache = Cache::new(&config.places, config.store, clock, output).elsewhere(&kept);
    let parent = ProcessIdentity::of_parent();
    let context = Context { config: &config, keys: &keys, cache: &cache, clock, environment, output, parent };
    let outcome = credential::outcome(&context)?;
    debug(environment, &format!("credential for {} is ready", config.answering.cluster_name));
    if hand_over(login, &outcome.credential, outcome.usable_until, clock.now())? {
        cache.note_asked(&keys.credential, parent, clock.now());
    }
    Ok(())
}

/// Locks and notes go by what the files go by: clusters that share a login share its lock.
fn keys(config: &CredentialConfig, by: &OidcLogin, session: &SessionKey, credential: &CredentialKey) -> Keys {
    let file = by.session_cache.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    Keys {
        session: EntryName::of_elsewhere("pinniped", &format!("session {} in {file}", session.text())),
        credential: EntryName::of_elsewhere("pinniped", &format!("credential {}", credential.as_str())),
        ..Keys::new(config)
    }
}

fn settings(login: &Login, by: &OidcLogin, interactive: bool, environment: &Environment) -> Result<Settings, Failure> {
    let mut parameters = BTreeMap::from([("access_type".to_owned(), "offline".to_owned())]);
    if let Some(upstream) = &by.upstream {
        parameters.insert("pinniped_idp_name".to_owned(), upstream.name.clone());
        parameters.insert("pinniped_idp_type".to_owned(), upstream.kind.clone());
    }
    let audience = by.request_audience.clone().unwrap_or_else(|| by.client_id.clone());
    let own = CredentialArgs {
        audience: Some(audience.clone()),
        ca_data: roots(by)?,
        client_id: Some(by.client_id.clone()),
        extra_params: Some(parameters),
        flow: by.skip_listen.then_some(Flow::Paste),
        issuer: Some(by.issuer.clone()),
        no_exchange: login.concierge.is_none().then_some(true),
        optional_scopes: Some(Vec::new()),
        // What the stock program sends, no more: this client works with that.
        provider: Some("generic".to_owned()),
        // It listens on `localhost` and names the address that it got.
        redirect_host: Some(vec![RedirectHost::Ipv4, RedirectHost::Ipv6]),
        redirect_ports: Some(vec![by.listen_port]),
        scopes: Some(by.scopes.clone()),
        skip_browser: Some(by.skip_browser),
        store: Some(Store::File),
        ..CredentialArgs::default()
    };
    let args = own.or(login.concierge.as_ref().map(concierge_args).unwrap_or_default());
    // Of the client's cluster the stock program takes nothing but its name in the cache.
    let exec = ExecInfo { version: Some(ApiVersion::V1Beta1), interactive, cluster: None };
    let mut settings = Settings::new(args, exec, environment)?;
    if let Settings::Person(config) = &mut settings {
        // An ID token is always for its client; only a Supervisor trades it for one that is for the cluster.
        config.provider.exchange_audience = Some(audience).filter(|audience| *audience != by.client_id);
        config.login.hide_url = environment.text("PINNIPED_SKIP_PRINT_LOGIN_URL").as_deref() == Some("true");
        // Without a name any provider may be meant, and a browser is what all of them have.
        let is_plain = by.upstream.is_none() && by.flow != Some(SupervisorFlow::Password);
        config.login.supervisor = (!is_plain).then(|| SupervisorLogin { upstream: by.upstream.clone(), flow: by.flow });
    }
    Ok(settings)
}

/// All roots for the issuer in one bundle.
fn roots(by: &OidcLogin) -> Result<Option<String>, Failure> {
    let mut pem = by.ca_data.clone();
    for path in &by.ca_bundles {
        let file = read_roots(path).map_err(|error| {
            Failure::new(Status::Usage, format!("could not read --ca-bundle {}: {error}", path.display()))
        })?;
        pem.extend(file);
        pem.push(b'\n');
    }
    Ok((!pem.is_empty()).then(|| BASE64_STANDARD.encode(pem)))
}

/// For `PINNIPED_DEBUG=true`.
fn debug(environment: &Environment, line: &str) {
    if environment.text("PINNIPED_DEBUG").as_deref() == Some("true") {
        Output::remark(&format!("debug: {line}"));
    }
}

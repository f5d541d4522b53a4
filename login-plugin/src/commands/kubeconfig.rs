//! `kubeconfig`: asks the cluster how to log in to it, and writes that down.

mod file;
mod objects;
pub(super) mod reader;
mod stanza;

use std::fs;

use self::objects::{CredentialIssuer, Door, JwtAuthenticator, List};
use self::reader::View;
use self::stanza::Stanza;
use super::{World, print, runtime};
use crate::args::KubeconfigArgs;
use crate::failure::{Failure, Status};
use crate::kubectl::Kubectl;

/// Writes a kubeconfig.
///
/// # Errors
/// When the cluster cannot be asked, offers nothing, or the file cannot be written.
pub(super) fn run(args: &KubeconfigArgs, world: World<'_>) -> Result<(), Failure> {
    let kubectl = Kubectl::new(&args.kubectl, world.environment);
    let suffix = &args.api_group_suffix;
    let issuers_resource = format!("credentialissuers.{}", suffix.config());
    let authenticators_resource = format!("jwtauthenticators.{}", suffix.authentication());
    let (view, issuers, authenticators) = runtime()?.block_on(async {
        // `--raw`, or the certificates would be left out. The user's secrets are in it as well: they are not even parsed.
        let view: View = kubectl.json(&["config", "view", "--minify", "--flatten", "--raw", "-o", "json"]).await?;
        let not_installed = |error| {
            Failure::from(error).hint(format!(
                "if the server knows no such resource, Latchkey is not installed there, or with another suffix than {suffix} (--api-group-suffix)"
            ))
        };
        let issuers: List<CredentialIssuer> =
            kubectl.json(&["get", &issuers_resource, "-o", "json"]).await.map_err(not_installed)?;
        let authenticators: List<JwtAuthenticator> =
            kubectl.json(&["get", &authenticators_resource, "-o", "json"]).await.map_err(not_installed)?;
        Ok::<_, Failure>((view, issuers, authenticators))
    })?;
    let (reader_name, reader_cluster) = view.cluster().ok_or_else(|| {
        Failure::new(Status::Usage, "your kubeconfig has no cluster for this context").hint("choose one with --context")
    })?;
    let issuer = objects::choose_issuer(issuers, args.credential_issuer.as_deref())?;
    let authenticator = objects::choose_authenticator(authenticators, args.authenticator.as_deref())?;
    if !authenticator.is_ready() {
        world.output.warn(&format!(
            "JWTAuthenticator {:?} is not ready; `kubectl describe` it to see why, logins will fail until it is",
            authenticator.metadata.name
        ));
    }
    let name = args.name.clone().unwrap_or_else(|| stanza::acceptable_name(reader_name));
    if name != stanza::acceptable_name(&name) {
        return Err(Failure::new(
            Status::Usage,
            format!("--name: expected letters, digits and . _ @ - (not first), found {name:?}"),
        ));
    }
    if args.name.is_none() && view.has_context(&name) {
        world.output.warn(&format!(
            "your kubeconfig has a context {name:?} already, and when files are merged the first one wins; consider --name"
        ));
    }
    let cluster = match issuer.door()? {
        Door::ApiServer => reader_cluster.clone(),
        Door::Proxy { endpoint, roots } => reader::Cluster::of_proxy(endpoint, roots),
    };
    if cluster.insecure_skip_tls_verify {
        return Err(Failure::new(
            Status::Usage,
            "your kubeconfig switches off TLS verification for this cluster, and a login token goes only to a server that has proved itself",
        )
        .hint("put the cluster's CA into certificate-authority-data"));
    }
    let issuer_roots = args
        .issuer_ca
        .as_ref()
        .map(|path| {
            fs::read(path)
                .map_err(|error| Failure::new(Status::Usage, format!("--issuer-ca {}: {error}", path.display())))
        })
        .transpose()?;
    if issuer_roots.is_none() && authenticator.roots_are_elsewhere() {
        world.output.warn("the provider's roots are in a Secret or ConfigMap of the cluster; if they are not among the system's, pass --issuer-ca FILE");
    }
    let yaml = Stanza {
        name: &name,
        args,
        cluster: &cluster,
        authenticator: &authenticator,
        issuer_roots,
        namespace: view.namespace(),
    }
    .yaml();
    match &args.output {
        None => print(&yaml),
        Some(path) => {
            let written = file::write(path, &yaml, args.force)?;
            world.output.say(&format!(
                "Wrote context {name} to {0}. Try: kubectl --kubeconfig {0} get namespaces",
                written.display()
            ));
            Ok(())
        }
    }
}

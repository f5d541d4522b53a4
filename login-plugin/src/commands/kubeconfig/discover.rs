//! Asks one cluster how to log in to it, by the reader's own kubectl.

use std::time::Duration;

use latchkey_crds::groups::{DEFAULT_SUFFIX, GroupSuffix};
use serde::de::DeserializeOwned;

use super::objects::{self, CredentialIssuer, Door, JwtAuthenticator, List};
use super::reader::{Cluster, View};
use crate::args::{CredentialArgs, KubeconfigArgs};
use crate::failure::{Failure, Status};
use crate::kubectl::{Kubectl, KubectlError, Quietly};

/// A cluster behind a VPN that is off answers never.
const QUIET_DEADLINE: Duration = Duration::from_secs(20);

/// A cluster and how to log in to it, before anything has a name.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Which one it is, for messages.
    pub(super) asked: String,
    /// The reader's context.
    pub(super) context: String,
    /// What the reader calls the cluster.
    pub(super) cluster_name: String,
    pub(super) cluster: Cluster,
    pub(super) namespace: Option<String>,
    pub(super) login: CredentialArgs,
    pub(super) suffix: GroupSuffix,
    /// Variables for the plugin.
    pub(super) environment: Vec<(String, String)>,
    /// What is odd about it.
    pub(super) warnings: Vec<String>,
    /// Whether the reader's context is one that this command wrote.
    pub(super) is_ours: bool,
}

/// kubectl, and whether it may ask the person to log in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) kubectl: &'a Kubectl,
    /// Of many at once, each would open a page of its own.
    pub(super) is_one_of_many: bool,
}

impl Reader<'_> {
    async fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, KubectlError> {
        if self.is_one_of_many {
            self.kubectl.quiet_json(arguments, Quietly::WithoutLogin, QUIET_DEADLINE).await
        } else {
            self.kubectl.json(arguments).await
        }
    }

    /// The kubeconfig of one context.
    ///
    /// # Errors
    /// When there is no such context.
    pub(super) async fn view(&self) -> Result<View, Failure> {
        // `--raw`, or the certificates would be left out. The user's secrets are in it as well: they are not even parsed.
        Ok(self.json(&["config", "view", "--minify", "--flatten", "--raw", "-o", "json"]).await?)
    }

    /// Asks.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or offers nothing.
    pub(super) async fn ask(&self, args: &KubeconfigArgs) -> Result<Found, Failure> {
        let view = self.view().await?;
        let mut found = from_view(&view)?;
        if needs_no_question(&args.login) {
            found.login = args.login.clone();
            return found.checked();
        }
        let suffix = &args.api_group_suffix;
        found.suffix = suffix.clone();
        let not_installed = |error: KubectlError| {
            // Where its words are known they say whether that is it; otherwise the person has read them.
            let may_be = match &error {
                KubectlError::Said { words } => words.contains("doesn't have a resource type"),
                KubectlError::Failed { .. } => true,
                _ => false,
            };
            let failure = Failure::from(error);
            if !may_be {
                return failure;
            }
            failure.hint(format!(
                "if the server knows no such resource, Latchkey is not installed there, or with another suffix than {suffix} (--api-group-suffix)"
            ))
        };
        let direct = args.login.no_exchange.unwrap_or_default();
        if !direct {
            let resource = format!("credentialissuers.{}", suffix.config());
            let issuers: List<CredentialIssuer> =
                self.json(&["get", &resource, "-o", "json"]).await.map_err(not_installed)?;
            let issuer = objects::choose_issuer(issuers, args.credential_issuer.as_deref())?;
            if let Door::Proxy { endpoint, roots } = issuer.door()? {
                found.cluster = Cluster::of_proxy(endpoint, roots);
            }
        }
        let resource = format!("jwtauthenticators.{}", suffix.authentication());
        let authenticators: List<JwtAuthenticator> =
            self.json(&["get", &resource, "-o", "json"]).await.map_err(not_installed)?;
        let authenticator = objects::choose_authenticator(authenticators, args.authenticator.as_deref())?;
        if !authenticator.is_ready() {
            found.warnings.push(format!(
                "JWTAuthenticator {:?} is not ready; `kubectl describe` it to see why, logins will fail until it is",
                authenticator.metadata.name
            ));
        }
        found.login = login(&args.login, &authenticator);
        if found.login.ca_data.is_none() && authenticator.roots_are_elsewhere() {
            found.warnings.push(
                "the provider's roots are in a Secret or ConfigMap of the cluster; if they are not among the system's, pass --issuer-ca FILE"
                    .to_owned(),
            );
        }
        if !direct {
            found.login.authenticator = Some(authenticator.metadata.name);
            found.login.api_group_suffix = (suffix.as_str() != DEFAULT_SUFFIX).then(|| suffix.clone());
            found.login.concierge_endpoint = Some(found.cluster.server.clone());
            found.login.concierge_ca_data = found.cluster.certificate_authority_data.clone();
        }
        found.checked()
    }
}

/// What the reader's kubeconfig says of the one context in `view`; how to log in is not known yet.
///
/// # Errors
/// When it has no cluster.
pub(super) fn from_view(view: &View) -> Result<Found, Failure> {
    let (name, cluster) = view.cluster().ok_or_else(|| {
        Failure::new(Status::Usage, "your kubeconfig has no cluster for this context").hint("choose one with --context")
    })?;
    let context = view.context();
    let context_name = context.map(|context| context.name.clone()).unwrap_or_default();
    Ok(Found {
        asked: format!("context {context_name}"),
        cluster_name: context.map_or(name, |context| view.plain_cluster_name(context)).to_owned(),
        context: context_name,
        cluster: cluster.clone(),
        namespace: view.namespace().map(ToOwned::to_owned),
        login: CredentialArgs::default(),
        suffix: GroupSuffix::default(),
        environment: Vec::new(),
        warnings: Vec::new(),
        is_ours: context.is_some_and(|context| view.is_ours(context)),
    })
}

impl Found {
    /// Refuses a cluster that need not prove itself.
    pub(super) fn checked(self) -> Result<Self, Failure> {
        if self.cluster.insecure_skip_tls_verify {
            return Err(Failure::new(
                Status::Usage,
                "your kubeconfig switches off TLS verification for this cluster, and a login token goes only to a server that has proved itself",
            )
            .hint("put the cluster's CA into certificate-authority-data"));
        }
        Ok(self)
    }

    #[cfg(test)]
    pub(super) fn for_test(context: &str, cluster: &str) -> Self {
        Self {
            asked: format!("context {context}"),
            context: context.to_owned(),
            cluster_name: cluster.to_owned(),
            cluster: Cluster::default(),
            namespace: None,
            login: CredentialArgs::default(),
            suffix: GroupSuffix::default(),
            environment: Vec::new(),
            warnings: Vec::new(),
            is_ours: false,
        }
    }
}

/// Whether a job's token is used in place of a login.
const fn has_token(login: &CredentialArgs) -> bool {
    login.token_command.is_some()
        || login.token_env.is_some()
        || login.token_file.is_some()
        || login.token_from_github.is_some()
}

/// Whether the person has said everything: then no right to read anything is needed, nor a concierge.
fn needs_no_question(typed: &CredentialArgs) -> bool {
    let says_who = has_token(typed) || (typed.issuer.is_some() && typed.client_id.is_some());
    typed.no_exchange.unwrap_or_default() && says_who
}

/// Enough to work with no other file and no cluster block: several clients never send one. What is typed wins.
fn login(typed: &CredentialArgs, authenticator: &JwtAuthenticator) -> CredentialArgs {
    let spec = &authenticator.spec;
    let own = |list: &[&str]| list.iter().map(|&scope| scope.to_owned()).collect::<Vec<_>>();
    let mut login = typed.clone();
    if has_token(typed) {
        login.audience.get_or_insert_with(|| spec.audience().to_owned());
        return login;
    }
    let client_id = login.client_id.get_or_insert_with(|| spec.audience().to_owned());
    if login.audience.is_none() && client_id != spec.audience() {
        login.audience = Some(spec.audience().to_owned());
    }
    let (always, listed) = spec.claims.scopes();
    login.scopes = login.scopes.or_else(|| (!always.is_empty()).then(|| own(&always)));
    login.optional_scopes.get_or_insert_with(|| own(&listed));
    login.issuer.get_or_insert_with(|| spec.issuer.clone());
    login.ca_data = login.ca_data.or_else(|| authenticator.roots().map(ToOwned::to_owned));
    login
}

//! The kubeconfig we write: one cluster, one user, one context; no secret, no path unless asked for.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::objects::JwtAuthenticator;
use super::reader::Cluster;
use crate::args::KubeconfigArgs;

/// The first line of every file of ours, by which we know that we may replace it.
pub(super) const MARK: &str = "# Written by `kubectl latchkey kubeconfig`.";

const INSTALL_HINT: &str = "\
kubectl-latchkey is not installed, or not in PATH.
Install it, or write a kubeconfig with --command-path for programs that do not know your PATH.
";

/// What goes into it.
pub(super) struct Stanza<'a> {
    pub(super) name: &'a str,
    pub(super) args: &'a KubeconfigArgs,
    pub(super) cluster: &'a Cluster,
    pub(super) authenticator: &'a JwtAuthenticator,
    /// PEM, in place of what the authenticator holds.
    pub(super) issuer_roots: Option<Vec<u8>>,
    pub(super) namespace: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    clusters: [Named<ClusterEntry<'a>>; 1],
    users: [Named<UserEntry<'a>>; 1],
    contexts: [Named<ContextEntry<'a>>; 1],
    current_context: &'a str,
}

#[derive(Serialize)]
struct Named<T> {
    name: String,
    #[serde(flatten)]
    entry: T,
}

#[derive(Serialize)]
struct ClusterEntry<'a> {
    cluster: &'a Cluster,
}

#[derive(Serialize)]
struct UserEntry<'a> {
    user: User<'a>,
}

#[derive(Serialize)]
struct User<'a> {
    exec: Exec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exec<'a> {
    api_version: &'a str,
    command: &'a str,
    args: Vec<String>,
    interactive_mode: &'a str,
    provide_cluster_info: bool,
    install_hint: &'a str,
}

#[derive(Serialize)]
struct ContextEntry<'a> {
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

impl Stanza<'_> {
    /// The whole file.
    pub(super) fn yaml(&self) -> String {
        // Its own name: an entry of the reader's must never be shadowed when files are merged.
        let own = format!("latchkey-{}", self.name);
        let kubeconfig = Kubeconfig {
            api_version: "v1",
            kind: "Config",
            clusters: [Named { name: own.clone(), entry: ClusterEntry { cluster: self.cluster } }],
            users: [Named {
                name: own.clone(),
                entry: UserEntry {
                    user: User {
                        exec: Exec {
                            api_version: "client.authentication.k8s.io/v1",
                            command: self.args.command_path.as_deref().unwrap_or("kubectl-latchkey"),
                            args: self.arguments(),
                            // `Never` would hide what we say in some clients, `Always` breaks `kubectl apply -f -`.
                            interactive_mode: "IfAvailable",
                            provide_cluster_info: true,
                            install_hint: INSTALL_HINT,
                        },
                    },
                },
            }],
            contexts: [Named {
                name: self.name.to_owned(),
                entry: ContextEntry { context: Context { cluster: own.clone(), user: own, namespace: self.namespace } },
            }],
            current_context: self.name,
        };
        let yaml = serde_norway::to_string(&kubeconfig).expect("strings, lists and maps always serialize");
        format!("{MARK} It holds no secret.\n{yaml}")
    }

    /// Enough to work with no other file and no cluster block: several clients never send one.
    fn arguments(&self) -> Vec<String> {
        let Self { name, args, cluster, authenticator, .. } = self;
        let spec = &authenticator.spec;
        let client_id = args.client_id.as_deref().unwrap_or(spec.audience());
        let (always, listed) = spec.claims.scopes();
        let own = |list: &[&str]| list.iter().map(|&scope| scope.to_owned()).collect::<Vec<_>>();
        let scopes = args.scopes.clone().unwrap_or_else(|| own(&always));
        let optional_scopes = args.optional_scopes.clone().unwrap_or_else(|| own(&listed));
        let mut arguments = vec![
            "credential".to_owned(),
            format!("--cluster-name={name}"),
            format!("--issuer={}", spec.issuer),
            format!("--client-id={client_id}"),
        ];
        let mut add = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.push(format!("--{option}={value}"));
            }
        };
        add("audience", (client_id != spec.audience()).then(|| spec.audience().to_owned()));
        add("scopes", (!scopes.is_empty()).then(|| scopes.join(",")));
        add("optional-scopes", Some(optional_scopes.join(",")));
        let roots = self.issuer_roots.as_ref().map(|pem| BASE64_STANDARD.encode(pem));
        add("ca-data", roots.or_else(|| authenticator.roots().map(ToOwned::to_owned)));
        add(
            "redirect-host",
            args.redirect_host
                .as_ref()
                .map(|hosts| hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(",")),
        );
        add(
            "redirect-ports",
            args.redirect_ports
                .as_ref()
                .map(|ports| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
        );
        add("authenticator", Some(authenticator.metadata.name.clone()));
        let suffix = &args.api_group_suffix;
        add("api-group-suffix", (suffix.as_str() != latchkey_crds::groups::DEFAULT_SUFFIX).then(|| suffix.to_string()));
        add("concierge-endpoint", Some(cluster.server.clone()));
        add("concierge-ca-data", cluster.certificate_authority_data.clone());
        arguments
    }
}

/// A name that kubectl, kubectx and kubens all take: letters, digits and `. _ @ -`, the last not first.
pub(super) fn acceptable_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || "._@-".contains(character) { character } else { '-' })
        .collect();
    let name = name.trim_start_matches('-');
    if name.is_empty() { "cluster".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_acceptable() {
        let cases = [
            ("staging", "staging"),
            ("arn:aws:eks:eu-1:12:cluster/prod", "arn-aws-eks-eu-1-12-cluster-prod"),
            ("gke_p_z_c", "gke_p_z_c"),
            ("-x", "x"),
            ("a=b", "a-b"),
            ("", "cluster"),
        ];
        for (name, expected) in cases {
            assert_eq!(acceptable_name(name), expected);
        }
    }
}

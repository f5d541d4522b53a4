//! `help`: what each verb does, with examples that can be typed.

use crate::args::Topic;

/// The text for a topic.
pub(super) fn text(topic: Topic) -> String {
    match topic {
        Topic::All => ALL,
        Topic::Credential => CREDENTIAL,
        Topic::Kubeconfig => KUBECONFIG,
        Topic::Rejections => REJECTIONS,
        Topic::Whoami => WHOAMI,
    }
    .to_owned()
}

const ALL: &str = "\
kubectl latchkey: log in to Kubernetes with your organisation's account. Each cluster
has its own key: a login for one opens no other.

Usage: kubectl latchkey COMMAND [OPTIONS]

Commands:
  kubeconfig   Write a kubeconfig that logs in by this plugin
  whoami       Show who a cluster takes you for
  rejections   Show whose tokens were refused, in one cluster or in all of them
  credential   Answer a Kubernetes client (kubectl runs this for you)
  version      Show the version
  help         Show this, or help on a command

First steps:
  kubectl latchkey kubeconfig --name staging --output staging.yaml
  kubectl --kubeconfig staging.yaml get namespaces     (a browser opens, once)
  kubectl latchkey whoami --kubeconfig staging.yaml

Environment:
  LATCHKEY_FLOW        auto, browser, paste or none: how to log in; wins over everything
  LATCHKEY_BROWSER     program that opens the login page; %s stands for the URL
  LATCHKEY_CACHE_DIR   one directory for sessions and credentials
  LATCHKEY_QUIET       1: say nothing on standard error but errors
  HTTPS_PROXY, NO_PROXY, BROWSER, XDG_STATE_HOME and XDG_CACHE_HOME mean what they always mean

Exit status: 1 general, 2 usage, 3 login needed, 4 the provider refused,
  5 the cluster refused, 6 a server cannot be reached
";

const CREDENTIAL: &str = "\
Answer a Kubernetes client with a credential (client.authentication.k8s.io v1 and v1beta1).
kubectl and its relatives run this; `kubectl latchkey kubeconfig` writes the stanza.

Usage: kubectl-latchkey credential --issuer URL --client-id ID --authenticator NAME [OPTIONS]

The login:
  --issuer URL                The identity provider, exactly as it names itself
  --client-id ID              This cluster's own client there
  --audience AUDIENCE         The one audience the cluster takes [default: the client id]
  --scopes LIST               Scopes to ask for besides openid
  --optional-scopes LIST      Scopes to ask for if the provider lists them [default: offline_access]
  --ca-data BASE64            Roots of the provider (base64 of PEM), in place of the system's
  --redirect-host HOST        127.0.0.1, [::1] or localhost [default: 127.0.0.1]
  --redirect-ports LIST       Ports to try, 0 is any [default: 0]
  --skip-browser              Show the URL, start no browser
  --login-timeout SECONDS     How long to wait for you [default: 300; 120 without a terminal]

The cluster:
  --authenticator NAME        Its authenticator
  --authenticator-kind KIND   [default: JWTAuthenticator]
  --concierge-endpoint URL    API server or impersonation proxy [default: the kubeconfig's server]
  --concierge-ca-data BASE64  Roots of that endpoint [default: the kubeconfig's]
  --api-group-suffix SUFFIX   [default: latchkey.dev]
  --cluster-name NAME         What to call it when speaking to you
  --api-version VERSION       v1 or v1beta1, for clients that do not say which they want

Example (by hand, to see what kubectl sees):
  kubectl-latchkey credential --issuer=https://idp.example.com --client-id=staging \\
    --authenticator=people --concierge-endpoint=https://staging.example.com:6443
";

const KUBECONFIG: &str = "\
Write a kubeconfig that logs in by this plugin. It holds no secret, so it may be shared.
Reads the cluster's CredentialIssuer and JWTAuthenticator by running your kubectl, so any
way of authenticating that you have today will do.

Usage: kubectl latchkey kubeconfig [OPTIONS]

Options:
  --name NAME                 Name of the context [default: the cluster's name in your kubeconfig]
  -o, --output FILE           Write there (mode 0600) [default: standard output]
  --force                     Replace FILE even if it was not written by this command
  --authenticator NAME        Which JWTAuthenticator, if there are several
  --credential-issuer NAME    Which CredentialIssuer, if there are several
  --client-id ID              [default: the authenticator's audience]
  --scopes LIST, --optional-scopes LIST
                              [default: what the authenticator's claims need]
  --issuer-ca FILE            PEM roots of the provider [default: the authenticator's]
  --redirect-host HOST, --redirect-ports LIST
                              As the client is registered at the provider
  --command-path PATH         Write this path in place of kubectl-latchkey, for desktop programs
                              that do not know your PATH
  --api-group-suffix SUFFIX   [default: latchkey.dev]
  --context, --kubeconfig, --cluster, --user
                              As with kubectl: how to reach the cluster now

Examples:
  kubectl latchkey kubeconfig --context admin@staging --name staging
  kubectl latchkey kubeconfig --name staging -o ~/.kube/latchkey/staging.yaml
  export KUBECONFIG=~/.kube/config:~/.kube/latchkey/staging.yaml
";

const REJECTIONS: &str = "\
Show which tokens clusters refused though their issuer had really signed them: who tried what
where. A token of staging that is shown to production stands in production's list, with
FROM-CLUSTER staging. Reads the TokenRejection objects by running your kubectl.

Usage: kubectl latchkey rejections [OPTIONS]

Options:
  --all-contexts              Ask the cluster of every context in your kubeconfig (KUBECONFIG may
                              name several files); nobody is asked to log in
  --context LIST              Ask these, separated by commas [default: the context in use]
  --since TIME                Only what was seen lately: 30m, 24h, 7d
  --code LIST                 Only these reasons, such as audience-other-cluster,audience-shared
  -o, --output FORMAT         table, wide, json or yaml [default: table]
  --kubeconfig FILE           As with kubectl
  --api-group-suffix SUFFIX   Where installations of several suffixes share a cluster

What the columns say:
  CLUSTER        where it was refused (the context's name)
  FROM-CLUSTER   the cluster that the token was made for, if the fleet's list knows it
  CODE           why: audience-other-cluster  another cluster's token
                      audience-shared         it would open this cluster and another one
                      audience-mismatch       made for something that the fleet's list does not know
  SUBJECT        whose token it was: sub, or a pseudonym where names are hidden
  SOURCE         where the last one came from (behind the API server: its own address)
  COUNT          how many, since the first
One person, one address and one try is a kubeconfig that points at the wrong server. Another
address than the person's own is a stolen token: look for its fingerprint (-o wide) in the audit
log of the cluster that it was made for.

Exit status: 0 all read, 1 some context not read (said on standard error), 2 usage

Examples:
  kubectl latchkey rejections
  kubectl latchkey rejections --all-contexts --since 24h
  kubectl latchkey rejections --context prod-eu,prod-us --code audience-other-cluster -o wide
";

const WHOAMI: &str = "\
Show who the cluster takes you for: name and groups, as RBAC sees them.

Usage: kubectl latchkey whoami [OPTIONS]

Options:
  -o, --output FORMAT         text or json [default: text]
  --api-group-suffix SUFFIX   [default: latchkey.dev]
  --context, --kubeconfig, --cluster, --user
                              As with kubectl

Examples:
  kubectl latchkey whoami
  kubectl latchkey whoami --context staging -o json
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_is_parsed_is_explained() {
        let source = concat!(include_str!("../args.rs"), include_str!("../args/rejections.rs"));
        let parsed = source.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let everything = [ALL, CREDENTIAL, KUBECONFIG, REJECTIONS, WHOAMI].concat();
        for option in parsed.filter(|option| !["help", "version"].contains(option)) {
            assert!(everything.contains(&format!("--{option}")), "--{option} is not explained");
        }
    }

    #[test]
    fn lines_fit_a_terminal() {
        for line in [ALL, CREDENTIAL, KUBECONFIG, REJECTIONS, WHOAMI].iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

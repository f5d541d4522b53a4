//! From the rooms' errors to one failure: the one place that knows exit statuses and advice. Above all rooms, named by none.

use http::StatusCode;

use crate::args::UsageError;
use crate::authorization_response::ResponseError;
use crate::config::ConfigError;
use crate::exchange::ExchangeError;
use crate::exec_credential::ExecInfoError;
use crate::failure::{Failure, Status};
use crate::flows::token::TokenError;
use crate::kubeconfig_files::FilesError;
use crate::kubectl::KubectlError;
use crate::loopback::LoopbackError;
use crate::oidc::OidcError;
use crate::stanza::StanzaError;

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        Self::new(Status::Usage, error.to_string()).hint("`kubectl latchkey help` lists commands and options")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = match error {
            ConfigError::Insecure(_) => "put the cluster's CA into certificate-authority-data instead",
            ConfigError::Several(_) => "leave all but one of them out",
            ConfigError::Variable { .. } => "correct the variable in your environment, or unset it",
            ConfigError::Missing(_) | ConfigError::Settings(_) => {
                "`kubectl latchkey kubeconfig` writes a stanza that is complete"
            }
            _ => "correct the stanza's args, or have a new one written by `kubectl latchkey kubeconfig`",
        };
        Self::new(Status::Usage, error.to_string()).hint(hint)
    }
}

impl From<ExecInfoError> for Failure {
    fn from(error: ExecInfoError) -> Self {
        let failure = Self::new(Status::Usage, error.to_string());
        match error {
            ExecInfoError::Version(_) => failure.hint("set the stanza's apiVersion to client.authentication.k8s.io/v1"),
            ExecInfoError::Kind(_) | ExecInfoError::Malformed(_) | ExecInfoError::TooLarge(_) => failure
                .hint("Kubernetes clients set this variable for each call; where you have set it yourself, unset it"),
        }
    }
}

impl From<LoopbackError> for Failure {
    fn from(error: LoopbackError) -> Self {
        Self::new(Status::General, error.to_string()).hint(
            "end the program that holds the port, or add another to --redirect-ports and to the client at the provider",
        )
    }
}

impl From<ResponseError> for Failure {
    fn from(error: ResponseError) -> Self {
        let failure = Self::new(Status::ProviderRefused, error.to_string());
        match error {
            ResponseError::Issuer { .. } => failure.hint("log in again; if it happens again, tell your administrator"),
            ResponseError::NotOurs => failure,
            ResponseError::Refused { error, .. } => failure.hint(refusal_hint(&error)),
        }
    }
}

impl From<OidcError> for Failure {
    fn from(error: OidcError) -> Self {
        let message = error.to_string();
        match error {
            OidcError::ClientSecret(_) => Self::new(Status::Usage, message)
                .hint("nobody is logged out; once the secret is where the kubeconfig says, the next command goes on"),
            OidcError::InvalidGrant => Self::new(Status::LoginNeeded, message),
            OidcError::Metadata(_) => Self::new(Status::ProviderRefused, message)
                .hint("compare --issuer with the `issuer` of its /.well-known/openid-configuration"),
            OidcError::Refused { error, .. } => Self::new(Status::ProviderRefused, message).hint(refusal_hint(&error)),
            OidcError::Token(words) if words.starts_with("audience-") => Self::new(Status::ProviderRefused, message)
                .hint("nothing was sent to the cluster; each cluster needs its own client at the provider"),
            OidcError::Token(_) => Self::new(Status::ProviderRefused, message).hint(
                "nothing was sent to the cluster; log in again, and if it stays, tell the provider's administrator",
            ),
            OidcError::Unreachable { .. } => {
                Self::new(Status::Unreachable, message).hint("your login is kept; try again when the network is back")
            }
        }
    }
}

/// Advice for the codes of RFC 6749 sections 4.1.2.1 and 5.2.
fn refusal_hint(code: &str) -> &'static str {
    match code {
        "access_denied" => {
            "you, or the provider's policy, said no; log in again with an account that may use this cluster"
        }
        "invalid_client" | "unauthorized_client" => {
            "the client must be a public one with the authorization code grant, or its secret named by one of the --client-secret options"
        }
        "invalid_request" => "register this redirect address at the client: http://127.0.0.1/callback, any port",
        "invalid_scope" => "leave the scope out: --scopes and --optional-scopes",
        // Keycloak's word for `offline_access` without the role of that name.
        "not_allowed" => "if it is offline access that is not allowed, leave that scope out: --optional-scopes=",
        _ => "ask the administrator of the identity provider about this code",
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let status = match error {
            TokenError::GitHub(_) | TokenError::Command { .. } => Status::General,
            TokenError::GitHubAway(_) => Status::Unreachable,
            TokenError::NotOne { .. } | TokenError::File { .. } => Status::Usage,
        };
        let failure = Self::new(status, error.to_string());
        match error {
            TokenError::Command { .. } => failure.hint("run it by hand to see what it says and prints"),
            TokenError::File { .. } => failure.hint(
                "a projected service account token needs its volume in the pod, and a path that begins with a slash",
            ),
            TokenError::NotOne { .. } => {
                failure.hint("nothing was sent anywhere; in GitLab the job needs `id_tokens` with this variable")
            }
            TokenError::GitHub(_) => failure,
            TokenError::GitHubAway(_) => failure.hint("run the job again; githubstatus.com says how GitHub is"),
        }
    }
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        let message = error.to_string();
        match error {
            ExchangeError::Busy { .. } => {
                Self::new(Status::Unreachable, message).hint("your login is kept; try again in a minute")
            }
            ExchangeError::Denied { status: StatusCode::UNAUTHORIZED, .. } => Self::new(
                Status::ClusterRefused,
                message,
            )
            .hint(
                "this API server refuses anonymous requests, and nobody has a credential yet at a login: its administrator \
                 can admit them to tokencredentialrequests alone (`anonymous.conditions` of structured authentication); \
                 Pinniped has an impersonation proxy for it",
            ),
            ExchangeError::Denied { .. } => Self::new(Status::ClusterRefused, message)
                .hint("anonymous users need the concierge's ClusterRole for tokencredentialrequests"),
            ExchangeError::NoConcierge { .. } => Self::new(Status::ClusterRefused, message)
                .hint("is the concierge installed, and is --api-group-suffix the one it was installed with?"),
            ExchangeError::Refused { audit_id, .. } => {
                let failure = Self::new(Status::ClusterRefused, message);
                match audit_id {
                    Some(_) => failure.hint(
                        "with that id the cluster's administrator finds the reason in the concierge's audit log; \
                         `kubectl latchkey explain` says what can be told from here",
                    ),
                    None => failure.hint("the reason is in the concierge's audit log; ask the cluster's administrator"),
                }
            }
            ExchangeError::Unreachable { .. } => Self::new(Status::Unreachable, message)
                .hint("your login is kept; try again, or have `kubectl latchkey doctor` look for the cause"),
            ExchangeError::Unusable { .. } => Self::new(Status::ClusterRefused, message),
        }
    }
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        let hint = match &error {
            FilesError::Missing { kind: "context", .. } => "`kubectl config get-contexts` lists them",
            FilesError::Missing { .. } => "`kubectl config view` shows what there is",
            FilesError::NoContext => "name one by --context, or choose one by `kubectl config use-context`",
            FilesError::Malformed { .. } | FilesError::Unreadable { .. } => {
                "look at KUBECONFIG, --kubeconfig and the file"
            }
        };
        Self::new(Status::Usage, error.to_string()).hint(hint)
    }
}

impl From<StanzaError> for Failure {
    fn from(error: StanzaError) -> Self {
        let hint = match &error {
            StanzaError::NotOurs { .. } => "name another by --context, or write one by `kubectl latchkey kubeconfig`",
            StanzaError::Options { .. } => "`kubectl latchkey kubeconfig` writes a stanza that is complete",
        };
        Self::new(Status::Usage, error.to_string()).hint(hint)
    }
}

impl From<KubectlError> for Failure {
    fn from(error: KubectlError) -> Self {
        let failure = Self::new(Status::General, error.to_string());
        match error {
            KubectlError::NotFound(_) => failure.hint("put kubectl into PATH, or set KUBECTL_PATH"),
            _ => failure,
        }
    }
}

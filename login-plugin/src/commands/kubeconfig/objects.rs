//! What the cluster says about logging in: `CredentialIssuer` and `JWTAuthenticator`, and the choice among several.

use serde::Deserialize;

use crate::failure::{Failure, Status};

/// A list as `kubectl get -o json` prints it.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
}

/// The name.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
}

/// The parts of a `CredentialIssuer` that say how to get a credential. An own reading of it: the plugin must also
/// understand those of other releases and of Pinniped.
#[derive(Debug, Deserialize)]
pub(super) struct CredentialIssuer {
    metadata: Metadata,
    #[serde(default)]
    status: Option<CredentialIssuerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CredentialIssuerStatus {
    strategies: Option<Vec<Strategy>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Strategy {
    r#type: String,
    status: String,
    message: String,
    frontend: Option<Frontend>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Frontend {
    r#type: String,
    impersonation_proxy_info: Option<ImpersonationProxyInfo>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImpersonationProxyInfo {
    endpoint: String,
    certificate_authority_data: String,
}

/// The door to knock at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The API server, at the address that the reader uses: the one in the status is often reachable from inside only.
    ApiServer,
    /// The impersonation proxy.
    Proxy {
        endpoint: String,
        /// Base64 of PEM.
        roots: String,
    },
}

/// The parts of a `JWTAuthenticator` that say where and as what to log in.
#[derive(Debug, Deserialize)]
pub(super) struct JwtAuthenticator {
    pub(super) metadata: Metadata,
    pub(super) spec: JwtAuthenticatorSpec,
    #[serde(default)]
    status: Option<AuthenticatorStatus>,
}

#[derive(Debug, Deserialize)]
pub(super) struct JwtAuthenticatorSpec {
    pub(super) issuer: String,
    #[serde(default)]
    audience: String,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    pub(super) claims: Claims,
    #[serde(default)]
    tls: Option<Tls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Claims {
    username: String,
    username_expression: String,
    groups: String,
    groups_expression: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tls {
    certificate_authority_data: String,
    certificate_authority_data_source: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AuthenticatorStatus {
    phase: String,
}

/// The named one, or the only one.
///
/// # Errors
/// When there is none, or several and no name.
pub(super) fn choose_issuer(list: List<CredentialIssuer>, name: Option<&str>) -> Result<CredentialIssuer, Failure> {
    let made_by = "the concierge makes it once one of its replicas leads: do its pods run?";
    choose("CredentialIssuer", "--credential-issuer", list, name, made_by, |issuer| &issuer.metadata.name)
}

/// The named one, or the only one.
///
/// # Errors
/// When there is none, or several and no name.
pub(super) fn choose_authenticator(
    list: List<JwtAuthenticator>,
    name: Option<&str>,
) -> Result<JwtAuthenticator, Failure> {
    let made_by = "an administrator has to apply one first; `kubectl explain` describes it";
    choose("JWTAuthenticator", "--authenticator", list, name, made_by, |authenticator| &authenticator.metadata.name)
}

fn choose<T>(
    kind: &str,
    option: &str,
    list: List<T>,
    wanted: Option<&str>,
    made_by: &str,
    name_of: impl Fn(&T) -> &str,
) -> Result<T, Failure> {
    let mut items = list.items;
    let names = items.iter().map(|item| name_of(item).to_owned()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        items.retain(|item| name_of(item) == wanted);
        return items.pop().ok_or_else(|| {
            Failure::new(Status::Usage, format!("the cluster has no {kind} {wanted:?}, it has: {}", or_none(&names)))
        });
    }
    match items.len() {
        1 => Ok(items.remove(0)),
        0 => Err(Failure::new(Status::ClusterRefused, format!("the cluster has no {kind}")).hint(made_by)),
        _ => Err(Failure::new(Status::Usage, format!("the cluster has several of kind {kind}: {names}"))
            .hint(format!("choose one with {option} NAME"))),
    }
}

fn or_none(names: &str) -> &str {
    if names.is_empty() { "none" } else { names }
}

impl CredentialIssuer {
    /// The first strategy that works: the list is in the order of preference.
    ///
    /// # Errors
    /// When none works, with what each says.
    pub(super) fn door(&self) -> Result<Door, Failure> {
        let strategies = self.status.as_ref().and_then(|status| status.strategies.as_deref()).unwrap_or_default();
        let doors = strategies.iter().filter(|strategy| strategy.status == "Success").filter_map(|strategy| {
            let frontend = strategy.frontend.as_ref()?;
            match (frontend.r#type.as_str(), &frontend.impersonation_proxy_info) {
                ("TokenCredentialRequestAPI", _) => Some(Door::ApiServer),
                ("ImpersonationProxy", Some(proxy)) => Some(Door::Proxy {
                    endpoint: proxy.endpoint.clone(),
                    roots: proxy.certificate_authority_data.clone(),
                }),
                _ => None,
            }
        });
        doors.into_iter().next().ok_or_else(|| {
            let said = strategies.iter().map(|strategy| format!("{}: {}", strategy.r#type, strategy.message));
            let said = said.collect::<Vec<_>>().join("; ");
            Failure::new(
                Status::ClusterRefused,
                format!(
                    "CredentialIssuer {:?} offers no way to get a credential ({})",
                    self.metadata.name,
                    or_none(&said)
                ),
            )
            .hint("right after an installation it takes a moment; otherwise see `kubectl describe credentialissuer`")
        })
    }
}

impl JwtAuthenticator {
    /// Whether it judges tokens now.
    pub(super) fn is_ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.phase == "Ready")
    }

    /// Base64 of PEM: the provider's roots, as far as they stand in the object.
    pub(super) fn roots(&self) -> Option<&str> {
        let tls = self.spec.tls.as_ref()?;
        Some(tls.certificate_authority_data.as_str()).filter(|data| !data.is_empty())
    }

    /// Whether the provider's roots are in another object of the cluster.
    pub(super) fn roots_are_elsewhere(&self) -> bool {
        self.spec.tls.as_ref().is_some_and(|tls| tls.certificate_authority_data_source.is_some())
    }
}

impl JwtAuthenticatorSpec {
    /// The audience to log in for; of several the first, which is the one that the cluster is moving to.
    pub(super) fn audience(&self) -> &str {
        self.audiences.first().unwrap_or(&self.audience)
    }
}

impl Claims {
    /// Scopes to ask for always and where listed, for the claims that the authenticator maps.
    ///
    /// Standard scopes (OIDC Core 1.0 section 5.4) are known everywhere; `groups` is not, and a provider that
    /// does not know it refuses the whole login.
    pub(super) fn scopes(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let mentions = |claim: &str| {
            let expressions = [&self.username_expression, &self.groups_expression];
            self.username == claim
                || self.groups == claim
                || expressions.iter().any(|expression| expression.contains(&format!("claims.{claim}")))
        };
        let mut always = Vec::new();
        let mut listed = vec!["offline_access"];
        if mentions("email") {
            always.push("email");
        }
        if ["name", "nickname", "preferred_username"].into_iter().any(mentions) {
            always.push("profile");
        }
        // The defaults of the custom resource: claims `username` and `groups`.
        if mentions("groups") || (self.groups.is_empty() && self.groups_expression.is_empty()) {
            listed.push("groups");
        }
        if mentions("username") || (self.username.is_empty() && self.username_expression.is_empty()) {
            listed.push("username");
        }
        (always, listed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issuer(strategies: &serde_json::Value) -> CredentialIssuer {
        serde_json::from_value(json!({"metadata": {"name": "c"}, "status": {"strategies": strategies}})).unwrap()
    }

    #[test]
    fn the_first_strategy_that_works_is_taken() {
        let failing = json!({"type": "CertificateSigningRequestAPI", "status": "Error", "reason": "SignerNeverAnswered", "message": "no answer"});
        let api = json!({"type": "ClientCertificateAuthority", "status": "Success", "reason": "Issuing", "message": "m",
            "frontend": {"type": "TokenCredentialRequestAPI",
                "tokenCredentialRequestInfo": {"server": "https://inside", "certificateAuthorityData": "QQ=="}}});
        let proxy = json!({"type": "ImpersonationProxy", "status": "Success", "reason": "Listening", "message": "m",
            "frontend": {"type": "ImpersonationProxy",
                "impersonationProxyInfo": {"endpoint": "https://proxy", "certificateAuthorityData": "QQ=="}}});
        assert_eq!(issuer(&json!([failing, api, proxy])).door().unwrap(), Door::ApiServer);
        let expected = Door::Proxy { endpoint: "https://proxy".to_owned(), roots: "QQ==".to_owned() };
        assert_eq!(issuer(&json!([failing, proxy, api])).door().unwrap(), expected);
        let none = issuer(&json!([failing])).door().unwrap_err();
        assert!(none.message.contains("CertificateSigningRequestAPI: no answer"), "{}", none.message);
        assert!(issuer(&json!(null)).door().is_err());
    }

    fn authenticator(name: &str, claims: &serde_json::Value) -> JwtAuthenticator {
        let spec = json!({"issuer": "https://idp", "audience": "a", "claims": claims});
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec, "status": {"phase": "Ready"}})).unwrap()
    }

    fn authenticators(names: &[&str]) -> List<JwtAuthenticator> {
        List { items: names.iter().map(|name| authenticator(name, &json!({}))).collect() }
    }

    #[test]
    fn several_authenticators_are_listed_and_one_is_named() {
        let error = choose_authenticator(authenticators(&["people", "robots"]), None).unwrap_err();
        assert_eq!(error.message, "the cluster has several of kind JWTAuthenticator: people, robots");
        assert_eq!(error.hint.as_deref(), Some("choose one with --authenticator NAME"));
        let chosen = choose_authenticator(authenticators(&["people", "robots"]), Some("robots")).unwrap();
        assert_eq!(chosen.metadata.name, "robots");
        assert!(choose_authenticator(authenticators(&["people"]), Some("robots")).is_err());
        for (none, hint) in [
            (choose_authenticator(authenticators(&[]), None).map(drop), "an administrator has to apply one first"),
            (choose_issuer(List { items: Vec::new() }, None).map(drop), "the concierge makes it"),
        ] {
            assert!(none.unwrap_err().hint.is_some_and(|told| told.starts_with(hint)), "{hint}");
        }
        assert!(choose_authenticator(authenticators(&["people"]), None).unwrap().is_ready());
    }

    #[test]
    fn of_several_audiences_the_first_is_logged_in_for() {
        let audience = |spec: serde_json::Value| {
            serde_json::from_value::<JwtAuthenticatorSpec>(spec).map(|spec| spec.audience().to_owned()).unwrap()
        };
        assert_eq!(audience(json!({"issuer": "https://idp", "audience": "one"})), "one");
        assert_eq!(audience(json!({"issuer": "https://idp", "audiences": ["next", "one"]})), "next");
    }

    #[test]
    fn scopes_follow_the_claims() {
        let cases = [
            (json!({}), vec![], vec!["offline_access", "groups", "username"]),
            (json!({"username": "email", "groups": "roles"}), vec!["email"], vec!["offline_access"]),
            (
                json!({"usernameExpression": "'x:' + claims.preferred_username", "groups": "groups"}),
                vec!["profile"],
                vec!["offline_access", "groups"],
            ),
        ];
        for (claims, always, listed) in cases {
            assert_eq!(authenticator("a", &claims).spec.claims.scopes(), (always, listed), "{claims}");
        }
    }
}

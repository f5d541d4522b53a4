//! Whether the person who came is the one this kubeconfig is for.
//!
//! With `--account` a login belongs to one account. A browser that is logged in to another one answers without a question,
//! so the person may not notice: then nothing is kept and nothing is sent to the cluster.

use crate::config::ProviderConfig;
use crate::failure::{Failure, Status};
use crate::oidc::Tokens;
use crate::output::Printable;
use crate::result_page::Page;
use crate::unverified_claims::UnverifiedClaims;

/// Claims that people know an account by (OIDC Core 1.0 section 5.1; the last two are Entra ID's and AD FS').
const NAMES: [&str; 5] = ["email", "preferred_username", "sub", "upn", "unique_name"];

/// Somebody else came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AnotherAccount {
    wanted: String,
    /// Safe to print.
    found: String,
}

/// Who came, if it is another account than the one asked for.
///
/// The provider may know the account by another name than the one it is asked for by: the login hint counts as well.
pub(super) fn another(tokens: &Tokens, provider: &ProviderConfig) -> Option<AnotherAccount> {
    let wanted = provider.account.as_deref()?;
    let wishes = [Some(wanted), provider.login_hint.as_deref()];
    // The token was judged a moment ago.
    let claims = UnverifiedClaims::read(tokens.identity.id_token.expose())?;
    (!is_one_of(&claims, &wishes))
        .then(|| AnotherAccount { wanted: wanted.to_owned(), found: Printable(&tokens.identity.name).to_string() })
}

fn is_one_of(claims: &UnverifiedClaims, wishes: &[Option<&str>]) -> bool {
    // Mail addresses and user names differ in case only by accident.
    let same = |name: &str, wish: &str| name.to_lowercase() == wish.to_lowercase();
    NAMES.iter().filter_map(|claim| claims.text(claim)).any(|name| wishes.iter().flatten().any(|wish| same(name, wish)))
}

impl AnotherAccount {
    pub(super) fn failure(&self) -> Failure {
        let Self { wanted, found } = self;
        let message =
            format!("you logged in as {found}, and this kubeconfig is for account {wanted}; nothing was kept");
        Failure::new(Status::ProviderRefused, message).hint(
            "switch the account in the browser, or add --prompt=select_account to the arguments in the kubeconfig: then the provider asks which one",
        )
    }

    pub(super) fn page(&self, cluster: &str) -> Page {
        let Self { wanted, found } = self;
        Page::AnotherAccount { cluster: cluster.to_owned(), wanted: wanted.clone(), found: found.clone() }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn an_account_is_known_by_any_of_its_names() {
        let claims = |payload: &str| {
            UnverifiedClaims::read(&format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload))).unwrap()
        };
        let jane = claims(r#"{"sub":"1234","email":"Jane@Example.com","preferred_username":"jane"}"#);
        for wish in ["jane@example.com", "JANE", "1234"] {
            assert!(is_one_of(&jane, &[Some(wish)]), "{wish}");
        }
        assert!(!is_one_of(&jane, &[Some("ann@example.com")]));
        assert!(!is_one_of(&jane, &[Some("jane@example.com.evil.example")]));
        assert!(is_one_of(&jane, &[Some("work"), Some("jane@example.com")]), "a label, and the hint names the account");
        assert!(is_one_of(&claims(r#"{"upn":"jane@corp.example"}"#), &[Some("jane@corp.example"), None]));
        assert!(!is_one_of(&claims(r#"{"email":["jane@example.com"]}"#), &[Some("jane@example.com")]));
    }
}

//! Whether the provider knows the client and takes its redirect address: a login is begun that nobody can finish.
//!
//! With `prompt=none` and without a cookie the provider shows nobody anything (OIDC Core 1.0 section 3.1.2.1): it answers
//! `login_required` at the redirect address, or says what it does not like. The answer is read, and not followed.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::LOCATION;
use reqwest::Url;

use super::reach;
use crate::commands::doctor::report::Finding;
use crate::config::{CredentialConfig, ProviderConfig};
use crate::output::Printable;
use crate::transport::{Answer, Transport};

const CHECK: &str = "redirect";

/// A port as any other, for providers that take every port (RFC 8252 section 7.3): nobody listens there for us.
const SOME_PORT: u16 = 49_200;

/// Errors that only say that nobody is logged in: client and redirect address are good.
const NOBODY: [&str; 4] = ["login_required", "interaction_required", "consent_required", "account_selection_required"];

/// One attempt.
#[derive(Debug)]
pub(super) struct Tried {
    redirect_uri: String,
    outcome: Result<Answer, String>,
    at: Url,
}

/// Begins a login.
pub(super) async fn attempt(transport: &Transport, endpoint: Url, config: &CredentialConfig) -> Tried {
    let login = &config.login;
    let host = login.redirect_hosts.first().copied().unwrap_or_default().as_str();
    let port = login.redirect_ports.first().copied().filter(|port| *port != 0).unwrap_or(SOME_PORT);
    let redirect_uri = format!("http://{host}:{port}{}", login.redirect_path);
    let mut at = endpoint;
    let random = || {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    };
    at.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &config.provider.client_id)
        .append_pair("redirect_uri", &redirect_uri)
        .append_pair("scope", "openid")
        .append_pair("state", &random())
        .append_pair("nonce", &random())
        // The verifier is thrown away: whatever code came back could never be used.
        .append_pair("code_challenge", &random())
        .append_pair("code_challenge_method", "S256")
        .append_pair("prompt", "none");
    let outcome = reach::get(transport, &at).await;
    Tried { redirect_uri, outcome, at }
}

impl Tried {
    pub(super) fn judge(&self, provider: &ProviderConfig) -> Finding {
        let by_hand = "log in once to see: kubectl latchkey login";
        let answer = match &self.outcome {
            Err(why) => {
                return Finding::warn(CHECK, format!("the login page gives no answer: {}", Printable(why)), by_hand);
            }
            Ok(answer) => answer,
        };
        let uri = &self.redirect_uri;
        let register = format!(
            "register {uri} at client {}, with any port if the provider allows that",
            Printable(&provider.client_id)
        );
        if answer.status.is_redirection() {
            return match answer.header(LOCATION.as_str()).and_then(|location| self.at.join(location).ok()) {
                None => Finding::warn(CHECK, "the login page leads nowhere", by_hand),
                Some(to) => self.judge_location(&to, &register),
            };
        }
        let page = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
        let about_redirect = ["redirect_uri", "redirect uri", "redirect url", "redirecturi", "reply url"]
            .iter()
            .any(|words| page.contains(words));
        if answer.status.is_success() {
            // Some pages that ask for a password name the address as well; those that refuse say so.
            let refuses = about_redirect
                && ["invalid", "mismatch", "not match", "not allowed", "not registered"]
                    .iter()
                    .any(|word| page.contains(word));
            return if refuses {
                Finding::fail(CHECK, format!("the provider does not take {uri}"), register)
            } else {
                Finding::ok(CHECK, format!("the provider shows its login page for {uri}"))
            };
        }
        if answer.status.is_client_error() && about_redirect {
            return Finding::fail(CHECK, format!("the provider does not take {uri} ({})", answer.status), register);
        }
        if answer.status.is_client_error() && page.contains("client") {
            return Finding::fail(
                CHECK,
                format!("the provider does not know client {} ({})", Printable(&provider.client_id), answer.status),
                "compare --client-id with the client's registration",
            );
        }
        Finding::warn(CHECK, format!("the login page answered {}", answer.status), by_hand)
    }

    fn judge_location(&self, to: &Url, register: &str) -> Finding {
        let uri = &self.redirect_uri;
        let ours = Url::parse(uri).ok();
        let is_ours = ours.is_some_and(|ours| ours.origin() == to.origin() && ours.path() == to.path());
        let error = to.query_pairs().find(|(name, _)| name == "error").map(|(_, value)| value.into_owned());
        match (is_ours, error) {
            (true, None) => Finding::ok(CHECK, format!("the provider takes {uri}")),
            (true, Some(error)) if NOBODY.contains(&error.as_str()) => {
                Finding::ok(CHECK, format!("the provider takes {uri}"))
            }
            (true, Some(error)) => Finding::fail(
                CHECK,
                format!("the provider takes {uri}, and refuses the login: {}", Printable(&error)),
                match error.as_str() {
                    "unauthorized_client" | "unsupported_response_type" => {
                        "allow the authorization code grant for this client"
                    }
                    "invalid_scope" => "allow the scope openid for this client",
                    _ => "ask the provider's administrator about this code",
                },
            ),
            (false, error) if error.is_some() || to.path().to_ascii_lowercase().contains("error") => {
                Finding::fail(CHECK, format!("the provider sends {uri} to a page about an error"), register)
            }
            (false, _) => Finding::ok(CHECK, format!("the provider goes on to its login page for {uri}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::super::super::report::Verdict;
    use super::*;
    use crate::args::CredentialArgs;
    use crate::config::Settings;
    use crate::environment::Environment;
    use crate::exec_credential::ExecInfo;

    fn verdict(status: u16, location: Option<&str>, body: &str) -> (Verdict, String) {
        let args = CredentialArgs {
            issuer: Some("https://idp".to_owned()),
            client_id: Some("staging".to_owned()),
            no_exchange: Some(true),
            ..CredentialArgs::default()
        };
        let settings = Settings::new(args, ExecInfo::default(), &Environment::Table(std::collections::BTreeMap::new()));
        let Ok(Settings::Person(config)) = settings else { panic!("these are a person's settings") };
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert(LOCATION, location.parse().unwrap());
        }
        let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.as_bytes().to_vec() };
        let tried = Tried {
            redirect_uri: "http://127.0.0.1:49200/callback".to_owned(),
            outcome: Ok(answer),
            at: Url::parse("https://idp/authorize?a=b").unwrap(),
        };
        let finding = tried.judge(&config.provider);
        (finding.verdict, finding.found)
    }

    #[test]
    fn providers_say_it_in_many_ways() {
        let back = |query: &str| format!("http://127.0.0.1:49200/callback?{query}");
        let cases = [
            (302, Some(back("error=login_required&state=x")), "", Verdict::Ok),
            (303, Some(back("error=consent_required")), "", Verdict::Ok),
            (302, Some(back("code=SECRET")), "", Verdict::Ok),
            (302, Some(back("error=unauthorized_client")), "", Verdict::Fail),
            (302, Some("/login?next=x".to_owned()), "", Verdict::Ok),
            (302, Some("/oauth/error?authError=x".to_owned()), "", Verdict::Fail),
            (302, Some("https://127.0.0.1.evil/callback?error=login_required".to_owned()), "", Verdict::Fail),
            (302, None, "", Verdict::Warn),
            (400, None, "Invalid parameter: redirect_uri", Verdict::Fail),
            (400, None, "{\"error\":\"invalid_client\"}", Verdict::Fail),
            (400, None, "no", Verdict::Warn),
            (200, None, "<form>password", Verdict::Ok),
            (200, None, "AADSTS50011: the reply URL does not match", Verdict::Fail),
            (503, None, "redirect_uri", Verdict::Warn),
        ];
        for (status, location, body, expected) in cases {
            let (found, words) = verdict(status, location.as_deref(), body);
            assert_eq!(found, expected, "{status} {location:?} {body}: {words}");
            assert!(!words.contains("SECRET"), "{words}");
        }
    }
}

//! The identity provider: what it says about itself, and what it would say to a login that begins.

mod redirect;

use http::StatusCode;
use reqwest::Url;
use serde_json::Value;

use self::redirect::Tried;
use super::reach::{self, Knock, Party};
use super::report::Finding;
use crate::args::Flow;
use crate::config::{CredentialConfig, ProviderConfig, Server};
use crate::output::Printable;
use crate::time::Clock;

/// What was gathered.
#[derive(Debug)]
pub(super) struct Facts {
    knock: Knock,
    keys: Option<Result<Vec<u8>, String>>,
    redirect: Option<Tried>,
}

/// Asks the provider what may be asked without logging in.
pub(super) async fn ask(config: &CredentialConfig) -> Option<Facts> {
    let provider = &config.provider;
    let endpoint = Url::parse(&provider.issuer).ok()?;
    let server = Server { endpoint, roots: provider.roots.clone(), tls_server_name: None, proxy: None };
    let (knock, way) = reach::knock(Party::Provider, &server, "/.well-known/openid-configuration").await;
    let metadata = knock.answer().and_then(|answer| parse(&answer.body));
    let (mut keys, mut redirect) = (None, None);
    if let (Some((transport, _)), Some(metadata)) = (way, metadata) {
        let url = |name: &str| https(&metadata, name);
        let fetch_keys = async {
            match url("jwks_uri") {
                None => None,
                Some(url) => Some(match reach::get(&transport, &url).await {
                    Ok(answer) if answer.status == StatusCode::OK => Ok(answer.body),
                    Ok(answer) => Err(format!("{url} answered {}", answer.status)),
                    Err(why) => Err(why),
                }),
            }
        };
        let try_redirect = async {
            match url("authorization_endpoint") {
                None => None,
                Some(url) => Some(redirect::attempt(&transport, url, config).await),
            }
        };
        (keys, redirect) = tokio::join!(fetch_keys, try_redirect);
    }
    Some(Facts { knock, keys, redirect })
}

fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(body).ok().filter(Value::is_object)
}

fn https(metadata: &Value, name: &str) -> Option<Url> {
    metadata[name].as_str().and_then(|text| Url::parse(text).ok()).filter(|url| url.scheme() == "https")
}

impl Facts {
    pub(super) fn judge(&self, config: &CredentialConfig, clock: &dyn Clock) -> Vec<Finding> {
        let mut findings = vec![self.knock.judge()];
        findings.extend(self.knock.judge_clock(clock));
        let Some(answer) = self.knock.answer() else { return findings };
        match metadata(answer.status, &answer.body, &config.provider.issuer) {
            Err(finding) => findings.push(*finding),
            Ok(metadata) => {
                findings.push(Finding::ok(
                    "discovery",
                    "the issuer is exactly the one in the settings, and all addresses are https",
                ));
                findings.extend(self.keys.as_ref().map(judge_keys));
                findings.push(judge_pkce(&metadata));
                findings.push(judge_ways(&metadata, config));
                findings.push(judge_refresh(&metadata, &config.provider));
                findings.extend(judge_scopes(&metadata, &config.provider));
                findings.extend(self.redirect.as_ref().map(|tried| tried.judge(&config.provider)));
            }
        }
        findings
    }
}

/// OIDC Discovery 1.0 section 4.3.
fn metadata(status: StatusCode, body: &[u8], issuer: &str) -> Result<Value, Box<Finding>> {
    let fail = |found: String, mend: String| Box::new(Finding::fail("discovery", found, mend));
    let compare = || "compare --issuer with what the provider's administrator gave you".to_owned();
    if status != StatusCode::OK {
        return Err(fail(
            format!("{}/.well-known/openid-configuration answered {status}", Printable(issuer.trim_end_matches('/'))),
            compare(),
        ));
    }
    let Some(metadata) = parse(body) else {
        return Err(fail("the provider's description of itself is no JSON object".to_owned(), compare()));
    };
    let named = metadata["issuer"].as_str().unwrap_or_default();
    if named != issuer {
        return Err(fail(
            format!(
                "the provider says it is {:?}, and the settings say {:?}",
                Printable(named).to_string(),
                Printable(issuer).to_string()
            ),
            format!(
                "if that is the provider you mean: --issuer={}, letter by letter, with or without the slash at its end; the cluster's authenticator needs the same",
                Printable(named)
            ),
        ));
    }
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        if https(&metadata, name).is_none() {
            return Err(fail(
                format!("its {name} is no https address"),
                "the provider's administrator has to set its public address".to_owned(),
            ));
        }
    }
    for name in ["device_authorization_endpoint", "revocation_endpoint", "end_session_endpoint"] {
        if !metadata[name].is_null() && https(&metadata, name).is_none() {
            return Err(fail(
                format!("its {name} is no https address"),
                "the provider's administrator has to set its public address".to_owned(),
            ));
        }
    }
    Ok(metadata)
}

fn judge_keys(keys: &Result<Vec<u8>, String>) -> Finding {
    const CHECK: &str = "keys";
    let tell = "tell the provider's administrator: no token can be checked without its keys";
    match keys {
        Err(why) => Finding::fail(CHECK, format!("the provider's keys cannot be had: {}", Printable(why)), tell),
        Ok(body) => {
            let set = parse(body);
            let count = set.as_ref().and_then(|set| set["keys"].as_array()).map_or(0, Vec::len);
            if count == 0 {
                Finding::fail(CHECK, "the provider publishes no key", tell)
            } else {
                Finding::ok(CHECK, format!("the provider publishes {count} for checking its tokens"))
            }
        }
    }
}

fn judge_pkce(metadata: &Value) -> Finding {
    const CHECK: &str = "pkce";
    match list(metadata, "code_challenge_methods_supported") {
        None => Finding::ok(CHECK, "the provider does not say whether it knows S256; it is sent all the same"),
        Some(methods) if methods.contains(&"S256") => Finding::ok(CHECK, "the provider announces S256"),
        Some(_) => Finding::warn(
            CHECK,
            "the provider announces methods without S256, the only one that is safe",
            "the provider's administrator should allow S256 for this client",
        ),
    }
}

fn judge_ways(metadata: &Value, config: &CredentialConfig) -> Finding {
    const CHECK: &str = "ways in";
    let has_device = https(metadata, "device_authorization_endpoint").is_some();
    if config.login.flow == Some(Flow::Device) && !has_device {
        return Finding::fail(
            CHECK,
            "the settings ask for a device code, and the provider offers none",
            "allow the device authorization grant at the provider, or leave the flow out (--flow, LATCHKEY_FLOW)",
        );
    }
    let revocation = https(metadata, "revocation_endpoint").is_some();
    let offered = [(true, "browser"), (has_device, "device code"), (revocation, "revocation at logout")];
    let offered: Vec<&str> = offered.into_iter().filter(|(offered, _)| *offered).map(|(_, name)| name).collect();
    Finding::ok(CHECK, format!("the provider offers {}", offered.join(", ")))
}

fn judge_refresh(metadata: &Value, provider: &ProviderConfig) -> Finding {
    const CHECK: &str = "refresh";
    let asks = provider.scopes.iter().chain(&provider.optional_scopes).any(|scope| scope == "offline_access");
    let knows = list(metadata, "scopes_supported").is_none_or(|scopes| scopes.contains(&"offline_access"));
    let grants = list(metadata, "grant_types_supported").is_none_or(|grants| grants.contains(&"refresh_token"));
    if !grants {
        return Finding::warn(
            CHECK,
            "the provider gives no refresh tokens: a login is needed each time the token ends",
            "allow the refresh_token grant for this client",
        );
    }
    if asks && !knows {
        return Finding::warn(
            CHECK,
            "the provider does not list the scope offline_access: a login may be needed each time the token ends",
            "allow offline_access for this client, or choose the right profile by --provider",
        );
    }
    Finding::ok(CHECK, "logins can be renewed without a person")
}

fn judge_scopes(metadata: &Value, provider: &ProviderConfig) -> Option<Finding> {
    let supported = list(metadata, "scopes_supported")?;
    let missing: Vec<String> = provider
        .scopes
        .iter()
        .filter(|scope| !supported.contains(&scope.as_str()))
        .map(|scope| Printable(scope).to_string())
        .collect();
    (!missing.is_empty()).then(|| {
        Finding::warn(
            "scopes",
            format!("the provider does not list: {}", missing.join(", ")),
            "if it refuses the login with invalid_scope: leave them out of --scopes, or use --optional-scopes",
        )
    })
}

fn list<'a>(metadata: &'a Value, name: &str) -> Option<Vec<&'a str>> {
    metadata[name].as_array().map(|items| items.iter().filter_map(Value::as_str).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::Verdict;
    use super::*;

    fn good() -> Value {
        json!({"issuer": "https://idp", "authorization_endpoint": "https://idp/a", "token_endpoint": "https://idp/t", "jwks_uri": "https://idp/k"})
    }

    #[test]
    fn discovery_is_taken_at_its_word_and_no_further() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 6] = [
            (|it| it["issuer"] = "https://idp/".into(), "--issuer=https://idp/,"),
            (|it| it["issuer"] = json!(null), "says it is \"\""),
            (|it| it["issuer"] = "https://idp\u{1b}[2J".into(), "\\u{1b}"),
            (|it| it["token_endpoint"] = "http://idp/t".into(), "token_endpoint is no https"),
            (|it| it["jwks_uri"] = json!(7), "jwks_uri is no https"),
            (|it| it["revocation_endpoint"] = "ftp://idp".into(), "revocation_endpoint is no https"),
        ];
        for (change, words) in cases {
            let mut document = good();
            change(&mut document);
            let finding = metadata(StatusCode::OK, document.to_string().as_bytes(), "https://idp").unwrap_err();
            assert_eq!(finding.verdict, Verdict::Fail);
            assert!(format!("{}\n{}", finding.found, finding.mend.unwrap()).contains(words), "{words}");
        }
        assert!(metadata(StatusCode::OK, good().to_string().as_bytes(), "https://idp").is_ok());
        for (status, body) in [(StatusCode::NOT_FOUND, "{}"), (StatusCode::OK, "<html>"), (StatusCode::OK, "[]")] {
            assert!(metadata(status, body.as_bytes(), "https://idp").is_err(), "{body}");
        }
    }

    #[test]
    fn methods_of_pkce_are_judged() {
        for (methods, verdict) in [
            (json!(null), Verdict::Ok),
            (json!(["S256", "plain"]), Verdict::Ok),
            (json!(["plain"]), Verdict::Warn),
            (json!([]), Verdict::Warn),
        ] {
            assert_eq!(judge_pkce(&json!({"code_challenge_methods_supported": methods})).verdict, verdict, "{methods}");
        }
    }

    #[test]
    fn keys_have_to_be_there() {
        for (keys, verdict) in [
            (Ok("{\"keys\":[{}]}"), Verdict::Ok),
            (Ok("{\"keys\":[]}"), Verdict::Fail),
            (Ok("{}"), Verdict::Fail),
            (Ok("?"), Verdict::Fail),
            (Err("gone"), Verdict::Fail),
        ] {
            let keys = keys.map(|body| body.as_bytes().to_vec()).map_err(ToOwned::to_owned);
            assert_eq!(judge_keys(&keys).verdict, verdict, "{keys:?}");
        }
    }
}

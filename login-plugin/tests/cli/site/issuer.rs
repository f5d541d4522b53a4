//! The issuer of the tests' server: discovery, keys, codes, tokens.

use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http_body_util::Full;
use hyper::{Response, StatusCode};
use reqwest::Url;
use serde_json::{Value, json};

use super::behaviour::{Behaviour, Poll, Refresh};
use super::{CLIENT, Inner, Parameters, Reply, State, changed, json_answer};

impl Inner {
    pub(super) fn metadata(&self, behaviour: &Behaviour) -> Value {
        let issuer = self.issuer();
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "offline_access", "email"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": behaviour.announces_iss,
        });
        for (name, path, offered) in [
            ("device_authorization_endpoint", "device_authorization", behaviour.device),
            ("revocation_endpoint", "revoke", behaviour.revocation.is_some()),
            ("end_session_endpoint", "end", behaviour.end_session),
        ] {
            if offered {
                metadata[name] = format!("{issuer}/{path}").into();
            }
        }
        changed(metadata, &behaviour.metadata)
    }

    fn rsa(&self) -> &RsaKeyPair {
        self.rsa.get_or_init(|| RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())
    }

    pub(super) fn key_set(&self, behaviour: &Behaviour) -> Value {
        if behaviour.rsa {
            let public: PublicKeyComponents<Vec<u8>> = self.rsa().public_key().into();
            let (n, e) = (BASE64_URL_SAFE_NO_PAD.encode(public.n), BASE64_URL_SAFE_NO_PAD.encode(public.e));
            return json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa", "n": n, "e": e}]});
        }
        let point = self.signing[usize::from(behaviour.rotated)].public_key().as_ref();
        let kid = if behaviour.rotated { "2" } else { "1" };
        let (x, y) = (BASE64_URL_SAFE_NO_PAD.encode(&point[1..33]), BASE64_URL_SAFE_NO_PAD.encode(&point[33..65]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y}]})
    }

    pub(super) fn token(&self, state: &mut State, form: &Parameters, now: i64) -> Option<Reply> {
        state.seen.token_requests.push(form.clone());
        let is_refresh = form.get("grant_type").is_some_and(|kind| kind == "refresh_token");
        let refused = |code: &str| Some(json_answer(StatusCode::BAD_REQUEST, &json!({"error": code})));
        let unreadable = |status| Some(json_answer(StatusCode::from_u16(status).unwrap(), &json!("maintenance")));
        let nonce = match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                state.seen.logins += 1;
                state.family_ended = false;
                let Some(asked) = state.codes.remove(&form["code"]) else { return refused("invalid_grant") };
                let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
                if asked["code_challenge"] != challenge || asked["redirect_uri"] != form["redirect_uri"] {
                    return refused("invalid_grant");
                }
                Some(asked["nonce"].clone())
            }
            Some("refresh_token") => {
                state.seen.refreshes += 1;
                let allowed = |scope| state.behaviour.granted.is_none_or(|all| all.split(' ').any(|one| one == scope));
                // RFC 6749 section 6: nothing that was not granted.
                if !form.get("scope").is_none_or(|scopes| scopes.split(' ').all(allowed)) {
                    return refused("invalid_scope");
                }
                match state.behaviour.refresh {
                    Refresh::NotWell => return unreadable(503),
                    Refresh::Status(status) => return unreadable(status),
                    Refresh::Refused(code) => return refused(code),
                    Refresh::InvalidGrant => return refused("invalid_grant"),
                    Refresh::Rotates if state.family_ended => return refused("invalid_grant"),
                    // Each token is good once: a second use is a theft.
                    Refresh::Rotates if form["refresh_token"] != format!("refresh-{}", state.refresh_token) => {
                        if let Some((path, entry)) = state.behaviour.before_refusal.take() {
                            std::fs::write(path, entry).unwrap();
                        }
                        state.family_ended = state.behaviour.reuse_ends_the_family;
                        return refused("invalid_grant");
                    }
                    Refresh::Rotates => None,
                }
            }
            Some("urn:ietf:params:oauth:grant-type:device_code") => {
                state.seen.polled.push(wall());
                assert_eq!(form["device_code"], "device-code");
                if !state.behaviour.polls.is_empty() {
                    match state.behaviour.polls.remove(0) {
                        Poll::Dropped => return None,
                        Poll::Refused(code) => return refused(code),
                        Poll::Status(status, retry_after) => {
                            let mut answer = unreadable(status)?;
                            if let Some(retry_after) = retry_after {
                                answer.headers_mut().insert("retry-after", retry_after.parse().unwrap());
                            }
                            return Some(answer);
                        }
                    }
                }
                state.seen.logins += 1;
                None
            }
            Some("urn:ietf:params:oauth:grant-type:token-exchange") => {
                if form["subject_token"] != format!("access-{}", state.access_tokens) {
                    return refused("invalid_request");
                }
                let audiences =
                    state.behaviour.traded_audiences.clone().unwrap_or_else(|| form["audience"].clone().into());
                let token = self.jwt(
                    &state.behaviour,
                    &json!({
                        "iss": self.issuer(), "aud": audiences, "sub": state.behaviour.subject, "iat": now,
                        "exp": now + state.behaviour.id_token_lifetime,
                    }),
                );
                return Some(json_answer(
                    StatusCode::OK,
                    &json!({
                        "access_token": token, "token_type": "N_A", "expires_in": 60,
                        "issued_token_type": "urn:ietf:params:oauth:token-type:jwt",
                    }),
                ));
            }
            _ => return refused("unsupported_grant_type"),
        };
        state.access_tokens += 1;
        let mut answer = json!({
            "access_token": self.access_token(state, now), "token_type": "Bearer", "expires_in": 60,
        });
        if !is_refresh || state.behaviour.refresh_gives_refresh_token {
            state.refresh_token += 1;
            answer["refresh_token"] = format!("refresh-{}", state.refresh_token).into();
        }
        if let Some(granted) = state.behaviour.granted {
            answer["scope"] = granted.into();
        }
        if !is_refresh || state.behaviour.refresh_gives_id_token {
            let lifetime = state.behaviour.refreshed_lifetime.filter(|_| is_refresh);
            let lifetime = lifetime.unwrap_or(state.behaviour.id_token_lifetime);
            answer["id_token"] = self.id_token(&state.behaviour, nonce, now, now + lifetime).into();
        }
        Some(json_answer(StatusCode::OK, &answer))
    }

    fn access_token(&self, state: &State, now: i64) -> String {
        match &state.behaviour.access_claims {
            None => format!("access-{}", state.access_tokens),
            Some(claims) => {
                let usual = json!({
                    "iss": self.issuer(), "aud": CLIENT, "sub": state.behaviour.subject, "iat": now, "exp": now + 300,
                    "client_id": CLIENT, "jti": state.access_tokens.to_string(),
                });
                self.jwt(&state.behaviour, &changed(usual, claims))
            }
        }
    }

    fn id_token(&self, behaviour: &Behaviour, nonce: Option<String>, now: i64, expires: i64) -> String {
        let mut claims = json!({
            "iss": self.issuer(), "aud": behaviour.audiences, "sub": behaviour.subject, "iat": now,
            "exp": expires, "email": format!("{}@example.com", behaviour.subject),
        });
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        };
        set("nonce", behaviour.nonce.map(ToOwned::to_owned).or(nonce));
        set("azp", behaviour.authorized_party.map(ToOwned::to_owned));
        set("at_hash", behaviour.at_hash.map(ToOwned::to_owned));
        if let Some(time) = behaviour.authenticated_at {
            claims["auth_time"] = time.into();
        }
        self.jwt(behaviour, &claims)
    }

    pub(super) fn jwt(&self, behaviour: &Behaviour, claims: &Value) -> String {
        let mut header = behaviour.token_header.clone();
        if behaviour.rotated {
            header["kid"] = "2".into();
        }
        if behaviour.rsa {
            header = json!({"alg": "RS256", "kid": "rsa", "typ": "JWT"});
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = if behaviour.rsa {
            let mut signature = vec![0; self.rsa().public_modulus_len()];
            self.rsa().sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
            signature
        } else {
            let key = &self.signing[usize::from(behaviour.rotated)];
            key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec()
        };
        if behaviour.spoil_signature {
            signature[7] ^= 1;
        }
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(super) fn authorize(state: &mut State, asked: Parameters, issuer: &str) -> Reply {
    let code = format!("code-{}", state.seen.authorizations.len());
    let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
    if state.behaviour.announces_iss {
        back.query_pairs_mut().append_pair("iss", state.behaviour.response_issuer.unwrap_or(issuer));
    }
    state.seen.authorizations.push(asked.clone());
    state.codes.insert(code, asked);
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert("location", back.as_str().parse().unwrap());
    response
}

/// A public client says who it is in the form; one with a secret shows it where the discovery document wants it.
pub(super) fn is_our_client(behaviour: &Behaviour, form: &Parameters) -> bool {
    let Some(secret) = behaviour.client_secret else {
        return form.get("client_id").is_some_and(|id| id == CLIENT) && !form.contains_key(":authorization");
    };
    let methods = &behaviour.metadata["token_endpoint_auth_methods_supported"];
    if methods.as_array().is_some_and(|methods| !methods.contains(&json!("client_secret_basic"))) {
        return form.get("client_secret").is_some_and(|shown| shown == secret);
    }
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{CLIENT}:{secret}")));
    form.get(":authorization") == Some(&expected) && !form.contains_key("client_secret")
}

#[expect(clippy::disallowed_methods, reason = "the plugin under test waits by the machine's clock")]
fn wall() -> SystemTime {
    SystemTime::now()
}

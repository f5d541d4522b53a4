//! Judging a token, against the bare signature verification that no verifier can do without.

use std::{hint::black_box, sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};
use latchkey_concierge::{
    authn, convert,
    fleet::Siblings,
    index::{self, Authenticator, AuthenticatorName, AuthenticatorRef, Entry, Reader},
    jwt::{self, KeySet, Verifier},
    secret::BearerToken,
    time::UnixTime,
    verdicts::Verdicts,
};
use serde_json::{Value, json};

use super::row::{Row, median};

const NOW: i64 = 1_795_233_600;
/// Rounds of which the median counts, and tokens in each: about a second in all.
const ROUNDS: usize = 15;
const TOKENS: u32 = 1_000;

/// Twenty microseconds, two, and one, beside the 22 that the bare verification takes on the machine of the goals.
const TWENTY: f64 = 20.0 / 22.0;
const TWO: f64 = 2.0 / 22.0;
const ONE: f64 = 1.0 / 22.0;
/// A flood of forged tokens is refused at over half the rate of bare verification.
const FORGED: f64 = 2.0;

/// A token that is no JWT: an API server's webhook gets every one that nobody else knew.
const OPAQUE: &str = "kubeconfig-u-8xk2p:7n2q9c4v8x5b3m6z1a0s9d8f7g6h5j4k3l2";

/// An RS256 token of usual size, not cached and cached, with expressions, beside the bare verification; and an opaque one.
pub(crate) fn run() -> Result<Vec<Row>> {
    let material = Material::new()?;
    let reference = AuthenticatorRef::jwt("staging");
    let by_expressions = AuthenticatorRef::jwt("expressions");
    let snapshot = material.index.snapshot();
    let now = UnixTime::from_secs(NOW);
    let verdicts = Verdicts::default();
    let admitted = |verdict: &authn::Verdict| verdict.outcome.is_ok();
    let opaque = BearerToken::new(OPAQUE.to_owned());
    anyhow::ensure!(
        admitted(&authn::authenticate(&material.token, &by_expressions, &snapshot, now)),
        "the token of the benchmark is refused by expressions"
    );
    anyhow::ensure!(
        admitted(&verdicts.authenticate(&material.token, &reference, &snapshot, now)),
        "the token of the benchmark is refused"
    );

    let (mut bare, mut uncached, mut cached, mut crate_verify) = (vec![], vec![], vec![], vec![]);
    let (mut expressions, mut forged, mut foreign) = (vec![], vec![], vec![]);
    let (input, signature) = material.token.as_str().rsplit_once('.').context("a token has dots")?;
    let signature_bytes = URL_SAFE_NO_PAD.decode(signature)?;
    // The same signature, one bit off.
    let mut wrong = signature_bytes.clone();
    wrong[100] ^= 1;
    let forgery = BearerToken::new(format!("{input}.{}", URL_SAFE_NO_PAD.encode(wrong)));
    // In turn, so that a change of the machine's speed meets all alike.
    for _ in 0..ROUNDS {
        bare.push(micros_each(|| material.bare.verify_sig(input.as_bytes(), &signature_bytes).is_ok()));
        uncached.push(micros_each(|| {
            admitted(&authn::authenticate(black_box(&material.token), &reference, &snapshot, now))
        }));
        cached.push(micros_each(|| {
            admitted(&verdicts.authenticate(black_box(&material.token), &reference, &snapshot, now))
        }));
        let added =
            micros_each(|| admitted(&authn::authenticate(black_box(&material.token), &by_expressions, &snapshot, now)));
        expressions.push(added - uncached.last().copied().unwrap_or_default());
        forged.push(micros_each(|| {
            authn::authenticate(black_box(&forgery), &reference, &snapshot, now).outcome.is_err()
        }));
        foreign.push(micros_each(|| jwt::peek_issuer(black_box(&opaque)).is_err()));
        crate_verify.push(micros_each(|| {
            jsonwebtoken::crypto::verify(signature, input.as_bytes(), &material.decoding, Algorithm::RS256)
                .unwrap_or(false)
        }));
    }
    let bare = ("aws-lc-rs RSA-2048 verify", median(bare));
    Ok(vec![
        Row::ratio("judge an RS256 token", "us", median(uncached), bare, 1.5),
        Row::ratio("judge a cached token", "us", median(cached), bare, TWO),
        Row::ratio("three CEL expressions add", "us", median(expressions), bare, TWENTY),
        Row::ratio("refuse a forged token", "us", median(forged), bare, FORGED),
        Row::ratio("refuse an opaque token", "us", median(foreign), bare, ONE),
        // Not ours: why `jsonwebtoken` does not verify here.
        Row::plain("jsonwebtoken::crypto::verify alone", "us", median(crate_verify), "why it does not verify here"),
    ])
}

fn micros_each(mut judge: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    for _ in 0..TOKENS {
        assert!(black_box(judge()), "what is measured must succeed");
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(TOKENS)
}

struct Material {
    token: BearerToken,
    index: Reader,
    bare: aws_lc_rs::signature::ParsedPublicKey,
    decoding: DecodingKey,
}

impl Material {
    fn new() -> Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let public: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
        let jwk = json!({"kty": "RSA", "kid": "2026-11", "use": "sig", "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(&public.n), "e": URL_SAFE_NO_PAD.encode(&public.e)});
        let (keys, _) = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes())?;
        // About 900 bytes of claims: what Keycloak sends to a person in twenty groups.
        let groups: Vec<String> = (0..20).map(|n| format!("team-{n:02}-platform-engineering")).collect();
        let claims = json!({"iss": "https://idp.example/realms/corp", "aud": "k8s-staging", "azp": "k8s-staging",
            "sub": "6d5c1f0e-5d5b-4a55-9a21-0d8c7ad1a3b5", "jti": "6f0c-1", "sid": "4b11", "typ": "ID",
            "exp": NOW + 300, "iat": NOW, "auth_time": NOW, "username": "ada", "email": "ada@example.org",
            "email_verified": true, "name": "Ada Lovelace", "groups": groups});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(&json!({"alg": "RS256", "kid": "2026-11", "typ": "JWT"})), encode(&claims));
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)?;
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));

        let keys = Arc::new(keys);
        let (mut writer, index) = index::channel();
        let plain = json!({});
        // As platform teams write them: a prefix, a verified address of the company, nobody of Kubernetes' own.
        let expressions = json!({
            "claims": {"usernameExpression": "'oidc:' + claims.email", "groups": "groups"},
            "claimValidationRules": [{
                "expression": "claims.?email_verified.orValue(true) == true && claims.email.endsWith('@example.org')",
                "message": "a verified address of the company",
            }],
            "userValidationRules": [{"expression": "user.groups.all(g, !g.startsWith('kube:'))", "message": "no"}],
        });
        for (name, fields) in [("staging", plain), ("expressions", expressions)] {
            let authenticator = authenticator(name, &fields, &keys)?;
            writer.set(AuthenticatorRef::jwt(name), Entry::Ready(Arc::new(authenticator)));
        }
        let components = PublicKeyComponents { n: public.n.as_slice(), e: public.e.as_slice() };
        Ok(Self {
            token: BearerToken::new(token),
            index,
            bare: components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)?,
            decoding: DecodingKey::from_jwk(&serde_json::from_value::<Jwk>(jwk)?)?,
        })
    }
}

/// What the concierge makes of a `JWTAuthenticator` with these fields.
fn authenticator(name: &str, fields: &Value, keys: &Arc<KeySet>) -> Result<Authenticator> {
    let mut spec = json!({"issuer": "https://idp.example/realms/corp", "audience": "k8s-staging"});
    for (field, value) in fields.as_object().context("fields")? {
        spec[field] = value.clone();
    }
    let spec = convert::jwt_authenticator(&spec)?;
    let judge = spec.judge?;
    Ok(Authenticator {
        name: AuthenticatorName::new(name),
        uid: "3e1f".to_owned(),
        generation: 1,
        verifier: Verifier::new(
            Arc::new(judge.profile(spec.issuer?, Siblings::default())),
            judge.algorithms,
            Arc::clone(keys),
        ),
        rules: Arc::clone(&judge.rules),
        credential_lifetime: judge.credential_lifetime,
        claims: None,
        keys_fetched_at: UnixTime::from_secs(NOW),
    })
}

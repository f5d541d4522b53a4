//! An issuer of the tests' own: keys of every kind, and tokens good and bad.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeySize, PublicKeyComponents},
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_concierge::{
    authn::{self, Admitted, Reason},
    index::{self, Authenticator, AuthenticatorName, AuthenticatorRef, Entry, Reader},
    jwt::{AlgorithmSet, Audience, Audiences, Issuer, KeySet, Profile, Step, TokenFacts, Verifier},
    mapping::Rules,
    secret::BearerToken,
    time::UnixTime,
};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "k8s-staging";
pub(crate) const NOW: i64 = 1_795_233_600;

/// A signing key and the JWK that the issuer publishes for it.
pub(crate) struct Key {
    pub(crate) jwk: Value,
    signer: Signer,
}

enum Signer {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// One key of each kind: RSA, P-256, P-384, P-521, Ed25519, under those ids.
pub(crate) fn keys() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        vec![
            Key::rsa("rsa", KeySize::Rsa2048),
            Key::ecdsa("p256", "P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Key::ecdsa("p384", "P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Key::ecdsa("p521", "P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Key::ed25519("ed25519"),
        ]
    })
}

/// The key of that id.
pub(crate) fn key(id: &str) -> &'static Key {
    keys().iter().find(|key| key.jwk["kid"] == id).unwrap()
}

impl Key {
    pub(crate) fn rsa(id: &str, size: KeySize) -> Self {
        let pair = RsaKeyPair::generate(size).unwrap();
        let public: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
        let jwk = json!({"kty": "RSA", "kid": id, "n": encode(&public.n), "e": encode(&public.e)});
        Self { jwk, signer: Signer::Rsa(pair) }
    }

    pub(crate) fn ecdsa(id: &str, curve: &str, algorithm: &'static signature::EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at((pair.public_key().as_ref().len() - 1) / 2);
        let jwk = json!({"kty": "EC", "kid": id, "crv": curve, "x": encode(x), "y": encode(y)});
        Self { jwk, signer: Signer::Ecdsa(pair) }
    }

    pub(crate) fn ed25519(id: &str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "kid": id, "crv": "Ed25519", "x": encode(pair.public_key().as_ref())});
        Self { jwk, signer: Signer::Ed25519(pair) }
    }

    pub(crate) fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Rsa(pair) => {
                let encoding: &dyn signature::RsaEncoding = match alg {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut bytes = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut bytes).unwrap();
                bytes
            }
            Signer::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// The public key in DER (RFC 5280's `SubjectPublicKeyInfo`).
    pub(crate) fn public_der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match &self.signer {
            Signer::Rsa(pair) => pair.public_key().as_der(),
            Signer::Ecdsa(pair) => pair.public_key().as_der(),
            Signer::Ed25519(pair) => pair.public_key().as_der(),
        }
        .unwrap();
        der.as_ref().to_vec()
    }
}

/// A token with that header and those claims, as they are written.
pub(crate) fn token(key: &Key, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let alg = serde_json::from_str::<Value>(header).ok().and_then(|header| header["alg"].as_str().map(str::to_owned));
    let signature = key.sign(alg.as_deref().unwrap_or("RS256"), input.as_bytes());
    format!("{input}.{}", encode(&signature))
}

/// Claims of a good token, with `changes` laid over; a change to `null` takes the claim out.
pub(crate) fn claims(changes: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "00u1", "exp": NOW + 300, "iat": NOW, "username": "ada",
        "groups": ["developers", "oncall"],
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims.to_string()
}

/// A good RS256 token with `changes` laid over its claims.
pub(crate) fn rs256(changes: &Value) -> String {
    token(key("rsa"), r#"{"alg":"RS256","kid":"rsa","typ":"JWT"}"#, &claims(changes))
}

/// A key set document of `keys`.
pub(crate) fn key_set<'a>(keys: impl IntoIterator<Item = &'a Value>) -> Vec<u8> {
    json!({"keys": keys.into_iter().collect::<Vec<_>>()}).to_string().into_bytes()
}

/// What an authenticator demands that says nothing but its issuer and its audience.
pub(crate) fn profile() -> Profile {
    Profile::new(Issuer::new(ISSUER.to_owned()), audiences(&[AUDIENCE]))
}

pub(crate) fn audiences(names: &[&str]) -> Audiences {
    Audiences::new(names.iter().map(|name| Audience::new((*name).to_owned())).collect()).unwrap()
}

/// The authenticator `staging` with those keys.
pub(crate) fn authenticator(keys: &[u8]) -> Authenticator {
    let (keys, _) = KeySet::parse(keys).unwrap();
    Authenticator {
        name: AuthenticatorName::new("staging"),
        uid: "3e1f".to_owned(),
        generation: 1,
        verifier: Verifier::new(Arc::new(profile()), AlgorithmSet::default(), Arc::new(keys)),
        rules: Arc::new(Rules::of_claims("username", "groups")),
        credential_lifetime: None,
        claims: None,
        keys_fetched_at: UnixTime::from_secs(NOW),
    }
}

/// The authenticator `staging` with all [`keys`], and `change` made to its profile.
pub(crate) fn with_profile(change: impl FnOnce(&mut Profile)) -> Authenticator {
    let mut authenticator = authenticator(&key_set(keys().iter().map(|key| &key.jwk)));
    let mut profile = profile();
    change(&mut profile);
    let (keys, _) = KeySet::parse(&key_set(self::keys().iter().map(|key| &key.jwk))).unwrap();
    authenticator.verifier = Verifier::new(Arc::new(profile), AlgorithmSet::default(), Arc::new(keys));
    authenticator
}

/// An index that holds only `authenticator`.
pub(crate) fn index_of(authenticator: Authenticator) -> (index::Writer, Reader) {
    let (mut writer, reader) = index::channel();
    writer.set(AuthenticatorRef::jwt("staging"), Entry::Ready(Arc::new(authenticator)));
    (writer, reader)
}

/// An index with one authenticator that trusts all [`keys`].
pub(crate) fn index() -> Reader {
    index_of(authenticator(&key_set(keys().iter().map(|key| &key.jwk)))).1
}

/// Judges, and holds the trace against the verdict: every step is heard of in order, and the one that failed is the one
/// after the last passed.
pub(crate) fn judged(token: &str, by: &Authenticator, now: i64) -> Result<Admitted, Reason> {
    let (now, mut trace) = (UnixTime::from_secs(now), Vec::new());
    let outcome = authn::judge(&bearer(token), by, now, &mut TokenFacts::default(), &mut trace);
    let passed = match &outcome {
        Ok(_) => &Step::ALL[..],
        Err(reason) => &Step::ALL[..reason.step().unwrap() as usize],
    };
    assert_eq!(trace, passed, "{outcome:?}");
    outcome
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn bearer(token: &str) -> BearerToken {
    BearerToken::new(token.to_owned())
}

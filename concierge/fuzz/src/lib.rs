//! What the targets share: an issuer with one key, whose tokens are otherwise whatever the fuzzer makes of them, and a
//! second reading of JSON to hold ours against.

pub mod json;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_concierge::{
    jwt::{
        self, AlgorithmSet, Audience, Audiences, Issuer, KeySet, Profile, Rejection, TokenFacts, VerifiedClaims,
        Verifier,
    },
    secret::BearerToken,
    time::UnixTime,
};

/// Who issues the tokens.
pub const ISSUER: &str = "https://idp.example";
/// For whom they are.
pub const AUDIENCE: &str = "k8s-staging";
/// When they are judged, in seconds since 1970.
pub const NOW: i64 = 1_795_233_600;
/// A header that is accepted.
pub const HEADER: &[u8] = br#"{"alg":"EdDSA","kid":"one"}"#;
/// Claims that are accepted.
pub const CLAIMS: &[u8] =
    br#"{"iss":"https://idp.example","aud":"k8s-staging","exp":1795233601,"sub":"ada","groups":["developers"]}"#;

/// From a fixed seed, so that an input means the same in every run.
static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed of 32 bytes"));

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let jwk = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"one","x":"{}"}}]}}"#,
        URL_SAFE_NO_PAD.encode(KEY.public_key())
    );
    let (keys, _) = KeySet::parse(jwk.as_bytes()).expect("a key set");
    let audiences = Audiences::new(vec![Audience::new(AUDIENCE.to_owned())]).expect("an audience");
    let profile = Profile::new(Issuer::new(ISSUER.to_owned()), audiences);
    Verifier::new(Arc::new(profile), AlgorithmSet::default(), Arc::new(keys))
});

/// A token of any header and any payload, correctly signed.
#[must_use]
pub fn signed(header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(KEY.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// Judges a token as the concierge does, and holds that a refusal says nothing of what the token says.
///
/// # Errors
/// Why it is refused.
///
/// # Panics
/// When a refusal has no code, or repeats a part of the token.
pub fn judge(token: &str) -> Result<VerifiedClaims, Rejection> {
    let bearer = BearerToken::new(token.to_owned());
    let verdict = jwt::verify(&bearer, &VERIFIER, UnixTime::from_secs(NOW), &mut TokenFacts::default(), &mut ());
    if let Err(rejection) = &verdict {
        let words = rejection.to_string();
        assert!(!words.is_empty() && !rejection.code().is_empty());
        let leaked = token.split('.').find(|part| part.len() > 40 && words.contains(*part));
        assert!(leaked.is_none(), "a refusal repeats a part of the token: {words}");
    }
    verdict
}

//! Any text as a token: nothing but what our issuer signed is accepted.
#![no_main]

use latchkey_concierge::{jwt::peek_issuer, secret::BearerToken};
use latchkey_fuzz::{judge, signed};

libfuzzer_sys::fuzz_target!(|token: &str| {
    let accepted = judge(token).is_ok();
    let claimed = peek_issuer(&BearerToken::new(token.to_owned()));
    if accepted {
        // The only key is ours, and Ed25519 has one signature for one text.
        let mut parts = token.split('.').map(|part| {
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, part).expect("base64url")
        });
        let (header, payload) = (parts.next().expect("a header"), parts.next().expect("a payload"));
        assert_eq!(token, signed(&header, &payload));
        assert_eq!(claimed.expect("an issuer").as_hint(), latchkey_fuzz::ISSUER);
    }
});

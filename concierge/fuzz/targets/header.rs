//! Any bytes as the header of a token that is otherwise good and correctly signed.
#![no_main]

use latchkey_concierge::jwt::Step;
use latchkey_fuzz::{CLAIMS, judge, signed};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|header: &[u8]| {
    match judge(&signed(header, CLAIMS)) {
        Ok(_) => {
            let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
            assert_eq!(header["alg"], "EdDSA");
            assert!(header["kid"].is_null() || header["kid"] == "one", "our only key");
            assert!(
                ["crit", "b64", "zip"].iter().all(|name| header.get(name).is_none()),
                "nothing that must be understood"
            );
        }
        // The signature is right and so are the claims, so that the header must be what is wrong.
        Err(rejection) => assert!(
            matches!(
                rejection.step(),
                Step::Size | Step::Segments | Step::Header | Step::Algorithm | Step::Key | Step::Type
            ),
            "{rejection}"
        ),
    }
});

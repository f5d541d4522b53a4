//! Any bytes as a discovery document: accepted for its own issuer only, and keys come by https or not at all.
#![no_main]

use latchkey_concierge::idp::discovery::{judge, well_known};
use latchkey_fuzz::ISSUER;
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let url = well_known(ISSUER).expect("an https issuer");
    match judge(bytes, ISSUER, &url) {
        Ok(discovered) => {
            // Members that are none of ours are skipped unread, and may hold what is no text.
            if let Ok(said) = serde_json::from_slice::<Value>(bytes) {
                assert_eq!(said["issuer"], ISSUER);
            }
            if let Ok(url) = &discovered.jwks_uri {
                assert!(url.to_string().starts_with("https://"), "{url}");
                let again = url.to_string().parse();
                assert_eq!(again.as_ref(), Ok(url));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.result().is_empty()),
    }
    // An issuer is text of an admin's making, and no less a URL to be read.
    if let Ok(issuer) = str::from_utf8(bytes)
        && let Ok(url) = well_known(issuer)
    {
        assert!(url.to_string().starts_with("https://"), "{url}");
    }
});

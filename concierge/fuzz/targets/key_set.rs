//! Any bytes as a key set: what is kept can only verify, and keeping is no matter of luck.
#![no_main]

use latchkey_concierge::jwt::{KeySet, MAX_KEY_SET_BYTES};
use latchkey_fuzz::json::Shape;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (parsed, again) = (KeySet::parse(bytes), KeySet::parse(bytes));
    assert_eq!(parsed.is_ok(), again.is_ok());
    match parsed {
        Ok((keys, dropped)) => {
            assert!(bytes.len() <= MAX_KEY_SET_BYTES);
            assert!(Shape::of(bytes).is_some_and(|shape| shape.object && !shape.duplicate));
            assert!(keys.key_ids().all(|id| keys.contains(id)));
            assert_eq!(dropped, again.expect("parsed before").1);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

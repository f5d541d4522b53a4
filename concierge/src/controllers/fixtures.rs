//! The objects of `deploy/health/fixtures`: as the controllers write them, for those who judge health.

use std::{env, fs, path::Path};

use serde_json::Value;

/// Set to have the files written in place of compared.
const WRITE: &str = "LATCHKEY_WRITE_FIXTURES";

const HEADER: &str = "# As the concierge writes it: a test of its controllers makes this file, do not mend it.\n";

/// Holds the file equal to `object`.
pub(super) fn hold(name: &str, object: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/health/fixtures");
    let path = folder.join(format!("{name}.yaml"));
    let text = format!("{HEADER}{}", serde_norway::to_string(object).expect("YAML of JSON"));
    if env::var_os(WRITE).is_some() {
        fs::create_dir_all(&folder).and_then(|()| fs::write(&path, text)).expect("a fixture that can be written");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, text, "{name}: if that is meant, run the tests once with {WRITE}=1");
}

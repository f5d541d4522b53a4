//! `version` under Pinniped's name: ours, in the shape of theirs.

use serde_json::json;

use crate::pinniped::Output;

/// The text for standard output.
pub(super) fn text(output: Output) -> String {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let info = json!({
        "major": env!("CARGO_PKG_VERSION_MAJOR"),
        "minor": env!("CARGO_PKG_VERSION_MINOR"),
        "gitVersion": version,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        "program": "kubectl-latchkey",
    });
    match output {
        Output::Text => format!("{version} (kubectl-latchkey in place of Pinniped's CLI)\n"),
        Output::Json => format!("{info:#}\n"),
        Output::Yaml => serde_norway::to_string(&info).expect("strings and maps always serialize"),
    }
}

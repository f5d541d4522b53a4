//! `version`: one line, or what a program may want to know of the build.

use serde::Serialize;

use super::data;
use crate::args::Format;
use crate::exec_credential::ApiVersion;
use crate::failure::Failure;

/// The name of the program.
const NAME: &str = "kubectl-latchkey";

/// What `-o json` and `-o yaml` show. Names do not change.
#[derive(Serialize)]
struct Version {
    name: &'static str,
    #[expect(clippy::struct_field_names, reason = "the name that programs read")]
    version: &'static str,
    os: &'static str,
    arch: &'static str,
    /// Versions of the exec credential protocol.
    protocols: [&'static str; 2],
}

/// Prints name and version.
///
/// # Errors
/// When nobody takes them.
pub(super) fn run(format: Format) -> Result<(), Failure> {
    let version = Version {
        name: NAME,
        version: env!("CARGO_PKG_VERSION"),
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
        protocols: [ApiVersion::V1, ApiVersion::V1Beta1].map(ApiVersion::as_str),
    };
    data::show(&version, format, || format!("{NAME} {}\n", version.version))
}

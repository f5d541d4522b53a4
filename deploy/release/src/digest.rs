//! SHA-256 in the form that manifests and lists of sums have.

use aws_lc_rs::digest::{SHA256, digest};

/// 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

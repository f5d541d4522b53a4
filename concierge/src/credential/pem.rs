//! PEM (RFC 7468) out: 64 columns, LF, as Kubernetes writes it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

const COLUMNS: usize = 64;

/// One PEM block.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    // 48 bytes make one line of 64 characters.
    let lines = der.chunks(COLUMNS / 4 * 3);
    let mut text = String::with_capacity(der.len() * 4 / 3 + lines.len() + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in lines {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn is_read_back_by_another_library() {
        for length in [0_u8, 1, 47, 48, 49, 200] {
            let der: Vec<u8> = (0..length).collect();
            let text = encode("CERTIFICATE", &der);
            assert_eq!(CertificateDer::from_pem_slice(text.as_bytes()).unwrap().as_ref(), der);
            assert!(text.lines().all(|line| line.len() <= COLUMNS));
        }
    }
}

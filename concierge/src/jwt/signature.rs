//! The signature: the only place where a token becomes its issuer's word.

use super::{Rejection, Verifier, header::Header, raw::RawJwt};

/// A payload that one of the issuer's keys signed. There is no other way to get one.
#[derive(Debug)]
pub(super) struct SignedPayload {
    /// The payload, decoded.
    pub(super) payload: Vec<u8>,
    /// The header that was signed with it.
    pub(super) header: Header,
}

impl SignedPayload {
    /// Checks the algorithm, picks the one key that fits and verifies (RFC 7515 5.2).
    pub(super) fn verify(raw: RawJwt<'_>, verifier: &Verifier) -> Result<Self, Rejection> {
        let algorithm = raw.header.algorithm(verifier.algorithms)?;
        let key = verifier.keys.select(raw.header.key_id.as_ref(), algorithm)?;
        if !key.verifies(algorithm, raw.signing_input, &raw.signature) {
            return Err(Rejection::SignatureInvalid);
        }
        Ok(Self { payload: raw.payload, header: raw.header })
    }
}

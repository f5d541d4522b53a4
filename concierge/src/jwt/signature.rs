//! The signature: the only place where a token becomes its issuer's word.

use super::{Rejection, Step, Trace, Verifier, header::Header, raw::RawJwt};

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
    pub(super) fn verify(raw: RawJwt<'_>, verifier: &Verifier, trace: &mut impl Trace) -> Result<Self, Rejection> {
        let algorithm = raw.header.algorithm(verifier.algorithms)?;
        trace.passed(Step::Algorithm);
        let key = verifier.keys.select(raw.header.key_id.as_ref(), algorithm)?;
        trace.passed(Step::Key);
        if !key.verifies(algorithm, raw.signing_input, &raw.signature) {
            return Err(Rejection::SignatureInvalid);
        }
        trace.passed(Step::Signature);
        Ok(Self { payload: raw.payload, header: raw.header })
    }
}

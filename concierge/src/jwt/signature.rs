//! The signature: the only place where a token becomes its issuer's word.

use super::{Rejection, Step, TokenFacts, Trace, Verifier, claimed::peek_claimed, header::Header, raw::RawJwt};

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
    pub(super) fn verify(
        raw: RawJwt<'_>,
        verifier: &Verifier,
        facts: &mut TokenFacts,
        trace: &mut impl Trace,
    ) -> Result<Self, Rejection> {
        match check(&raw, verifier, trace) {
            Ok(()) => {
                facts.signed = true;
                Ok(Self { payload: raw.payload, header: raw.header })
            }
            Err(rejection) => {
                facts.claimed = peek_claimed(&raw.payload);
                Err(rejection)
            }
        }
    }
}

fn check(raw: &RawJwt<'_>, verifier: &Verifier, trace: &mut impl Trace) -> Result<(), Rejection> {
    let algorithm = raw.header.algorithm(verifier.algorithms)?;
    trace.passed(Step::Algorithm);
    let key = verifier.keys.select(raw.header.key_id.as_ref(), algorithm)?;
    trace.passed(Step::Key);
    if !key.verifies(algorithm, raw.signing_input, &raw.signature) {
        return Err(Rejection::SignatureInvalid);
    }
    trace.passed(Step::Signature);
    Ok(())
}

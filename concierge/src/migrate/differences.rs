//! What both sides can say and mean differently. A conversion tells it each time: whoever reads the result in a year has
//! not read a manual. (The whole list, each with a test: `tests/conformance/differences.yaml`.)

const AUDIENCES: &str = "A token for further audiences is refused here (audience-shared): it opens other doors too. \
                         `additionalAudiences: Allow` would admit it.";
const RESERVED: &str = "A user or group whose name begins with system: is refused here. `reservedIdentities` would admit \
                        it, by name or altogether.";
const TYPES: &str = "A token that its header typ calls something else than JWT is refused here. `tokenTypes: [JWT, at+jwt]` \
                     would admit access tokens (RFC 9068).";
const STRICT: &str = "Refused here: an iat in the future, member names that stand twice, texts where numbers belong, names \
                      that are empty or hold control characters or outer white space, a key that its kid does not tell.";
const DISTRIBUTED: &str = "Groups that a token only refers to are refused here, unless `claims.distributed` names the servers \
                           that may be asked.";
const EDDSA: &str = "EdDSA is accepted here too, unless `signingAlgorithms` is set.";

/// From a file of `--authentication-config`. The first line is the heading.
pub(super) fn from_kube_apiserver(faithful: bool) -> Vec<&'static str> {
    let mut lines = from_flags(faithful);
    lines.push(EDDSA);
    lines
}

/// From `--oidc-*` flags, where algorithms are written out.
pub(super) fn from_flags(faithful: bool) -> Vec<&'static str> {
    let mut lines = vec!["What kube-apiserver does otherwise:"];
    if !faithful {
        lines.extend([AUDIENCES, RESERVED]);
    }
    lines.extend([TYPES, STRICT, DISTRIBUTED]);
    lines
}

/// From Pinniped, which judges tokens with kube-apiserver's own code.
pub(super) fn from_pinniped(faithful: bool) -> Vec<&'static str> {
    let mut lines = from_kube_apiserver(faithful);
    lines[0] = "What Pinniped does otherwise:";
    lines
}

/// To a file of `--authentication-config`.
pub(super) fn to_kube_apiserver() -> Vec<&'static str> {
    vec![
        "What kube-apiserver does otherwise, and no rule can say:",
        "It takes every typ: access tokens and logout tokens of the issuer for this audience pass as well.",
        "It takes an iat in the future, member names that stand twice, and names that are empty or hold control characters; \
         of keys it tries one after the other.",
        "It never takes EdDSA.",
        "It fetches groups that a token only refers to from whatever server the token names.",
        "A key that the issuer has withdrawn may go on working until kube-apiserver starts again.",
        "It knows no fleet, no revocation, and writes no reason why a token was refused.",
    ]
}

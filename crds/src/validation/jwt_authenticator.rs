//! The rules of `JWTAuthenticator`.

use super::{HTTPS_URL, NO_FRAGMENT, NO_QUERY, NO_USER, NO_WHITE_SPACE, Rule, rule, rule_at};

// === where tokens and keys come from ===

/// `spec.issuer`. `OpenID` Connect Discovery 3: https, no query, no fragment.
pub const ISSUER: &[Rule] = &[
    rule(HTTPS_URL, "must be an https URL with a host, such as https://idp.example.com/realms/main"),
    NO_WHITE_SPACE,
    NO_USER,
    NO_FRAGMENT,
    NO_QUERY,
    rule(
        r"!self.matches('/\\.well-known/openid-configuration/?$')",
        "must be the issuer itself: remove /.well-known/openid-configuration, which is appended when the keys are fetched",
    ),
];

/// `spec.discoveryURL` and `spec.jwks.url`: fetched as they are written.
pub const FETCHED_URL: &[Rule] = &[
    rule(HTTPS_URL, "must be an https URL with a host: write the whole address that the concierge is to fetch"),
    NO_WHITE_SPACE,
    NO_USER,
    NO_FRAGMENT,
    NO_QUERY,
];

/// `spec.jwks`.
pub const JWKS: &[Rule] = &[rule(
    "has(self.url) != has(self.inline)",
    "must have either url or inline: the address of the key set, or the key set itself",
)];

/// `spec.jwks.inline`. Whether a key in it can be used is for a condition to tell.
pub const INLINE_KEY_SET: &[Rule] = &[rule(
    r#"self.matches('^\\s*[{]') && self.contains('"keys"')"#,
    r#"must be a JSON key set such as {"keys":[{"kty":"EC",...}]}: paste what the issuer serves at its jwks_uri"#,
)];

/// `spec.audience` and each of `spec.audiences`.
pub const AUDIENCE: &[Rule] = &[rule(
    "self.trim() == self && self != ''",
    "must not be blank, nor begin or end with white space: write the client ID exactly as the issuer shows it",
)];

/// Each of `spec.authorizedParties`.
pub const PARTY: &[Rule] = &[rule(
    "self.trim() == self && self != ''",
    "must be a client ID exactly as it stands in azp, without white space around it",
)];

/// `spec`.
///
/// The last rule is Kubernetes' demand that whoever maps an e-mail address looks at `email_verified`. The syntax tree is
/// judged later; here only an expression whose use of the claim comes before any quotation mark is refused, which cannot
/// be text.
pub const SPEC: &[Rule] = &[
    rule_at(
        ".audience",
        "has(self.audience) || has(self.audiences)",
        "names no audience: write the client ID of this cluster's own client at the issuer, as audience",
    ),
    rule_at(
        ".audiences",
        "!(has(self.audience) && has(self.audiences))",
        "audience and audiences exclude each other: move the one audience into the list",
    ),
    rule_at(
        ".discoveryURL",
        "!(has(self.discoveryURL) && has(self.jwks))",
        "discoveryURL and jwks exclude each other: keys come from one place, so remove one of them",
    ),
    rule_at(
        ".discoveryURL",
        r"!has(self.discoveryURL)
|| !((self.discoveryURL.startsWith(self.issuer) && self.discoveryURL.substring(size(self.issuer)).matches('^/*$'))
  || (self.issuer.startsWith(self.discoveryURL) && self.issuer.substring(size(self.discoveryURL)).matches('^/*$')))",
        "must be the discovery document's whole URL, not the issuer again: append /.well-known/openid-configuration, or remove it",
    ),
    rule_at(
        ".claims.usernameExpression",
        r#"!has(self.claims) || !has(self.claims.usernameExpression)
|| !self.claims.usernameExpression.matches('^([^\'"/]*[^\'"/A-Za-z0-9_.])?claims([.][?]?email([^A-Za-z0-9_]|$)|[[][?]?(\'email\'|"email")[]])')
|| self.claims.usernameExpression.contains('email_verified')
|| (has(self.claims.extra) && self.claims.extra.exists(e, e.valueExpression.contains('email_verified')))
|| (has(self.claimValidationRules) && self.claimValidationRules.exists(r, has(r.expression) && r.expression.contains('email_verified')))"#,
        "uses claims.email, so an expression must look at claims.email_verified: add the claimValidationRule claims.?email_verified.orValue(true) == true",
    ),
];

// === how claims become a user ===

/// `spec.claims`.
pub const CLAIMS: &[Rule] = &[
    rule_at(
        ".usernameExpression",
        "!(has(self.username) && self.username != '' && has(self.usernameExpression) && self.usernameExpression != '')",
        "username and usernameExpression exclude each other: remove one of them",
    ),
    rule_at(
        ".usernamePrefix",
        "!(has(self.usernamePrefix) && has(self.usernameExpression) && self.usernameExpression != '')",
        "goes with username, not with usernameExpression, even when it is empty: write the prefix into the expression, as in 'oidc:' + claims.sub",
    ),
    rule_at(
        ".groupsExpression",
        "!(has(self.groups) && self.groups != '' && has(self.groupsExpression) && self.groupsExpression != '')",
        "groups and groupsExpression exclude each other: remove one of them",
    ),
    rule_at(
        ".groupsPrefix",
        "!(has(self.groupsPrefix) && has(self.groupsExpression) && self.groupsExpression != '')",
        "goes with groups, not with groupsExpression, even when it is empty: write the prefix into the expression, as in dyn(claims.groups).map(g, 'oidc:' + g)",
    ),
    rule_at(
        ".uidExpression",
        "!(has(self.uid) && self.uid != '' && has(self.uidExpression) && self.uidExpression != '')",
        "uid and uidExpression exclude each other: remove one of them",
    ),
    claim_name(".username", "!has(self.username) || self.username.trim() == self.username"),
    claim_name(".groups", "!has(self.groups) || self.groups.trim() == self.groups"),
    claim_name(".uid", "!has(self.uid) || self.uid.trim() == self.uid"),
    prefix(".usernamePrefix", r"!has(self.usernamePrefix) || !self.usernamePrefix.matches('^\\s')"),
    prefix(".groupsPrefix", r"!has(self.groupsPrefix) || !self.groupsPrefix.matches('^\\s')"),
    rule_at(
        ".distributed",
        "!(has(self.distributed) && has(self.groupsExpression) && self.groupsExpression != '')",
        "goes with groups, not with groupsExpression: an expression sees only what stands in the token itself",
    ),
];

const fn claim_name(field_path: &'static str, rule: &'static str) -> Rule {
    rule_at(field_path, rule, "must be the name of a claim, without white space around it")
}

const fn prefix(field_path: &'static str, rule: &'static str) -> Rule {
    rule_at(field_path, rule, "must not begin with white space: no name that begins so is ever accepted")
}

/// `spec.claims.extra[].key`: Kubernetes' rule for structured authentication, and Pinniped's that forbids `=`.
pub const EXTRA_KEY: &[Rule] = &[
    rule(
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[a-z0-9/._~%!$&\'()*+,;:-]+$')",
        "must be a lower-case path with a domain before it and no equals sign, such as example.com/department",
    ),
    rule(
        "!self.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/')",
        "must not be under kubernetes.io or k8s.io, which Kubernetes keeps for itself: use a domain of your own",
    ),
];

/// Each of `spec.claims.distributed.allowedOrigins` (RFC 6454: scheme, host, port).
pub const ORIGIN: &[Rule] = &[rule(
    r"self.matches('^https://[^/?#@\\s]+$') && isURL(self) && url(self).getHostname() != ''",
    "must be an https origin, a host and perhaps a port with nothing after it, such as https://graph.example.com",
)];

// === what must be satisfied ===

/// One item of `spec.claimValidationRules`.
pub const CLAIM_RULE: &[Rule] = &[
    rule(
        "(has(self.claim) && self.claim != '') != (has(self.expression) && self.expression != '')",
        "must have either claim with requiredValue, or expression with message",
    ),
    rule_at(
        ".requiredValue",
        "!has(self.claim) || self.claim == '' || has(self.requiredValue)",
        "must say which value the claim has to have (write requiredValue: \"\" to demand an empty one); to demand only that the claim is there, use expression: has(claims.NAME)",
    ),
    rule_at(
        ".message",
        "!(has(self.claim) && self.claim != '' && has(self.message) && self.message != '')",
        "goes with expression, not with claim: remove it",
    ),
    rule_at(
        ".requiredValue",
        "!(has(self.expression) && self.expression != '' && has(self.requiredValue) && self.requiredValue != '')",
        "goes with claim, not with expression: remove it",
    ),
];

/// `spec.claimValidationRules` as a whole.
pub const CLAIM_RULE_LIST: &[Rule] = &[
    rule(
        "self.all(a, !has(a.claim) || a.claim == '' || self.exists_one(b, has(b.claim) && b.claim == a.claim))",
        "a claim can have only one required value: remove the second rule for the same claim",
    ),
    rule(
        "self.all(a, !has(a.expression) || a.expression == '' || self.exists_one(b, has(b.expression) && b.expression == a.expression))",
        "the same expression stands here twice: remove one",
    ),
];

/// `spec.userValidationRules` as a whole.
pub const USER_RULE_LIST: &[Rule] = &[rule(
    "self.all(a, self.exists_one(b, b.expression == a.expression))",
    "the same expression stands here twice: remove one",
)];

/// `spec.reservedIdentities`.
pub const RESERVED_IDENTITIES: &[Rule] = &[rule_at(
    ".allowed",
    "!(has(self.allowed) && has(self.policy) && self.policy == 'Allow')",
    "goes with the policy Refuse, whose exceptions it lists; the policy Allow lets every name through: remove one of them",
)];

/// Each of `spec.reservedIdentities.allowed`.
pub const RESERVED_NAME: &[Rule] = &[rule(
    "self.lowerAscii().startsWith('system:') && self.trim() == self",
    "must be a whole name that begins with system:, such as system:image-puller; other names need no exception",
)];

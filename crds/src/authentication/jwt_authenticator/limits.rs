//! How much of everything a spec may hold: the schema refuses more at `kubectl apply`, the concierge in a condition.

/// Most audiences: moving from one client to the next needs two.
pub const AUDIENCES: u32 = 16;
/// Most `authorizedParties`.
pub const PARTIES: u32 = 32;
/// Most characters of an audience or a client ID.
pub const AUDIENCE_CHARS: u32 = 1024;
/// Most `claimValidationRules`, and most `userValidationRules`: each is evaluated for each token.
pub const RULES: u32 = 32;
/// Most `claims.extra`: each becomes a header or an attribute of a certificate.
pub const EXTRA: u32 = 32;
/// Most `reservedIdentities.allowed`.
pub const RESERVED_NAMES: u32 = 64;
/// Most `claims.distributed.allowedOrigins`.
pub const ORIGINS: u32 = 16;
/// Most characters of a claim's name or of a prefix.
pub const NAME_CHARS: u32 = 256;
/// Most characters of a CEL expression.
pub const EXPRESSION_CHARS: u32 = 4096;
/// Most characters of a required value or of a message.
pub const TEXT_CHARS: u32 = 1024;
/// Most characters of a reserved name, of an extra's key, or of an origin.
pub const LONG_NAME_CHARS: u32 = 512;
/// Most characters of a URL.
pub const URL_CHARS: u32 = 2048;

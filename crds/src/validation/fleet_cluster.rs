//! The rules of `FleetCluster`; those of its audiences and issuers are the authenticator's.

use super::{Rule, rule};

/// `spec.displayName` and `spec.contact`: shown in conditions and on terminals.
pub const LABEL: &[Rule] = &[rule(
    r"self.trim() == self && self != '' && !self.matches('[\\pC\\p{Zl}\\p{Zp}]')",
    "must be one line of visible text, without white space around it and without control characters",
)];

//! The steps of the judging, in the one order there is, and who may watch a token pass them.

use std::fmt;

/// A step of the judging (design: "How a token is judged"). The order of the variants is the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The token is not too large.
    Size,
    /// It has three segments, none of them empty.
    Segments,
    /// Each is strict base64url.
    Base64,
    /// The header is that of a plain signed token.
    Header,
    /// Its algorithm is allowed.
    Algorithm,
    /// Exactly one key of the issuer fits.
    Key,
    /// The signature holds.
    Signature,
    /// The claims are strict JSON.
    Claims,
    /// The token is of an accepted kind.
    Type,
    /// It is the issuer's.
    Issuer,
    /// It is for us.
    Audience,
    /// It was issued to a party we accept, and what names the token has the right type.
    AuthorizedParty,
    /// It is valid now.
    Times,
    /// It satisfies each claim rule.
    ClaimRules,
    /// A username comes of it.
    Username,
    /// Groups come of it.
    Groups,
    /// A uid comes of it.
    Uid,
    /// Extra attributes come of it.
    Extra,
    /// No name belongs to Kubernetes, and each is safe to show.
    Reserved,
    /// The user satisfies each user rule.
    UserRules,
}

/// Hears of each step that a token passes, in order. The step that it fails is the one after the last passed.
///
/// `()` hears nothing and costs nothing; a `Vec` keeps them all.
pub trait Trace {
    /// The token passed `step`.
    fn passed(&mut self, step: Step);
}

impl Trace for () {
    fn passed(&mut self, _: Step) {}
}

impl Trace for Vec<Step> {
    fn passed(&mut self, step: Step) {
        self.push(step);
    }
}

// === impl Step ===

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 20] = [
        Self::Size,
        Self::Segments,
        Self::Base64,
        Self::Header,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Claims,
        Self::Type,
        Self::Issuer,
        Self::Audience,
        Self::AuthorizedParty,
        Self::Times,
        Self::ClaimRules,
        Self::Username,
        Self::Groups,
        Self::Uid,
        Self::Extra,
        Self::Reserved,
        Self::UserRules,
    ];

    /// The stable word for it, kebab-case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Segments => "segments",
            Self::Base64 => "base64",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Type => "type",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::AuthorizedParty => "authorized-party",
            Self::Times => "times",
            Self::ClaimRules => "claim-rules",
            Self::Username => "username",
            Self::Groups => "groups",
            Self::Uid => "uid",
            Self::Extra => "extra",
            Self::Reserved => "reserved",
            Self::UserRules => "user-rules",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        assert!(Step::ALL.is_sorted());
        // The last variant has the highest number, so a variant left out of the list shows.
        assert_eq!(Step::ALL.len(), Step::UserRules as usize + 1);
    }
}

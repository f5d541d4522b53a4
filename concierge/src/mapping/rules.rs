//! How one authenticator makes users out of claims.

/// Claim names and required claims of one authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    username_claim: String,
    groups_claim: String,
    required_claims: Vec<(String, String)>,
}

impl Rules {
    /// Username and groups from those claims, and claims that must have exactly a value, as
    /// `claimValidationRules[].{claim, requiredValue}` says.
    #[must_use]
    pub const fn new(username_claim: String, groups_claim: String, required_claims: Vec<(String, String)>) -> Self {
        Self { username_claim, groups_claim, required_claims }
    }

    /// The claim that holds the username.
    #[must_use]
    pub fn username_claim(&self) -> &str {
        &self.username_claim
    }

    /// The claim that holds the groups.
    #[must_use]
    pub fn groups_claim(&self) -> &str {
        &self.groups_claim
    }

    /// Claims and the values that they must have.
    #[must_use]
    pub fn required_claims(&self) -> &[(String, String)] {
        &self.required_claims
    }
}

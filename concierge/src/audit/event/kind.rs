//! The closed words of a record: what happened, how much a person should care, and how its writing is treated.

use serde::{Serialize, Serializer};

/// How much a person should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The noise of every day.
    Info,
    /// Odd.
    Low,
    /// Deserves a look.
    Medium,
    /// Somebody's serious mistake, or an attack.
    High,
}

/// How the writing of a record is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Written before it is answered: a credential without a record cannot exist.
    Grant,
    /// Queued; may fold, and may be dropped under pressure.
    Refusal,
    /// Changes of configuration and keys, and what the log says of itself: queued, never folded.
    Notice,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A token is good, and nothing was made of it.
    TokenAccepted,
    /// A token is refused, or what it asked for.
    TokenRefused,
    /// A credential was made.
    CredentialIssued,
    /// A request went through the proxy.
    ProxyRequest,
    /// The proxy refused a request.
    ProxyRefused,
    /// An authenticator was created, changed, deleted, or began or ceased to admit.
    AuthenticatorChanged,
    /// The list of clusters changed.
    FleetChanged,
    /// An issuer's keys changed.
    KeysChanged,
    /// An issuer's keys cannot be had.
    KeysFailed,
    /// An object was written that cannot work.
    ConfigurationRefused,
    /// The log begins.
    AuditStarted,
    /// The log ends because the process was asked to stop.
    AuditStopped,
    /// Records are missing.
    AuditGap,
    /// A signed head of the chain.
    AuditCheckpoint,
}

/// A number of records of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BySeverity {
    /// Those of [`Severity::Info`].
    pub info: u64,
    /// Those of [`Severity::Low`].
    pub low: u64,
    /// Those of [`Severity::Medium`].
    pub medium: u64,
    /// Those of [`Severity::High`].
    pub high: u64,
}

// === impl Severity ===

impl Severity {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Low, Self::Medium, Self::High];

    /// The word in records and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

// === impl Kind ===

impl Kind {
    /// All of them, as the schema lists them.
    pub const ALL: [Self; 14] = [
        Self::TokenAccepted,
        Self::TokenRefused,
        Self::CredentialIssued,
        Self::ProxyRequest,
        Self::ProxyRefused,
        Self::AuthenticatorChanged,
        Self::FleetChanged,
        Self::KeysChanged,
        Self::KeysFailed,
        Self::ConfigurationRefused,
        Self::AuditStarted,
        Self::AuditStopped,
        Self::AuditGap,
        Self::AuditCheckpoint,
    ];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenAccepted => "token.accepted",
            Self::TokenRefused => "token.refused",
            Self::CredentialIssued => "credential.issued",
            Self::ProxyRequest => "proxy.request",
            Self::ProxyRefused => "proxy.refused",
            Self::AuthenticatorChanged => "authenticator.changed",
            Self::FleetChanged => "fleet.changed",
            Self::KeysChanged => "keys.changed",
            Self::KeysFailed => "keys.failed",
            Self::ConfigurationRefused => "configuration.refused",
            Self::AuditStarted => "audit.started",
            Self::AuditStopped => "audit.stopped",
            Self::AuditGap => "audit.gap",
            Self::AuditCheckpoint => "audit.checkpoint",
        }
    }

    /// How its writing is treated. A request through the proxy was already answered for by kube-apiserver's own audit.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::TokenAccepted | Self::CredentialIssued => Class::Grant,
            Self::TokenRefused | Self::ProxyRefused => Class::Refusal,
            Self::ProxyRequest
            | Self::AuthenticatorChanged
            | Self::FleetChanged
            | Self::KeysChanged
            | Self::KeysFailed
            | Self::ConfigurationRefused
            | Self::AuditStarted
            | Self::AuditStopped
            | Self::AuditGap
            | Self::AuditCheckpoint => Class::Notice,
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

// === impl BySeverity ===

impl BySeverity {
    /// Counts `count` more of `severity`.
    pub const fn add(&mut self, severity: Severity, count: u64) {
        let counter = match severity {
            Severity::Info => &mut self.info,
            Severity::Low => &mut self.low,
            Severity::Medium => &mut self.medium,
            Severity::High => &mut self.high,
        };
        *counter = counter.saturating_add(count);
    }

    /// How many of `severity`.
    #[must_use]
    pub const fn of(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Info => self.info,
            Severity::Low => self.low,
            Severity::Medium => self.medium,
            Severity::High => self.high,
        }
    }

    /// How many in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.info.saturating_add(self.low).saturating_add(self.medium).saturating_add(self.high)
    }
}

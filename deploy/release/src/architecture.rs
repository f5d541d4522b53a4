//! The architectures that are shipped, by each of their names.

use clap::ValueEnum;

/// What an image is for. The variants' names on the command line are Rust's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Architecture {
    /// `arm64`: Graviton, Ampere, Apple.
    #[value(name = "aarch64", alias = "arm64")]
    Aarch64,
    /// `amd64`.
    #[value(name = "x86_64", alias = "amd64")]
    X86_64,
}

impl Architecture {
    /// Of the machine that this runs on, if something is shipped for it.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        [Self::Aarch64, Self::X86_64].into_iter().find(|architecture| architecture.name() == std::env::consts::ARCH)
    }

    /// Rust's name, which our files carry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }

    /// The target of a static program.
    #[must_use]
    pub fn triple(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64-unknown-linux-musl",
            Self::X86_64 => "x86_64-unknown-linux-musl",
        }
    }

    /// Go's name, which the OCI image specification prescribes, and krew too.
    #[must_use]
    pub fn go_name(self) -> &'static str {
        match self {
            Self::Aarch64 => "arm64",
            Self::X86_64 => "amd64",
        }
    }

    /// The variant by the table in the OCI image index specification.
    #[must_use]
    pub fn oci_variant(self) -> Option<&'static str> {
        match self {
            Self::Aarch64 => Some("v8"),
            Self::X86_64 => None,
        }
    }
}

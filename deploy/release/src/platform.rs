//! The systems that the plugin is shipped for, by each of their names.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Error};

use crate::architecture::Architecture;

/// A system and an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// Macs, by Rust's target with Apple's linker.
    Darwin(Architecture),
    /// Any Linux: the program is static.
    Linux(Architecture),
    /// Windows on `x86_64`; there is no linker for the other that could be had anywhere but there.
    Windows,
}

/// Every one.
pub const PLATFORMS: [Platform; 5] = [
    Platform::Linux(Architecture::X86_64),
    Platform::Linux(Architecture::Aarch64),
    Platform::Darwin(Architecture::X86_64),
    Platform::Darwin(Architecture::Aarch64),
    Platform::Windows,
];

impl Platform {
    /// Go's name of the system, which krew uses.
    #[must_use]
    pub fn os(self) -> &'static str {
        match self {
            Self::Darwin(_) => "darwin",
            Self::Linux(_) => "linux",
            Self::Windows => "windows",
        }
    }

    /// Of the processor.
    #[must_use]
    pub fn architecture(self) -> Architecture {
        match self {
            Self::Darwin(architecture) | Self::Linux(architecture) => architecture,
            Self::Windows => Architecture::X86_64,
        }
    }

    /// Rust's name of the target.
    #[must_use]
    pub fn triple(self) -> &'static str {
        match self {
            Self::Darwin(Architecture::Aarch64) => "aarch64-apple-darwin",
            Self::Darwin(Architecture::X86_64) => "x86_64-apple-darwin",
            Self::Linux(architecture) => architecture.triple(),
            Self::Windows => "x86_64-pc-windows-gnu",
        }
    }

    /// What a program's file is called.
    #[must_use]
    pub fn program(self, name: &str) -> String {
        match self {
            Self::Darwin(_) | Self::Linux(_) => name.to_owned(),
            Self::Windows => format!("{name}.exe"),
        }
    }

    /// Whether its programs run on this machine.
    #[must_use]
    pub fn is_this_machine(self) -> bool {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            os => os,
        };
        self.os() == os && Some(self.architecture()) == Architecture::of_this_machine()
    }
}

/// As Go and the image specification write it: `linux/amd64`.
impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os(), self.architecture().go_name())
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = || PLATFORMS.map(|platform| platform.to_string()).join(", ");
        let found = PLATFORMS.into_iter().find(|platform| platform.to_string() == text);
        found.with_context(|| format!("{text:?} is none of {}", all()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_platform_has_names_of_its_own_and_is_found_by_them() {
        let triples: BTreeSet<_> = PLATFORMS.iter().map(|platform| platform.triple()).collect();
        assert_eq!(triples.len(), PLATFORMS.len());
        for platform in PLATFORMS {
            assert_eq!(platform.to_string().parse::<Platform>().unwrap(), platform);
        }
        let error = "plan9/amd64".parse::<Platform>().unwrap_err().to_string();
        assert!(error.contains("linux/arm64"), "{error}");
    }
}

//! Which compiler and linker a target takes for what is not Rust (aws-lc, zstd, mimalloc), and what to install where
//! there is none.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// How cargo is called for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// `cargo build`: the environment or the machine has what the target wants.
    Plain,
    /// `cargo build` with this C compiler, which links as well.
    Named(String),
    /// `cargo zigbuild`: zig brings a C compiler, a libc and a linker for every target.
    Zig,
}

impl Toolchain {
    /// Looks for what can build for `triple` here: what the environment names, the target's own gcc, then zig.
    ///
    /// # Errors
    /// If there is nothing, with what to install.
    pub fn find(triple: &str) -> Result<Self> {
        Self::choose(
            triple,
            env::consts::ARCH,
            env::consts::OS,
            |name| env::var_os(name).is_some(),
            |program| on_path(program).is_some(),
        )
    }

    fn choose(
        triple: &str,
        arch: &str,
        os: &str,
        set: impl Fn(&str) -> bool,
        there: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let underscored = triple.replace('-', "_");
        if set(&format!("CC_{underscored}")) {
            return Ok(Self::Plain);
        }
        let target_arch = triple.split('-').next().unwrap_or_default();
        let mut advice = Vec::new();
        if triple.ends_with("-linux-musl") {
            // Debian's wrapper is for the machine's own architecture only.
            if os == "linux" && arch == target_arch {
                if there("musl-gcc") {
                    return Ok(Self::Plain);
                }
                advice.push("the Debian package musl-tools".to_owned());
            }
            let gcc = format!("{target_arch}-linux-musl-gcc");
            if there(&gcc) {
                return Ok(Self::Named(gcc));
            }
        } else if triple.ends_with("-windows-gnu") {
            let gcc = format!("{target_arch}-w64-mingw32-gcc");
            if there(&gcc) {
                return Ok(Self::Named(gcc));
            }
            advice.push("the Debian package gcc-mingw-w64-x86-64".to_owned());
        } else if triple.ends_with("-apple-darwin") {
            if os == "macos" {
                return Ok(Self::Plain);
            }
            // zig links for macOS, but Apple's frameworks, of which the keyring is one, come with Apple's SDK alone.
            if !set("SDKROOT") {
                bail!("{triple} takes a Mac, or zig and SDKROOT pointing to a macOS SDK");
            }
        }
        // As the Python package installs it, zig is a module and no program; cargo-zigbuild finds both.
        if there("cargo-zigbuild") {
            return Ok(Self::Zig);
        }
        advice.push("zig with its cargo command (`pip install cargo-zigbuild`)".to_owned());
        bail!("no C compiler for {triple}: install {}, or set CC_{underscored}", advice.join(", or "))
    }

    /// The command that builds, without arguments of the build.
    #[must_use]
    pub fn cargo(&self, triple: &str) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        match self {
            Self::Plain => command.arg("build"),
            Self::Named(gcc) => {
                let underscored = triple.replace('-', "_");
                command.env(format!("CC_{underscored}"), gcc);
                command.env(format!("CARGO_TARGET_{}_LINKER", underscored.to_uppercase()), gcc);
                command.arg("build")
            }
            Self::Zig => command.arg("zigbuild"),
        };
        command
    }
}

/// Sees to it that Rust's own library for the target is there, by rustup if need be.
///
/// # Errors
/// If it is not and rustup cannot fetch it.
pub fn library(triple: &str) -> Result<()> {
    let folder = Command::new("rustc").args(["--print", "target-libdir", "--target", triple]).output();
    let folder = folder.context("running rustc")?;
    if Path::new(String::from_utf8_lossy(&folder.stdout).trim()).is_dir() {
        return Ok(());
    }
    eprintln!("rustup target add {triple}");
    let added = Command::new("rustup").args(["target", "add", triple]).stdin(Stdio::null()).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!("Rust's library for {triple} is not installed, and `rustup target add {triple}` did not bring it")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(OsStr::new(program))).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_linux(triple: &str, set: &[&str], there: &[&str]) -> Result<Toolchain> {
        Toolchain::choose(triple, "x86_64", "linux", |name| set.contains(&name), |program| there.contains(&program))
    }

    #[test]
    fn the_nearest_compiler_is_taken() {
        let cases: &[(&str, &[&str], &[&str], Toolchain)] = &[
            ("x86_64-unknown-linux-musl", &[], &["musl-gcc", "cargo-zigbuild"], Toolchain::Plain),
            ("x86_64-unknown-linux-musl", &[], &["cargo-zigbuild"], Toolchain::Zig),
            ("aarch64-unknown-linux-musl", &[], &["musl-gcc", "cargo-zigbuild"], Toolchain::Zig),
            (
                "aarch64-unknown-linux-musl",
                &[],
                &["aarch64-linux-musl-gcc", "cargo-zigbuild"],
                Toolchain::Named("aarch64-linux-musl-gcc".to_owned()),
            ),
            ("aarch64-unknown-linux-musl", &["CC_aarch64_unknown_linux_musl"], &["cargo-zigbuild"], Toolchain::Plain),
            ("x86_64-pc-windows-gnu", &[], &["cargo-zigbuild"], Toolchain::Zig),
            ("aarch64-apple-darwin", &["SDKROOT"], &["cargo-zigbuild"], Toolchain::Zig),
        ];
        for (triple, set, there, wanted) in cases {
            assert_eq!(on_linux(triple, set, there).unwrap(), *wanted, "{triple} {set:?} {there:?}");
        }
    }

    #[test]
    fn where_there_is_none_it_says_what_to_install() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("x86_64-unknown-linux-musl", &[], "musl-tools"),
            ("aarch64-unknown-linux-musl", &["musl-gcc"], "pip install cargo-zigbuild"),
            ("x86_64-pc-windows-gnu", &[], "gcc-mingw-w64-x86-64"),
            ("aarch64-apple-darwin", &["cargo-zigbuild"], "SDKROOT"),
        ];
        for (triple, there, wanted) in cases {
            let error = on_linux(triple, &[], there).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}

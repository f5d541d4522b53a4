//! What is shipped of Latchkey, made from the sources by two commands: `cargo image` and `cargo plugin-archives`.
//!
//! | module | what it knows |
//! |---|---|
//! | [`architecture`] | names of architectures |
//! | [`toolchain`] | which C compiler and linker a target takes, and what to install where there is none |
//! | [`compile`] | a static program by cargo, the same bytes wherever it is built, and which crates are in it |
//! | [`elf`] | whether a program is static, and the list of crates inside it |
//! | [`roots`] | whom the image trusts |
//! | [`layer`], [`oci`] | files into a tar, a tar into an image |
//! | [`bill`] | the bill of materials, `CycloneDX` |
//! | [`source`] | the commit, the time that is written |
//! | [`digest`] | SHA-256 as text |
//!
//! Nothing here asks the clock, the user's name or the machine's: the same commit and the same compilers give the same bytes.

pub mod architecture;
pub mod bill;
pub mod compile;
pub mod digest;
pub mod elf;
pub mod layer;
pub mod oci;
pub mod roots;
pub mod source;
pub mod toolchain;

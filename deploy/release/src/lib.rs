//! What is shipped of Latchkey, made from the sources by two commands: `cargo image` and `cargo plugin-archives`.
//!
//! | module | what it knows |
//! |---|---|
//! | [`image`] | the whole way of the image |
//! | [`architecture`] | names of architectures |
//! | [`toolchain`] | which C compiler and linker a target takes, and what to install where there is none |
//! | [`compile`] | a static program by cargo, the same bytes wherever it is built, and which crates are in it |
//! | [`elf`] | whether a program is static, and the list of crates inside it |
//! | [`roots`] | whom the image trusts |
//! | [`layer`], [`oci`] | files into a tar, a tar into an image |
//! | [`platform`], [`archive`], [`krew`] | where the plugin runs, its archive, its manifest for krew |
//! | [`bill`], [`notices`] | the licences of what others wrote, and the bill of materials, `CycloneDX` |
//! | [`source`] | the commit, the time that is written |
//! | [`outcome`] | the files and lines that the commands leave |
//! | [`digest`] | SHA-256 as text |
//!
//! Nothing here asks the clock, the user's name or the machine's: the same commit and the same compilers give the same bytes.

pub mod architecture;
pub mod archive;
pub mod bill;
pub mod compile;
pub mod digest;
pub mod elf;
pub mod image;
pub mod krew;
pub mod layer;
pub mod notices;
pub mod oci;
pub mod outcome;
pub mod platform;
pub mod roots;
pub mod source;
pub mod toolchain;

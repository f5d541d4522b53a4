//! The plugin's archive for one platform.

use anyhow::{Context as _, Result};
use cargo_metadata::camino::Utf8Path;

use crate::{
    layer::{self, File, Files},
    platform::Platform,
};

/// The plugin's program.
pub const PROGRAM: &str = "kubectl-latchkey";

/// By which kubectl finds completion.
const COMPLETE: &str = "kubectl_complete-latchkey";

/// Where the manual page lies: `man --local-file` shows it there, and under `/usr/local/share` it is in its place.
const MANUAL: &str = "man/man1/kubectl-latchkey.1";

/// The shells' scripts: where they lie in the workspace, and in the archive under the names that the shells' folders want.
const SCRIPTS: [(&str, &str); 5] = [
    ("latchkey.bash", "completions/kubectl-latchkey.bash"),
    ("latchkey.fish", "completions/kubectl-latchkey.fish"),
    ("latchkey.nu", "completions/kubectl-latchkey.nu"),
    ("latchkey.ps1", "completions/kubectl-latchkey.ps1"),
    ("latchkey.zsh", "completions/_kubectl-latchkey"),
];

/// The archive's file name, by the form that krew's examples and most of its index have.
#[must_use]
pub fn name(version: &str, platform: Platform) -> String {
    format!("{PROGRAM}_v{version}_{}_{}.tar.gz", platform.os(), platform.architecture().go_name())
}

/// What differs from one archive to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// What it runs on.
    pub platform: Platform,
    /// The plugin.
    pub program: Vec<u8>,
    /// The licences of the crates in it.
    pub notices: String,
    /// The manual page, in roff.
    pub manual: Vec<u8>,
}

/// The archive. Files only: krew unpacks no links.
///
/// # Errors
/// If a file of the workspace cannot be read.
pub fn pack(workspace: &Utf8Path, contents: Contents) -> Result<Vec<u8>> {
    let Contents { platform, program, notices, manual } = contents;
    let read = |path: &str| {
        let path = workspace.join(path);
        std::fs::read(&path).with_context(|| format!("reading {path}"))
    };
    let mut files = Files::from([
        (platform.program(PROGRAM), File::program(program)),
        ("LICENSE".to_owned(), File::data(read("LICENSE")?)),
        ("THIRD-PARTY-NOTICES".to_owned(), File::data(notices)),
        (MANUAL.to_owned(), File::data(manual)),
    ]);
    for (script, path) in SCRIPTS {
        let script = read(&format!("login-plugin/src/commands/completion/scripts/{script}"))?;
        files.insert(path.to_owned(), File::data(script));
    }
    if platform != Platform::Windows {
        let script = read(&format!("deploy/release/plugin/{COMPLETE}"))?;
        files.insert(COMPLETE.to_owned(), File::program(script));
    }
    layer::gzip(&layer::tar(&files)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compile::metadata;

    fn listed(platform: Platform) -> BTreeMap<String, u32> {
        let workspace = metadata("x86_64-unknown-linux-musl").unwrap().workspace_root;
        let packed = || {
            let contents = Contents {
                platform,
                program: b"program".to_vec(),
                notices: "notices".to_owned(),
                manual: b".TH".to_vec(),
            };
            pack(&workspace, contents).unwrap()
        };
        let packed = (packed(), packed());
        assert_eq!(packed.0, packed.1);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*packed.0));
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let kind = entry.header().entry_type();
            assert!(kind.is_file() || kind.is_dir(), "krew unpacks nothing else");
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
        });
        entries.collect()
    }

    #[test]
    fn an_archive_has_the_program_its_licence_and_every_shells_completion() {
        let files = listed("linux/amd64".parse().unwrap());
        assert_eq!(files[PROGRAM], 0o755);
        assert_eq!(files[COMPLETE], 0o755);
        assert_eq!(files[MANUAL], 0o644);
        assert_eq!((files["LICENSE"], files["THIRD-PARTY-NOTICES"]), (0o644, 0o644));
        // Were there a script that nobody packs, somebody would miss it.
        let workspace = metadata("x86_64-unknown-linux-musl").unwrap().workspace_root;
        let scripts = workspace.join("login-plugin/src/commands/completion/scripts").read_dir_utf8().unwrap().count();
        assert_eq!(
            files.keys().filter(|path| path.starts_with("completions/") && !path.ends_with('/')).count(),
            scripts
        );
    }

    #[test]
    fn windows_gets_a_program_that_it_can_run() {
        let files = listed(Platform::Windows);
        assert!(files.contains_key("kubectl-latchkey.exe") && !files.contains_key(COMPLETE));
    }
}

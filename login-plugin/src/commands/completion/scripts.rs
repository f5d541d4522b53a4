//! The scripts: each asks this program (`__complete WORD...`) and shows what it answers in its shell's way.

use crate::args::Shell;

/// The script of a shell.
pub(super) const fn text(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("scripts/latchkey.bash"),
        Shell::Fish => include_str!("scripts/latchkey.fish"),
        Shell::Nushell => include_str!("scripts/latchkey.nu"),
        Shell::Powershell => include_str!("scripts/latchkey.ps1"),
        Shell::Zsh => include_str!("scripts/latchkey.zsh"),
    }
}

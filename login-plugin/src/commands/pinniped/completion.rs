//! `completion` under Pinniped's name: its commands and flags, in four shells.

use crate::failure::{Failure, Status};
use crate::pinniped::words;

/// The script for the shell.
///
/// # Errors
/// When there is no such shell.
pub(super) fn script(shell: Option<&str>) -> Result<String, Failure> {
    let words = words();
    let plain = words.join(" ");
    match shell {
        Some("bash") => Ok(format!("complete -o default -W '{plain}' pinniped\n")),
        Some("zsh") => Ok(format!("#compdef pinniped\ncompdef '_arguments \"*:word:({plain})\"' pinniped\n")),
        Some("fish") => Ok(format!("complete -c pinniped -f -a '{plain}'\n")),
        Some("powershell") => {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            Ok(format!(
                "Register-ArgumentCompleter -Native -CommandName pinniped -ScriptBlock {{\n  param($word)\n  {} | \
                 Where-Object {{ $_ -like \"$word*\" }}\n}}\n",
                quoted.join(", ")
            ))
        }
        other => Err(Failure::new(
            Status::Usage,
            format!(
                "completion: expected \"bash\", \"fish\", \"powershell\" or \"zsh\", found {:?}",
                other.unwrap_or("")
            ),
        )),
    }
}

//! How often and how clients run the plugin: a script that stands before it on the `PATH` and notes each run.

use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt as _, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Person, quote};

/// One run of `kubectl-latchkey credential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What its standard input was: `/dev/null`, `pipe:[…]`, …
    pub stdin: String,
    /// What the client told it, if it told anything.
    pub exec_info: Option<Value>,
}

impl Run {
    /// Whether the client said that somebody sits there; nothing where the client says nothing.
    #[must_use]
    pub fn interactive(&self) -> Option<bool> {
        self.exec_info.as_ref()?["spec"]["interactive"].as_bool()
    }
}

impl Person {
    /// From now on each run of the plugin is noted. The plugin replaces the script that notes it, so that its parent is the
    /// client itself.
    ///
    /// # Errors
    /// If the script cannot be written.
    pub fn note_runs(&mut self) -> Result<()> {
        let folder = self.home.join("noting");
        fs::create_dir_all(&folder)?;
        let script = folder.join("kubectl-latchkey");
        let list = quote(&self.runs_file().to_string_lossy());
        let plugin = quote(&self.programs.plugin.to_string_lossy());
        fs::write(
            &script,
            format!(
                "#!/bin/sh\n\
                 if [ \"$1\" = credential ]; then\n\
                 info=$(printf %s \"${{KUBERNETES_EXEC_INFO-}}\" | tr -d '\\n')\n\
                 printf '%s\\t%s\\n' \"$(readlink /proc/$$/fd/0)\" \"$info\" >> {list}\n\
                 fi\n\
                 exec {plugin} \"$@\"\n"
            ),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        let folders = std::iter::once(folder).chain(std::env::split_paths(&self.path));
        self.path = std::env::join_paths(folders).context("a folder on PATH has a colon in its name")?;
        Ok(())
    }

    /// The runs since the last question.
    ///
    /// # Errors
    /// If what was noted is not understood.
    pub fn new_runs(&self) -> Result<Vec<Run>> {
        let list = match fs::read_to_string(self.runs_file()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            list => list?,
        };
        fs::remove_file(self.runs_file())?;
        list.lines().map(parse).collect()
    }

    fn runs_file(&self) -> PathBuf {
        self.home.join("runs")
    }
}

fn parse(line: &str) -> Result<Run> {
    let (stdin, info) = line.split_once('\t').with_context(|| format!("a noted run: {line:?}"))?;
    let exec_info = if info.is_empty() { None } else { Some(serde_json::from_str(info)?) };
    Ok(Run { stdin: stdin.to_owned(), exec_info })
}

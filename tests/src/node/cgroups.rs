//! The node's folder of control groups, one in each hierarchy (cgroup version 1).

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::wait;

const ROOT: &str = "/sys/fs/cgroup";

/// Tasks that were killed leave their group within milliseconds; a busy machine may take longer.
const REMOVE_LIMIT: Duration = Duration::from_mins(1);

/// A node's groups, removed on drop.
pub(super) struct Cgroups {
    name: String,
}

impl Cgroups {
    /// Makes `name` in every hierarchy.
    pub(super) fn make(name: &str) -> Result<Self> {
        let made = Self { name: name.to_owned() };
        for hierarchy in hierarchies()? {
            let folder = hierarchy.join(name);
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            // A new group of version 1 may use no CPU and no memory node until somebody says which.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if fs::exists(hierarchy.join(file))? {
                    let all = fs::read(hierarchy.join(file))?;
                    fs::write(folder.join(file), all).with_context(|| format!("writing {file} of {name}"))?;
                }
            }
        }
        Ok(made)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            eprintln!("control groups are left: {error:#}");
        }
    }
}

/// Why groups cannot be made here, if so.
pub(super) fn refusal() -> Option<String> {
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        return Some("this machine has control groups of version 2, with which the node was never tried".to_owned());
    }
    let hierarchies = match hierarchies() {
        Ok(hierarchies) => hierarchies,
        Err(error) => return Some(format!("{error:#}")),
    };
    if !hierarchies.iter().any(|hierarchy| hierarchy.ends_with("memory")) {
        return Some(format!("there is no control group hierarchy for memory in {ROOT}"));
    }
    let trial = hierarchies[0].join(format!("latchkey-trial-{}", std::process::id()));
    match fs::create_dir(&trial).and_then(|()| fs::remove_dir(&trial)) {
        Ok(()) => None,
        Err(error) => Some(format!("no control group can be made here: {}: {error}", trial.display())),
    }
}

/// Removes `name` and what is below it from every hierarchy, once its last tasks are gone.
pub(super) fn remove(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(name);
        wait::eventually_blocking("the end of the node's control groups", REMOVE_LIMIT, || remove_below(&folder))?;
    }
    Ok(())
}

/// Depth first; the files in a group are not for removal.
fn remove_below(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let tasks = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            bail!("{}: {error}; tasks in it: {}", folder.display(), tasks.split_whitespace().count())
        }
        _ => Ok(()),
    }
}

/// Folders only: `cpu` may be a link to `cpu,cpuacct`.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(ROOT).with_context(|| format!("looking for control groups in {ROOT}"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.path().join("cgroup.procs").exists() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

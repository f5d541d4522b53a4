//! Which of a few nodes one is: its name, its addresses, and what an earlier one of the same number left behind.
//!
//! A number has one holder, and is free again when that one dies. So whatever is found under the name of a number just taken
//! belongs to a test runner that was killed.

use std::{fs, net::Ipv4Addr, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{cgroups, succeed};
use crate::held::Held;

/// Nodes at once on one machine. Each takes 0.7 GiB (test-cluster.md section 3): more would be a leak.
const MOST: u8 = 8;

/// A number of a node, free again when dropped.
pub(super) struct Slot {
    number: u8,
    _held: Held,
}

impl Slot {
    /// Takes the first free number and clears what was left under it.
    pub(super) fn take() -> Result<Self> {
        for number in 0..MOST {
            let Some(held) = Held::take(&format!("latchkey-test-node-{number}"))? else { continue };
            let slot = Self { number, _held: held };
            slot.clear().with_context(|| format!("clearing what an earlier {} left", slot.name()))?;
            return Ok(slot);
        }
        bail!("{MOST} nodes run on this machine already")
    }

    /// The node's name; also of its folder of control groups.
    pub(super) fn name(&self) -> String {
        format!("latchkey-node{}", self.number)
    }

    /// Begins the names of its folders among the temporary ones.
    pub(super) fn folder(&self) -> String {
        format!("node{}", self.number)
    }

    /// The machine's end of the cable between it and the node.
    pub(super) fn link(&self) -> String {
        format!("lknode{}", self.number)
    }

    /// The machine's address on that cable. 198.18.0.0/15 is for benchmarks between networks (RFC 2544, C.2.2): no network in
    /// use has it.
    pub(super) fn machine_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 1)
    }

    /// The node's.
    pub(super) fn node_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, 2)
    }

    /// Where its pods get theirs from.
    pub(super) fn pods(&self) -> String {
        format!("198.19.{}.0/24", self.number)
    }

    /// Processes, mounts and networks of a killed runner are gone with it; folders and control groups are not.
    fn clear(&self) -> Result<()> {
        if fs::exists(format!("/sys/class/net/{}", self.link()))? {
            succeed(Command::new("ip").args(["link", "delete", &self.link()]))?;
        }
        cgroups::remove(&self.name())?;
        let ours = format!("latchkey-{}-", self.folder());
        for entry in fs::read_dir(std::env::temp_dir())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&ours) {
                fs::remove_dir_all(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
            }
        }
        Ok(())
    }
}

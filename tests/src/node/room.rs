//! The namespaces that hold a whole cluster: network, processes, mounts, IPC and host name of its own.
//!
//! Their first process is a shell that does nothing but take away dead children. With it the kernel ends everything else
//! inside: processes, mounts, network. It ends with the test as each child does.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::retry_on_intr,
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{slot::Slot, succeed};
use crate::{
    child::Child,
    place::Place,
    wait::{self, Observation},
};

/// It mounts a few things, in milliseconds; the rest is for two busy cores.
const START_LIMIT: Duration = Duration::from_mins(1);

/// All processes inside are killed at once; the kernel takes each away before the first one is gone. Longer than that is a leak.
const END_LIMIT_SECONDS: i64 = 60;

/// What the first process does. `$1` is a folder of the node's own, `$2` its name.
///
/// - `/run`, `/var/lib` and `/var/log` are its own: kubelet and containerd write there.
/// - The kubelet writes these sysctls, and they are the whole machine's: it gets copies.
const INIT: &str = r#"
set -eu
echo "$2" >/proc/sys/kernel/hostname
mkdir "$1/lib" "$1/log"
mount -t tmpfs tmpfs /run
mount --bind "$1/lib" /var/lib
mount --bind "$1/log" /var/log
for name in vm/overcommit_memory kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  copy="$1/sysctl-${name##*/}"
  cat "/proc/sys/$name" >"$copy"
  mount --bind "$copy" "/proc/sys/$name"
done
mount --make-rshared /
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
: >"$1/ready"
while :; do sleep 3600 & wait $!; done
"#;

/// Namespaces with a cable to this machine; dropping them ends everything inside.
pub(super) struct Room {
    child: Child,
    init: u32,
    place: Place,
}

impl Room {
    /// Makes them; `folder` is the node's own.
    pub(super) async fn make(slot: &Slot, folder: &Path) -> Result<Self> {
        fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
        let mut child = Child::spawn("namespaces", namespaces(INIT, folder, &slot.name()), folder)?;
        let ready = folder.join("ready");
        wait::eventually("the node's namespaces", START_LIMIT, async || {
            if let Err(error) = child.check_alive() {
                return Observation::Hopeless(error);
            }
            ready.exists().into()
        })
        .await?;
        let init = only_child(child.pid())?;
        let room = Self { child, init, place: Place::within(init, slot.node_address()) };
        room.connect(slot)?;
        Ok(room)
    }

    /// The network in it.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The first process.
    pub(super) fn init(&self) -> u32 {
        self.init
    }

    /// Lays the cable. There is no way out over it: nothing on this machine forwards, and nobody answers for other addresses.
    fn connect(&self, slot: &Slot) -> Result<()> {
        let (link, node, machine) = (slot.link(), slot.node_address().to_string(), slot.machine_address());
        let ip = |words: &str| succeed(Command::new("ip").args(words.split_whitespace()));
        let inside = |words: &str| succeed(self.place.networked(Path::new("ip")).args(words.split_whitespace()));
        ip(&format!("link add {link} type veth peer name eth0 netns {}", self.init))?;
        ip(&format!("address add {machine}/24 dev {link}"))?;
        ip(&format!("link set {link} up"))?;
        inside(&format!("address add {node}/24 dev eth0"))?;
        inside("link set eth0 up")?;
        // Services' addresses are nobody's; a packet to one needs a route before the node's rules can turn it to a pod.
        inside("route add default dev eth0")?;
        ip(&format!("route add {} via {node}", slot.pods()))
    }

    /// Ends everything inside and waits until it has ended.
    pub(super) fn end(&mut self) -> Result<()> {
        let pid = i32::try_from(self.init).ok().and_then(Pid::from_raw);
        let first = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        self.child.kill()?;
        if let Some(first) = first {
            let limit = rustix::event::Timespec { tv_sec: END_LIMIT_SECONDS, tv_nsec: 0 };
            // The end of any other child interrupts the wait.
            retry_on_intr(|| poll(&mut [PollFd::new(&first, PollFlags::IN)], Some(&limit)))
                .context("waiting for the node's end")?;
        }
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the node's processes: {error:#}");
        }
    }
}

/// A shell in new namespaces.
pub(super) fn namespaces(script: &str, folder: &Path, name: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child=KILL"]);
    command.args(["--propagation", "private", "--mount-proc", "sh", "-c", script, "latchkey-node"]);
    command.arg(folder).arg(name);
    command
}

fn only_child(parent: u32) -> Result<u32> {
    let file = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    children.trim().parse().with_context(|| format!("expected one process id in {file}, found {children:?}"))
}

//! Where something of a test runs and listens: on this machine's loopback, or in the network of a [node](crate::node).

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::ports;

/// A network with an address to listen on, and the way to start programs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    address: Ipv4Addr,
    /// The first process of a node's namespaces, as this machine numbers it.
    init: Option<u32>,
}

impl Place {
    /// This machine's loopback.
    #[must_use]
    pub const fn here() -> Self {
        Self { address: Ipv4Addr::LOCALHOST, init: None }
    }

    /// The namespaces of the process `init`, where `address` is.
    pub(crate) const fn within(init: u32, address: Ipv4Addr) -> Self {
        Self { address, init: Some(init) }
    }

    /// Where a server in this place is reached: from this machine, and in a node's network from its pods too.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether it is a node's.
    pub(crate) const fn is_node(&self) -> bool {
        self.init.is_some()
    }

    /// A program that runs in this place: its network, its processes, its view of the file system.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        match self.init {
            None => Command::new(program),
            Some(init) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--target={init}")).args(["--mount", "--uts", "--ipc", "--net", "--pid", "--"]);
                command.arg(program);
                command
            }
        }
    }

    /// A program of this machine in this place's network alone.
    #[must_use]
    pub fn networked(&self, program: &Path) -> Command {
        match self.init {
            None => Command::new(program),
            Some(init) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--target={init}")).args(["--net", "--"]).arg(program);
                command
            }
        }
    }

    /// A port to listen on: `usual` in a network of its own, any free one on a shared loopback.
    pub(crate) fn port(&self, usual: u16) -> Result<u16> {
        if self.is_node() { Ok(usual) } else { ports::free() }
    }

    /// A listener in this place, to be served by this process. In a node's network only its pods and this machine reach it.
    ///
    /// # Errors
    /// If the port is taken or the node is gone.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        let bind = {
            let address = self.address;
            move || TcpListener::bind((address, port)).with_context(|| format!("listening on {address}:{port}"))
        };
        let listener = match self.init {
            None => bind()?,
            Some(init) => {
                let network = format!("/proc/{init}/ns/net");
                let network = File::open(&network).with_context(|| format!("opening {network}"))?;
                // A socket stays in the network where it was made; a thread of its own, so that no other thread moves.
                let made = thread::spawn(move || {
                    use std::os::fd::AsFd as _;
                    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                        .context("entering the node's network")?;
                    bind()
                });
                made.join().map_err(|_| anyhow!("the thread that was to listen in the node's network panicked"))??
            }
        };
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

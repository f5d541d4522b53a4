//! Names of which one holder on this machine has each: free again when it lets go, or dies in whatever way.
//!
//! A name is an abstract Unix socket (unix(7)): it is in no folder, so nothing is left behind, and the kernel takes it away with
//! its holder.

use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use anyhow::{Context as _, Result};

/// A name that nobody else has until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _socket: UnixListener,
}

impl Held {
    /// Takes a name, unless somebody has it, in this process or another.
    ///
    /// # Errors
    /// If the system does not say.
    pub(crate) fn take(name: &str) -> Result<Option<Self>> {
        let address = SocketAddr::from_abstract_name(name).with_context(|| format!("the name {name}"))?;
        match UnixListener::bind_addr(&address) {
            Ok(socket) => Ok(Some(Self { _socket: socket })),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error).with_context(|| format!("taking the name {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_holder_until_it_lets_go() {
        let name = format!("latchkey-test-held-{}", uuid::Uuid::new_v4().simple());
        let first = Held::take(&name).expect("an answer").expect("nobody has it");
        assert!(Held::take(&name).expect("an answer").is_none(), "taken twice");
        drop(first);
        assert!(Held::take(&name).expect("an answer").is_some(), "free again");
    }
}

//! A free loopback port that stays free while its owner restarts.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{LazyLock, Mutex, PoisonError},
};

use anyhow::{Result, bail};

use crate::held::Held;

/// Where ports are taken from: below 32768, where Linux's ephemeral range begins
/// (`net.ipv4.ip_local_port_range`). A port of that range could be given to somebody's outgoing connection while an API
/// server restarts; worse, a client that retries against a closed ephemeral port can connect to itself. And below 28467, the
/// first of the plugin's fixed ports, at which people are sent back by providers that compare addresses to the letter.
const FIRST: u16 = 20_000;
const LAST: u16 = 28_000;

/// Tries before giving up: with half the range in use, the chance to miss each time is below one in 10^30.
const TRIES: usize = 100;

/// What this process has handed out, for its whole life: a server that is stopped comes back at its port.
static HANDED_OUT: LazyLock<Mutex<Vec<Held>>> = LazyLock::new(Mutex::default);

/// A port that nobody listens on at this moment, and that no test process of this machine hands out while this one lives: some
/// servers are told their port half a minute before they bind it.
///
/// Programs that know nothing of us can still be faster: whoever starts a server on it may retry with another port when that
/// server dies at once.
///
/// # Errors
/// If no free port is found.
pub fn free() -> Result<u16> {
    for _ in 0..TRIES {
        let port = random_port();
        let Some(held) = Held::take(&format!("latchkey-test-port-{port}"))? else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner).push(held);
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {LAST} after {TRIES} tries")
}

/// Random, not counted up: of two runners the second would otherwise try all ports of the first, and a port just let go is
/// better left alone for a while.
fn random_port() -> u16 {
    let random = uuid::Uuid::new_v4().as_u128() % u128::from(LAST - FIRST);
    FIRST + u16::try_from(random).expect("below LAST - FIRST, which is a u16")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use anyhow::{Context as _, ensure};

    use super::*;

    #[test]
    fn never_hands_out_a_port_twice_or_one_in_use() {
        let ports: Vec<u16> = (0..200).map(|_| free().expect("a free port")).collect();
        let distinct: BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        assert!(ports.iter().all(|port| (FIRST..LAST).contains(port)));
    }

    const PORT: &str = "LATCHKEY_TEST_PORT_OF_ANOTHER";

    #[test]
    fn what_one_process_was_given_another_is_not() -> Result<()> {
        let port = free()?;
        let mut other = Command::new(std::env::current_exe()?);
        other.args(["--exact", "ports::tests::only_when_asked_takes_a_port_of_another"]).env(PORT, port.to_string());
        let output = other.output().context("starting another process")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        Ok(())
    }

    #[test]
    fn only_when_asked_takes_a_port_of_another() -> Result<()> {
        let Ok(port) = std::env::var(PORT) else { return Ok(()) };
        ensure!(TcpListener::bind(format!("127.0.0.1:{port}")).is_ok(), "nobody listens there yet");
        ensure!(Held::take(&format!("latchkey-test-port-{port}"))?.is_none(), "port {port} is to be had");
        Ok(())
    }
}

//! A free loopback port that stays free while its owner restarts.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
    sync::{LazyLock, Mutex, PoisonError},
};

use anyhow::{Result, bail};

/// Where ports are taken from: below 32768, where Linux's ephemeral range begins
/// (`net.ipv4.ip_local_port_range`). A port of that range could be given to somebody's outgoing connection while an API
/// server restarts; worse, a client that retries against a closed ephemeral port can connect to itself.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// Tries before giving up: with half the range in use, the chance to miss each time is below one in 10^30.
const TRIES: usize = 100;

static TAKEN: LazyLock<Mutex<BTreeSet<u16>>> = LazyLock::new(Mutex::default);

/// A port that nobody listens on at this moment and that this process has not handed out before.
///
/// The port is released again before its user binds it, so another process can be faster: whoever starts a server on
/// it retries with another port when that server dies at once.
///
/// # Errors
/// If no free port is found.
pub fn free() -> Result<u16> {
    for _ in 0..TRIES {
        let port = random_port();
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {LAST} after {TRIES} tries")
}

/// Random, not counted up: two test processes that start together would otherwise try the same ports.
fn random_port() -> u16 {
    let random = uuid::Uuid::new_v4().as_u128() % u128::from(LAST - FIRST);
    FIRST + u16::try_from(random).expect("below LAST - FIRST, which is a u16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_hands_out_a_port_twice_or_one_in_use() {
        let ports: Vec<u16> = (0..200).map(|_| free().expect("a free port")).collect();
        let distinct: BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        assert!(ports.iter().all(|port| (FIRST..LAST).contains(port)));
    }
}

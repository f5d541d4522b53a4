//! Which records are repeats of each other (audit.md 5): the key is ours or the socket's, never an unverified claim.

use std::net::IpAddr;

use super::request::{Cross, Request, Surface};
use crate::secret::TokenFingerprint;

/// What two refusals have in common when one is a repeat of the other. Bounded: an authenticator's name is the longest
/// part of it, and nothing in it was chosen by whoever sent the token, unless a configured issuer signed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoldKey {
    code: &'static str,
    surface: Surface,
    /// Kind and name; `None` where no authenticator judged.
    authenticator: Option<(&'static str, Box<str>)>,
    source: Source,
    token: Option<TokenFingerprint>,
    /// A live token of another cluster is never told together with another one's.
    is_alone: bool,
}

/// Where repeats come from: a network, as one host has all addresses of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Unknown,
    /// A /24.
    V4([u8; 3]),
    /// A /64.
    V6([u8; 8]),
    /// Everybody for whom the table had no room.
    Other,
}

impl FoldKey {
    pub(super) fn of(code: &'static str, request: &Request) -> Self {
        let is_verified = request.verified.is_some();
        let token = request.token.as_ref().filter(|_| is_verified).and_then(|token| token.fingerprint);
        Self {
            code,
            surface: request.surface,
            authenticator: request.authenticator.as_ref().map(|object| (object.kind, object.name.as_str().into())),
            source: request.source().map_or(Source::Unknown, Source::of),
            token,
            is_alone: token.is_some() && request.cross.as_ref().is_some_and(Cross::is_alive),
        }
    }

    /// The key under which this one's repeats are told where there is no room for it: one for each code, surface and
    /// authenticator. `None`: this one must never lose its own record.
    #[must_use]
    pub fn merged(&self) -> Option<Self> {
        (!self.is_alone).then(|| Self { source: Source::Other, token: None, ..self.clone() })
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let mut network = [0; 8];
                network.copy_from_slice(&address.octets()[..8]);
                Self::V6(network)
            }
        }
    }
}

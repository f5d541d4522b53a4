//! What the issuer does wrong on command, per endpoint, at run time.

use std::{collections::HashMap, io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Response, StatusCode, header},
};
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::sync::watch;

/// How long [`Fault::Slow`] rests after each byte: a document of a few hundred bytes then takes longer than any client's patience.
const SLOW_BYTE: Duration = Duration::from_millis(250);

/// The issuer's doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The authorization endpoint and the login page.
    Authorize,
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// The key set.
    Keys,
    /// The token endpoint.
    Token,
}

impl Endpoint {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            super::AUTHORIZE | super::LOGIN => Some(Self::Authorize),
            super::DISCOVERY => Some(Self::Discovery),
            super::KEYS => Some(Self::Keys),
            super::TOKEN => Some(Self::Token),
            _ => None,
        }
    }
}

/// One way of misbehaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This very answer instead of ours: HTML, a byte order mark, an encoding, another content type.
    Answer {
        /// HTTP status.
        status: StatusCode,
        /// Header fields.
        headers: HeaderMap,
        /// Body.
        body: Vec<u8>,
    },
    /// The connection is closed without an answer.
    Drop,
    /// Our answer, then blanks without end.
    Endless,
    /// Our answer, filled up with blanks to this many bytes: valid JSON, only too big.
    Huge(usize),
    /// 302 to this address.
    Redirect(String),
    /// Our answer, a byte at a time with long pauses.
    Slow,
    /// No answer until the fault is cleared; then ours.
    Stall,
    /// An empty answer with this status.
    Status(StatusCode),
}

/// The switches of one issuer.
#[derive(Debug)]
pub struct Faults {
    active: watch::Sender<HashMap<Endpoint, Fault>>,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self { active: watch::Sender::new(HashMap::new()) }
    }

    /// From now on the endpoint misbehaves so.
    pub fn set(&self, endpoint: Endpoint, fault: Fault) {
        self.active.send_modify(|faults| {
            faults.insert(endpoint, fault);
        });
    }

    /// From now on the endpoint behaves; stalled requests are answered.
    pub fn clear(&self, endpoint: Endpoint) {
        self.active.send_modify(|faults| {
            faults.remove(&endpoint);
        });
    }

    /// From now on every endpoint behaves.
    pub fn clear_all(&self) {
        self.active.send_modify(HashMap::clear);
    }

    /// The fault to be applied to a request, after any stall is over.
    pub(super) async fn next(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut active = self.active.subscribe();
        let faults = active.wait_for(|faults| faults.get(&endpoint) != Some(&Fault::Stall)).await.ok()?;
        faults.get(&endpoint).cloned()
    }
}

impl Fault {
    /// The answer in place of the whole, if this fault does not need our own.
    pub(super) fn instead(&self) -> Option<io::Result<Response<Body>>> {
        match self {
            Self::Answer { status, headers, body } => {
                let mut answer = Response::new(Body::from(body.clone()));
                *answer.status_mut() = *status;
                *answer.headers_mut() = headers.clone();
                Some(Ok(answer))
            }
            Self::Drop => Some(Err(io::Error::other("dropped on command"))),
            Self::Redirect(to) => {
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = StatusCode::FOUND;
                if let Ok(to) = to.parse() {
                    answer.headers_mut().insert(header::LOCATION, to);
                }
                Some(Ok(answer))
            }
            Self::Status(status) => {
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = *status;
                Some(Ok(answer))
            }
            Self::Endless | Self::Huge(_) | Self::Slow | Self::Stall => None,
        }
    }

    /// Our own answer, spoilt.
    pub(super) async fn spoil(&self, answer: Response<Body>) -> Response<Body> {
        let (mut parts, body) = answer.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return Response::from_parts(parts, Body::empty());
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = match self {
            Self::Huge(size) => {
                let mut bytes = body.to_vec();
                bytes.resize((*size).max(bytes.len()), b' ');
                Body::from(bytes)
            }
            Self::Endless => {
                let blanks = stream::repeat(Bytes::from_static(&[b' '; 16 * 1024]));
                Body::from_stream(stream::iter([body]).chain(blanks).map(io::Result::Ok))
            }
            Self::Slow => Body::from_stream(stream::unfold(body, |mut rest| async {
                if rest.is_empty() {
                    return None;
                }
                let byte = rest.split_to(1);
                tokio::time::sleep(SLOW_BYTE).await;
                Some((io::Result::Ok(byte), rest))
            })),
            Self::Answer { .. } | Self::Drop | Self::Redirect(_) | Self::Stall | Self::Status(_) => Body::from(body),
        };
        Response::from_parts(parts, body)
    }
}

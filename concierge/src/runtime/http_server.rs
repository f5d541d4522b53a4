//! Serves HTTP within limits: how many connections, how long each step may take, how long a connection may live.

use std::{
    collections::HashMap,
    future::Future,
    hash::{BuildHasher as _, RandomState},
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Extensions, Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::metrics::{HandshakeFailure, Metrics};

/// What may be open and for how long. The numbers are those of the threat model's table of limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections. Each costs a descriptor and some tens of KiB; the usual descriptor limit is far above.
    pub connections: usize,
    /// Open connections from one address. The aggregator of one API server needs a handful; through a tunnel
    /// (Konnectivity) all API servers share one address, hence not a small number.
    pub connections_per_address: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte, or from the end of the request before, to the end of its header (HTTP/1).
    pub header_read: Duration,
    /// A connection with no request in flight is closed after this.
    pub idle: Duration,
    /// A connection is told to go away (GOAWAY, `Connection: close`) after this and up to a quarter more: clients hold
    /// HTTP/2 connections for ever, so without it all requests would stay with the replica that started first.
    pub max_age: Duration,
    /// Requests in hand get this long to finish once their connection was told to go.
    pub drain: Duration,
}

/// Who is at the other end of a connection: an extension of every request that came over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The protocol of a connection, settled before the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (or 1.0).
    Http1,
    /// HTTP/2.
    Http2,
}

/// A connection that is ready for requests.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The bytes, decrypted.
    pub stream: S,
    /// What was negotiated.
    pub protocol: Protocol,
    /// What every request of this connection shall carry.
    pub extensions: Extensions,
}

/// What happens between `accept` and the first request.
pub trait Handshake: Clone + Send + Sync + 'static {
    /// The stream that requests are read from.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Makes the connection ready.
    fn perform(
        &self,
        stream: TcpStream,
    ) -> impl Future<Output = Result<Accepted<Self::Stream>, HandshakeFailure>> + Send;
}

/// No handshake: plain HTTP/1, for the probes' listener.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// HTTP/2 streams in flight on one connection. kube-apiserver's aggregator multiplexes all users over one.
const MAX_CONCURRENT_STREAMS: u32 = 250;
/// Streams that the peer reset before we had looked at them; more is an attack (CVE-2023-44487), answered by GOAWAY.
const MAX_PENDING_RESET_STREAMS: usize = 20;
/// Bytes of header fields in one request (also HTTP/1's read buffer). kube-apiserver accepts 1 MiB, but what it
/// forwards to us holds a name and groups, not a token.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// Header fields in one HTTP/1 request. A user of many groups costs one field a group.
const MAX_HEADERS: usize = 1_200;
/// A silent HTTP/2 peer is asked for a sign of life after this, so that half-open connections do not pile up.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// And has this long to give it.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(15);
/// After a failed accept (mostly: no descriptor left) the loop waits this long, so that it neither spins nor ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a connection looks whether it is idle.
const IDLE_CHECK: Duration = Duration::from_secs(10);

/// Serves `router` on `listener` until `stop`, then waits for the requests in hand, no longer than the drain limit.
pub async fn serve<H: Handshake>(
    listener: TcpListener,
    handshake: H,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let addresses = Arc::new(Addresses::default());
    let limits = Arc::new(limits);
    while let Some((stream, peer, permit)) = next(&listener, &permits, &metrics, &stop).await {
        let Some(place) = addresses.enter(peer.ip(), limits.connections_per_address) else {
            tracing::warn!(%peer, limit = limits.connections_per_address, "Closed a connection: too many from its address");
            continue;
        };
        let connection = Connection {
            peer,
            router: router.clone(),
            limits: Arc::clone(&limits),
            stop: stop.clone(),
            metrics: metrics.clone(),
        };
        let handshake = handshake.clone();
        connections.spawn(async move {
            connection.run(stream, handshake).await;
            drop((permit, place));
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "Gave up waiting for connections to finish");
    }
}

/// The next connection, together with the right to hold it; none after `stop`.
///
/// The right is taken before the connection is accepted: beyond the limit peers wait in the kernel's queue, which is
/// bounded, instead of in our memory.
async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accepted = async {
        // The semaphore is never closed.
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        let mut told = false;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, permit)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    metrics.accept_error();
                    if !told {
                        told = true;
                        tracing::error!(%error, "Cannot accept connections, trying again and again");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        accepted = accepted => accepted,
    }
}

/// Errors that concern the connection that was about to be accepted and not the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    peer: SocketAddr,
    router: Router,
    limits: Arc<Limits>,
    stop: CancellationToken,
    metrics: Metrics,
}

// === impl Connection ===

impl Connection {
    async fn run<H: Handshake>(self, stream: TcpStream, handshake: H) {
        // Answers are small and written whole: waiting to fill a segment only adds latency.
        let _ = stream.set_nodelay(true);
        let ready = tokio::select! {
            () = self.stop.cancelled() => return,
            ready = tokio::time::timeout(self.limits.handshake, handshake.perform(stream)) => ready,
        };
        match ready.unwrap_or(Err(HandshakeFailure::TimedOut)) {
            Ok(accepted) => {
                self.metrics.connections(1);
                self.requests(accepted).await;
                self.metrics.connections(-1);
            }
            Err(failure) => {
                self.metrics.handshake_failure(failure);
                tracing::debug!(peer = %self.peer, ?failure, "Handshake failed");
            }
        }
    }

    async fn requests<S>(&self, accepted: Accepted<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let mut extensions = accepted.extensions;
        extensions.insert(PeerAddress(self.peer));
        let service = service_fn(|request: Request<Incoming>| {
            let in_flight = activity.begin();
            let mut request = request.map(Body::new);
            request.extensions_mut().extend(extensions.clone());
            let answer = self.router.clone().oneshot(request);
            async move {
                let answer = answer.await;
                drop(in_flight);
                answer
            }
        });

        let builder = builder(accepted.protocol, &self.limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(accepted.stream), service));
        let go_away = tokio::select! {
            ended = connection.as_mut() => return self.ended(ended),
            () = self.stop.cancelled() => "stopping",
            () = sleep(jittered(self.limits.max_age)) => "age",
            () = idle(&activity, self.limits.idle) => "idle",
        };
        tracing::trace!(peer = %self.peer, go_away, "Asking a connection to go");
        connection.as_mut().graceful_shutdown();
        if let Ok(ended) = tokio::time::timeout(self.limits.drain, connection).await {
            self.ended(ended);
        }
    }

    fn ended<E: std::fmt::Display>(&self, ended: Result<(), E>) {
        if let Err(error) = ended {
            // What a peer does to its own connection is its own affair: of interest only when looking for something.
            tracing::debug!(peer = %self.peer, %error, "Connection ended with an error");
        }
    }
}

/// HTTP settings of one connection. The protocol is settled (by ALPN, or plain HTTP/1), so no bytes are waited for to
/// guess it.
fn builder(protocol: Protocol, limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESET_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}

/// `age` and up to a quarter more, different for each connection, so that not all reconnect at once.
fn jittered(age: Duration) -> Duration {
    let quarter = u64::try_from(age.as_millis() / 4).unwrap_or(u64::MAX).max(1);
    age + Duration::from_millis(RandomState::new().hash_one(0_u8) % quarter)
}

/// Ends once no request has been in flight for `limit`.
async fn idle(activity: &Activity, limit: Duration) {
    let mut seen = activity.begun();
    let mut since = Instant::now();
    loop {
        sleep(IDLE_CHECK.min(limit)).await;
        if activity.in_flight() > 0 || activity.begun() != seen {
            seen = activity.begun();
            since = Instant::now();
        } else if since.elapsed() >= limit {
            return;
        }
    }
}

// === impl Plain ===

impl Handshake for Plain {
    type Stream = TcpStream;

    async fn perform(&self, stream: TcpStream) -> Result<Accepted<TcpStream>, HandshakeFailure> {
        Ok(Accepted { stream, protocol: Protocol::Http1, extensions: Extensions::new() })
    }
}

/// What one connection has been doing.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicUsize,
    in_flight: AtomicUsize,
}

struct InFlight(Arc<Activity>);

// === impl Activity ===

impl Activity {
    fn begin(self: &Arc<Self>) -> InFlight {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many connections each address holds. Bounded by the number of open connections: an address at zero is removed.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

// === impl Addresses ===

impl Addresses {
    fn enter(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_insert(0);
        (*count < limit).then(|| {
            *count += 1;
            Place { addresses: Arc::clone(self), address }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_address: 1_024,
            handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(10),
            idle: Duration::from_secs(90),
            max_age: Duration::from_mins(10),
            drain: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests;

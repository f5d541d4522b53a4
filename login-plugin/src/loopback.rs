//! The redirect listener: waits on the loopback for the one answer that is ours, and shows the browser how it ended.

mod answer;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::answer::Answerer;
use crate::args::RedirectHost;
use crate::authorization_response::{Expected, ResponseError};
use crate::result_page::Page;
use crate::secret::Secret;

/// One browser opens up to six connections to a host; scanners get the rest.
const CONNECTIONS_MAX: usize = 8;

/// Codes of Entra ID make URLs of several KiB; nothing honest comes near this.
const HEAD_MAX_BYTES: usize = 64 * 1024;

/// A browser on the same computer sends its request at once; a slow one is a slow-loris.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a finished login waits for the browser to fetch the page it was sent to.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the last bytes may take after that.
const LINGER: Duration = Duration::from_millis(250);

/// `localhost` needs the same port in both families: with port 0 the second family may be unlucky.
const PAIR_ATTEMPTS: u32 = 16;

/// Why nobody can answer us.
#[derive(Debug, Error)]
pub(crate) enum LoopbackError {
    /// No port was free.
    #[error("cannot listen for the browser's answer on {hosts}, ports {ports}: {last}")]
    Bind {
        /// The hosts tried.
        hosts: String,
        /// The ports tried.
        ports: String,
        /// What the last one said.
        last: io::Error,
    },
}

/// A listener whose port is known, so that the redirect URL can be written.
#[derive(Debug)]
pub(crate) struct Loopback {
    listeners: Vec<TcpListener>,
    authority: String,
    path: String,
}

/// What the listener has to report.
#[derive(Debug)]
pub(crate) enum Event {
    /// Our answer, good or bad. There is one.
    Answered(Result<Secret, ResponseError>),
    /// Something else came and was turned away.
    Noise,
}

/// The listener at work. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    answers: mpsc::Receiver<Result<Secret, ResponseError>>,
    noise: mpsc::Receiver<()>,
    page: watch::Sender<Option<Arc<Page>>>,
    progress: watch::Receiver<Progress>,
    connections: Arc<Semaphore>,
    listeners: JoinSet<()>,
}

/// How far the browser has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    #[default]
    Nothing,
    /// It has brought the answer and waits.
    Waiting,
    /// It has the page.
    Delivered,
}

impl Loopback {
    /// Binds the first host and port that are free: all ports of the first host before the second host.
    ///
    /// # Errors
    /// When none is.
    pub(crate) async fn bind(hosts: &[RedirectHost], ports: &[u16], path: &str) -> Result<Self, LoopbackError> {
        let mut last = io::Error::from(io::ErrorKind::InvalidInput);
        for &host in hosts {
            for &port in ports {
                match bind_port(host, port).await {
                    Ok((listeners, port)) => {
                        let authority = format!("{}:{port}", host.as_str());
                        return Ok(Self { listeners, authority, path: path.to_owned() });
                    }
                    Err(error) => last = error,
                }
            }
        }
        let hosts = hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(", ");
        let ports = ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Err(LoopbackError::Bind { hosts, ports, last })
    }

    /// What goes to the provider, byte for byte the same both times.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }

    /// Starts to listen for what `expected` describes; `origins` may post it from a page of theirs.
    pub(crate) fn serve(self, expected: Expected, origins: Vec<String>) -> Serving {
        // Apart, so that no amount of noise keeps the answer out. One place each: more of the same says nothing new.
        let (answers_in, answers) = mpsc::channel(1);
        let (noise_in, noise) = mpsc::channel(1);
        let (page, pages) = watch::channel(None);
        let (progress_in, progress) = watch::channel(Progress::default());
        // A browser asks for the root where the address has no path.
        let path = if self.path.is_empty() { "/".to_owned() } else { self.path };
        let answerer =
            Answerer::new((self.authority, path), expected, origins, (answers_in, noise_in), pages, progress_in);
        let answerer = Arc::new(answerer);
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut tasks = JoinSet::new();
        for listener in self.listeners {
            tasks.spawn(accept(listener, Arc::clone(&answerer), Arc::clone(&connections)));
        }
        Serving { answers, noise, page, progress, connections, listeners: tasks }
    }
}

impl Serving {
    /// The next thing that happened.
    pub(crate) async fn event(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(answer) = self.answers.recv() => Event::Answered(answer),
            Some(()) = self.noise.recv() => Event::Noise,
            // Cannot happen while the listeners live; if it did, the deadline would end the wait.
            else => std::future::pending().await,
        }
    }

    /// Shows the page to the browser, if one waits for it, and stops listening.
    pub(crate) async fn finish(mut self, page: Page) {
        let waits = *self.progress.borrow() >= Progress::Waiting;
        self.page.send_replace(Some(Arc::new(page)));
        if waits {
            let delivered = self.progress.wait_for(|progress| *progress == Progress::Delivered);
            let _or_not = timeout(DELIVERY_TIMEOUT, delivered).await;
            // Each listener holds a place for the next connection, so these are all that a connection can hold.
            let all = CONNECTIONS_MAX.saturating_sub(self.listeners.len());
            let all = u32::try_from(all).expect("a small number");
            let _or_not = timeout(LINGER, self.connections.acquire_many(all)).await;
        }
    }
}

async fn bind_port(host: RedirectHost, port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let v4 = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let v6 = |port| TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    match host {
        RedirectHost::Ipv4 => one(v4(port).await?),
        RedirectHost::Ipv6 => one(v6(port).await?),
        RedirectHost::Localhost => {
            for _ in 0..PAIR_ATTEMPTS {
                let first = v4(port).await?;
                let chosen = first.local_addr()?.port();
                match v6(chosen).await {
                    Ok(second) => return Ok((vec![first, second], chosen)),
                    // Somebody else would get the browser's answer on the other family.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        if port != 0 {
                            return Err(error);
                        }
                    }
                    // This computer has no IPv6, so no browser here can try it.
                    Err(_) => return one(first),
                }
            }
            Err(io::ErrorKind::AddrInUse.into())
        }
    }
}

fn one(listener: TcpListener) -> io::Result<(Vec<TcpListener>, u16)> {
    let port = listener.local_addr()?.port();
    Ok((vec![listener], port))
}

async fn accept(listener: TcpListener, answerer: Arc<Answerer>, connections: Arc<Semaphore>) {
    // Dropped with the listener: no connection outlives the login.
    let mut tasks = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: let the ones in use end first.
            drop(permit);
            tokio::time::sleep(LINGER).await;
            continue;
        };
        while tasks.try_join_next().is_some() {}
        let answerer = Arc::clone(&answerer);
        tasks.spawn(async move {
            converse(stream, answerer).await;
            drop(permit);
        });
    }
}

async fn converse(stream: TcpStream, answerer: Arc<Answerer>) {
    let service = service_fn(|request| {
        let answerer = Arc::clone(&answerer);
        async move { Ok::<_, std::convert::Infallible>(answerer.answer(request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_MAX_BYTES).keep_alive(false);
    // A broken connection is the browser's affair; the login goes on waiting.
    let _broken = server.serve_connection(TokioIo::new(stream), service).await;
}

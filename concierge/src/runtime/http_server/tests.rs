//! Each limit, seen from the client's side of a real connection.

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

async fn start(limits: Limits, router: Router) -> Running {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, Plain, router, limits, Metrics::new(), stop.clone()));
    Running { address, stop, server }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 512];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn a_connection_beyond_the_limit_of_its_address_is_closed() {
    let server = start(Limits { connections_per_address: 1, ..Limits::default() }, hello()).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut first).await.ends_with("hello"));
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert!(matches!(second.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert!(ask(&mut first).await.ends_with("hello"));
}

#[tokio::test]
async fn a_header_that_never_ends_is_cut_off() {
    let limits = Limits { header_read: Duration::from_millis(50), ..Limits::default() };
    let server = start(limits, hello()).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("hello"));
}

#[tokio::test]
async fn an_old_connection_is_told_to_go_and_an_idle_one_is_closed() {
    for limits in [
        Limits { max_age: Duration::from_millis(50), ..Limits::default() },
        Limits { idle: Duration::from_millis(50), ..Limits::default() },
    ] {
        let server = start(limits, hello()).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        assert!(ask(&mut stream).await.ends_with("hello"));
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "closed by the server");
    }
}

#[tokio::test]
async fn stopping_waits_for_the_request_in_hand() {
    let (arrived, arrival) = tokio::sync::oneshot::channel();
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((arrived, finished))));
    let router = Router::new().route(
        "/",
        get(move || async move {
            let (arrived, finished) = once.lock().unwrap().take().unwrap();
            arrived.send(()).unwrap();
            finished.await.unwrap();
            "late"
        }),
    );
    let server = start(Limits::default(), router).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let asking = tokio::spawn(async move { ask(&mut stream).await });
    arrival.await.unwrap();
    server.stop.cancel();
    assert!(!server.server.is_finished());
    finish.send(()).unwrap();
    assert!(asking.await.unwrap().ends_with("late"));
    server.server.await.unwrap();
}

/// HTTP/2 without TLS, by prior knowledge.
#[derive(Clone)]
struct PlainHttp2;

impl Handshake for PlainHttp2 {
    type Stream = TcpStream;

    async fn perform(&self, stream: TcpStream) -> Result<Accepted<TcpStream>, HandshakeFailure> {
        Ok(Accepted { stream, protocol: Protocol::Http2, extensions: Extensions::new() })
    }
}

#[tokio::test]
async fn an_http2_connection_is_told_to_go_and_its_request_still_answered() {
    let (arrived, arrival) = tokio::sync::oneshot::channel();
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((arrived, finished))));
    let router = Router::new().route(
        "/",
        get(move || async move {
            let (arrived, finished) = once.lock().unwrap().take().unwrap();
            arrived.send(()).unwrap();
            finished.await.unwrap();
            "late"
        }),
    );
    let limits = Limits { max_age: Duration::from_millis(50), ..Limits::default() };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, PlainHttp2, router, limits, Metrics::new(), CancellationToken::new()));

    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Body>(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| Request::get(format!("http://{address}{path}")).body(Body::empty()).unwrap();
    let answer = tokio::spawn(client.send_request(request("/")));
    arrival.await.unwrap();
    // GOAWAY: the client may open no further stream on this connection, and the one in hand goes on.
    while client.send_request(request("/other")).await.is_ok() {}
    finish.send(()).unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    connection.await.unwrap().unwrap();
}

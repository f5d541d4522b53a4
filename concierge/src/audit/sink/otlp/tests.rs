//! A collector that answers as it is told, and what the sink makes of that.

use std::{collections::VecDeque, sync::Mutex};

use axum::{Router, extract::State, response::IntoResponse, routing::post};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;
use crate::{
    audit::{chain::Chain, event::Kind, sink::output::Draft},
    idp::proxy::Proxies,
    time::{ManualClock, UnixTime},
};

/// What it answers next, and what it was sent.
#[derive(Default)]
struct Script {
    answers: VecDeque<(u16, &'static str, Option<&'static str>)>,
    seen: Vec<(HeaderMap, Value)>,
}

type Shared = Arc<Mutex<Script>>;

/// A collector that answers as told, and 200 when it was told nothing more.
async fn collector(answers: &[(u16, &'static str, Option<&'static str>)]) -> (Shared, Endpoint) {
    async fn take(State(script): State<Shared>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
        let mut script = script.lock().unwrap();
        script.seen.push((headers, serde_json::from_slice(&body).unwrap()));
        let (status, body, retry_after) = script.answers.pop_front().unwrap_or((200, "{}", None));
        let retry_after = retry_after.map(|value| [("retry-after", value)]);
        (StatusCode::from_u16(status).unwrap(), retry_after.map(HeaderMapOf), body).into_response()
    }
    let script = Shared::default();
    script.lock().unwrap().answers.extend(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap()), false).unwrap();
    let router = Router::new().route("/v1/logs", post(take)).with_state(Arc::clone(&script));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (script, endpoint)
}

/// Headers that may be there.
struct HeaderMapOf<const N: usize>([(&'static str, &'static str); N]);

impl<const N: usize> axum::response::IntoResponseParts for HeaderMapOf<N> {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut parts: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        for (name, value) in self.0 {
            parts.headers_mut().insert(name, value.parse().unwrap());
        }
        Ok(parts)
    }
}

fn identity() -> Identity {
    Identity { cluster: "prod".into(), replica: "a".into(), life: 7 }
}

fn output(endpoint: Endpoint, headers_file: Option<std::path::PathBuf>) -> OtlpOutput {
    ending(endpoint, headers_file, watch::channel(None).1)
}

/// The same for a log that ends when it is told so.
fn ending(
    endpoint: Endpoint,
    headers_file: Option<std::path::PathBuf>,
    end: watch::Receiver<Option<Instant>>,
) -> OtlpOutput {
    let settings = OtlpSettings { endpoint, ca_file: None, headers_file, proxies: Proxies::default() };
    let clock = Arc::new(ManualClock::new(UnixTime::from_secs(1_795_233_600)));
    OtlpOutput::open(&settings, &identity(), clock, Metrics::new(), end).unwrap()
}

/// Three records: 5 and 6 are of no concern, 7 is.
fn batch(chain: &mut Chain) -> Batch {
    let draft = |(seq, severity)| Draft {
        seq,
        kind: Kind::TokenRefused,
        severity,
        body: br#""time":"2026-11-21T04:00:00Z","kind":"token.refused","severity":"info","code":"expired""#,
    };
    Batch::compose(chain, [(5, Severity::Info), (6, Severity::Info), (7, Severity::High)].into_iter().map(draft))
}

fn chain() -> Chain {
    Chain::new(&identity(), None)
}

/// The lines of one export.
fn lines(export: &Value) -> String {
    let records = export["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
    records.iter().flat_map(|record| [record["body"]["stringValue"].as_str().unwrap(), "\n"]).collect()
}

fn seen(script: &Shared) -> Vec<String> {
    script.lock().unwrap().seen.iter().map(|(_, export)| lines(export)).collect()
}

#[tokio::test]
async fn a_batch_arrives_whole_with_the_headers_of_the_file() {
    let (script, endpoint) = collector(&[]).await;
    let file = std::env::temp_dir().join(format!("latchkey-otlp-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, "X-Scope-OrgID: tenant\nAuthorization: Bearer secret\n").unwrap();
    let mut output = output(endpoint, Some(file.clone()));
    std::fs::remove_file(file).unwrap();
    let batch = batch(&mut chain());
    output.write(&batch, true).await.unwrap();
    assert_eq!(seen(&script), [String::from_utf8(batch.text().to_vec()).unwrap()]);
    let (headers, _) = script.lock().unwrap().seen.remove(0);
    assert!(headers["x-scope-orgid"] == "tenant" && headers["authorization"] == "Bearer secret");
    assert_eq!(headers["content-type"], "application/json");
    output.write(&Batch::default(), true).await.unwrap();
    assert!(seen(&script).is_empty(), "there was nothing to send");
}

#[tokio::test]
async fn what_was_surely_not_taken_goes_back_and_a_pause_is_kept() {
    let (script, endpoint) = collector(&[(503, "", None), (429, "", Some("60"))]).await;
    let mut output = output(endpoint, None);
    let batch = batch(&mut chain());
    assert!(output.write(&batch, false).await.is_err());
    assert!(output.write(&batch, false).await.is_err());
    let waits = output.write(&batch, false).await.unwrap_err();
    assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(seen(&script).len(), 2, "it is left alone");
    assert!(output.gaps().is_empty(), "nothing is lost");
}

#[tokio::test]
async fn nobody_there_is_an_error_that_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse(&format!("http://{}", listener.local_addr().unwrap()), false).unwrap();
    drop(listener);
    let mut output = output(endpoint, None);
    assert!(output.write(&batch(&mut chain()), false).await.is_err());
    assert!(output.gaps().is_empty());
}

#[tokio::test]
async fn what_may_have_been_taken_is_sent_again_as_it_was_until_it_is() {
    let (script, endpoint) = collector(&[(502, "", None), (503, "", Some("0")), (200, "{}", None)]).await;
    let mut output = output(endpoint, None);
    let batch = batch(&mut chain());
    output.write(&batch, false).await.unwrap();
    let text = String::from_utf8(batch.text().to_vec()).unwrap();
    assert_eq!(seen(&script), [text.clone(), text.clone(), text]);
    assert!(output.gaps().is_empty());
}

#[tokio::test]
async fn what_is_refused_is_a_gap_and_told_once() {
    let answer = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}"#;
    for (status, body, expected) in [
        (400, "bad", BySeverity { info: 2, high: 1, ..BySeverity::default() }),
        (200, answer, BySeverity { info: 1, high: 1, ..BySeverity::default() }),
    ] {
        let (script, endpoint) = collector(&[(status, body, None)]).await;
        let mut output = output(endpoint, None);
        let batch = batch(&mut chain());
        output.write(&batch, false).await.unwrap();
        let gaps = output.gaps();
        let [gap] = gaps.as_slice() else { panic!("one gap: {gaps:?}") };
        assert_eq!((gap.reason, gap.seq_first, gap.seq_last, gap.dropped), (GapReason::SinkFailed, 5, 7, expected));
        assert!(output.write(&batch, false).await.is_err(), "a refusal is no invitation");
        assert_eq!(seen(&script).len(), 1);
        output.gaps_written();
        assert!(output.gaps().is_empty());
    }
}

#[tokio::test]
async fn what_is_in_doubt_when_the_log_ends_is_given_up_as_a_gap() {
    let (script, endpoint) = collector(&[(502, "", None); 100]).await;
    let (ends, end) = watch::channel(None);
    let mut output = ending(endpoint, None, end);
    let batch = batch(&mut chain());
    let writing = output.write(&batch, false);
    let end = async {
        // It is in doubt by now.
        while seen(&script).len() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
        ends.send_replace(Some(Instant::now() + Duration::from_millis(100)));
    };
    let both = async { tokio::join!(writing, end) };
    let (written, ()) = tokio::time::timeout(Duration::from_mins(1), both).await.expect("it gives up in time");
    written.unwrap();
    assert!(output.lost_some());
    assert_eq!(output.gaps().iter().map(|gap| gap.dropped.total()).sum::<u64>(), 3);
}

#[tokio::test]
async fn gaps_do_not_pile_up() {
    let (_, endpoint) = collector(&[]).await;
    let mut output = output(endpoint, None);
    for _ in 0..100 {
        output.lose(&batch(&mut chain()), u64::MAX);
    }
    let gaps = output.gaps();
    assert_eq!(gaps.len(), GAPS);
    assert_eq!(gaps.iter().map(|gap| gap.dropped.total()).sum::<u64>(), 300);
}

//! The listener for kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`, plain HTTP, apart from the public ports.

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    response::IntoResponse,
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{metrics::Metrics, readiness::Readiness};
use crate::time::Clock;

/// What the probes look at.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The conditions of `/readyz`.
    pub readiness: Readiness,
    /// The series of `/metrics`.
    pub metrics: Metrics,
    /// For ages.
    pub clock: Arc<dyn Clock>,
}

/// The routes of the admin listener.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/healthz", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

/// Alive is whoever answers: an unexpected end of any task ends the process, so there is nothing else to ask.
async fn livez() -> &'static str {
    "ok"
}

async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let report = admin.readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    let body = if report.ready && !verbose { "ok".to_owned() } else { report.verbose };
    (status, [(header::CACHE_CONTROL, "no-store")], body)
}

/// `OpenMetrics` for whoever asks for it, as Prometheus does; for a person and for older readers the format before it.
async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> impl IntoResponse {
    let now = admin.clock.now();
    let accepts =
        |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("application/openmetrics-text"));
    let (content_type, body) = if headers.get_all(header::ACCEPT).iter().any(accepts) {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", admin.metrics.encode(now))
    } else {
        ("text/plain; version=0.0.4; charset=utf-8", admin.metrics.encode_classic(now))
    };
    ([(header::CONTENT_TYPE, content_type), (header::VARY, "accept")], body)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::time::{ManualClock, UnixTime};

    async fn get_path(admin: &Admin, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router(admin.clone()).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_names_what_is_missing_and_livez_does_not_care() {
        let admin = Admin {
            readiness: Readiness::new(),
            metrics: Metrics::new(),
            clock: Arc::new(ManualClock::new(UnixTime::from_secs(0))),
        };
        assert_eq!(get_path(&admin, "/readyz").await, (StatusCode::OK, "ok".to_owned()));
        admin.readiness.require("index", || Err("not listed yet".to_owned()));
        let (status, body) = get_path(&admin, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("[-]index failed: not listed yet\n"), "{body}");
        assert_eq!(get_path(&admin, "/livez").await, (StatusCode::OK, "ok".to_owned()));
        let (status, body) = get_path(&admin, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("latchkey_panics_total 0\n"), "{body}");
    }

    #[tokio::test]
    async fn metrics_come_in_the_format_that_is_asked_for() {
        let admin = Admin {
            readiness: Readiness::new(),
            metrics: Metrics::new(),
            clock: Arc::new(ManualClock::new(UnixTime::from_secs(0))),
        };
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, kind, whole) in [(prometheus, "application/openmetrics-text", true), ("*/*", "text/plain", false)]
        {
            let request = Request::get("/metrics").header(header::ACCEPT, accept).body(Body::empty()).unwrap();
            let answer = router(admin.clone()).oneshot(request).await.unwrap();
            assert!(answer.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind));
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.ends_with(b"# EOF\n"), whole, "{accept}");
        }
    }
}

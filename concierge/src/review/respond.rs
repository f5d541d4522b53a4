//! Answers of the `TokenReview` listener: the only file of its room that knows HTTP.

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::{tls::client_chain::ChainError, token_review::QuestionError};

/// Why a question gets no answer. None of these is about a token: a token that is refused is an answer.
#[derive(Debug)]
pub(super) enum Problem {
    BadCertificate(ChainError),
    Broken,
    Internal,
    Malformed(QuestionError),
    MethodNotAllowed,
    NoCertificate,
    NotFound,
    OtherName,
    TimedOut,
    TooLarge,
    TooManyRequests,
}

/// Joins the answer and its record.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// A review, whatever it says: always 200, for to the API server anything else is a failing webhook.
pub(super) fn review(body: String, audit_id: &str) -> Response {
    with(StatusCode::OK, "application/json", body, audit_id)
}

pub(super) fn problem(problem: &Problem, audit_id: &str) -> Response {
    let (status, words) = match problem {
        // 403 and not 401: it is no token that is wrong.
        Problem::BadCertificate(error) => {
            tracing::warn!(%error, "Refused a client of the TokenReview listener");
            (StatusCode::FORBIDDEN, "the client certificate is not accepted".to_owned())
        }
        Problem::NoCertificate => (StatusCode::FORBIDDEN, "a client certificate is needed".to_owned()),
        Problem::OtherName => {
            tracing::warn!(
                "Refused a client of the TokenReview listener: its common name is not among those that may ask"
            );
            (StatusCode::FORBIDDEN, "the client certificate is not accepted".to_owned())
        }
        Problem::Broken => (StatusCode::BAD_REQUEST, "the body broke off".to_owned()),
        Problem::Malformed(error) => (StatusCode::BAD_REQUEST, error.to_string()),
        Problem::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned()),
        Problem::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, format!("post a TokenReview to {}", super::PATH)),
        Problem::NotFound => (StatusCode::NOT_FOUND, format!("post a TokenReview to {}", super::PATH)),
        // The API server asks again for this one.
        Problem::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "took too long".to_owned()),
        Problem::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "a TokenReview has 65536 bytes at most".to_owned()),
        Problem::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too many requests".to_owned()),
    };
    let mut response = with(status, "text/plain; charset=utf-8", format!("{words}\n"), audit_id);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn with(status: StatusCode, content_type: &'static str, body: String, audit_id: &str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(audit_id)
        && !audit_id.is_empty()
    {
        headers.insert(AUDIT_ID, id);
    }
    response
}

//! The only place that knows HTTP status and `metav1.Status`: what is decided elsewhere becomes an answer here.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::status::{Cause, Details, Status};

/// Everything that can be wrong with a request, or with us. A refused token is not among it: that is an answer (201).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The body is not what it should be; the text says what was expected.
    BadRequest(String),
    /// The caller is known and may not.
    Forbidden(String),
    /// A bug of ours, or something that cannot happen.
    Internal,
    /// A field of a well-formed object is wrong.
    Invalid(Invalid),
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// We cannot answer in any format that the client accepts.
    NotAcceptable,
    /// No such path.
    NotFound,
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// Too much in hand.
    TooManyRequests,
    /// The answer took too long.
    TimedOut,
    /// A certificate or token was shown and proves nothing.
    Unauthorized,
    /// Something that every answer needs is not there at the moment.
    Unavailable(&'static str),
    /// The body's format is not one that we read.
    UnsupportedMediaType,
}

/// Which field of which kind is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The kind; empty where Pinniped leaves it empty.
    pub kind: &'static str,
    /// The API group.
    pub group: String,
    /// Path of the field.
    pub field: &'static str,
    /// A `CauseType` of Kubernetes.
    pub cause: &'static str,
    /// In words.
    pub message: String,
}

/// A document that never changes while the process lives: discovery and `OpenAPI`.
#[derive(Clone, Debug)]
pub struct Document {
    body: Bytes,
    content_type: &'static str,
    etag: HeaderValue,
}

/// How long a client should wait before it tries again: the slowest thing that we wait for, the cluster's signer, is
/// done by then.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Kubernetes answers are never to be stored.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache, private");

/// A document whose URL names its hash may be kept for ever.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, immutable, max-age=31536000");

// === impl Problem ===

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BadRequest",
            Self::Forbidden(_) => "Forbidden",
            Self::Internal => "InternalError",
            Self::Invalid(_) => "Invalid",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::NotFound => "NotFound",
            Self::TooLarge(_) => "RequestEntityTooLarge",
            Self::TooManyRequests => "TooManyRequests",
            Self::TimedOut => "Timeout",
            Self::Unauthorized => "Unauthorized",
            Self::Unavailable(_) => "ServiceUnavailable",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::BadRequest(message) | Self::Forbidden(message) => message.clone(),
            Self::Internal => "the request failed by a fault of the server, its log says more".to_owned(),
            Self::Invalid(Invalid { kind, group, field, message, .. }) => {
                format!("{kind}.{group} \"\" is invalid: {field}: {message}")
            }
            Self::MethodNotAllowed => "the server does not allow this method on the requested resource".to_owned(),
            Self::NotAcceptable => "the server can answer in: application/json".to_owned(),
            Self::NotFound => "the server could not find the requested resource".to_owned(),
            Self::TooLarge(limit) => format!("the request body is limited to {limit} bytes"),
            Self::TooManyRequests => "too many requests are in hand, try again".to_owned(),
            Self::TimedOut => "the request was not done in time".to_owned(),
            Self::Unauthorized => "Unauthorized".to_owned(),
            Self::Unavailable(what) => (*what).to_owned(),
            Self::UnsupportedMediaType => {
                "the server reads request bodies in: application/json, application/yaml".to_owned()
            }
        }
    }

    fn details(&self) -> Option<Details> {
        match self {
            Self::Invalid(Invalid { kind, group, field, cause, message }) => Some(Details {
                group: group.clone(),
                kind: (*kind).to_owned(),
                causes: vec![Cause { reason: cause, message: message.clone(), field: (*field).to_owned() }],
                retry_after_seconds: None,
            }),
            Self::TooManyRequests | Self::Unavailable(_) => {
                Some(Details { retry_after_seconds: Some(RETRY_AFTER.as_secs()), ..Details::default() })
            }
            Self::BadRequest(_)
            | Self::Forbidden(_)
            | Self::Internal
            | Self::MethodNotAllowed
            | Self::NotAcceptable
            | Self::NotFound
            | Self::TooLarge(_)
            | Self::TimedOut
            | Self::Unauthorized
            | Self::UnsupportedMediaType => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.status();
        let details = self.details();
        let retry = details.as_ref().and_then(|details| details.retry_after_seconds);
        let status = Status::failure(code.as_u16(), self.reason(), self.message(), details);
        let mut response = body(code, "application/json", encode(&status, false));
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

// === impl Document ===

impl Document {
    /// A JSON document with the given media type.
    #[must_use]
    pub fn new<T: Serialize>(content_type: &'static str, value: &T) -> Self {
        let body = encode(value, false);
        let etag = HeaderValue::from_str(&format!("\"{}\"", hash(&body)));
        // A quoted hexadecimal number is a legal header value.
        Self { body, content_type, etag: etag.unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    /// The hash that names this version of the document in a URL.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(&self.body)
    }

    /// The document, or 304 if the client has it. `immutable`: the URL named its hash.
    #[must_use]
    pub fn answer(&self, request: &HeaderMap, immutable: bool) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH).iter().any(|etag| *etag == self.etag);
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            body(StatusCode::OK, self.content_type, self.body.clone())
        };
        response.headers_mut().insert(header::ETAG, self.etag.clone());
        // The same path answers in different formats to different Accept headers (`/apis`).
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
        if immutable {
            response.headers_mut().insert(header::CACHE_CONTROL, IMMUTABLE);
        }
        response
    }
}

/// 201 with the object that the server made of the request.
#[must_use]
pub fn created<T: Serialize>(object: &T, pretty: bool, warnings: &[String]) -> Response {
    let mut response = body(StatusCode::CREATED, "application/json", encode(object, pretty));
    for warning in warnings {
        // RFC 9111 5.5, as Kubernetes writes it: code, no agent, quoted text.
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{}\"", warning.replace('"', "\\\""))) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

/// 200 with a list or a table.
#[must_use]
pub fn found<T: Serialize>(object: &T, pretty: bool) -> Response {
    body(StatusCode::OK, "application/json", encode(object, pretty))
}

/// A probe's answer: `ok`, or 503 with what is missing.
#[must_use]
pub fn probe(outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => body(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(b"ok")),
        Err(missing) => body(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", missing.into()),
    }
}

fn body(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, NO_CACHE);
    response
}

fn encode<T: Serialize>(value: &T, pretty: bool) -> Bytes {
    let encoded = if pretty { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
    // Our own types have string keys and no failing serializers.
    let mut bytes = encoded.unwrap_or_else(|_| b"{}".to_vec());
    bytes.push(b'\n');
    bytes.into()
}

fn hash(bytes: &[u8]) -> String {
    hex::encode_upper(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

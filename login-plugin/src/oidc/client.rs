//! Our transport in the shape that `openidconnect` takes.

use std::cell::Cell;
use std::pin::Pin;

use http::StatusCode;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use thiserror::Error;

use crate::expiry::Clocks;
use crate::time::Clock;
use crate::transport::{Transport, TransportError};

/// Why a request of `openidconnect` has no answer that it could judge.
#[derive(Debug, Error)]
pub(super) enum HttpError {
    /// The server is not well (5xx) or wants to be left alone (429): no verdict about anything.
    #[error("it answered {0}")]
    NotWell(StatusCode),
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// Our transport in the shape that `openidconnect` takes, and the place where the provider's time ends up.
#[derive(Debug)]
pub(super) struct Http<'a> {
    transport: &'a Transport,
    clock: &'a dyn Clock,
    clocks: Cell<Option<Clocks>>,
}

impl<'a> Http<'a> {
    /// For one request.
    pub(super) fn new(transport: &'a Transport, clock: &'a dyn Clock) -> Self {
        Self { transport, clock, clocks: Cell::new(None) }
    }

    /// Both clocks when the answer came, if one came.
    pub(super) fn clocks(&self) -> Option<Clocks> {
        self.clocks.get()
    }
}

impl<'c> AsyncHttpClient<'c> for Http<'_> {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let answer = self.transport.send(request).await?;
            self.clocks.set(Some(answer.clocks(self.clock)));
            if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
                return Err(HttpError::NotWell(answer.status));
            }
            let mut response = HttpResponse::new(answer.body);
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            Ok(response)
        })
    }
}

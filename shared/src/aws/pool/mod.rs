//! Connections that hold little while their store is silent.
//!
//! Copies in parts have hundreds of requests in flight to a region, each on a connection of its own, and all
//! of them wait. The pool below the SDK keeps more connections than there are requests, keeps room for 32
//! requests and their bodies with each, and 4 KiB around every request: 33 KiB, of which this one needs 27.
//! What callers see is the same: a connection that died while it lay idle costs no request, one that is freed
//! ends the wait for a new one, what a caller gives up takes its connection along, and what the
//! SDK condemns is not used again. HTTP/1.1 alone, without proxies, to any address.

mod dial;
mod shelf;

use std::{
    error::Error,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    connection::{CaptureSmithyConnection, ConnectionMetadata},
    http::{HttpConnector, HttpConnectorFuture},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::{body::SdkBody, retry::ErrorKind};
use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderValue, Request, Response, Uri, header::HOST, uri::PathAndQuery};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1,
};
use tokio::time::timeout;

pub(super) use dial::{Dial, Tls};
use shelf::{Link, Origin, Shelf, Shelves};

use super::Limits;

/// A request on its way: its body apart, since each connection has room for many requests.
type Parcel = Request<Box<SdkBody>>;

/// Connections to any origin, opened by `D`.
#[derive(Debug)]
pub(super) struct Pool<D>(Arc<Inner<D>>);

#[derive(Debug)]
struct Inner<D> {
    dial: D,
    limits: Limits,
    shelves: Shelves,
}

impl<D> Clone for Pool<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Dial> HttpConnector for Pool<D> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let addressed =
            request.try_into_http1x().map_err(|e| ConnectorError::user(e.into())).and_then(addressed);
        let (origin, parcel) = match addressed {
            Ok(addressed) => addressed,
            Err(error) => return HttpConnectorFuture::ready(Err(error)),
        };
        let limit = self.0.limits.attempt;
        let late = move |_| Err(ConnectorError::timeout(Late("an answer", limit).into()));
        let exchange = timeout(limit, self.clone().exchange(origin, parcel));
        HttpConnectorFuture::new(exchange.map(move |ended| ended.unwrap_or_else(late)))
    }
}

impl<D: Dial> Pool<D> {
    pub(super) fn new(dial: D, limits: Limits) -> Self {
        Self(Arc::new(Inner { dial, limits, shelves: Shelves::default() }))
    }

    /// Sends the parcel until it went out, and waits for the answer. An async function would have room for
    /// the parcel twice.
    fn exchange(
        self,
        origin: Origin,
        mut parcel: Parcel,
    ) -> impl Future<Output = Result<HttpResponse, ConnectorError>> {
        let captor = parcel.extensions_mut().remove::<CaptureSmithyConnection>();
        let shelf = self.0.shelves.of(&origin);
        async move {
            loop {
                let (mut link, used) = self.link(&origin, &shelf).await?;
                if let Some(captor) = &captor {
                    capture(captor, &link);
                }
                let mut unsent = match link.sender.try_send_request(parcel).await {
                    Ok(reply) => return held(reply, shelf, link),
                    Err(unsent) => unsent,
                };
                parcel = match unsent.take_message() {
                    // It died while it lay idle, and nothing of the request went out.
                    Some(parcel) if used => parcel,
                    Some(_) | None => return Err(told(unsent.into_error())),
                };
            }
        }
    }

    /// A connection, and whether it was used before. One that is freed meanwhile is as good as a new one.
    async fn link(&self, origin: &Origin, shelf: &Shelf) -> Result<(Link, bool), ConnectorError> {
        let freed = match shelf.take() {
            Ok(link) => return Ok((link, true)),
            Err(freed) => freed,
        };
        tokio::select! {
            biased;
            Ok(link) = freed => Ok((link, true)),
            // Apart, or every request would hold the room for a connection that is opened.
            opened = Box::pin(self.open(origin)) => Ok((opened?, false)),
        }
    }

    async fn open(&self, origin: &Origin) -> Result<Link, ConnectorError> {
        let limit = self.0.limits.connect;
        let late = |_| ConnectorError::timeout(Late("a connection", limit).into());
        let stream = timeout(limit, self.0.dial.dial(origin.root())).await.map_err(late)?;
        let stream = stream.map_err(ConnectorError::io)?;
        let (sender, connection) = http1::Builder::new().handshake(stream).await.map_err(told)?;
        // Whoever has a request on it is told what befalls it.
        drop(tokio::spawn(connection));
        Ok(Link::new(sender))
    }
}

/// A limit passed.
#[derive(Debug, thiserror::Error)]
#[error("there was not {0} within {1:?}")]
struct Late(&'static str, Duration);

/// Where a request goes, and the request as it is written there.
fn addressed(request: Request<SdkBody>) -> Result<(Origin, Parcel), ConnectorError> {
    let mut parcel = request.map(Box::new);
    let origin =
        Origin::of(parcel.uri()).ok_or_else(|| ConnectorError::user("the request names no host".into()))?;
    if !parcel.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(&origin.host()).map_err(|e| ConnectorError::user(e.into()))?;
        parcel.headers_mut().insert(HOST, host);
    }
    let path = parcel.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *parcel.uri_mut() = Uri::from(path);
    Ok((origin, parcel))
}

/// Lets the SDK close the connection that its request went over.
fn capture(captor: &CaptureSmithyConnection, link: &Link) {
    let condemned = link.condemned();
    captor.set_connection_retriever(move || {
        let condemned = condemned.clone();
        Some(ConnectionMetadata::builder().proxied(false).poison_fn(move || condemned.condemn()).build())
    });
}

/// The answer, whose connection goes back when its body does.
fn held(reply: Response<Incoming>, shelf: Arc<Shelf>, link: Link) -> Result<HttpResponse, ConnectorError> {
    let reply = reply.map(|body| SdkBody::from_body_1_x(Held { body, back: Some((shelf, link)) }));
    HttpResponse::try_from(reply).map_err(|e| ConnectorError::other(e.into(), None))
}

struct Held {
    body: Incoming,
    back: Option<(Arc<Shelf>, Link)>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((shelf, link)) = self.back.take() {
            shelf.give(link);
        }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the SDK and the short way go by.
fn told(error: hyper::Error) -> ConnectorError {
    let cut = std::iter::successors(error.source(), |&e| e.source()).any(|e| e.is::<io::Error>());
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else if error.is_user() {
        ConnectorError::user(error.into())
    } else if error.is_closed() || error.is_canceled() || cut {
        ConnectorError::io(error.into())
    } else if error.is_incomplete_message() {
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    } else {
        ConnectorError::other(error.into(), None)
    }
}

#[cfg(test)]
mod tests;

//! gRPC-Web (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>), binary and as text, over HTTP/1.1 and HTTP/2: `tonic-web` turns it into gRPC and back.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body;
use tonic_web::GrpcWebLayer;
use torchmesh_relay::BoxError;
use torchmesh_runtime::server::Incoming;
use tower::{Layer as _, Service, ServiceExt as _};

use super::{Answer, Asked};

/// Whether a request is in gRPC-Web.
pub(super) fn speaks(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc-web"))
}

/// The layers, for browsers: what comes in gRPC-Web reaches them as gRPC.
#[derive(Debug, Clone)]
pub(super) struct Translated<S>(S);

impl<S> Translated<S> {
    pub(super) fn new(layers: S) -> Self {
        Self(layers)
    }
}

impl<S, B> Translated<S>
where
    S: Service<Request<Asked>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Response<Answer<B>>, Infallible> {
        if !speaks(request.headers()) {
            let response = self.0.oneshot(request.map(Asked::Plain)).await?;
            return Ok(response.map(|body| Answer::Plain { body }));
        }
        let response = GrpcWebLayer::new().layer(Grpc(self.0)).oneshot(request).await?;
        Ok(response.map(|body| Answer::Web { body }))
    }
}

/// The layers, as `tonic-web` calls them.
struct Grpc<S>(S);

impl<S: Service<Request<Asked>>> Service<Request<tonic::body::Body>> for Grpc<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> S::Future {
        self.0.call(request.map(Asked::Web))
    }
}

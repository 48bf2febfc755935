//! The innermost service: gRPC calls go on to a router, everything else is answered here.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body as OwnBody};
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body as HttpBody;
use torchmesh_api::{
    error::ApiError,
    headers::X_TORCHMESH_USAGE,
    method::{self, Method},
};
use torchmesh_layers::call::{CallContext, ServedModel};
use torchmesh_relay::{Answer, BoxError, Call, Source, Steering, outgoing};
use tower::{Service, ServiceExt as _};

use crate::{
    caller::Caller,
    identity::{Principal, reread},
    limits::Ticket,
    mesh::Mesh,
    metering::{
        Measured,
        body::{Coming, Going},
        flow::Flow,
    },
};

/// The body of an answer: a router's or our own, counted as it goes.
pub type Body<B> = Going<Answer<Coming<B>, OwnBody>>;

/// See the module.
#[derive(Debug, Clone)]
pub struct Forward {
    mesh: Mesh,
    max_message: usize,
    own: Router,
}

impl Forward {
    /// One data thread's.
    pub fn new(mesh: Mesh, max_message: usize, own: Router) -> Self {
        Self { mesh, max_message, own }
    }
}

async fn pass_on<B>(mesh: Mesh, max_message: usize, method: Method, parts: Parts, body: B) -> Result<Response<Body<B>>, ApiError>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let (measured, principal) = (measured(&parts), parts.extensions.get::<Arc<Principal>>().cloned());
    let body = Coming::new(body, Arc::clone(&measured));
    if let Some(path) = reread::concerns(parts.uri.path(), principal.as_deref()) {
        let answer = reread::answer(mesh, Caller::of(&parts), path, body).await?;
        return Ok(answer.map(|body| Going::new(Answer::Own(body), measured, None)));
    }
    let (ticket, mut flow) = (parts.extensions.get::<Arc<Ticket>>().cloned(), Flow::new(Arc::clone(&measured), parts.uri.path()));
    let keep = mesh.keep_bytes(parts.uri.path(), max_message);
    let call = outbound(method, parts, Source::new(body, keep));
    let admitted = mesh.admit(call, principal.as_deref(), ticket.as_deref(), &measured, max_message).await?;
    let model = admitted.model().cloned();
    if let Some(model) = &model {
        measured.asks_for(model);
    }
    let mut response = mesh.pass_on(admitted).await?;
    flow.head(response.headers());
    // The meter's own.
    response.headers_mut().remove(X_TORCHMESH_USAGE);
    // Only a router that found the model makes its name a label: made-up names must not grow the metrics.
    if let (Some(model), true) = (model, is_ok(&response)) {
        response.extensions_mut().insert(ServedModel(model));
    }
    Ok(response.map(|body| Going::new(Answer::Relayed(body), measured, Some(flow))))
}

/// The call's figures. A call that came past the layer that gives them has its own, which nobody reads.
fn measured(parts: &Parts) -> Arc<Measured> {
    parts.extensions.get().cloned().unwrap_or_default()
}

fn is_ok<B>(response: &Response<B>) -> bool {
    !response.headers().contains_key(torchmesh_api::headers::GRPC_STATUS)
}

fn outbound<B>(method: Method, parts: Parts, source: Source<B>) -> Call<B> {
    let context = parts.extensions.get::<CallContext>();
    let deadline = context.and_then(|context| context.deadline);
    let path = outgoing::path(&parts.uri);
    let mut headers = parts.headers;
    outgoing::strip_hop(&mut headers);
    headers.remove(http::header::COOKIE);
    if let Some(context) = context {
        context.write(&mut headers);
    }
    Call { path, headers, deadline, streaming: method.streaming, steering: Steering::default(), source }
}

impl<B> Service<Request<B>> for Forward
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = Response<Body<B>>;
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ApiError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match method::find(request.uri().path()) {
            Some(method) => {
                let (parts, body) = request.into_parts();
                Box::pin(pass_on(self.mesh.clone(), self.max_message, method, parts, body))
            }
            None => Box::pin(own_answer(self.own.clone(), request)),
        }
    }
}

async fn own_answer<B>(own: Router, request: Request<B>) -> Result<Response<Body<B>>, ApiError>
where
    B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let measured = measured(&parts);
    let body = OwnBody::new(Coming::new(body, Arc::clone(&measured)));
    let answered: Result<_, Infallible> = own.oneshot(Request::from_parts(parts, body)).await;
    match answered {
        Ok(response) => Ok(response.map(|body| Going::new(Answer::Own(body), measured, None))),
        Err(never) => match never {},
    }
}

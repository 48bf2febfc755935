//! The mesh behind the gateway, for calls that the gateway makes itself.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::HeaderMap;
use prost::Message;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
};
use torchmesh_layers::call::CallContext;
use torchmesh_relay::Relay;

use crate::Routers;

/// One data thread's way to the routers.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// Sends calls.
    pub relay: Relay,
    /// Where to.
    pub routers: Arc<Routers>,
}

impl Mesh {
    /// A way to the routers.
    pub fn new(relay: Relay, routers: Arc<Routers>) -> Self {
        Self { relay, routers }
    }

    /// A unary call within the time of the call that it is part of.
    pub async fn unary<Q: Message, A: Message + Default>(
        &self,
        context: &CallContext,
        path: &'static str,
        question: &Q,
    ) -> Result<A, ApiError> {
        let mut headers = HeaderMap::new();
        context.write(&mut headers);
        let deadline = context.deadline.unwrap_or_else(Instant::now);
        let routers = self.routers.load_full();
        let answer: Bytes = self.relay.unary(path, headers, frame::encode(question), deadline, &routers).await?;
        A::decode(answer).map_err(|_| ApiError::new(ErrorKind::Internal, "a router answered with a message of another form"))
    }
}

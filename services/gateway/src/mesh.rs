//! The mesh behind the gateway, for calls that the gateway makes itself.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use prost::Message;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
};
use torchmesh_relay::Relay;

use crate::{Routers, caller::Caller};

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
    pub async fn unary<Q: Message, A: Message + Default>(&self, caller: &Caller, path: &'static str, question: &Q) -> Result<A, ApiError> {
        decode(self.send(caller, path, [frame::encode(question)]).await?)
    }

    /// The same with a question that is in its frame already, in as many pieces as it comes; gives the answer's message as it came.
    pub async fn send(&self, caller: &Caller, path: &'static str, framed: impl Into<VecDeque<Bytes>>) -> Result<Bytes, ApiError> {
        let routers = self.routers.load_full();
        self.relay.unary(path, caller.headers(), framed, caller.deadline(), &routers).await
    }
}

/// Reads a router's answer.
pub fn decode<A: Message + Default>(answer: Bytes) -> Result<A, ApiError> {
    A::decode(answer).map_err(|_| ApiError::new(ErrorKind::Internal, "a router answered with a message of another form"))
}

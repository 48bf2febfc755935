//! Answers of language models that outlive their worker.
//!
//! An answer is told piece by piece, each with its tokens. When the worker breaks off, another one of the same version is sent the same request and the tokens that the caller has: it reads
//! them as it reads the prompt, and goes on behind them. What is drawn depends on the seed and on a token's place alone (the request gets a seed where it has none), so that what follows is
//! what would have followed, up to the rounding of numbers that are computed in another order. The caller notices a pause, and is billed for one answer.

mod body;
mod request;

use std::sync::Arc;

use http::{HeaderMap, Response};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::time::Instant;
use tonic::body::Body as OwnBody;
use torchmesh_api::{error::ApiError, headers::GRPC_STATUS, ids::ModelVersion};
use torchmesh_relay::{Messages, Relay, Steering};

use crate::table::{SharedTable, Target};

pub use request::Resumable;

use body::Resumed;

/// How often one answer is resumed.
const MOST: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    model: String,
    version: String,
}

/// How many answers were resumed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Resumes(Family<Of, Counter>);

impl Resumes {
    /// Registers `torchmesh_router_answers_resumed_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("torchmesh_router_answers_resumed", "Answers that another worker went on with", self.0.clone());
    }

    fn count(&self, target: &Target) {
        let version = target.version.to_str().unwrap_or_default().to_owned();
        self.0.get_or_create(&Of { model: target.model.to_string(), version }).inc();
    }
}

/// How a call goes to whichever worker serves it.
#[derive(Debug, Clone)]
pub struct Way {
    /// By whom.
    pub relay: Relay,
    /// Who is there, at any time.
    pub table: Arc<SharedTable>,
    /// The version that answers.
    pub target: Target,
    /// The call's headers for the next hop.
    pub headers: HeaderMap,
    /// What decides which worker it goes to.
    pub steering: Steering,
    /// When its time is up.
    pub deadline: Instant,
}

impl Way {
    async fn ask(&self, request: &Resumable, told: &[u32]) -> Result<Messages, ApiError> {
        // Whoever serves the version now: those who have come since may be the ones who can.
        let version = self.target.version.to_str().ok().and_then(ModelVersion::parse);
        let now = self.table.load().ready(self.target.model.as_str(), version).map(|target| Arc::clone(&target.group));
        let group = now.as_ref().unwrap_or(&self.target.group);
        let deadline = self.deadline.into_std();
        self.relay.stream_of(request.path, self.headers.clone(), self.steering.clone(), request.framed(told), deadline, group).await
    }
}

/// Begins the answer of a call that is resumed when it breaks off.
///
/// Errors: as of any call that nobody takes.
pub async fn begin(way: Way, request: Resumable, resumes: Resumes) -> Result<Response<OwnBody>, ApiError> {
    let messages = way.ask(&request, &[]).await?;
    let head = messages.headers().clone();
    let body = if head.contains_key(GRPC_STATUS) {
        // It was refused, and there is nothing to come.
        OwnBody::empty()
    } else {
        OwnBody::new(Resumed::new(way, request, messages, resumes))
    };
    let mut response = Response::new(body);
    *response.headers_mut() = head;
    Ok(response)
}

//! The way to the routers: steps call their models there, so that routes, limits and caches hold for them as for anybody.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, header::CACHE_CONTROL};
use prost::Message as _;
use tokio::sync::watch;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    inference::{ModelMetadataRequest, ModelMetadataResponse, model_metadata_response::TensorMetadata},
};
use torchmesh_discovery::Instances;
use torchmesh_pipeline::{
    Signature, TensorType,
    check::Known,
    kind::{Named, content},
    spec::Target,
};
use torchmesh_relay::{Endpoints, Group, Groups, Messages, Relay, Reply};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
const METADATA: &str = "/inference.GRPCInferenceService/ModelMetadata";
/// A router answers for what a worker knows by heart.
const METADATA_WITHIN: Duration = Duration::from_secs(5);

/// The routers that are there.
pub type Routers = ArcSwap<Group>;

/// One thread's way to the routers.
#[derive(Debug, Clone)]
pub struct Mesh {
    relay: Relay,
    routers: Arc<Routers>,
}

impl Mesh {
    /// A way to the routers.
    pub fn new(relay: Relay, routers: Arc<Routers>) -> Self {
        Self { relay, routers }
    }

    /// Whether there is any router.
    pub fn is_there(&self) -> bool {
        !self.routers.load().is_empty()
    }

    /// Sends a framed `ModelInfer`.
    pub async fn infer(&self, headers: HeaderMap, framed: VecDeque<Bytes>, deadline: Instant) -> Result<Reply, ApiError> {
        let routers = self.routers.load_full();
        self.relay.unary(INFER, headers, framed, deadline, &routers).await
    }

    /// Sends a framed `ModelStreamInfer` of one request.
    pub async fn stream(&self, headers: HeaderMap, framed: Bytes, deadline: Instant) -> Result<Messages, ApiError> {
        let routers = self.routers.load_full();
        self.relay.stream(STREAM, headers, framed, deadline, &routers).await
    }

    /// What a model takes and gives.
    pub async fn signature(&self, target: &Target) -> Known {
        let version = target.version.map(|version| version.to_string()).unwrap_or_default();
        let question = frame::encode(&ModelMetadataRequest { name: target.model.to_string(), version });
        let routers = self.routers.load_full();
        let deadline = Instant::now() + METADATA_WITHIN;
        let reply = self.relay.unary(METADATA, HeaderMap::new(), [question], deadline, &routers).await;
        let answer = reply.and_then(|reply| {
            ModelMetadataResponse::decode(reply.message).map_err(|_| ApiError::new(ErrorKind::Internal, "its description has another form"))
        });
        match answer.map(known) {
            Ok(Some(known)) => known,
            Ok(None) => Known::Not("has a tensor of an unknown datatype".to_owned()),
            Err(error) => Known::Not(format!("is not there: {}", error.message)),
        }
    }
}

fn known(metadata: ModelMetadataResponse) -> Option<Known> {
    let named = |tensor: TensorMetadata| Some(Named::new(tensor.name, TensorType::new(tensor.datatype.parse().ok()?, tensor.shape)));
    let all = |tensors: Vec<TensorMetadata>| tensors.into_iter().map(named).collect::<Option<Vec<_>>>();
    let tensors = Signature { inputs: all(metadata.inputs)?, outputs: all(metadata.outputs)? };
    Some(Known::of(tensors, content(&metadata.properties)))
}

/// Follows the routers as they come and go.
pub fn follow(
    mut watched: watch::Receiver<Instances>,
    endpoints: Endpoints,
    groups: Groups,
) -> (Arc<Routers>, impl Future<Output = ()> + Send) {
    let group = move |instances: &Instances| {
        let pairs: Vec<_> = instances.iter().map(|instance| (instance.id.clone(), instance.addr)).collect();
        groups.update("router", &endpoints.update(&pairs))
    };
    let routers = Arc::new(Routers::new(group(&watched.borrow_and_update())));
    let shared = Arc::clone(&routers);
    (routers, async move {
        while watched.changed().await.is_ok() {
            let now = group(&watched.borrow_and_update());
            shared.store(now);
        }
    })
}

/// The headers of a call that go on to its steps: who it is for, how urgent it is and may be, and what it must not be answered from.
const PASSED_ON: [http::HeaderName; 7] = [
    torchmesh_api::headers::X_TORCHMESH_TENANT,
    torchmesh_api::headers::X_TORCHMESH_PRIORITY,
    torchmesh_api::headers::X_TORCHMESH_PRIORITY_LIMIT,
    torchmesh_api::headers::X_TORCHMESH_SESSION,
    torchmesh_api::headers::X_TORCHMESH_MIRRORED,
    torchmesh_api::headers::TRACESTATE,
    CACHE_CONTROL,
];

/// What of a call's headers goes on to its steps.
pub fn passed_on(headers: &HeaderMap) -> HeaderMap {
    PASSED_ON.into_iter().filter_map(|name| headers.get(&name).cloned().map(|value| (name, value))).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::AUTHORIZATION};
    use torchmesh_api::headers::{X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT};

    use super::*;

    #[test]
    fn a_step_is_as_urgent_as_its_caller_asks_and_no_more_than_it_may() {
        let urgency =
            [(X_TORCHMESH_PRIORITY, HeaderValue::from_static("high")), (X_TORCHMESH_PRIORITY_LIMIT, HeaderValue::from_static("normal"))];
        let others = [(AUTHORIZATION, HeaderValue::from_static("Bearer x"))];
        let all: HeaderMap = urgency.iter().cloned().chain(others).collect();
        assert_eq!(passed_on(&all), urgency.into_iter().collect::<HeaderMap>());
    }
}

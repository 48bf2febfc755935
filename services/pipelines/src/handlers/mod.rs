//! The Open Inference Protocol, as routers speak it with workers.

mod describe;
mod infer;
mod pieces;
mod routed;
mod stream;

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};
use torchmesh_api::{
    error::ApiError,
    inference::{
        self as pb, ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
        ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ModelStreamInferResponse, RepositoryIndexRequest,
        RepositoryIndexResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
        ServerReadyResponse, grpc_inference_service_server::GrpcInferenceService, repository_index_response::ModelIndex,
    },
};

use self::routed::Routed;
use crate::{mesh::Mesh, metrics::StepMetrics, registry::Registry};

/// What a data thread's handlers stand on.
#[derive(Debug)]
pub struct Serves {
    /// The pipelines.
    pub registry: Arc<Registry>,
    /// The way to the routers.
    pub mesh: Mesh,
    /// The steps' metrics.
    pub steps: StepMetrics,
    /// How many pipelines may call each other in a row.
    pub max_depth: u32,
    /// Whether callers who ask are told where the time of a call went.
    pub tell_steps: bool,
}

/// The protocol's handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inference(Arc<Serves>);

impl Inference {
    /// Handlers over what a data thread has.
    pub fn new(serves: Serves) -> Self {
        Self(Arc::new(serves))
    }
}

fn answer<T>(result: Result<T, ApiError>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(Status::from)
}

const FILES: &str = "pipelines are loaded and unloaded by their files; put a file into the folder, or take it out";
const FIGURES: &str = "pipelines keep no statistics of this form; /metrics has them, and each step's model has its own";
const ELSEWHERE: &str = "a pipeline does not have this; ask the models of its steps";

/// Methods of the protocol that pipelines do not have, with what to do instead.
macro_rules! unimplemented_calls {
    ($($name:ident($request:ident) -> $response:ident: $advice:expr;)*) => {$(
        fn $name<'life0, 'async_trait>(
            &'life0 self,
            _: Request<pb::$request>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<pb::$response>, Status>> + Send + 'async_trait>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(std::future::ready(Err(Status::unimplemented($advice))))
        }
    )*};
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Result<Response<ServerLiveResponse>, Status> {
        answer(Ok(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Result<Response<ServerReadyResponse>, Status> {
        answer(Ok(ServerReadyResponse { ready: self.0.mesh.is_there() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Result<Response<ModelReadyResponse>, Status> {
        let (routed, message) = (Routed::of(request.metadata().as_ref()), request.get_ref());
        let target = routed.target(&message.name, &message.version)?;
        answer(Ok(ModelReadyResponse { ready: self.0.registry.find(target.0, target.1).is_ok() }))
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Result<Response<ServerMetadataResponse>, Status> {
        let (name, version) = ("torchmesh-pipelines".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        answer(Ok(ServerMetadataResponse { name, version, extensions: vec!["model_configuration".to_owned()] }))
    }

    async fn model_metadata(&self, request: Request<ModelMetadataRequest>) -> Result<Response<ModelMetadataResponse>, Status> {
        let (routed, message) = (Routed::of(request.metadata().as_ref()), request.get_ref());
        let (name, version) = routed.target(&message.name, &message.version)?;
        let (found, serving) = self.0.registry.find(name, version)?;
        answer(Ok(describe::metadata(&found, &serving, self.0.registry.versions(name))))
    }

    async fn model_config(&self, request: Request<ModelConfigRequest>) -> Result<Response<ModelConfigResponse>, Status> {
        let (routed, message) = (Routed::of(request.metadata().as_ref()), request.get_ref());
        let (name, version) = routed.target(&message.name, &message.version)?;
        let (found, serving) = self.0.registry.find(name, version)?;
        answer(Ok(ModelConfigResponse { config: Some(describe::config(&found, &serving)) }))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Result<Response<ModelInferResponse>, Status> {
        let call = infer::Received::of(&request)?;
        infer::infer(&self.0, &call, request.into_inner()).await.map_err(Status::from)
    }

    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let call = infer::Received::of(&request)?;
        Ok(Response::new(Box::pin(stream::answers(Arc::clone(&self.0), call, request.into_inner()))))
    }

    async fn repository_index(&self, request: Request<RepositoryIndexRequest>) -> Result<Response<RepositoryIndexResponse>, Status> {
        let only_ready = request.get_ref().ready;
        let table = self.0.registry.table();
        let versions = table.values().flat_map(std::collections::BTreeMap::values);
        let line = |version: &Arc<crate::registry::Version>| ModelIndex {
            name: version.name.to_string(),
            version: version.version.to_string(),
            state: version.word().to_owned(),
            reason: version.reason().to_owned(),
            load: version.load,
        };
        let models = versions.map(line).filter(|line| !only_ready || line.state == "READY").collect();
        answer(Ok(RepositoryIndexResponse { models }))
    }

    unimplemented_calls! {
        model_statistics(ModelStatisticsRequest) -> ModelStatisticsResponse: FIGURES;
        repository_model_load(RepositoryModelLoadRequest) -> RepositoryModelLoadResponse: FILES;
        repository_model_unload(RepositoryModelUnloadRequest) -> RepositoryModelUnloadResponse: FILES;
        system_shared_memory_status(SystemSharedMemoryStatusRequest) -> SystemSharedMemoryStatusResponse: ELSEWHERE;
        system_shared_memory_register(SystemSharedMemoryRegisterRequest) -> SystemSharedMemoryRegisterResponse: ELSEWHERE;
        system_shared_memory_unregister(SystemSharedMemoryUnregisterRequest) -> SystemSharedMemoryUnregisterResponse: ELSEWHERE;
        cuda_shared_memory_status(CudaSharedMemoryStatusRequest) -> CudaSharedMemoryStatusResponse: ELSEWHERE;
        cuda_shared_memory_register(CudaSharedMemoryRegisterRequest) -> CudaSharedMemoryRegisterResponse: ELSEWHERE;
        cuda_shared_memory_unregister(CudaSharedMemoryUnregisterRequest) -> CudaSharedMemoryUnregisterResponse: ELSEWHERE;
        trace_setting(TraceSettingRequest) -> TraceSettingResponse: ELSEWHERE;
        log_settings(LogSettingsRequest) -> LogSettingsResponse: ELSEWHERE;
    }
}

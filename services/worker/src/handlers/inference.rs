//! `inference.GRPCInferenceService`.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use tonic::{Request, Response, Status, Streaming};
use torchmesh_api::{
    error::ApiError,
    inference::{
        self as pb, ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
        ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ModelStatisticsRequest, ModelStatisticsResponse,
        ModelStreamInferResponse, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse,
        RepositoryModelUnloadRequest, RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest,
        ServerMetadataResponse, ServerReadyRequest, ServerReadyResponse, grpc_inference_service_server::GrpcInferenceService,
        repository_index_response::ModelIndex,
    },
};

use super::{
    Front,
    call::{CallInfo, Routed},
    describe, stream,
};
use crate::models::State;

/// The Open Inference Protocol on top of the models.
#[derive(Clone, Debug)]
pub struct Inference {
    front: Arc<Front>,
}

impl Inference {
    /// The service.
    pub fn new(front: Arc<Front>) -> Self {
        Self { front }
    }
}

fn routed<T>(request: &Request<T>) -> Routed {
    Routed::of(request.metadata().as_ref())
}

fn answer<T>(result: Result<T, ApiError>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(Status::from)
}

const SHARED_MEMORY: &str = "shared memory is not supported; send tensors in the message";
const TRACE: &str = "trace settings cannot be changed by call; set telemetry in the configuration";
const LOG: &str = "log settings cannot be changed by call; set telemetry.log in the configuration";

/// Methods of the protocol that this worker does not have, with what to do instead.
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
        answer(Ok(ServerReadyResponse { ready: self.front.registry.is_ready() }))
    }

    async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Result<Response<ModelReadyResponse>, Status> {
        let (routed, message) = (routed(&request), request.get_ref());
        // A model that is not there is not ready, which is an answer and not an error.
        let found = self.front.find(&routed, &message.name, &message.version);
        answer(Ok(ModelReadyResponse { ready: found.is_ok_and(|model| matches!(model.state(), State::Ready(_))) }))
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Result<Response<ServerMetadataResponse>, Status> {
        answer(Ok(ServerMetadataResponse {
            name: "torchmesh-worker".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: ["statistics", "model_configuration", "model_repository"].map(str::to_owned).into(),
        }))
    }

    async fn model_metadata(&self, request: Request<ModelMetadataRequest>) -> Result<Response<ModelMetadataResponse>, Status> {
        let (routed, message) = (routed(&request), request.get_ref());
        let model = self.front.find(&routed, &message.name, &message.version)?;
        let versions = self.front.registry.versions(&message.name);
        answer(model.serving().map(|serving| describe::metadata(&model, serving, versions)))
    }

    async fn model_infer(&self, request: Request<ModelInferRequest>) -> Result<Response<ModelInferResponse>, Status> {
        let (routed, call) = (routed(&request), CallInfo::of(&request)?);
        self.front.infer(&routed, request.into_inner(), call).await.map_err(Status::from)
    }

    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let (routed, call) = (routed(&request), CallInfo::of(&request)?);
        Ok(Response::new(Box::pin(stream::answers(Arc::clone(&self.front), routed, call, request.into_inner()))))
    }

    async fn model_config(&self, request: Request<ModelConfigRequest>) -> Result<Response<ModelConfigResponse>, Status> {
        let (routed, message) = (routed(&request), request.get_ref());
        let model = self.front.find(&routed, &message.name, &message.version)?;
        answer(model.serving().map(|serving| ModelConfigResponse { config: Some(describe::config(&model, serving)) }))
    }

    async fn model_statistics(&self, request: Request<ModelStatisticsRequest>) -> Result<Response<ModelStatisticsResponse>, Status> {
        let (routed, message) = (routed(&request), request.get_ref());
        if !message.name.is_empty() {
            // Says what is wrong with a name or version that is not there.
            self.front.find(&routed, &message.name, &message.version)?;
        }
        let all = self.front.registry.all().into_iter();
        let asked = all.filter(|model| message.name.is_empty() || model.name.as_str() == message.name);
        let asked = asked.filter(|model| message.version.is_empty() || model.version_text == message.version);
        let stats = asked.filter_map(|model| match model.state() {
            State::Ready(serving) => Some(serving.stats.wire(model.name.as_str(), &model.version_text)),
            State::Loading | State::Unavailable(_) => None,
        });
        answer(Ok(ModelStatisticsResponse { model_stats: stats.collect() }))
    }

    async fn repository_index(&self, request: Request<RepositoryIndexRequest>) -> Result<Response<RepositoryIndexResponse>, Status> {
        let only_ready = request.get_ref().ready;
        let lines = self.front.registry.index().into_iter().filter(|line| !only_ready || line.state == "READY");
        let wire = |line: crate::models::IndexEntry| ModelIndex {
            name: line.name,
            version: line.version,
            state: line.state.to_owned(),
            reason: line.reason,
            load: line.load,
        };
        answer(Ok(RepositoryIndexResponse { models: lines.map(wire).collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        let message = request.get_ref();
        if let Some(parameter) = message.parameters.keys().next() {
            let advice = format!("parameters[{parameter}]: a model is loaded as the repository has it; change its model.toml there");
            return Err(Status::invalid_argument(advice));
        }
        answer(self.front.registry.load(&message.model_name).await.map(|()| RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        // Its parameter `unload_dependents` asks about ensembles, of which there are none here.
        answer(self.front.registry.unload(&request.get_ref().model_name).map(|()| RepositoryModelUnloadResponse {}))
    }

    unimplemented_calls! {
        system_shared_memory_status(SystemSharedMemoryStatusRequest) -> SystemSharedMemoryStatusResponse: SHARED_MEMORY;
        system_shared_memory_register(SystemSharedMemoryRegisterRequest) -> SystemSharedMemoryRegisterResponse: SHARED_MEMORY;
        system_shared_memory_unregister(SystemSharedMemoryUnregisterRequest) -> SystemSharedMemoryUnregisterResponse: SHARED_MEMORY;
        cuda_shared_memory_status(CudaSharedMemoryStatusRequest) -> CudaSharedMemoryStatusResponse: SHARED_MEMORY;
        cuda_shared_memory_register(CudaSharedMemoryRegisterRequest) -> CudaSharedMemoryRegisterResponse: SHARED_MEMORY;
        cuda_shared_memory_unregister(CudaSharedMemoryUnregisterRequest) -> CudaSharedMemoryUnregisterResponse: SHARED_MEMORY;
        trace_setting(TraceSettingRequest) -> TraceSettingResponse: TRACE;
        log_settings(LogSettingsRequest) -> LogSettingsResponse: LOG;
    }
}

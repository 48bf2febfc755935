//! What the router answers itself: about the mesh as a whole, and about what it does not do.

use std::{future::Future, pin::Pin, sync::Arc};

use tonic::{Request, Response, Status, Streaming};
use torchmesh_api::inference::{
    CudaSharedMemoryRegisterRequest, CudaSharedMemoryRegisterResponse, CudaSharedMemoryStatusRequest, CudaSharedMemoryStatusResponse,
    CudaSharedMemoryUnregisterRequest, CudaSharedMemoryUnregisterResponse, LogSettingsRequest, LogSettingsResponse, ModelConfigRequest,
    ModelConfigResponse, ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ModelStatisticsRequest, ModelStatisticsResponse, ModelStreamInferResponse, RepositoryIndexRequest,
    RepositoryIndexResponse, RepositoryModelLoadRequest, RepositoryModelLoadResponse, RepositoryModelUnloadRequest,
    RepositoryModelUnloadResponse, ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse,
    ServerReadyRequest, ServerReadyResponse, SystemSharedMemoryRegisterRequest, SystemSharedMemoryRegisterResponse,
    SystemSharedMemoryStatusRequest, SystemSharedMemoryStatusResponse, SystemSharedMemoryUnregisterRequest,
    SystemSharedMemoryUnregisterResponse, TraceSettingRequest, TraceSettingResponse,
    grpc_inference_service_server::{GrpcInferenceService, GrpcInferenceServiceServer},
    repository_index_response::ModelIndex,
};

use crate::table::SharedTable;

/// The Open Inference Protocol's server-wide calls.
#[derive(Debug, Clone)]
pub struct Front {
    table: Arc<SharedTable>,
}

impl Front {
    /// The service, which takes messages of up to `max_message` bytes.
    pub fn service(table: Arc<SharedTable>, max_message: usize) -> GrpcInferenceServiceServer<Self> {
        GrpcInferenceServiceServer::new(Self { table }).max_decoding_message_size(max_message)
    }
}

/// The type of an `async fn` in a trait of tonic's, written out, since the attribute that makes it does not look into macros.
type Refusal<'a, T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send + 'a>>;

/// Methods that never arrive here, since they name a model and are passed on, or that the mesh does not do.
macro_rules! not_here {
    ($($method:ident: $request:ty => $response:ty, $why:expr;)*) => {$(
        fn $method<'a, 'b>(&'a self, _: Request<$request>) -> Refusal<'b, $response> where 'a: 'b, Self: 'b {
            Box::pin(std::future::ready(Err(Status::unimplemented($why))))
        }
    )*};
}

const PASSED_ON: &str = "this call is passed on to a worker";
const REPOSITORY: &str = "a model is loaded and unloaded at the workers that have it: call one of them, or change its model repository";
const SHARED_MEMORY: &str = "shared memory cannot cross the mesh; send tensors in raw_input_contents";
const SETTINGS: &str = "trace and log settings are changed by configuration (telemetry.log, telemetry.sample_ratio), not by call";

#[tonic::async_trait]
impl GrpcInferenceService for Front {
    type ModelStreamInferStream = tokio_stream::Empty<Result<ModelStreamInferResponse, Status>>;

    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: !self.table.load().is_empty() }))
    }

    async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: "torchmesh".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: ["model_repository", "model_configuration", "statistics"].map(str::to_owned).to_vec(),
        }))
    }

    async fn repository_index(&self, request: Request<RepositoryIndexRequest>) -> Result<Response<RepositoryIndexResponse>, Status> {
        let only_ready = request.into_inner().ready;
        let table = self.table.load();
        let listed = table.index().into_iter().filter(|(_, _, ready, _)| *ready || !only_ready);
        let models = listed.map(|(name, version, ready, reason)| ModelIndex {
            name: name.to_string(),
            version: version.map_or_else(String::new, |version| version.to_string()),
            state: if ready { "READY" } else { "UNAVAILABLE" }.to_owned(),
            reason: reason.to_owned(),
            // A worker's own business.
            load: 0,
        });
        Ok(Response::new(RepositoryIndexResponse { models: models.collect() }))
    }

    async fn model_stream_infer(&self, _: Request<Streaming<ModelInferRequest>>) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        Err(Status::unimplemented(PASSED_ON))
    }

    not_here! {
        model_ready: ModelReadyRequest => ModelReadyResponse, PASSED_ON;
        model_metadata: ModelMetadataRequest => ModelMetadataResponse, PASSED_ON;
        model_infer: ModelInferRequest => ModelInferResponse, PASSED_ON;
        model_config: ModelConfigRequest => ModelConfigResponse, PASSED_ON;
        model_statistics: ModelStatisticsRequest => ModelStatisticsResponse, PASSED_ON;
        repository_model_load: RepositoryModelLoadRequest => RepositoryModelLoadResponse, REPOSITORY;
        repository_model_unload: RepositoryModelUnloadRequest => RepositoryModelUnloadResponse, REPOSITORY;
        system_shared_memory_status: SystemSharedMemoryStatusRequest => SystemSharedMemoryStatusResponse, SHARED_MEMORY;
        system_shared_memory_register: SystemSharedMemoryRegisterRequest => SystemSharedMemoryRegisterResponse, SHARED_MEMORY;
        system_shared_memory_unregister: SystemSharedMemoryUnregisterRequest => SystemSharedMemoryUnregisterResponse, SHARED_MEMORY;
        cuda_shared_memory_status: CudaSharedMemoryStatusRequest => CudaSharedMemoryStatusResponse, SHARED_MEMORY;
        cuda_shared_memory_register: CudaSharedMemoryRegisterRequest => CudaSharedMemoryRegisterResponse, SHARED_MEMORY;
        cuda_shared_memory_unregister: CudaSharedMemoryUnregisterRequest => CudaSharedMemoryUnregisterResponse, SHARED_MEMORY;
        trace_setting: TraceSettingRequest => TraceSettingResponse, SETTINGS;
        log_settings: LogSettingsRequest => LogSettingsResponse, SETTINGS;
    }
}

//! The worker from its front, on a fake engine: real messages through the whole stack.

mod content;
mod embed;
mod infer;
mod lifecycle;
mod status;
mod text_golden;
mod text_tasks;

use std::sync::Arc;

pub(crate) use text_golden::classified;

use tempfile::TempDir;
use tokio::{runtime::Handle, task::JoinHandle};
use tonic::{Response, Status, service::Routes};
use torchmesh_api::{
    inference::{
        ModelInferRequest, ModelInferResponse, grpc_inference_service_client::GrpcInferenceServiceClient,
        model_infer_request::InferInputTensor,
    },
    text::v1::text_service_client::TextServiceClient,
};
use torchmesh_runtime::{config::Section, process::Context};

use crate::{
    config::WorkerConfig,
    executor::EngineLoader,
    handlers::Front,
    models::State,
    open,
    stack::Stack,
    tensor::Tensor,
    testing::{ECHO, Seen},
    text::TINY_TOKENIZER,
};

/// The largest message that these workers take, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// A worker with `echo` and `embed` (both version 1), behind its whole stack.
struct Worker {
    seen: Arc<Seen>,
    context: Context,
    front: Arc<Front>,
    stack: Stack,
    /// The repository. It is looked at when the test says so.
    dir: TempDir,
}

impl Worker {
    /// Starts it, and returns when every model is settled.
    async fn start(change: impl FnOnce(&std::path::Path)) -> Self {
        let seen = Arc::new(Seen::default());
        Self { seen: Arc::clone(&seen), ..Self::start_with(seen.loader(), change).await }
    }

    /// The same with an engine of the test's own, of which `seen` sees nothing.
    async fn start_with(load: EngineLoader, change: impl FnOnce(&std::path::Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), "echo", &format!("{ECHO}[queue]\nmax_requests = 3\n"));
        add(dir.path(), "embed", "task = 'embed'\nmax_tokens = 8\nnormalize = false\n[warmup]\nbatch_sizes = [1]\nlengths = [8]\n");
        std::fs::write(dir.path().join("embed/tokenizer.json"), TINY_TOKENIZER).unwrap();
        change(dir.path());
        let table = format!("models_dir = '{}'\nmodels_poll = '0s'\nmodels_linger = '50ms'", dir.path().display()).parse().unwrap();
        let config = Section::read_all(table, WorkerConfig::read).unwrap();
        let context = Context {
            metrics: Default::default(),
            readiness: Default::default(),
            drain: Default::default(),
            farewell: Default::default(),
            control: Handle::current(),
            addr: config.server.addr,
        };
        let front = open(&config, &context, load).unwrap();
        let worker = Self { stack: Stack::new(&front, Routes::default(), MAX_MESSAGE), seen: Arc::default(), context, front, dir };
        worker.until_settled().await;
        worker
    }

    async fn until_settled(&self) {
        self.until("every model is settled", |worker| worker.front.registry.index().iter().all(|line| line.state != "LOADING")).await;
    }

    /// Looks at the repository twice, so that what has changed has settled.
    fn look(&self) {
        self.front.registry.look();
        self.front.registry.look();
    }

    /// The index's line for a model: state and reason.
    fn line(&self, name: &str, version: &str) -> Option<(&'static str, String)> {
        let found = self.front.registry.index().into_iter().find(|line| line.name == name && line.version == version);
        found.map(|line| (line.state, line.reason))
    }

    fn oip(&self) -> GrpcInferenceServiceClient<Stack> {
        GrpcInferenceServiceClient::new(self.stack.clone())
    }

    fn text(&self) -> TextServiceClient<Stack> {
        TextServiceClient::new(self.stack.clone())
    }

    /// Calls `echo` beside the test.
    fn call(&self, request: ModelInferRequest) -> JoinHandle<Result<Response<ModelInferResponse>, Status>> {
        let mut client = self.oip();
        tokio::spawn(async move { client.model_infer(request).await })
    }

    /// Closes the gate and sends a request up to it, so that what follows waits in the queue.
    async fn occupy(&self) -> JoinHandle<Result<Response<ModelInferResponse>, Status>> {
        self.seen.gate.close();
        let call = self.call(row(&[1]));
        self.until("the executor is busy", |worker| worker.seen.shapes().len() == 1).await;
        call
    }

    /// Waits until `done` holds, letting others run meanwhile.
    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("never saw: {what}"));
    }

    fn depth(&self, model: &str) -> usize {
        match self.front.registry.find(model, "").unwrap().state() {
            State::Ready(serving) => serving.queue.depth(),
            other => panic!("{model} is {other:?}"),
        }
    }

    /// The value of a line of `/metrics` that begins so.
    fn metric(&self, begins: &str) -> String {
        let page = self.context.metrics.encode();
        let line = page.lines().find(|line| line.starts_with(begins));
        line.and_then(|line| line.split(' ').next_back()).unwrap_or("absent").to_owned()
    }
}

/// Puts version 1 of a model into a repository.
fn add(dir: &std::path::Path, name: &str, manifest: &str) {
    std::fs::create_dir_all(dir.join(name).join("1")).unwrap();
    std::fs::write(dir.join(name).join("model.toml"), manifest).unwrap();
}

/// A request to `echo` with one row.
fn row(values: &[i64]) -> ModelInferRequest {
    let tensor = Tensor::from_i64s([1, i64::try_from(values.len()).unwrap()], values);
    ModelInferRequest {
        model_name: "echo".into(),
        inputs: vec![InferInputTensor { name: "x".into(), datatype: "INT64".into(), shape: tensor.shape, ..Default::default() }],
        raw_input_contents: vec![tensor.data],
        ..Default::default()
    }
}

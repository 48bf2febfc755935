//! A server that does what a test says, call by call.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, metadata::MetadataMap};
use torchmesh_api::timeout;
use torchmesh_client::text::v1::{
    ChatRequest, ChatResponse, ClassifyRequest, ClassifyResponse, ClassifyTokensRequest, ClassifyTokensResponse, EmbedRequest,
    EmbedResponse, Embedding, ExplainRequest, ExplainResponse, FillRequest, FillResponse, GenerateRequest, GenerateResponse, RerankRequest,
    RerankResponse,
    generation_service_server::{GenerationService, GenerationServiceServer},
    text_service_server::{TextService, TextServiceServer},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of a call.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// One vector.
    Answer,
    /// This, and nothing before it.
    Fail(Status),
    /// Nothing, until the caller leaves.
    Hang,
    /// These pieces of a chat, and this end.
    Pieces(Vec<&'static str>, Option<Status>),
}

/// What a call was.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    metadata: MetadataMap,
    pub(crate) texts: Vec<String>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        Some(self.metadata.get(name)?.to_str().unwrap().to_owned())
    }

    /// How much time the caller has said that there is.
    pub(crate) fn left(&self) -> Option<Duration> {
        Some(timeout::parse(self.header("grpc-timeout")?.as_bytes()).unwrap())
    }
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Step>>,
    otherwise: Mutex<Option<fn() -> Step>>,
    seen: Mutex<Vec<Seen>>,
    hanging: AtomicUsize,
}

/// A server on a port of its own; clones are the same server.
#[derive(Clone)]
pub(crate) struct Server {
    state: Arc<State>,
    address: SocketAddr,
}

impl Server {
    /// Does these steps, one for each call.
    pub(crate) async fn start(script: impl IntoIterator<Item = Step>) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), script).await
    }

    /// The same at an address.
    pub(crate) async fn start_at(address: SocketAddr, script: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { script: Mutex::new(script.into_iter().collect()), ..Default::default() });
        let server = Self { state, address };
        let services = tonic::transport::Server::builder()
            .add_service(TextServiceServer::new(server.clone()))
            .add_service(GenerationServiceServer::new(server.clone()));
        tokio::spawn(services.serve_with_incoming(TcpListenerStream::new(listener)));
        server
    }

    /// What is done when the steps are over.
    pub(crate) fn otherwise(self, step: fn() -> Step) -> Self {
        *self.state.otherwise.lock().unwrap() = Some(step);
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Calls that hang now.
    pub(crate) fn hanging(&self) -> usize {
        self.state.hanging.load(Ordering::Relaxed)
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !so(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
    }

    fn next(&self, metadata: &MetadataMap, texts: Vec<String>) -> Step {
        self.state.seen.lock().unwrap().push(Seen { metadata: metadata.clone(), texts });
        let scripted = self.state.script.lock().unwrap().pop_front();
        scripted.unwrap_or_else(|| self.state.otherwise.lock().unwrap().expect("the script is over")())
    }

    async fn hang<T>(&self) -> T {
        struct Hanging<'a>(&'a AtomicUsize);
        impl Drop for Hanging<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.state.hanging.fetch_add(1, Ordering::Relaxed);
        let _hanging = Hanging(&self.state.hanging);
        std::future::pending().await
    }
}

fn unknown<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("no test calls it"))
}

#[tonic::async_trait]
impl TextService for Server {
    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        match self.next(&metadata, message.texts) {
            Step::Fail(status) => Err(status),
            Step::Hang => self.hang().await,
            Step::Answer | Step::Pieces(..) => {
                let embeddings = vec![Embedding { values: vec![1.0], ..Default::default() }];
                Ok(Response::new(EmbedResponse { embeddings, ..Default::default() }))
            }
        }
    }

    async fn classify(&self, _: Request<ClassifyRequest>) -> Result<Response<ClassifyResponse>, Status> {
        unknown()
    }

    async fn classify_tokens(&self, _: Request<ClassifyTokensRequest>) -> Result<Response<ClassifyTokensResponse>, Status> {
        unknown()
    }

    async fn fill(&self, _: Request<FillRequest>) -> Result<Response<FillResponse>, Status> {
        unknown()
    }

    async fn rerank(&self, _: Request<RerankRequest>) -> Result<Response<RerankResponse>, Status> {
        unknown()
    }

    async fn explain(&self, _: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        unknown()
    }
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl GenerationService for Server {
    type GenerateStream = Answers<GenerateResponse>;
    type ChatStream = Answers<ChatResponse>;

    async fn generate(&self, _: Request<GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        unknown()
    }

    async fn chat(&self, request: Request<ChatRequest>) -> Result<Response<Self::ChatStream>, Status> {
        let (metadata, _, message) = request.into_parts();
        let texts = message.messages.into_iter().map(|message| message.content).collect();
        let (pieces, end) = match self.next(&metadata, texts) {
            Step::Fail(status) => return Err(status),
            Step::Hang => return self.hang().await,
            Step::Answer => (vec!["Hello."], None),
            Step::Pieces(pieces, end) => (pieces, end),
        };
        let piece = |text: &str| Ok(ChatResponse { content: text.to_owned(), ..Default::default() });
        let answers: Vec<_> = pieces.into_iter().map(piece).chain(end.map(Err)).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }
}

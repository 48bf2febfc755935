//! A collector that keeps what it is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A span and the service that made it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// `service.name`.
    pub service: String,
    /// The span.
    pub span: Span,
}

/// Takes spans by OTLP over gRPC. Gone when it is dropped.
#[derive(Debug)]
pub struct Collector {
    addr: SocketAddr,
    kept: Arc<Mutex<Vec<Kept>>>,
    server: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Keep(Arc<Mutex<Vec<Kept>>>);

#[tonic::async_trait]
impl TraceService for Keep {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().expect("no test panicked with it");
        for from_one in request.into_inner().resource_spans {
            let attributes = from_one.resource.unwrap_or_default().attributes;
            let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let name = name.and_then(|name| name.value?.value);
            let service = if let Some(Value::StringValue(name)) = name { name } else { String::new() };
            let spans = from_one.scope_spans.into_iter().flat_map(|scope| scope.spans);
            kept.extend(spans.map(|span| Kept { service: service.clone(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let kept = Arc::default();
        let service = TraceServiceServer::new(Keep(Arc::clone(&kept)));
        let serving = tonic::transport::Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.expect("the collector serves") });
        Self { addr, kept, server }
    }

    /// What `telemetry.otlp_endpoint` is to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Kept> {
        self.kept.lock().expect("no test panicked with it").clone()
    }
}

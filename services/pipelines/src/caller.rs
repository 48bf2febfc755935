//! One call of a pipeline, and the calls that its steps make on its caller's behalf.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{TRACEPARENT, X_REQUEST_ID, X_TORCHMESH_CACHE_TTL, X_TORCHMESH_COMPUTE_US, X_TORCHMESH_DEPTH, X_TORCHMESH_USAGE},
    usage::{Figures, Usage},
};
use torchmesh_layers::call::CallContext;
use torchmesh_pipeline::{
    run::{Answer, Call, Steps},
    spec::StepCache,
};
use torchmesh_relay::Messages;
use torchmesh_runtime::{remote_span, telemetry};
use tracing::Span;

use crate::{
    mesh::{Mesh, passed_on},
    message,
    metrics::{Counting, StepMetrics},
    registry::Version,
    tries::{Tries, Work},
};

/// See the module.
#[derive(Debug)]
pub struct Caller<'a> {
    mesh: &'a Mesh,
    metrics: &'a StepMetrics,
    pipeline: &'a Version,
    context: CallContext,
    headers: HeaderMap,
    compute_us: AtomicU64,
    /// Where the tries are noted, if anybody wants to know.
    pub tries: Option<Tries>,
}

/// How many pipelines called each other before this one.
///
/// Errors: more than are allowed.
pub fn depth(headers: &HeaderMap, most: u32) -> Result<u32, ApiError> {
    // Whoever writes something else has begun a call of his own.
    let depth = headers.get(X_TORCHMESH_DEPTH).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    if depth < most {
        return Ok(depth);
    }
    let message = format!("{depth} pipelines have called each other in a row, and {most} may; does one of them call itself? (max_depth)");
    Err(ApiError::new(ErrorKind::InvalidArgument, message))
}

impl<'a> Caller<'a> {
    /// A call with these headers, at this depth.
    pub fn new(
        mesh: &'a Mesh,
        metrics: &'a StepMetrics,
        pipeline: &'a Version,
        context: CallContext,
        headers: &HeaderMap,
        depth: u32,
    ) -> Self {
        let mut headers = passed_on(headers);
        // One id for the whole of it, so that the logs of all steps can be put together.
        headers.insert(X_REQUEST_ID, context.request_id());
        headers.insert(X_TORCHMESH_DEPTH, HeaderValue::from(depth + 1));
        Self { mesh, metrics, pipeline, context, headers, compute_us: AtomicU64::new(0), tries: None }
    }

    /// How long the models computed that have answered, all together.
    pub fn compute_us(&self) -> u64 {
        self.compute_us.load(Relaxed)
    }

    fn span(&self, call: &Call<'_>) -> Span {
        remote_span!(
            &self.context.trace,
            "pipelines.step",
            otel.kind = "client",
            rpc.system = "grpc",
            rpc.grpc.status_code = tracing::field::Empty,
            torchmesh.pipeline = %self.pipeline.name,
            torchmesh.step = call.step,
            torchmesh.model = %call.target,
            torchmesh.attempt = call.attempt
        )
    }

    /// The headers of a step's call. What the caller of the pipeline does not want to be kept is not kept of its steps either.
    fn step_headers(&self, cache: StepCache, span: &Span) -> HeaderMap {
        let mut headers = self.headers.clone();
        let trace = telemetry::outgoing(span, &self.context.trace);
        if let Ok(value) = HeaderValue::try_from(trace.format()) {
            headers.insert(TRACEPARENT, value);
        }
        match cache {
            StepCache::AsRouted => {}
            StepCache::Off => drop(headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"))),
            StepCache::For(ttl) => drop(headers.insert(X_TORCHMESH_CACHE_TTL, HeaderValue::from(ttl.as_secs()))),
        }
        headers
    }

    /// Begins a call whose answer comes in pieces, and is counted when what is returned with it is told so or dropped.
    pub async fn begin(&self, call: &Call<'_>) -> Result<(Messages, Counting, Span), ApiError> {
        let (span, deadline) = (self.span(call), call.deadline.into_std());
        let counting = Counting::begin(self.metrics, self.pipeline, call.step, deadline);
        let framed: Vec<u8> = message::question(call).into_iter().flatten().collect();
        match self.mesh.stream(self.step_headers(call.cache, &span), framed.into(), deadline).await {
            Ok(messages) => Ok((messages, counting, span)),
            Err(error) => {
                counting.end(error.kind.code(), Figures::default());
                Err(error)
            }
        }
    }

    async fn ask(&self, call: &Call<'_>, span: &Span) -> Result<Answer, ApiError> {
        let headers = self.step_headers(call.cache, span);
        let deadline: Instant = call.deadline.into_std();
        let reply = self.mesh.infer(headers, message::question(call), deadline).await?;
        let text = |name| reply.headers.get(name).and_then(|value| value.to_str().ok());
        let used = text(X_TORCHMESH_USAGE).and_then(Usage::parse).map_or_else(Figures::default, |usage| usage.figures);
        self.compute_us.fetch_add(text(X_TORCHMESH_COMPUTE_US).and_then(|text| text.parse().ok()).unwrap_or(0), Relaxed);
        Ok(Answer { outputs: message::answer(reply.message, call)?, used })
    }
}

impl Steps for Caller<'_> {
    async fn call(&self, call: Call<'_>) -> Result<Answer, ApiError> {
        let (span, began) = (self.span(&call), Instant::now());
        let counting = Counting::begin(self.metrics, self.pipeline, call.step, call.deadline.into_std());
        let answer = self.ask(&call, &span).await;
        let code = answer.as_ref().err().map_or(tonic::Code::Ok, |error| error.kind.code());
        if let Some(tries) = &self.tries {
            tries.note(call.step, Work::Model(call.target, call.attempt), began, code);
        }
        if !span.is_none() {
            span.record("rpc.grpc.status_code", i32::from(code));
        }
        counting.end(code, answer.as_ref().map(|answer| answer.used).unwrap_or_default());
        answer
    }

    fn transform<R>(&self, step: &str, transform: &'static str, work: impl FnOnce() -> Result<R, ApiError>) -> Result<R, ApiError> {
        let span = remote_span!(
            &self.context.trace,
            "pipelines.transform",
            torchmesh.pipeline = %self.pipeline.name,
            torchmesh.step = step,
            torchmesh.transform = transform
        );
        let began = Instant::now();
        let done = span.in_scope(work);
        if let Some(tries) = &self.tries {
            tries.note(step, Work::Transform(transform), began, done.as_ref().err().map_or(tonic::Code::Ok, |error| error.kind.code()));
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_may_call_each_other_so_often_and_not_more() {
        let at = |text: &'static str| depth(&HeaderMap::from_iter([(X_TORCHMESH_DEPTH, HeaderValue::from_static(text))]), 4);
        assert_eq!(depth(&HeaderMap::new(), 4).unwrap(), 0);
        assert_eq!(at("3").unwrap(), 3);
        assert_eq!(at("none").unwrap(), 0);
        assert!(at("4").unwrap_err().message.contains("4 pipelines have called each other"));
    }
}

//! Logs as JSON lines on standard error, and spans by OTLP when an endpoint is configured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use opentelemetry::{
    StringValue, Value,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, trace::Sampler, trace::SdkTracerProvider};
use torchmesh_api::trace::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{config::TelemetrySettings, process::StartError};

/// The target of spans that are exported. Only spans with this target are, so that a library's spans cost nothing.
pub const SPAN_TARGET: &str = "torchmesh::span";

static EXPORTING: AtomicBool = AtomicBool::new(false);
/// The share of new traces to record, as a fraction of `u64::MAX`.
static SAMPLE_BELOW: AtomicU64 = AtomicU64::new(0);

/// Makes a span of the caller's trace. With its `name` a literal it costs nothing unless spans are exported and the caller records the trace.
///
/// ```text
/// let span = remote_span!(&trace, "worker.forward", model = %name);
/// ```
#[macro_export]
macro_rules! remote_span {
    ($trace:expr, $name:literal $(, $($fields:tt)*)?) => {{
        let trace: &torchmesh_api::trace::TraceContext = $trace;
        if $crate::telemetry::recorded(trace) {
            let span = tracing::info_span!(target: "torchmesh::span", $name $(, $($fields)*)?);
            $crate::telemetry::set_remote_parent(&span, trace);
            span
        } else {
            tracing::Span::none()
        }
    }};
}

/// Whether spans of this trace are exported.
pub fn recorded(trace: &TraceContext) -> bool {
    trace.sampled && EXPORTING.load(Ordering::Relaxed)
}

/// Whether a new trace is to be recorded; `draw` is uniformly random.
pub fn sample(draw: u64) -> bool {
    draw < SAMPLE_BELOW.load(Ordering::Relaxed)
}

/// Makes `span` a child of the caller's span.
pub fn set_remote_parent(span: &Span, trace: &TraceContext) {
    let flags = if trace.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace_id, span_id) = (TraceId::from_bytes(trace.trace_id), SpanId::from_bytes(trace.span_id));
    let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    // A span that no layer records has no context to set, which is fine.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
}

/// Gives a span an attribute that is a list of texts, which `tracing` has no form for.
pub fn set_texts(span: &Span, name: &'static str, texts: &[&'static str]) {
    let texts: Vec<StringValue> = texts.iter().map(|&text| text.into()).collect();
    span.set_attribute(name, Value::Array(texts.into()));
}

/// The trace context to send on from `span`: its own id when it is recorded, the caller's otherwise.
pub fn outgoing(span: &Span, caller: &TraceContext) -> TraceContext {
    if span.is_none() {
        return *caller;
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    if own.is_valid() { TraceContext { span_id: own.span_id().to_bytes(), ..*caller } } else { *caller }
}

/// Keeps the exporter; flush it before the process ends.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts logging and, where an endpoint is set, exporting. Must be called on a runtime that goes on running.
pub fn start(service: &'static str, settings: &TelemetrySettings) -> Result<Telemetry, StartError> {
    let filter: Targets = settings.log.parse()?;
    let logs = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(std::io::stderr)
        .with_filter(filter.with_target(SPAN_TARGET, tracing::level_filters::LevelFilter::OFF));
    let provider = settings.otlp_endpoint.as_deref().map(|endpoint| exporter(service, endpoint)).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        let only_ours = Targets::new().with_target(SPAN_TARGET, tracing::Level::INFO);
        tracing_opentelemetry::layer().with_tracer(provider.tracer("torchmesh")).with_filter(only_ours)
    });
    if provider.is_some() {
        EXPORTING.store(true, Ordering::Relaxed);
        #[expect(clippy::cast_sign_loss, reason = "the ratio was checked to be from 0 to 1")]
        SAMPLE_BELOW.store((settings.sample_ratio * u64::MAX as f64) as u64, Ordering::Relaxed);
    }
    tracing_subscriber::registry().with(logs).with(spans).try_init()?;
    Ok(Telemetry { provider })
}

fn exporter(service: &'static str, endpoint: &str) -> Result<SdkTracerProvider, StartError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name(format!("torchmesh-{service}")).build();
    // Whether a trace is recorded was decided where it began; a span made here is one to export.
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_sampler(Sampler::AlwaysOn).with_resource(resource);
    Ok(provider.build())
}

impl Telemetry {
    /// Sends what is left, for at most the exporter's own timeout.
    pub async fn flush(self) {
        if let Some(provider) = self.provider {
            // The exporter's connection runs on this runtime, so waiting for it must not block the thread.
            let done = tokio::task::spawn_blocking(move || provider.shutdown()).await;
            if let Ok(Err(error)) = done {
                tracing::warn!(%error, "the last spans were not delivered");
            }
        }
    }
}

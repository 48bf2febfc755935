//! One trace runs from the caller to the forward pass; without a place to send it to, nothing is recorded.

use std::collections::HashMap;

use torchmesh_api::{frame, inference::ModelInferResponse, trace::TraceContext};
use torchmesh_tests::{
    MeshSandbox, Signal, bounded, client,
    models::Model,
    raw::{self, Call},
    sandbox::Builder,
    spans::{Collector, Kept},
    upstream::{Manner, Upstream},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn traceparent(sampled: bool) -> String {
    format!("00-{TRACE}-{CALLER}-{}", if sampled { "01" } else { "00" })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn exporting(builder: Builder, collector: &Collector) -> Builder {
    let to = |builder: Builder, service| builder.set(service, "telemetry.otlp_endpoint", &collector.endpoint());
    ["gateway", "router", "worker"].into_iter().fold(builder, to)
}

/// Ends every service as an operator would: the last spans are sent then.
async fn wind_down(mut mesh: MeshSandbox) {
    for service in ["gateway", "router", "worker"] {
        for instance in mesh.of(service) {
            assert!(instance.end(Signal::TERM).await.success(), "{} ended badly", instance.name);
        }
    }
}

/// The span's name and those of what it is part of, the caller's own span last.
fn ancestry(spans: &[Kept], of: &str) -> Vec<String> {
    let by_id: HashMap<String, &Kept> = spans.iter().map(|kept| (hex(&kept.span.span_id), kept)).collect();
    let mut line = Vec::new();
    let mut next = spans.iter().find(|kept| kept.span.name == of);
    while let Some(kept) = next {
        line.push(format!("{} of {}", kept.span.name, kept.service));
        let parent = hex(&kept.span.parent_span_id);
        next = by_id.get(&parent).copied();
        if next.is_none() {
            line.push(if parent == CALLER { "the caller's".to_owned() } else { format!("unknown {parent}") });
        }
    }
    line
}

#[test]
fn one_trace_runs_from_the_callers_span_to_the_forward_pass() {
    bounded(async {
        let collector = Collector::start().await;
        let mesh = exporting(MeshSandbox::builder().model(Model::noop()), &collector).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().header("traceparent", &traceparent(true));
        raw::call(mesh.gateway(), &call).await.message::<ModelInferResponse>();
        wind_down(mesh).await;

        let spans = collector.spans();
        let traces: Vec<_> = spans.iter().map(|kept| hex(&kept.span.trace_id)).collect();
        assert!(traces.iter().all(|trace| trace == TRACE), "all spans belong to the caller's trace: {traces:?}");
        let hops =
            ["worker.call of torchmesh-worker", "router.call of torchmesh-router", "gateway.call of torchmesh-gateway", "the caller's"];
        for (within, name) in
            [("worker.forward", "worker.forward of torchmesh-worker"), ("worker.queue", "worker.queue of torchmesh-worker")]
        {
            let mut expected = vec![name];
            expected.extend(hops);
            assert_eq!(ancestry(&spans, within), expected, "{:?}", spans.iter().map(|kept| &kept.span.name).collect::<Vec<_>>());
        }
        assert!(spans.iter().all(|kept| kept.span.start_time_unix_nano <= kept.span.end_time_unix_nano));
    });
}

#[test]
fn a_text_is_traced_like_a_tensor_and_over_http_too() {
    bounded(async {
        let collector = Collector::start().await;
        let mesh = exporting(MeshSandbox::builder().model(Model::minilm()), &collector).start().await;
        let mut request = torchmesh_tests::web::request(http::Method::POST, "/v1/embeddings", r#"{"model": "minilm", "input": "hi"}"#);
        request.headers_mut().insert("traceparent", traceparent(true).parse().unwrap());
        let mut connection = torchmesh_tests::web::Connection::http1(mesh.gateway()).await.unwrap();
        let answer = connection.send(request).await.unwrap();
        assert_eq!((answer.status, answer.headers["x-request-id"].to_str().unwrap()), (200, TRACE));
        wind_down(mesh).await;
        let line = ancestry(&collector.spans(), "worker.forward");
        assert_eq!(line.last().map(String::as_str), Some("the caller's"), "{line:?}");
        assert_eq!(line.len(), 5, "{line:?}");
    });
}

#[test]
fn an_answer_of_a_language_model_says_what_was_asked_and_used_in_opentelemetrys_words() {
    bounded(async {
        let collector = Collector::start().await;
        let mesh = exporting(MeshSandbox::builder().model(Model::stories()), &collector).start().await;
        let body = r#"{"model": "stories", "prompt": "Once upon a time", "max_tokens": 5, "temperature": 0, "n": 2, "best_of": 2}"#;
        let mut request = torchmesh_tests::web::request(http::Method::POST, "/v1/completions", body);
        request.headers_mut().insert("traceparent", traceparent(true).parse().unwrap());
        let mut connection = torchmesh_tests::web::Connection::http1(mesh.gateway()).await.unwrap();
        assert_eq!(connection.send(request).await.unwrap().status, 200);
        wind_down(mesh).await;
        let spans = collector.spans();
        let line = ancestry(&spans, "text_completion stories");
        assert_eq!((line.len(), &line[1][..]), (5, "worker.call of torchmesh-worker"), "{line:?}");
        let span = &spans.iter().find(|kept| kept.span.name == "text_completion stories").unwrap().span;
        let attribute = |name: &str| {
            let found = span.attributes.iter().find(|attribute| attribute.key == name);
            let value = found.unwrap_or_else(|| panic!("{name} is missing: {:?}", span.attributes)).value.clone();
            format!("{:?}", value.unwrap().value.unwrap())
        };
        for (name, value) in [
            ("gen_ai.operation.name", "StringValue(\"text_completion\")"),
            ("gen_ai.request.model", "StringValue(\"stories\")"),
            ("gen_ai.request.max_tokens", "IntValue(5)"),
            ("gen_ai.request.choice.count", "IntValue(2)"),
            ("gen_ai.usage.output_tokens", "IntValue(10)"),
        ] {
            assert_eq!(attribute(name), value, "{name}");
        }
        assert_eq!(attribute("gen_ai.response.finish_reasons").matches("\"length\"").count(), 2);
        assert!(!span.attributes.iter().any(|attribute| attribute.key == "error.type"));
    });
}

#[test]
fn a_caller_that_does_not_record_its_trace_is_followed() {
    bounded(async {
        let collector = Collector::start().await;
        let builder = ["gateway", "router", "worker"]
            .into_iter()
            .fold(MeshSandbox::builder().model(Model::noop()), |builder, service| builder.set(service, "telemetry.sample_ratio", "1"));
        let mesh = exporting(builder, &collector).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        raw::call(mesh.gateway(), &call.clone().header("traceparent", &traceparent(false))).await.message::<ModelInferResponse>();
        raw::call(mesh.gateway(), &call).await.message::<ModelInferResponse>();
        wind_down(mesh).await;
        let spans = collector.spans();
        assert!(spans.iter().all(|kept| hex(&kept.span.trace_id) != TRACE), "a trace that its caller does not record was recorded");
        let line = ancestry(&spans, "worker.forward");
        assert_eq!(line.len(), 5, "the call that brought no trace began one, and it was recorded: {line:?}");
    });
}

#[test]
fn without_a_collector_the_trace_still_goes_on_to_the_worker() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Answers(frame::encode(&ModelInferResponse::default()))).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        let told = call.clone().header("traceparent", &traceparent(true)).header("tracestate", "vendor=value");
        let answer = raw::call(mesh.gateway(), &told).await;
        raw::call(mesh.gateway(), &call).await;
        let seen = upstream.seen();
        assert_eq!((seen[0].header("traceparent"), seen[0].header("tracestate")), (traceparent(true).as_str(), "vendor=value"));
        assert_eq!(answer.trailer("x-request-id"), Some(TRACE));
        let begun = TraceContext::parse(seen[1].header("traceparent").as_bytes());
        assert!(!begun.expect("a trace was begun").sampled, "nobody records it");
    });
}

#[test]
fn a_collector_that_is_not_there_costs_no_call() {
    bounded(async {
        let collector = Collector::start().await;
        let builder = exporting(MeshSandbox::builder().model(Model::noop()), &collector);
        drop(collector);
        let mesh = builder.start().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key().header("traceparent", &traceparent(true));
        for _ in 0..20 {
            raw::call(mesh.gateway(), &call).await.message::<ModelInferResponse>();
        }
    });
}

//! What a call of a pipeline costs, and what is seen of it: one call, with all of its steps.

use std::fs;

use serde_json::json;
use torchmesh_api::{inference::ModelInferResponse, tensor::Tensor};
use torchmesh_tests::{
    MeshSandbox, Signal, bounded,
    ledger::Ledger,
    models::Model,
    raw::{self, Call},
    spans::Collector,
};

use super::{X, given, output, request, start, step, texts, transform};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn x() -> [(&'static str, Tensor); 1] {
    [("x", Tensor::from_f32s([2, 2], &[1.0, 2.0, 3.0, 4.0]))]
}

/// Calls `wide` once, then once for each of two rows.
fn three_calls() -> String {
    [
        X,
        &step("a", "wide", "INPUT0 = 'input.x'", ""),
        &step("b", "wide", "INPUT0 = 'a.OUTPUT0'", "map = { over = ['INPUT0'] }"),
        &output("y", "['b.OUTPUT0', 'input.x']"),
    ]
    .concat()
}

#[test]
fn a_call_is_one_event_with_what_all_of_its_steps_have_used() {
    bounded(async {
        let ledger = Ledger::default();
        let outer = [
            X,
            &step("inner", "three", "x = 'input.x'", ""),
            &step("more", "wide", "INPUT0 = 'inner.y'", ""),
            &output("y", "'more.OUTPUT0'"),
        ];
        let builder = ledger.of(MeshSandbox::builder().model(Model::wide()).model(Model::fails_on_negative()));
        let strict = [
            X,
            &step("a", "wide", "INPUT0 = 'input.x'", ""),
            &step("b", "fails_on_negative", "INPUT0 = 'a.OUTPUT0'", ""),
            &output("y", "'b.OUTPUT0'"),
        ];
        let mesh = start(builder, &[("three/1", &three_calls()), ("outer/1", &outer.concat()), ("strict/1", &strict.concat())]).await;
        let ask = async |name: &str, id: &str, inputs: &[(&str, Tensor)]| {
            let call = Call::new(raw::MODEL_INFER, &request(name, inputs)).with_key().header("x-request-id", id);
            raw::call(mesh.gateway(), &call).await
        };
        let answer = ask("three", "three", &x()).await;
        assert!(answer.head.get("x-torchmesh-usage").is_none(), "the meter's own header goes no further");
        answer.message::<ModelInferResponse>();
        ask("outer", "outer", &x()).await.message::<ModelInferResponse>();
        ask("strict", "strict", &[("x", Tensor::from_f32s([1, 2], &[-1.0, 2.0]))]).await;
        let mut lines = ledger.has(["three", "outer", "strict"].map(str::to_owned)).await;
        lines.retain(|line| line["method"] == raw::MODEL_INFER);
        assert_eq!(lines.len(), 3, "a step is no event of its own: {lines:?}");
        let told = |id: &str| {
            let line = lines.iter().find(|line| line["request_id"] == id).unwrap();
            (line["model"].clone(), line["version"].clone(), line["items"].clone())
        };
        // Two rows in one call, and two calls of a row.
        assert_eq!(told("three"), (json!("three"), json!("1"), json!(4)));
        assert_eq!(told("outer"), (json!("outer"), json!("1"), json!(6)));
        assert_eq!(told("strict").2, json!(0), "an error costs nothing");
        let units = |step: &str| [("pipeline", "three".to_owned()), ("step", step.to_owned()), ("unit", "items".to_owned())];
        let metrics = mesh.pipelines[0].metrics().await;
        for step in ["a", "b"] {
            let labels = units(step);
            let labels: Vec<_> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            // Once by itself, once within the other pipeline.
            assert_eq!(metrics.count("torchmesh_pipelines_step_units_total", &labels), 4, "{step}");
        }
    });
}

#[test]
fn a_step_has_its_answers_kept_as_its_pipeline_says_and_a_caller_may_want_none_of_it() {
    bounded(async {
        let ledger = Ledger::default();
        let again = |cache: &str| [X, &step("a", "wide", "INPUT0 = 'input.x'", cache), &output("y", "'a.OUTPUT0'")].concat();
        let folder = tempfile::tempdir().unwrap();
        let routes = folder.path().join("routes.toml");
        fs::write(&routes, "[[route]]\nmodel = 'fails_on_negative'\nto = [{}]\ncache = {}\n").unwrap();
        let routed = [X, &step("a", "fails_on_negative", "INPUT0 = 'input.x'", "cache = 'off'"), &output("y", "'a.OUTPUT0'")].concat();
        let models = MeshSandbox::builder().model(Model::wide()).model(Model::fails_on_negative());
        let builder = ledger.of(models).set("router", "routes_file", routes.to_str().unwrap());
        let mesh = start(builder, &[("kept/1", &again("cache = '10m'")), ("anew/1", &again("")), ("off/1", &routed)]).await;
        let ask = async |name: &str, id: &str, said: &str| {
            let call = Call::new(raw::MODEL_INFER, &request(name, &x())).with_key().header("x-request-id", id);
            let answer: ModelInferResponse = raw::call(mesh.gateway(), &call.header("cache-control", said)).await.message();
            (given(&answer, "y").unwrap(), mesh.workers[0].metrics().await.count("torchmesh_worker_requests_total", &[]))
        };
        let (first, computed) = ask("kept", "first", "max-age=60").await;
        assert_eq!(ask("kept", "second", "max-age=60").await, (first.clone(), computed), "nothing is computed again");
        assert_eq!(ask("kept", "third", "no-store").await.1, computed + 1, "nor is it, where the caller wants none of it");
        assert_eq!(ask("anew", "fourth", "max-age=60").await.1, computed + 2, "another pipeline has asked for nothing");
        assert_eq!(ask("off", "fifth", "max-age=60").await.1, computed + 3);
        assert_eq!(ask("off", "sixth", "max-age=60").await.1, computed + 4, "whatever the route of the model keeps");
        let outside = Call::new(raw::MODEL_INFER, &request("wide", &[("INPUT0", x()[0].1.clone())])).with_key();
        for _ in 0..2 {
            let answer = raw::call(mesh.gateway(), &outside.clone().header("x-torchmesh-cache-ttl", "600")).await;
            assert_eq!(
                (answer.status().code(), answer.head.get("x-cache")),
                (tonic::Code::Ok, None),
                "a caller cannot say it for the mesh"
            );
        }
        let items = async |id: &str| ledger.line(id).await["items"].clone();
        assert_eq!(
            (items("first").await, items("second").await),
            (json!(2), json!(2)),
            "what is kept is answered, and metered, all the same"
        );
    });
}

#[test]
fn a_pipeline_that_answers_whole_on_a_stream_is_billed_for_the_tokens_of_all_of_its_steps() {
    bounded(async {
        let ledger = Ledger::default();
        let who = "[[input]]\nname = 'who'\ndatatype = 'BYTES'\nshape = [1]\n";
        let write = |name: &str| step(name, "stories", "text_input = 'input.who'", "parameters = { max_tokens = 5, temperature = 0 }");
        let once = [who, &write("a"), &output("y", "'a.text_output'")].concat();
        let twice = [who, &write("a"), &write("b"), &output("y", "'a.text_output'"), &output("z", "'b.text_output'")].concat();
        let builder = ledger.of(MeshSandbox::builder().model(Model::stories()));
        let mesh = start(builder, &[("once/1", &once), ("twice/1", &twice)]).await;
        let tokens = async |path: &str, name: &str, id: &str| {
            let call = Call::new(path, &request(name, &[("who", texts(&["Once upon a time"]))])).with_key().header("x-request-id", id);
            assert_eq!(raw::call(mesh.gateway(), &call).await.status().code(), tonic::Code::Ok);
            let line = ledger.line(id).await;
            assert_eq!((&line["model"], &line["version"]), (&json!(name), &json!("1")), "{line}");
            ["prompt_tokens", "completion_tokens"].map(|field| line[field].as_u64().unwrap())
        };
        let [read, written] = tokens(raw::MODEL_INFER, "once", "whole").await;
        assert!(read > 0 && written > 0, "{read} read, {written} written");
        assert_eq!(tokens(raw::MODEL_STREAM_INFER, "once", "once").await, [read, written]);
        assert_eq!(tokens(raw::MODEL_STREAM_INFER, "twice", "twice").await, [2 * read, 2 * written]);
    });
}

#[test]
fn one_trace_has_a_span_for_each_step_and_the_forward_passes_below_them() {
    bounded(async {
        let collector = Collector::start().await;
        let services = ["gateway", "pipelines", "router", "worker"];
        let endpoint = collector.endpoint();
        let exporting = services.into_iter().fold(MeshSandbox::builder().model(Model::wide()), |builder, service| {
            builder.set(service, "telemetry.otlp_endpoint", &endpoint)
        });
        let three = three_calls() + &transform("whole", "cast", "x = 'a.OUTPUT0'", "to = 'INT32'") + &output("z", "'whole.out'");
        let mut mesh = start(exporting, &[("three/1", &three)]).await;
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let call = Call::new(raw::MODEL_INFER, &request("three", &x())).with_key().header("traceparent", &traceparent);
        raw::call(mesh.gateway(), &call).await.message::<ModelInferResponse>();
        for service in services {
            for instance in mesh.of(service) {
                assert!(instance.end(Signal::TERM).await.success(), "{} ended badly", instance.name);
            }
        }
        let spans = collector.spans();
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let ours: Vec<_> = spans.iter().filter(|kept| hex(&kept.span.trace_id) == TRACE).collect();
        let count = |name: &str| ours.iter().filter(|kept| kept.span.name == name).count();
        assert_eq!(["pipelines.call", "pipelines.step", "pipelines.transform", "worker.forward"].map(count), [1, 3, 1, 3]);
        let above = |id: &[u8]| ours.iter().find(|kept| kept.span.span_id == id);
        for forward in ours.iter().filter(|kept| kept.span.name == "worker.forward") {
            let (mut line, mut next) = (Vec::new(), Some(forward));
            while let Some(kept) = next {
                line.push(kept.span.name.as_str());
                next = above(&kept.span.parent_span_id);
            }
            let way = ["worker.forward", "worker.call", "router.call", "pipelines.step", "pipelines.call", "router.call", "gateway.call"];
            assert_eq!(line, way);
        }
    });
}

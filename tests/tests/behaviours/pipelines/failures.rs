//! What happens when steps fail, are slow, or nobody waits for them any more.

use std::time::{Duration, Instant};

use tonic::Code;
use torchmesh_api::tensor::Tensor;
use torchmesh_tests::{
    MeshSandbox, Signal, bounded, client, eventually,
    models::Model,
    raw::{self, Call, Connection},
    upstream::{Manner, Upstream},
};

use super::{PATIENCE, X, call, mesh, output, request, start, step, y};

const MS: &str = "[[input]]\nname = 'ms'\ndatatype = 'INT64'\nshape = [-1, 1]\n";

fn two(first: f32, second: f32) -> [(&'static str, Tensor); 1] {
    [("x", Tensor::from_f32s([1, 2], &[first, second]))]
}

fn millis(count: i64) -> [(&'static str, Tensor); 1] {
    [("ms", Tensor::from_i64s([1, 1], &[count]))]
}

#[test]
fn another_model_stands_in_and_what_is_optional_may_be_absent() {
    bounded(async {
        let fallback =
            [X, &step("a", "fails_on_negative", "INPUT0 = 'input.x'", "fallback = ['wide']"), &output("y", "'a.OUTPUT0'")].concat();
        let optional = [
            X,
            &step("a", "fails_on_negative", "INPUT0 = 'input.x'", "optional = true"),
            &output("y", "['a.OUTPUT0', { datatype = 'FP32', shape = [1, 1], data = [7] }]"),
            "[[output]]\nname = 'a'\nfrom = 'a.OUTPUT0'\noptional = true\n",
        ]
        .concat();
        let strict = [X, &step("careful", "fails_on_negative", "INPUT0 = 'input.x'", ""), &output("y", "'careful.OUTPUT0'")].concat();
        let pipelines = [("fallback/1", &*fallback), ("optional/1", &*optional), ("strict/1", &*strict)];
        let mesh = mesh([Model::wide(), Model::fails_on_negative()], &pipelines).await;
        assert_eq!(y(&mesh, "fallback", &two(-1.0, 2.0)).await, two(-1.0, 2.0)[0].1);
        let answer = call(&mesh, "optional", &two(-1.0, 2.0)).await.unwrap();
        assert_eq!((answer.outputs.len(), y(&mesh, "optional", &two(-1.0, 2.0)).await), (1, Tensor::from_f32s([1, 1], &[7.0])));
        assert_eq!(call(&mesh, "optional", &two(1.0, 2.0)).await.unwrap().outputs.len(), 2);
        let failed = call(&mesh, "strict", &two(-1.0, 2.0)).await.unwrap_err();
        assert!(failed.message().starts_with("step \"careful\": "), "{failed:?}");
    });
}

#[test]
fn a_step_has_its_own_timeout_and_all_of_them_the_callers_deadline() {
    bounded(async {
        let own = [
            MS,
            &step("a", "slow", "INPUT0 = 'input.ms'", "timeout = '200ms'\noptional = true"),
            &output("y", "['a.OUTPUT0', 'input.ms']"),
        ]
        .concat();
        let chain = [
            MS,
            &step("a", "slow", "INPUT0 = 'input.ms'", ""),
            &step("b", "slow", "INPUT0 = 'a.OUTPUT0'", ""),
            &output("y", "'b.OUTPUT0'"),
        ]
        .concat();
        let mesh = mesh([Model::slow()], &[("own/1", &own), ("chain/1", &chain)]).await;
        let began = Instant::now();
        assert_eq!(y(&mesh, "own", &millis(5000)).await, millis(5000)[0].1);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        // What was given up is still at work; the next call waits for it.
        eventually("the model is free", PATIENCE, async || call(&mesh, "slow", &[("INPUT0", millis(1)[0].1.clone())]).await.ok()).await;
        let (began, allowed) = (Instant::now(), Duration::from_millis(600));
        let late = mesh.inference().model_infer(client::within(allowed, request("chain", &millis(400)))).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
        assert!(began.elapsed() < allowed + Duration::from_millis(300), "{:?}", began.elapsed());
    });
}

#[test]
fn a_caller_who_leaves_takes_every_step_out_of_every_queue() {
    bounded(async {
        let wait = [
            MS,
            &step("a", "slow", "INPUT0 = 'input.ms'", ""),
            &step("b", "slow-too", "INPUT0 = 'input.ms'", ""),
            &output("y", "'a.OUTPUT0'"),
            &output("z", "'b.OUTPUT0'"),
        ]
        .concat();
        let mesh = mesh([Model::slow(), Model::slow().called("slow-too")], &[("wait/1", &wait)]).await;
        let occupant = Connection::open(mesh.workers[0].addr).await.unwrap();
        let mut busy = Vec::new();
        for model in ["slow", "slow-too"] {
            let message = request(model, &[("INPUT0", Tensor::from_i64s([1, 1], &[60_000]))]);
            busy.push(occupant.send(&Call::new(raw::MODEL_INFER, &message)).await.unwrap());
            let taken = "torchmesh_worker_queue_seconds_count";
            mesh.workers[0].metric_until(taken, &[("model", model)], PATIENCE, |taken| taken == 1).await;
        }
        let depth = async |wanted: u64| {
            for model in ["slow", "slow-too"] {
                let depth = "torchmesh_worker_queue_depth_requests";
                mesh.workers[0].metric_until(depth, &[("model", model)], PATIENCE, |depth| depth == wanted).await;
            }
        };
        let caller = Connection::open(mesh.gateway()).await.unwrap();
        let open = caller.send(&Call::new(raw::MODEL_INFER, &request("wait", &millis(1))).with_key()).await.unwrap();
        depth(1).await;
        drop(open);
        depth(0).await;
        for step in ["a", "b"] {
            let labels = [("step", step), ("code", "Cancelled")];
            mesh.pipelines[0].metric_until("torchmesh_pipelines_step_calls_total", &labels, PATIENCE, |count| count == 1).await;
        }
        let in_flight = "torchmesh_pipelines_in_flight_requests";
        mesh.pipelines[0].metric_until(in_flight, &[], PATIENCE, |count| count == 0).await;
    });
}

#[test]
fn a_worker_that_is_killed_in_the_middle_is_the_steps_failure_and_its_policy_holds() {
    bounded(async {
        let fallback = [
            MS,
            &step("a", "slow", "INPUT0 = 'input.ms'", "optional = true"),
            &output("y", "['a.OUTPUT0', { datatype = 'INT64', shape = [1, 1], data = [-1] }]"),
        ]
        .concat();
        let strict = [MS, &step("a", "slow", "INPUT0 = 'input.ms'", ""), &output("y", "'a.OUTPUT0'")].concat();
        let builder = MeshSandbox::builder().model(Model::slow()).set("router", "retry.max_attempts", "1");
        let mut mesh = start(builder, &[("optional/1", &fallback), ("strict/1", &strict)]).await;
        let ask = |name: &str| {
            let (mut client, request) = (mesh.inference(), request(name, &millis(30_000)));
            tokio::spawn(async move { client.model_infer(request).await })
        };
        let (optional, strict) = (ask("optional"), ask("strict"));
        let open = "torchmesh_pipelines_in_flight_requests";
        mesh.pipelines[0].metric_until(open, &[], PATIENCE, |open| open == 2).await;
        mesh.workers[0].metric_until("torchmesh_worker_queue_seconds_count", &[("model", "slow")], PATIENCE, |taken| taken >= 1).await;
        mesh.workers[0].end(Signal::KILL).await;
        let answer = optional.await.unwrap().unwrap().into_inner();
        assert_eq!(super::given(&answer, "y"), Some(Tensor::from_i64s([1, 1], &[-1])));
        let failed = strict.await.unwrap().unwrap_err();
        assert_eq!(failed.code(), Code::Unavailable, "{failed:?}");
        assert!(failed.message().contains("step \"a\""), "{failed:?}");
        mesh.pipelines[0].metric_until(open, &[], PATIENCE, |open| open == 0).await;
        mesh.start_again("worker", 0).await;
        let back = async || call(&mesh, "strict", &millis(1)).await.ok();
        eventually("the pipeline answers as soon as its model does", PATIENCE, back).await;
    });
}

#[test]
fn a_step_is_tried_again_as_its_policy_has_it() {
    bounded(async {
        use torchmesh_api::{
            frame,
            inference::{ModelMetadataResponse, model_metadata_response::TensorMetadata},
        };
        let tensor = |name: &str| TensorMetadata { name: name.into(), datatype: "FP32".into(), shape: vec![-1, -1] };
        let metadata =
            ModelMetadataResponse { name: "odd".into(), inputs: vec![tensor("x")], outputs: vec![tensor("y")], ..Default::default() };
        // It describes itself, and answers every other call with half a message.
        let odd = Upstream::start(&["odd"], Manner::AnswersEach(vec![("ModelMetadata", frame::encode(&metadata))])).await;
        let again = [X, &step("a", "odd", "x = 'input.x'", "retries = 2\nbackoff = '1ms'"), &output("y", "'a.y'")].concat();
        let mesh = start(MeshSandbox::builder().worker_at(odd.addr), &[("again/1", &again)]).await;
        let failed = call(&mesh, "again", &two(1.0, 2.0)).await.unwrap_err();
        assert_eq!(failed.code(), Code::Internal, "{failed:?}");
        let labels = [("step", "a"), ("code", "Internal")];
        let tries = mesh.pipelines[0].metrics().await.count("torchmesh_pipelines_step_calls_total", &labels);
        assert_eq!(tries, 3);
    });
}

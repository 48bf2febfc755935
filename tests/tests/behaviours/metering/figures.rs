//! What is counted, and what is not.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tonic::Request;
use torchmesh_api::text::v1::EmbedRequest;
use torchmesh_tests::{
    MeshSandbox, bounded, client,
    ledger::{Ledger, meshctl, text},
    models::Model,
    raw::{self, Connection},
    upstream::{Manner, Upstream},
    web,
};

use super::{answer, mesh, noop, upstream};

fn figures(line: &Value) -> [u64; 3] {
    ["prompt_tokens", "completion_tokens", "items"].map(|field| line[field].as_u64().unwrap())
}

#[test]
fn texts_and_tensors_cost_what_the_model_read_by_whichever_door() {
    bounded(async {
        let ledger = Ledger::default();
        let mesh = ledger.of(MeshSandbox::builder().model(Model::minilm())).start().await;
        let mut request = Request::new(EmbedRequest { model: "minilm".into(), ..client::embed(["A man is eating food.", "no"]) });
        request.metadata_mut().insert("x-request-id", "grpc".parse().unwrap());
        let answer = mesh.text().embed(request).await.unwrap();
        assert!(answer.metadata().get("x-torchmesh-usage").is_none(), "the meter's own header goes no further");
        let read: u64 = answer.into_inner().embeddings.iter().map(|embedding| u64::from(embedding.tokens)).sum();
        let line = ledger.line("grpc").await;
        assert_eq!((figures(&line), &line["door"], &line["version"]), ([read, 0, 2], &json!("grpc"), &json!("1")), "{line}");
        assert!(line["compute_us"].as_u64().unwrap() > 0 && line["bytes_in"].as_u64().unwrap() > 20, "{line}");
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let openai = connection.post("/v1/embeddings", &json!({ "model": "minilm", "input": ["A man is eating food.", "no"] })).await;
        let line = ledger.line(openai.headers["x-request-id"].to_str().unwrap()).await;
        assert_eq!((figures(&line), text(&line, "method")), ([read, 0, 2], "POST /v1/embeddings".to_owned()), "{line}");
        assert_eq!(openai.json()["usage"]["prompt_tokens"], json!(read));
        let tensors = raw::Call::new(raw::MODEL_INFER, &client::tokens(&[vec![101, 7592, 102], vec![101, 2053, 102]]));
        let tensors = tensors.with_key().header("x-request-id", "tensors");
        assert_eq!(raw::call(mesh.gateway(), &tensors).await.status().code(), tonic::Code::Ok);
        assert_eq!(figures(&ledger.line("tensors").await), [6, 0, 2]);
    });
}

#[test]
fn an_error_is_an_event_that_costs_nothing() {
    bounded(async {
        let ledger = Ledger::default();
        let refusing = Upstream::start(&["noop"], Manner::Refuses(3, "the input is wrong")).await;
        let mesh = mesh(&ledger, &refusing, &[]).await;
        raw::call(mesh.gateway(), &noop("wrong")).await;
        let line = ledger.line("wrong").await;
        assert_eq!((figures(&line), &line["code"], &line["model"]), ([0; 3], &json!("INVALID_ARGUMENT"), &json!("noop")), "{line}");
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let missing = connection.post("/v1/embeddings", &json!({ "model": "nobody", "input": "x" })).await;
        let line = ledger.line(missing.headers["x-request-id"].to_str().unwrap()).await;
        assert_eq!((figures(&line), &line["code"], &line["model"]), ([0; 3], &json!("NOT_FOUND"), &json!("nobody")), "{line}");
    });
}

#[test]
fn a_call_that_nobody_was_let_in_with_is_no_event() {
    bounded(async {
        let (ledger, upstream) = (Ledger::default(), upstream().await);
        let mesh = mesh(&ledger, &upstream, &[]).await;
        let stranger = raw::Call::new(raw::MODEL_INFER, &client::noop()).header("x-request-id", "stranger");
        assert_eq!(raw::call(mesh.gateway(), &stranger).await.status().code(), tonic::Code::Unauthenticated);
        web::get(mesh.gateway(), "/v2/health/ready").await.unwrap();
        raw::call(mesh.gateway(), &noop("known")).await;
        let lines = ledger.has(["known".to_owned()]).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
    });
}

#[test]
fn copies_retries_and_second_tries_are_no_events() {
    bounded(async {
        let (ledger, folder) = (Ledger::default(), tempfile::tempdir().unwrap());
        let routes = folder.path().join("routes.toml");
        let shadowed = "[[route]]\nmodel = 'noop'\nto = [{ version = '1' }]\nshadow = { version = '2', percent = 100 }";
        fs::write(&routes, shadowed).unwrap();
        let quick = Upstream::start(&["noop"], Manner::AnswersUsing("noop/1 prompt=4 items=1", answer())).await;
        // Of calls so few that nobody knows what is slow, a second is asked after half of their time.
        let slow = Upstream::start(&["noop"], Manner::AnswersAfter(Duration::from_millis(2500), answer())).await;
        let failing = Upstream::start(&["noop"], Manner::Refuses(14, "away")).await;
        let shadow = Upstream::start(&["noop@2"], Manner::AnswersUsing("noop/2 prompt=900 items=9", answer())).await;
        let workers = [&quick, &slow, &failing, &shadow].into_iter();
        let builder = workers.fold(MeshSandbox::builder(), |builder, upstream| builder.worker_at(upstream.addr));
        let settings = [
            ("routes_file", routes.to_str().unwrap()),
            ("balance.policy", "round_robin"),
            ("hedge.percentile", "0.5"),
            ("hedge.at_least", "5ms"),
            ("hedge.budget_ratio", "1.0"),
            ("breaker.consecutive_failures", "0"),
            ("breaker.failure_rate", "1.0"),
        ];
        let builder = settings.into_iter().fold(builder, |builder, (key, value)| builder.set("router", key, value));
        let mesh = ledger.of(builder).start().await;
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let ids: Vec<String> = (0..12).map(|number| format!("call-{number}")).collect();
        for id in &ids {
            let call = noop(id).within(Duration::from_secs(4));
            assert_eq!(connection.call(&call).await.unwrap().status().code(), tonic::Code::Ok);
        }
        let router = &mesh.routers[0];
        for happened in ["retries_total", "hedges_total"] {
            router.metric_until(&format!("torchmesh_router_{happened}"), &[], Duration::from_secs(10), |count| count > 0).await;
        }
        shadow.sees("copies", |_| true).await;
        let lines = ledger.has(ids.iter().cloned()).await;
        assert_eq!(lines.len(), ids.len(), "one event a call");
        assert!(lines.iter().all(|line| line["version"] != "2" && [0, 4].contains(&figures(line)[0])), "{lines:?}");
    });
}

#[test]
fn meshctl_sums_up_what_was_used() {
    bounded(async {
        let (ledger, upstream) = (Ledger::default(), upstream().await);
        let mesh = mesh(&ledger, &upstream, &[]).await;
        let ids: Vec<String> = (0..25).map(|number| format!("call-{number}")).collect();
        for id in &ids {
            raw::call(mesh.gateway(), &noop(id)).await;
        }
        ledger.has(ids).await;
        let folder = ledger.folder().to_str().unwrap();
        let (fine, said) = meshctl(&["usage", folder, "--output", "json"]);
        let rows: Value = serde_json::from_str(&said).unwrap();
        let told = ["tenant", "model", "calls", "prompt_tokens", "items"].map(|field| rows[0][field].clone());
        assert!(fine && rows.as_array().unwrap().len() == 1, "{said}");
        assert_eq!(told, [json!("test-tenant"), json!("noop"), json!(25), json!(100), json!(25)]);
    });
}

//! Answers that a route wants to be kept: given again to those who ask the same, and to nobody else.

use std::{fs, path::Path, time::Duration};

use http::{Method, Request, header};
use serde_json::json;
use torchmesh_api::{
    inference::{ModelInferRequest, ModelInferResponse},
    text::v1::{GenerateRequest, GenerationSettings},
};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded, client, eventually, key_entry,
    models::Model,
    raw::{self, Answer, Call},
    sandbox::Builder,
    web,
};

const PATIENCE: Duration = Duration::from_secs(20);
const REQUESTS: &str = "torchmesh_worker_requests_total";

/// A mesh whose routers keep what these routes want to be kept.
pub(super) fn builder(folder: &Path, routes: &str) -> Builder {
    let file = folder.join("routes.toml");
    fs::write(&file, routes).unwrap();
    MeshSandbox::builder().set("router", "routes_file", file.to_str().unwrap()).set("worker", "models_poll", "50ms")
}

pub(super) fn route(model: &str, cache: &str) -> String {
    format!("[[route]]\nmodel = '{model}'\nto = [{{}}]\ncache = {{ {cache} }}\n")
}

/// Asks `noop` with this id and first number.
pub(super) fn asks(id: &str, number: f32) -> Call {
    let mut numbers = vec![0_u8; 1024];
    numbers[..4].copy_from_slice(&number.to_le_bytes());
    let request = ModelInferRequest { id: id.into(), ..client::infer("noop", "INPUT0", "FP32", &[1, 256], numbers) };
    Call::new(raw::MODEL_INFER, &request)
}

pub(super) fn said(answer: &Answer) -> (Option<&str>, ModelInferResponse) {
    assert_eq!(answer.trailer("grpc-status"), Some("0"), "{answer:?}");
    (answer.head.get("x-cache").map(|said| said.to_str().unwrap()), answer.message())
}

/// How many calls the workers have computed.
pub(super) async fn computed(mesh: &MeshSandbox) -> u64 {
    let mut computed = 0;
    for worker in &mesh.workers {
        computed += worker.metrics().await.count(REQUESTS, &[]);
    }
    computed
}

#[test]
fn who_asks_the_same_gets_the_kept_answer_with_an_id_of_its_own_and_no_other_tenant_does() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let other = "another-key-of-the-test";
        let keys = key_entry("other", "globex", other, "");
        let mesh = builder(folder.path(), &route("noop", "")).model(Model::noop()).keys(&keys).start().await;
        let call = async |call: Call| raw::call(mesh.gateway(), &call).await;
        let first = call(asks("one", 1.5).with_key()).await;
        assert_eq!((said(&first).0, said(&first).1.id.as_str()), (Some("miss"), "one"));
        let again = call(asks("two", 1.5).with_key()).await;
        let (cache, answer) = said(&again);
        assert_eq!((cache, answer.id.as_str(), client::floats(&answer)[0].to_bits()), (Some("hit"), "two", 1.5_f32.to_bits()));
        assert_eq!(said(&call(asks("", 2.5).with_key()).await).0, Some("miss"), "another question");
        let bearer = format!("Bearer {other}");
        assert_eq!(said(&call(asks("", 1.5).header("authorization", &bearer)).await).0, Some("miss"), "another tenant");
        assert_eq!(said(&call(asks("", 1.5).with_key().header("cache-control", "no-store")).await).0, None);
        assert_eq!(said(&call(asks("", 1.5).with_key().header("cache-control", "no-cache")).await).0, Some("miss"));
        assert_eq!(computed(&mesh).await, 5);
    });
}

#[test]
fn many_who_ask_the_same_at_once_are_answered_by_one_computation() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = builder(folder.path(), &route("slow", "shared = true")).model(Model::slow()).start().await;
        let call = Call::new(raw::MODEL_INFER, &client::slow(Duration::from_millis(300))).with_key();
        let gateway = mesh.gateway();
        let calls: Vec<_> = (0..20)
            .map(|_| {
                tokio::spawn({
                    let call = call.clone();
                    async move { raw::call(gateway, &call).await }
                })
            })
            .collect();
        for call in calls {
            assert_eq!(said(&call.await.unwrap()).1.model_name, "slow");
        }
        assert_eq!(computed(&mesh).await, 1);
    });
}

#[test]
fn a_version_that_takes_over_or_is_loaded_anew_answers_by_itself() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = builder(folder.path(), &route("noop", "ttl = '1h'")).model(Model::noop()).start().await;
        let ask = async || {
            let answer = raw::call(mesh.gateway(), &asks("", 1.0).with_key()).await;
            let (cache, message) = said(&answer);
            (cache.map(str::to_owned), message.model_version)
        };
        ask().await;
        assert_eq!(ask().await, (Some("hit".to_owned()), "1".to_owned()));
        // The same version, loaded once more: what it answers now may be something else.
        let file = mesh.folder().join("models/noop/1/model.pt");
        let content = fs::read(fs::canonicalize(&file).unwrap()).unwrap();
        let before = computed(&mesh).await;
        fs::remove_file(&file).unwrap();
        fs::write(&file, content).unwrap();
        eventually("the version that was loaded anew is asked", PATIENCE, async || {
            ask().await;
            (computed(&mesh).await > before).then_some(())
        })
        .await;
        Model::noop().add_version(&mesh.folder().join("models"), 2);
        eventually("version 2 answers", PATIENCE, async || (ask().await.1 == "2").then_some(())).await;
        assert_eq!(ask().await, (Some("hit".to_owned()), "2".to_owned()));
    });
}

#[test]
fn http_doors_tell_a_hit_and_the_meter_counts_its_tokens_as_cached() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let metering = folder.path().join("metering");
        let mesh = builder(folder.path(), &route("minilm", "")).model(Model::minilm());
        let mesh = mesh.set("gateway", "metering.folder", metering.to_str().unwrap()).start().await;
        let ask = async |accept: &str| {
            let body = json!({ "model": "minilm", "input": "A man is eating food.", "encoding_format": "float" }).to_string();
            let request = Request::builder().method(Method::POST).uri("/v1/embeddings").header(header::CONTENT_TYPE, "application/json");
            let request = request.header(header::AUTHORIZATION, format!("Bearer {KEY}")).header(header::CACHE_CONTROL, accept);
            web::Connection::http1(mesh.gateway()).await.unwrap().send(request.body(body.into()).unwrap()).await.unwrap()
        };
        let (first, second, third) = (ask("max-age=60").await, ask("max-age=60").await, ask("no-store").await);
        assert_eq!((first.headers["x-cache"].as_bytes(), second.headers["x-cache"].as_bytes()), (&b"miss"[..], &b"hit"[..]));
        assert!(!third.headers.contains_key("x-cache"));
        assert_eq!(first.json()["data"], second.json()["data"]);
        let lines = eventually("the events are in the file", PATIENCE, async || {
            let text = fs::read_to_string(metering.join("usage/usage.jsonl")).ok()?;
            let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let calls: Vec<_> = lines.into_iter().filter(|line| line["method"].as_str().unwrap().contains("embeddings")).collect();
            (calls.len() == 3).then_some(calls)
        })
        .await;
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                (line["from_cache"].as_bool().unwrap(), line["prompt_tokens"].as_u64().unwrap() == line["cached_tokens"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(told, [(false, false), (true, true), (false, false)]);
    });
}

#[test]
fn of_language_models_what_no_chance_decides_is_kept_and_streams_again() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = builder(folder.path(), &route("stories", "")).model(Model::stories()).start().await;
        let ask = async |temperature: f32| {
            let settings = GenerationSettings { max_tokens: Some(8), temperature: Some(temperature), ..Default::default() };
            let request =
                GenerateRequest { model: "stories".into(), prompt: "Once upon".into(), settings: Some(settings), ..Default::default() };
            let answer = raw::call(mesh.gateway(), &Call::new("/torchmesh.text.v1.GenerationService/Generate", &request).with_key()).await;
            assert_eq!(answer.trailer("grpc-status"), Some("0"), "{answer:?}");
            answer
        };
        let cache = |answer: &Answer| answer.head.get("x-cache").map(|said| said.to_str().unwrap().to_owned());
        let (first, second) = (ask(0.0).await, ask(0.0).await);
        assert_eq!((cache(&first).as_deref(), cache(&second).as_deref()), (Some("miss"), Some("hit")));
        assert_eq!(first.body, second.body);
        for _ in 0..2 {
            assert_eq!(cache(&ask(0.9).await), None);
        }
    });
}

#[test]
fn without_a_cache_in_its_route_nothing_is_kept() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        for _ in 0..2 {
            let answer = raw::call(mesh.gateway(), &asks("", 1.0).with_key()).await;
            assert_eq!(said(&answer).0, None);
        }
        assert_eq!(computed(&mesh).await, 2);
    });
}

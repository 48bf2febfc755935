//! Limits as callers meet them: over several gateways, at every door, with and without Redis.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;
use torchmesh_api::{
    frame,
    inference::{ModelInferResponse, ModelMetadataResponse},
    text::v1::{ChatResponse, EmbedResponse, Embedding, WrittenToken},
};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded, client, eventually, instance,
    redis::Redis,
    sandbox::{Builder, TENANT, key_entry},
    sse,
    upstream::{Manner, Upstream},
    web,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A limits file of a test's own.
struct File(TempDir);

impl File {
    fn new(text: &str) -> Self {
        let file = Self(TempDir::new().unwrap());
        file.write(text);
        file
    }

    fn path(&self) -> String {
        self.0.path().join("limits.toml").display().to_string()
    }

    fn write(&self, text: &str) {
        let draft = self.0.path().join("draft");
        fs::write(&draft, text).and_then(|()| fs::rename(&draft, self.path())).unwrap();
    }
}

/// So many gateways in front of a stand-in, with these limits.
fn gateways(count: usize, upstream: &Upstream, limits: &File) -> Builder {
    MeshSandbox::builder().router_at(upstream.addr).gateways(count).set("gateway", "limits_file", &limits.path())
}

/// The same, counting together. A call waits longer than in production: on a busy machine the tests are to be about counts, not about time.
fn together(count: usize, upstream: &Upstream, limits: &File, redis: &Redis) -> Builder {
    let builder = gateways(count, upstream, limits).set("gateway", "limits.redis.url", &redis.url());
    builder.set("gateway", "limits.redis.timeout", "500ms")
}

/// Until every gateway counts together with the others, and knows how many there are.
async fn joined(mesh: &MeshSandbox) {
    let all = mesh.gateways.len() as u64;
    for gateway in &mesh.gateways {
        gateway.metric_until("torchmesh_gateway_limit_gateways", &[], PATIENCE, |gateways| gateways == all).await;
        gateway.metric_until("torchmesh_gateway_limit_redis_links", &[], PATIENCE, |links| links > 0).await;
    }
}

async fn infers() -> Upstream {
    Upstream::start(&["noop"], Manner::Answers(frame::encode(&ModelInferResponse { model_name: "noop".to_owned(), ..Default::default() })))
        .await
}

/// What came of many calls.
#[derive(Default)]
struct Outcome {
    let_in: AtomicU64,
    refused: AtomicU64,
    other: AtomicU64,
}

/// Fifty clients that call one gateway or another as fast as they are answered, `each` times each.
async fn fifty_clients(mesh: &MeshSandbox, each: usize, outcome: &Arc<Outcome>) {
    let doors = mesh.doors();
    let clients: Vec<_> = (0..50)
        .map(|at| {
            let (mut client, outcome) = (client::inference(doors[at % doors.len()]), Arc::clone(outcome));
            tokio::spawn(async move {
                for _ in 0..each {
                    let counter = match client.model_infer(client::noop()).await.map_err(|status| status.code()) {
                        Ok(_) => &outcome.let_in,
                        Err(Code::ResourceExhausted) => &outcome.refused,
                        Err(_) => &outcome.other,
                    };
                    counter.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[test]
fn a_thousand_a_minute_are_a_thousand_over_three_gateways() {
    bounded(async {
        let (redis, upstream) = (Redis::start().await, infers().await);
        let limits = File::new("[[limit]]\nper = 'tenant'\nrequests = '1000/1m'");
        let mesh = together(3, &upstream, &limits, &redis).start().await;
        joined(&mesh).await;
        let (outcome, began) = (Arc::<Outcome>::default(), Instant::now());
        fifty_clients(&mesh, 40, &outcome).await;
        // What came back of the thousand meanwhile, sixty milliseconds each, was let in too.
        let earned = (began.elapsed().as_millis() / 60) as u64;
        let let_in = outcome.let_in.load(Relaxed);
        assert_eq!(outcome.other.load(Relaxed), 0);
        assert!(let_in <= 1000 + earned + 1, "{let_in} were let in, and {earned} had come back");
        assert!(let_in + 1 >= 1000, "{let_in}");
        assert_eq!(upstream.seen().len() as u64, let_in);
    });
}

#[test]
fn without_redis_in_the_middle_of_it_the_limit_holds_about_and_nobody_meets_an_error() {
    bounded(async {
        let (mut redis, upstream) = (Redis::start().await, infers().await);
        let limits = File::new("[[limit]]\nper = 'tenant'\nrequests = '1000/1m'");
        let mesh = together(3, &upstream, &limits, &redis).start().await;
        joined(&mesh).await;
        let (outcome, began) = (Arc::<Outcome>::default(), Instant::now());
        fifty_clients(&mesh, 6, &outcome).await;
        assert_eq!(outcome.let_in.load(Relaxed), 300);
        redis.kill();
        fifty_clients(&mesh, 40, &outcome).await;
        let earned = (began.elapsed().as_millis() / 60) as u64;
        let let_in = outcome.let_in.load(Relaxed);
        assert!((667..=1333 + earned).contains(&let_in), "{let_in}");
        assert_eq!(outcome.other.load(Relaxed), 0);
        // It comes back without anything being started again.
        redis.start_again().await;
        for gateway in &mesh.gateways {
            gateway.metric_until("torchmesh_gateway_limit_redis_links", &[], PATIENCE, |links| links > 0).await;
        }
        let told: usize = mesh.gateways.iter().map(|gateway| gateway.log().matches("redis is away").count()).sum();
        assert_eq!(told, 3, "one line for each gateway");
    });
}

#[test]
fn two_hundred_racing_calls_spend_a_budget_exactly() {
    bounded(async {
        let (redis, upstream) = (Redis::start().await, infers().await);
        let limits = File::new("[[limit]]\nper = 'tenant'\nbudget = '1.00/month'\n[[price]]\nmodel = 'noop'\nper_request = '0.01'");
        let mesh = together(3, &upstream, &limits, &redis).start().await;
        joined(&mesh).await;
        let outcome = Arc::<Outcome>::default();
        fifty_clients(&mesh, 4, &outcome).await;
        let counts = [&outcome.let_in, &outcome.refused, &outcome.other].map(|count| count.load(Relaxed));
        assert_eq!(counts, [100, 100, 0]);
        let refused = client::inference(mesh.gateway()).model_infer(client::noop()).await.unwrap_err();
        assert!(refused.message().contains("0.00 left of its budget of 1.00/month"), "{}", refused.message());
    });
}

#[test]
fn tokens_that_were_found_in_the_cache_cost_a_budget_what_their_own_price_says() {
    bounded(async {
        let answer = frame::encode(&EmbedResponse { model: "minilm".to_owned(), ..Default::default() });
        let upstream = Upstream::start(&["minilm"], Manner::AnswersUsing("minilm/1 prompt=1000000 cached=1000000 items=1", answer)).await;
        let price = "[[price]]\nmodel = 'minilm'\ninput_per_million_tokens = '0.10'\ncached_per_million_tokens = '0.01'\n";
        let limits = File::new(&format!("[[limit]]\nper = 'tenant'\nbudget = '0.05/month'\n{price}"));
        let mesh = gateways(1, &upstream, &limits).start().await;
        let mut client = client::text(mesh.gateway());
        for _ in 0..5 {
            client.embed(client::embed(["again"])).await.unwrap();
        }
        let refused = async || client.embed(client::embed(["again"])).await.err();
        let refused = eventually("five are all that the budget pays for", PATIENCE, refused).await;
        assert!(refused.message().contains("left of its budget of 0.05/month"), "{}", refused.message());
    });
}

/// A stand-in that answers every door that is asked about `m`.
async fn every_door(task: &str) -> Upstream {
    let metadata =
        ModelMetadataResponse { name: "m".to_owned(), properties: [("task".to_owned(), task.to_owned())].into(), ..Default::default() };
    let embedded = EmbedResponse { embeddings: vec![Embedding { values: vec![1.0], ..Default::default() }], ..Default::default() };
    let inferred = ModelInferResponse { model_name: "m".to_owned(), ..Default::default() };
    let answers =
        vec![("ModelMetadata", frame::encode(&metadata)), ("Embed", frame::encode(&embedded)), ("ModelInfer", frame::encode(&inferred))];
    Upstream::start(&["m"], Manner::AnswersEach(answers)).await
}

/// The doors, each with a question that it takes.
fn questions() -> Vec<(&'static str, Value)> {
    let tensor = json!({ "inputs": [{ "name": "x", "shape": [1], "datatype": "FP32", "data": [1.0] }] });
    vec![
        ("/v1/embeddings", json!({ "model": "m", "input": "hello" })),
        ("/v2/models/m/infer", tensor),
        ("/embed", json!({ "inputs": "hello" })),
        ("/predictions/m", json!({ "data": "hello" })),
        ("/v1/tasks/m", json!({ "inputs": "hello" })),
    ]
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

#[test]
fn every_door_tells_how_the_limits_stand_when_it_answers_and_when_it_refuses() {
    bounded(async {
        let upstream = every_door("embed").await;
        let limits = File::new("[[limit]]\nper = 'tenant'\nrequests = '6/24h'\n[[limit]]\nper = 'key'\ntokens = '10k/24h'");
        let mesh = gateways(1, &upstream, &limits).start().await;
        for (before, (path, question)) in (1..).zip(questions()) {
            let answer = web::post(mesh.gateway(), path, &question).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(number(&answer.headers, "x-ratelimit-limit-requests"), Some(6), "{path}");
            assert_eq!(number(&answer.headers, "x-ratelimit-remaining-requests"), Some(6 - before), "{path}");
            assert_eq!(number(&answer.headers, "x-ratelimit-limit-tokens"), Some(10_000), "{path}");
            assert!(answer.headers.contains_key("x-ratelimit-reset-requests"), "{path}");
        }
        let mut client = client::inference(mesh.gateway());
        let question = || client::infer("m", "x", "FP32", &[1], vec![0; 4]);
        let good = client.model_infer(question()).await.unwrap();
        assert_eq!(number(&good.metadata().clone().into_headers(), "x-ratelimit-remaining-requests"), Some(0));

        for (path, question) in questions() {
            let answer = web::post(mesh.gateway(), path, &question).await;
            assert_eq!(answer.status, 429, "{path}: {}", answer.text());
            assert!(
                answer.text().contains(&format!("the tenant {TENANT} has reached its limit of 6/24h requests")),
                "{path}: {}",
                answer.text()
            );
            assert_eq!(number(&answer.headers, "x-ratelimit-remaining-requests"), Some(0), "{path}");
            let wait = number(&answer.headers, "retry-after").unwrap();
            assert!((14_000..=14_400).contains(&wait), "{path}: {wait}");
        }
        let refused = client.model_infer(question()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let told = refused.metadata().clone().into_headers();
        assert_eq!(number(&told, "x-ratelimit-remaining-requests"), Some(0));
        assert!(number(&told, "grpc-retry-pushback-ms").unwrap() > 14_000_000);
        let metrics = mesh.gateways[0].metrics().await;
        assert_eq!(metrics.count("torchmesh_gateway_limit_refusals_total", &[("per", "tenant"), ("limit", "requests")]), 6);
    });
}

#[test]
fn a_models_limit_is_one_limit_whichever_door_its_callers_come_by() {
    bounded(async {
        let upstream = every_door("embed").await;
        let limits = File::new("[[limit]]\nper = 'model'\nmodel = 'm'\nrequests = '2/24h'");
        let mesh = gateways(1, &upstream, &limits).start().await;
        let mut client = client::inference(mesh.gateway());
        client.model_infer(client::infer("m", "x", "FP32", &[1], vec![0; 4])).await.unwrap();
        let [(path, question), ..] = &questions()[..] else { panic!("there are doors") };
        assert_eq!(web::post(mesh.gateway(), path, question).await.status, 200);
        for (path, question) in questions() {
            let answer = web::post(mesh.gateway(), path, &question).await;
            assert_eq!(answer.status, 429, "{path}: {}", answer.text());
            assert!(answer.text().contains("the model m has reached its limit of 2/24h requests"), "{}", answer.text());
        }
        let refused = client.model_infer(client::infer("m", "x", "FP32", &[1], vec![0; 4])).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        client.model_infer(client::infer("other", "x", "FP32", &[1], vec![0; 4])).await.unwrap();
        // Asking what a model is costs nothing of its limit.
        assert_eq!(web::Connection::http1(mesh.gateway()).await.unwrap().get("/v2/models/m").await.status, 200);
    });
}

#[test]
fn calls_that_never_reach_a_model_are_counted_too_and_whether_we_live_may_always_be_asked() {
    bounded(async {
        let upstream = infers().await;
        let limits = File::new("[[limit]]\nper = 'address'\nrequests = '5/24h'");
        let mesh = gateways(1, &upstream, &limits).start().await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for _ in 0..5 {
            assert_eq!(connection.get("/v1/nothing").await.status, 404);
        }
        let refused = connection.get("/v1/nothing").await;
        assert_eq!(refused.status, 429);
        assert!(refused.text().contains("the address 127.0.0.1 has reached its limit"), "{}", refused.text());
        assert_eq!(connection.get("/v2/health/live").await.status, 200);
    });
}

#[test]
fn a_stream_that_its_caller_leaves_is_settled_by_what_it_was_sent() {
    bounded(async {
        let piece = ChatResponse { content: "once".to_owned(), tokens: vec![WrittenToken::default(); 3], ..Default::default() };
        let upstream = Upstream::start(&["m"], Manner::StopsAfter(frame::encode(&piece))).await;
        let limits = File::new("[[limit]]\nper = 'key'\ntokens = '1000/24h'");
        let mesh = gateways(1, &upstream, &limits).start().await;
        let question =
            json!({ "model": "m", "stream": true, "max_tokens": 900, "messages": [{ "role": "user", "content": "tell me something" }] });
        let post = async || sse::post(mesh.gateway(), Version::HTTP_11, "/v1/chat/completions", &question).await;
        let first = post().await;
        assert_eq!(first.status, 200);
        assert!(number(&first.headers, "x-ratelimit-remaining-tokens").unwrap() < 100);
        assert_eq!(post().await.status, 429);
        drop(first);
        let again = async || {
            let again = post().await;
            (again.status == 200).then_some(again)
        };
        let again = eventually("what was not written is free again", PATIENCE, again).await;
        let left = number(&again.headers, "x-ratelimit-remaining-tokens").unwrap();
        // 1000, without the three that were passed on, and without what the second reserved.
        assert!((60..100 - 3).contains(&left), "{left}");
    });
}

#[test]
fn a_call_that_may_write_too_much_is_told_to_ask_for_less() {
    bounded(async {
        let upstream = infers().await;
        let limits = File::new("[[limit]]\nper = 'key'\ntokens = '1000/24h'");
        let mesh = gateways(1, &upstream, &limits).start().await;
        let question = json!({ "model": "noop", "max_tokens": 2000, "messages": [{ "role": "user", "content": "hi" }] });
        let refused = web::post(mesh.gateway(), "/v1/chat/completions", &question).await;
        assert_eq!(refused.status, 429);
        assert!(refused.text().contains("max_tokens"), "{}", refused.text());
        assert!(!refused.headers.contains_key("retry-after"));
    });
}

#[test]
fn a_changed_file_counts_within_a_moment_and_a_wrong_one_not_at_all() {
    bounded(async {
        let upstream = infers().await;
        let limits = File::new("[[limit]]\nper = 'tenant'\nrequests = '3/24h'");
        let mesh = gateways(1, &upstream, &limits).start().await;
        let outcome = Arc::<Outcome>::default();
        fifty_clients(&mesh, 1, &outcome).await;
        assert_eq!(outcome.let_in.load(Relaxed), 3);
        limits.write("[[limit]]\nper = 'nobody'\nrequests = 'many'");
        eventually("the mistakes are told", PATIENCE, async || {
            let log = mesh.gateways[0].log();
            (log.contains("limit[0].per") && log.contains("limit[0].requests")).then_some(())
        })
        .await;
        assert!(client::inference(mesh.gateway()).model_infer(client::noop()).await.is_err());
        limits.write("[[limit]]\nper = 'tenant'\nrequests = '100/24h'");
        let mut client = client::inference(mesh.gateway());
        eventually("the new limit counts", PATIENCE, async || client.model_infer(client::noop()).await.ok()).await;
    });
}

#[test]
fn a_gateway_does_not_start_with_wrong_limits_and_names_every_mistake() {
    bounded(async {
        let wrong = File::new("[[limit]]\nper = 'nobody'\nrequests = 'many'\n[[price]]\nper_request = 3");
        let keys = wrong.0.path().join("keys.toml");
        fs::write(&keys, "").unwrap();
        let discovery = wrong.0.path().join("discovery.toml");
        fs::write(&discovery, "").unwrap();
        let (keys, discovery, path) = (keys.display().to_string(), discovery.display().to_string(), wrong.path());
        let settings = [("keys_file", &*keys), ("discovery.file", &*discovery), ("limits_file", &*path)];
        let ended = instance::run_to_end("gateway", &settings, &[]).await;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success());
        for field in ["limit[0].per", "limit[0].requests", "price[0].per_request"] {
            assert!(said.contains(field), "{field} is not named: {said}");
        }
    });
}

#[test]
fn a_tenant_that_takes_all_places_does_not_keep_another_out() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        let other = "tm_other_0123456789";
        let builder = MeshSandbox::builder().router_at(upstream.addr).keys(&key_entry("other", "other", other, ""));
        let mesh = builder.set("gateway", "limits.max_in_flight", "4").start().await;
        let ask = |key: &str, path: &'static str| {
            let (gateway, authorization) = (mesh.gateway(), format!("Bearer {key}").parse().unwrap());
            async move {
                let mut request = web::request(Method::POST, path, Bytes::from_static(b"{\"inputs\": []}"));
                request.headers_mut().insert("authorization", authorization);
                web::Connection::http1(gateway).await.unwrap().send(request).await.unwrap()
            }
        };
        let held: Vec<_> = (0..4).map(|_| tokio::spawn(ask(KEY, "/v2/models/noop/infer"))).collect();
        eventually("all places are taken", PATIENCE, async || (upstream.seen().len() == 4).then_some(())).await;
        assert_eq!(ask(KEY, "/v2/models/noop/infer").await.status, 429);
        let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(ask(other, "/v2/models/noop/infer"))).collect();
        eventually("the other's calls are let in, up to its share", PATIENCE, async || (upstream.seen().len() == 6).then_some(())).await;
        assert_eq!(ask(other, "/v2/models/noop/infer").await.status, 429);
        held.iter().chain(&waiting).for_each(tokio::task::JoinHandle::abort);
    });
}

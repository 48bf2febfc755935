//! Streams that their callers cut.

use std::sync::Arc;

use http::Version;
use serde_json::json;
use tokio::sync::Notify;
use tonic::{Request, Streaming};
use torchmesh_api::text::v1::{ChatRequest, ChatResponse, FinishReason, GenerateRequest, GenerateResponse, WrittenToken};
use torchmesh_tests::{
    MeshSandbox, bounded, client,
    ledger::Ledger,
    sse,
    writer::{self, MODEL, Step, Writer},
};

fn tokens(count: usize) -> Vec<WrittenToken> {
    vec![WrittenToken { id: 5, bytes: "a".into(), ..Default::default() }; count]
}

/// A writer that says a token more each time that it is told to, and what it is told by.
async fn writer() -> (Writer, Arc<Notify>) {
    let next = Arc::new(Notify::new());
    let told = Arc::clone(&next);
    let writer = Writer::start(move |asked| {
        let piece = || match &*asked.method {
            "Chat" => writer::chat(ChatResponse { content: "a".into(), tokens: tokens(1), ..Default::default() }),
            _ => writer::text(GenerateResponse { text: "a".into(), tokens: tokens(1), ..Default::default() }),
        };
        (0..200).flat_map(|_| [piece(), Step::Waits(Arc::clone(&told))]).collect()
    });
    (writer.await, next)
}

async fn mesh(ledger: &Ledger, writer: &Writer) -> MeshSandbox {
    ledger.of(MeshSandbox::builder().worker_at(writer.addr)).start().await
}

/// How many tokens a caller takes, in each of some runs.
fn runs() -> impl Iterator<Item = usize> {
    let mut state = 0x2545_f491_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1 + (state % 40) as usize
    })
    .take(6)
}

fn near(billed: &serde_json::Value, taken: usize) {
    let count = billed["completion_tokens"].as_u64().unwrap();
    assert!(count.abs_diff(taken as u64) <= 1, "{taken} tokens were delivered: {billed}");
    assert_eq!((&billed["code"], &billed["prompt_tokens"]), (&json!("CANCELLED"), &json!(7)), "{billed}");
    assert_eq!((&billed["model"], &billed["version"]), (&json!(MODEL), &json!("1")));
}

#[test]
fn a_stream_that_is_cut_is_billed_for_the_tokens_that_were_delivered() {
    bounded(async {
        let (ledger, (writer, next)) = (Ledger::default(), writer().await);
        let mesh = mesh(&ledger, &writer).await;
        let mut generation = client::generation(mesh.gateway());
        for (run, taken) in runs().enumerate() {
            let id = format!("generate-{run}");
            let request = named(GenerateRequest { model: MODEL.into(), ..Default::default() }, &id);
            take(generation.generate(request).await.unwrap().into_inner(), taken, &next).await;
            near(&ledger.line(&id).await, taken);
            let id = format!("chat-{run}");
            let request = named(ChatRequest { model: MODEL.into(), ..Default::default() }, &id);
            take(generation.chat(request).await.unwrap().into_inner(), taken, &next).await;
            near(&ledger.line(&id).await, taken);
        }
    });
}

fn named<T>(message: T, id: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-request-id", id.parse().unwrap());
    request
}

/// Reads so many tokens, each of which is written when the one before was read, and leaves.
async fn take<T>(mut stream: Streaming<T>, tokens: usize, next: &Notify) {
    for taken in 0..tokens {
        if taken > 0 {
            next.notify_one();
        }
        assert!(stream.message().await.unwrap().is_some());
    }
}

#[test]
fn server_sent_events_that_are_cut_are_billed_for_the_tokens_that_were_delivered() {
    bounded(async {
        let (ledger, (writer, next)) = (Ledger::default(), writer().await);
        let mesh = mesh(&ledger, &writer).await;
        for (run, taken) in runs().enumerate() {
            let version = if run % 2 == 0 { Version::HTTP_11 } else { Version::HTTP_2 };
            let mut events = sse::post(mesh.gateway(), version, "/v1/chat/completions", &writer::asks(&json!({ "stream": true }))).await;
            let id = events.headers["x-request-id"].to_str().unwrap().to_owned();
            let mut seen = 0;
            while seen < taken {
                let event = events.data().await;
                if event["choices"][0]["delta"]["content"] == "a" {
                    seen += 1;
                    if seen < taken {
                        next.notify_one();
                    }
                }
            }
            drop(events);
            near(&ledger.line(&id).await, taken);
        }
    });
}

#[test]
fn a_stream_that_is_whole_is_billed_for_what_its_last_message_says() {
    bounded(async {
        let ledger = Ledger::default();
        let writer = Writer::start(|_| vec![writer::words(0, "Hi"), writer::ends(0, FinishReason::Stop), writer::used()]).await;
        let mesh = mesh(&ledger, &writer).await;
        for stream in [true, false] {
            let mut connection = torchmesh_tests::web::Connection::http1(mesh.gateway()).await.unwrap();
            let answer = connection.post("/v1/chat/completions", &writer::asks(&json!({ "stream": stream }))).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(!answer.headers.contains_key("x-torchmesh-usage"));
            let line = ledger.line(answer.headers["x-request-id"].to_str().unwrap()).await;
            let told = ["prompt_tokens", "cached_tokens", "completion_tokens", "code"].map(|field| line[field].clone());
            assert_eq!(told, [json!(7), json!(3), json!(5), json!("OK")], "{line}");
        }
    });
}

#[test]
fn a_stream_that_fails_through_no_fault_of_its_caller_costs_nothing() {
    bounded(async {
        let ledger = Ledger::default();
        let writer = Writer::start(|_| {
            let piece = writer::text(GenerateResponse { text: "a".into(), tokens: tokens(3), ..Default::default() });
            vec![piece, Step::Fails(13, "the model failed")]
        });
        let writer = writer.await;
        let mesh = mesh(&ledger, &writer).await;
        let request = named(GenerateRequest { model: MODEL.into(), ..Default::default() }, "failed");
        let mut stream = client::generation(mesh.gateway()).generate(request).await.unwrap().into_inner();
        assert_eq!(stream.message().await.unwrap().unwrap().tokens.len(), 3);
        assert_eq!(stream.message().await.unwrap_err().code(), tonic::Code::Internal);
        let line = ledger.line("failed").await;
        let told = ["prompt_tokens", "completion_tokens", "items", "code"].map(|field| line[field].clone());
        assert_eq!(told, [json!(0), json!(0), json!(0), json!("INTERNAL")], "{line}");
    });
}

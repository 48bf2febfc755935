//! Answers of language models as they come, against a worker that says what the test has scripted.

use std::{sync::Arc, time::Duration};

use http::{Version, header};
use serde_json::{Value, json};
use tokio::sync::Notify;
use torchmesh_api::text::v1::{ChatRequest, ChatResponse, FinishReason};
use torchmesh_tests::{
    bounded, eventually, memory, sse, web,
    writer::{MODEL, Step, asks, chat, content, ends, hello, mesh, used, words},
};

const CHAT: &str = "/v1/chat/completions";
/// Looks, two milliseconds apart, after which what has not changed has come to rest.
const LOOKS: usize = 300;
const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

fn usage() -> Value {
    json!({
        "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
        "prompt_tokens_details": { "cached_tokens": 3, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
        },
    })
}

#[test]
fn a_whole_answer_has_openais_form() {
    bounded(async {
        let (mesh, writer) = mesh(hello).await;
        let answer = web::post(mesh.gateway(), CHAT, &asks(&json!({}))).await;
        assert_eq!(
            (answer.status, &answer.headers[header::CONTENT_TYPE]),
            (200, &"application/json".parse().unwrap()),
            "{}",
            answer.text()
        );
        let mut body = answer.json();
        let id = body["id"].take();
        assert!(id.as_str().unwrap().starts_with("chatcmpl-"), "{id}");
        assert!(body["created"].take().as_u64().unwrap() > 1_700_000_000);
        let message = json!({ "role": "assistant", "content": "Grüße, Welt 🌍", "refusal": null });
        let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
        let want = json!({
            "id": null, "object": "chat.completion", "created": null, "model": MODEL, "choices": [choice], "usage": usage()
        });
        assert_eq!(body, want);
        let asked: ChatRequest = writer.asked()[0].as_a();
        assert_eq!(asked.id, id.as_str().unwrap());
    });
}

#[test]
fn a_stream_has_openais_form_and_the_same_text() {
    bounded(async {
        let (mesh, _writer) = mesh(hello).await;
        for version in BOTH {
            let mut events = sse::post(mesh.gateway(), version, CHAT, &asks(&json!({ "stream": true }))).await;
            assert_eq!(events.status, 200);
            for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")] {
                assert_eq!(events.headers[name], value);
            }
            let first = events.data().await;
            assert_eq!(first["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
            let (rest, done) = events.rest().await;
            assert!(done);
            for chunk in &rest {
                let same = ["id", "created", "model", "object"].map(|name| (&chunk[name], &first[name]));
                assert!(same.iter().all(|(one, other)| one == other), "{chunk}");
                assert!(chunk.get("usage").is_none(), "nobody asked for the usage");
            }
            assert_eq!((first["object"].as_str(), first["model"].as_str()), (Some("chat.completion.chunk"), Some(MODEL)));
            assert_eq!(content(&rest, 0), "Grüße, Welt 🌍");
            let reasons: Vec<_> = rest.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
            assert_eq!(reasons, [&Value::Null, &Value::Null, &Value::Null, &json!("stop")]);
        }
    });
}

#[test]
fn the_usage_comes_last_where_it_is_asked_for() {
    bounded(async {
        let (mesh, _writer) = mesh(hello).await;
        let body = asks(&json!({ "stream": true, "stream_options": { "include_usage": true } }));
        let (mut chunks, done) = sse::post(mesh.gateway(), Version::HTTP_11, CHAT, &body).await.rest().await;
        assert!(done);
        let last = chunks.pop().unwrap();
        assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &usage()));
        assert!(chunks.iter().all(|chunk| chunk["usage"].is_null() && chunk.as_object().unwrap().contains_key("usage")));
    });
}

#[test]
fn a_piece_arrives_before_the_next_is_written() {
    bounded(async {
        let go = Arc::new(Notify::new());
        let gate = Arc::clone(&go);
        let (mesh, _writer) =
            mesh(move |_| vec![words(0, "one"), Step::Waits(Arc::clone(&gate)), words(0, " two"), ends(0, FinishReason::Length), used()])
                .await;
        for version in BOTH {
            let mut events = sse::post(mesh.gateway(), version, CHAT, &asks(&json!({ "stream": true }))).await;
            events.data().await;
            assert_eq!(events.data().await["choices"][0]["delta"]["content"], "one");
            go.notify_one();
            let (rest, _) = events.rest().await;
            assert_eq!(content(&rest, 0), " two");
            assert_eq!(rest[1]["choices"][0]["finish_reason"], "length");
        }
    });
}

#[test]
fn a_caller_that_hangs_up_ends_the_writing() {
    bounded(async {
        let (mesh, writer) = mesh(|_| vec![words(0, "one"), Step::Stalls]).await;
        for (at, version) in BOTH.into_iter().enumerate() {
            let mut events = sse::post(mesh.gateway(), version, CHAT, &asks(&json!({ "stream": true }))).await;
            events.data().await;
            assert!(writer.asked()[at].left.is_none());
            drop(events);
            let left = async || writer.asked()[at].left;
            eventually("the writer is let go of", Duration::from_secs(5), left).await;
        }
        // The same where the answer is not streamed, and has not begun.
        let gateway = mesh.gateway();
        let asking = tokio::spawn(async move { web::post(gateway, CHAT, &asks(&json!({}))).await });
        eventually("the writer is asked", Duration::from_secs(20), async || writer.asked().get(2).cloned()).await;
        asking.abort();
        eventually("the writer is let go of", Duration::from_secs(5), async || writer.asked()[2].left).await;
    });
}

#[test]
fn callers_that_do_not_read_cost_little_and_stop_nobody_else() {
    bounded(async {
        let (mesh, writer) = mesh(|asked| {
            let endless = asked.as_a::<ChatRequest>().messages[0].content == "go on";
            if endless { vec![Step::NeverEnds(words_frame())] } else { hello(asked) }
        })
        .await;
        let before = memory::resident(mesh.gateways[0].pid());
        let body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "go on" }], "stream": true });
        let mut slow = Vec::new();
        for at in 0..20 {
            slow.push(sse::post(mesh.gateway(), BOTH[at % 2], CHAT, &body).await);
        }
        let sent = || writer.asked().iter().map(|asked| asked.sent).sum::<usize>();
        // (what was sent, for how many looks it has been no more)
        let mut last = (0, 0);
        eventually("the writer has to wait", Duration::from_secs(60), async || {
            let now = sent();
            last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
            (last.1 == LOOKS).then_some(())
        })
        .await;
        let grown = memory::resident(mesh.gateways[0].pid()).saturating_sub(before);
        println!(
            "{} KiB are sent to each caller that does not read; the gateway has grown by {} KiB for it",
            (sent() / 20) >> 10,
            (grown / 20) >> 10
        );
        assert!(grown < 20 * (12 << 20), "{grown} bytes for 20 callers");
        let answer = web::post(mesh.gateway(), CHAT, &asks(&json!({}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // Nobody was cut off.
        assert!(writer.asked().iter().all(|asked| asked.left.is_none()));
        for events in &mut slow {
            assert_eq!(events.data().await["object"], "chat.completion.chunk");
        }
        drop(slow);
        eventually("all are let go of", Duration::from_secs(10), async || {
            let left = writer.asked().iter().filter(|asked| asked.left.is_some()).count();
            (left == 20).then_some(())
        })
        .await;
    });
}

/// What one token takes, with the id of a call of the gateway's.
fn words_frame() -> bytes::Bytes {
    match chat(ChatResponse { id: format!("chatcmpl-{:032}", 1), content: " word".into(), ..Default::default() }) {
        Step::Says(frame) => frame,
        _ => unreachable!("words are said"),
    }
}

#[test]
fn an_error_in_place_of_the_first_piece_is_an_ordinary_answer() {
    bounded(async {
        let cases = [
            (3, "temperature: must be 0 to 2", 400, "invalid_request_error", Some("temperature")),
            (5, "there is no such model", 404, "invalid_request_error", Some("model")),
            (8, "too many wait already", 429, "rate_limit_error", None),
            (12, "the model has another task", 501, "invalid_request_error", None),
            (13, "a fault", 500, "server_error", None),
            (14, "the model is being loaded", 503, "server_error", None),
        ];
        for (code, message, status, kind, param) in cases {
            let (mesh, _writer) = mesh(move |_| vec![Step::Fails(code, message)]).await;
            for stream in [true, false] {
                let answer = web::post(mesh.gateway(), CHAT, &asks(&json!({ "stream": stream }))).await;
                assert_eq!(answer.status, status, "{}", answer.text());
                let error = &answer.json()["error"];
                assert_eq!((error["message"].as_str(), error["type"].as_str()), (Some(message), Some(kind)));
                assert_eq!((error["param"].as_str(), error["code"].is_string()), (param, true));
            }
        }
    });
}

#[test]
fn an_error_in_the_middle_is_an_event_and_no_done_follows() {
    bounded(async {
        for last in [Step::Fails(13, "the model broke"), Step::BreaksOff] {
            let go = Arc::new(Notify::new());
            let gate = Arc::clone(&go);
            let (mesh, _writer) = mesh(move |_| vec![words(0, "one"), Step::Waits(Arc::clone(&gate)), last.clone()]).await;
            for version in BOTH {
                let mut events = sse::post(mesh.gateway(), version, CHAT, &asks(&json!({ "stream": true }))).await;
                events.data().await;
                assert_eq!(events.data().await["choices"][0]["delta"]["content"], "one");
                go.notify_one();
                let (rest, done) = events.rest().await;
                let error = &rest[0]["error"];
                assert!(error["message"].is_string() && error["type"] == "server_error", "{error}");
                assert!(rest.len() == 1 && !done);
            }
            go.notify_one();
            let answer = web::post(mesh.gateway(), CHAT, &asks(&json!({}))).await;
            assert!(answer.status >= 500, "half an answer is none: {}", answer.text());
        }
    });
}

#[test]
fn a_deadline_ends_a_stream_with_an_event() {
    bounded(async {
        let (mesh, writer) = mesh(|_| vec![words(0, "one"), Step::Stalls]).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let mut request = web::request(http::Method::POST, CHAT, asks(&json!({ "stream": true })).to_string());
        request.headers_mut().insert("x-request-timeout", "0.5".parse().unwrap());
        let answer = connection.send(request).await.unwrap();
        let last = answer.text().trim_end().rsplit("\n\n").next().unwrap().to_owned();
        assert!(last.contains("\"code\":\"timeout\""), "{last}");
        writer.sees("that it is let go of", |asked| asked.left.is_some()).await;
    });
}

#[test]
fn several_answers_are_told_apart_as_they_come_interleaved() {
    bounded(async {
        let (mesh, writer) = mesh(|_| {
            let stop = FinishReason::Stop;
            vec![words(1, "b"), words(0, "a"), words(1, "B"), ends(1, stop), words(0, "A"), ends(0, FinishReason::Length), used()]
        })
        .await;
        let (chunks, _) = sse::post(mesh.gateway(), Version::HTTP_2, CHAT, &asks(&json!({ "stream": true, "n": 2 }))).await.rest().await;
        assert_eq!([content(&chunks, 0), content(&chunks, 1)], ["aA", "bB"]);
        let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"]["role"] == "assistant").count();
        assert_eq!(roles, 2, "each says once who speaks");
        let body = web::post(mesh.gateway(), CHAT, &asks(&json!({ "n": 2 }))).await.json();
        let choice = |at: usize| {
            let choice = &body["choices"][at];
            (choice["index"].as_u64(), choice["message"]["content"].as_str(), choice["finish_reason"].as_str())
        };
        assert_eq!([choice(0), choice(1)], [(Some(0), Some("aA"), Some("length")), (Some(1), Some("bB"), Some("stop"))]);
        assert_eq!(writer.asked()[0].as_a::<ChatRequest>().settings.unwrap().n, Some(2));
    });
}

//! The doors through which people use language models, against a worker that says what the test has scripted.

use std::{sync::Arc, time::Duration};

use http::{Version, header};
use serde_json::{Value, json};
use tokio::sync::Notify;
use torchmesh_api::text::v1::{
    ChatRequest, ChatResponse, FinishReason, GenerateRequest, GenerateResponse, LikelyToken, WrittenToken, format::Form,
    tool_choice::Choice,
};
use torchmesh_tests::{
    MeshSandbox, bounded, eventually, memory, sse, web,
    writer::{Asked, MODEL, Step, USED, Writer, call, chat, ends, text, used, words},
};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// A mesh whose worker answers so; its gateway has one thread, so that all calls share their connections.
async fn mesh(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> (MeshSandbox, Writer) {
    let writer = Writer::start(script).await;
    let builder = MeshSandbox::builder().worker_at(writer.addr).set("gateway", "threads", "1").set("router", "threads", "1");
    (builder.start().await, writer)
}

fn hello(_: &Asked) -> Vec<Step> {
    vec![words(0, "Grü"), words(0, "ße, "), words(0, "Welt 🌍"), ends(0, FinishReason::Stop), used()]
}

fn asks(rest: &Value) -> Value {
    let mut body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }] });
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    body
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12,
        "prompt_tokens_details": { "cached_tokens": 3, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
        },
    })
}

/// The text of one choice, put together.
fn content(chunks: &[Value], index: u64) -> String {
    let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().unwrap());
    choices.filter(|choice| choice["index"] == index).filter_map(|choice| choice["delta"]["content"].as_str()).collect()
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
            eventually("the writer is let go of", Duration::from_secs(2), left).await;
        }
        // The same where the answer is not streamed, and has not begun.
        let gateway = mesh.gateway();
        let asking = tokio::spawn(async move { web::post(gateway, CHAT, &asks(&json!({}))).await });
        eventually("the writer is asked", Duration::from_secs(20), async || writer.asked().get(2).cloned()).await;
        asking.abort();
        eventually("the writer is let go of", Duration::from_secs(2), async || writer.asked()[2].left).await;
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
        let mut last = 0;
        eventually("the writer has to wait", Duration::from_secs(60), async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = sent();
            (std::mem::replace(&mut last, now) == now).then_some(())
        })
        .await;
        let grown = memory::resident(mesh.gateways[0].pid()).saturating_sub(before);
        println!(
            "{} KiB are sent to each caller that does not read; the gateway has grown by {} KiB for it",
            sent() / 20 >> 10,
            grown / 20 >> 10
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

/// About what one token takes.
fn words_frame() -> bytes::Bytes {
    match words(0, " word") {
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
            let (mesh, _writer) = mesh(move |_| vec![words(0, "one"), last.clone()]).await;
            for version in BOTH {
                let (mut chunks, done) = sse::post(mesh.gateway(), version, CHAT, &asks(&json!({ "stream": true }))).await.rest().await;
                assert!(!done);
                let error = &chunks.pop().unwrap()["error"];
                assert_eq!(content(&chunks, 0), "one");
                assert!(error["message"].is_string() && error["type"] == "server_error", "{error}");
            }
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

#[test]
fn tools_go_there_and_their_calls_come_back() {
    bounded(async {
        let (mesh, writer) = mesh(|_| {
            let pieces = [
                call(0, ["c1", "weather", ""]),
                call(0, ["", "", "{\"city\":"]),
                call(0, ["", "", "\"Ulm\"}"]),
                call(1, ["c2", "time", "{}"]),
            ];
            pieces.into_iter().chain([ends(0, FinishReason::ToolCalls), used()]).collect()
        })
        .await;
        let parameters = json!({ "type": "object", "properties": { "z": {}, "a": {} } });
        let tool = |name: &str| json!({ "type": "function", "function": { "name": name, "description": "d", "parameters": parameters, "strict": true } });
        let conversation = json!([
            { "role": "developer", "content": [{ "type": "text", "text": "Be" }, { "type": "text", "text": "short." }] },
            { "role": "user", "content": "Weather?", "name": "eva" },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c0", "type": "function", "function": { "name": "weather", "arguments": "{}" } }] },
            { "role": "tool", "tool_call_id": "c0", "content": "rain" },
        ]);
        let body = json!({
            "model": MODEL, "messages": conversation, "tools": [tool("weather"), tool("time")], "parallel_tool_calls": false,
            "tool_choice": { "type": "function", "function": { "name": "weather" } }, "chat_template_kwargs": { "enable_thinking": false },
        });
        let answer = web::post(mesh.gateway(), CHAT, &body).await.json();
        let choice = &answer["choices"][0];
        let told = |id: &str, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        assert_eq!(choice["message"]["tool_calls"], json!([told("c1", "weather", "{\"city\":\"Ulm\"}"), told("c2", "time", "{}")]));
        assert_eq!((&choice["message"]["content"], choice["finish_reason"].as_str()), (&Value::Null, Some("tool_calls")));

        let asked: ChatRequest = writer.asked()[0].as_a();
        let roles: Vec<_> = asked.messages.iter().map(|message| message.role.as_str()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool"]);
        assert_eq!((asked.messages[0].content.as_str(), asked.messages[1].name.as_str()), ("Be\nshort.", "eva"));
        assert_eq!((asked.messages[2].tool_calls[0].id.as_str(), asked.messages[3].tool_call_id.as_str()), ("c0", "c0"));
        assert_eq!((asked.tools[0].parameters.clone(), asked.tools[1].strict), (parameters.to_string(), true));
        assert_eq!(asked.tool_choice.unwrap().choice, Some(Choice::Name("weather".into())));
        assert_eq!((asked.parallel_tool_calls, asked.template_variables.as_str()), (Some(false), "{\"enable_thinking\":false}"));

        let mut streamed = body;
        streamed["stream"] = json!(true);
        let (chunks, done) = sse::post(mesh.gateway(), Version::HTTP_11, CHAT, &streamed).await.rest().await;
        assert!(done);
        let deltas: Vec<_> = chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
        assert_eq!(deltas[0], json!({ "role": "assistant", "content": null }));
        assert_eq!(
            deltas[1],
            json!({ "tool_calls": [{ "index": 0, "id": "c1", "type": "function", "function": { "name": "weather", "arguments": "" } }] })
        );
        assert_eq!(deltas[2], json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"city\":" } }] }));
        assert_eq!(deltas.last().unwrap(), &json!({}));
    });
}

#[test]
fn every_setting_reaches_the_worker() {
    bounded(async {
        let (mesh, writer) = mesh(hello).await;
        let body = asks(&json!({
            "max_tokens": 5, "max_completion_tokens": 9, "temperature": 0.5, "top_k": -1, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.1,
            "frequency_penalty": -1, "presence_penalty": 2, "logit_bias": { "50256": -100 }, "seed": -1, "stop": "END", "stop_token_ids": [7],
            "ignore_eos": true, "n": 2, "logprobs": true, "top_logprobs": 3, "response_format": {
                "type": "json_schema", "json_schema": { "name": "n", "strict": true, "schema": { "type": "object", "properties": { "b": {}, "a": {} } } }
            },
            "user": "u", "metadata": { "a": "b" }, "store": true, "service_tier": "auto", "something_new": [1, { "x": null }],
        }));
        assert_eq!(web::post(mesh.gateway(), CHAT, &body).await.status, 200);
        let told = writer.asked()[0].as_a::<ChatRequest>().settings.unwrap();
        assert_eq!(
            (told.max_tokens, told.temperature, told.top_k, told.top_p, told.min_p),
            (Some(9), Some(0.5), Some(0), Some(0.9), Some(0.1))
        );
        assert_eq!((told.repetition_penalty, told.frequency_penalty, told.presence_penalty), (Some(1.1), Some(-1.0), Some(2.0)));
        assert_eq!((told.logit_bias.get(&50256), told.seed, told.stop), (Some(&-100.0), Some(u64::MAX), vec!["END".to_owned()]));
        assert_eq!((told.stop_tokens, told.ignore_end, told.n, told.logprobs), (vec![7], true, Some(2), Some(3)));
        let schema = r#"{"properties":{"a":{},"b":{}},"type":"object"}"#;
        assert_eq!(told.format.unwrap().form, Some(Form::JsonSchema(schema.to_owned())));
        for (field, value, form) in [
            ("response_format", json!({ "type": "json_object" }), Form::JsonObject(true)),
            ("guided_json", json!({ "type": "object" }), Form::JsonSchema("{\"type\":\"object\"}".to_owned())),
            ("guided_json", json!("{\"type\": \"object\"}"), Form::JsonSchema("{\"type\": \"object\"}".to_owned())),
            ("guided_regex", json!("[0-9]+"), Form::Regex("[0-9]+".to_owned())),
            ("guided_grammar", json!("start: \"a\""), Form::Grammar("start: \"a\"".to_owned())),
            ("structured_outputs", json!({ "regex": "a" }), Form::Regex("a".to_owned())),
        ] {
            assert_eq!(web::post(mesh.gateway(), CHAT, &asks(&json!({ field: value }))).await.status, 200);
            let told = writer.asked().pop().unwrap().as_a::<ChatRequest>().settings.unwrap();
            assert_eq!(told.format.unwrap().form, Some(form), "{field}");
        }
        let body = asks(&json!({ "guided_choice": ["a", "b"], "response_format": { "type": "text" }, "temperature": null }));
        assert_eq!(web::post(mesh.gateway(), CHAT, &body).await.status, 200);
        let told = writer.asked().pop().unwrap().as_a::<ChatRequest>().settings.unwrap();
        let Some(Form::Choices(choices)) = told.format.unwrap().form else { panic!("no choices came") };
        assert_eq!((choices.texts, told.temperature), (vec!["a".to_owned(), "b".to_owned()], None));
    });
}

#[test]
fn a_wrong_field_is_named() {
    bounded(async {
        let (mesh, writer) = mesh(hello).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let image = json!([{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": "data:" } }]);
        let message = |message: Value| json!({ "messages": [{ "role": "user", "content": "a" }, message] });
        let tool = |function: Value| json!({ "tools": [{ "type": "function", "function": function }] });
        for (rest, param) in [
            (json!({ "messages": [] }), "messages"),
            (json!({ "messages": "Hi" }), "messages"),
            (message(json!({ "role": "user", "content": image })), "messages[1].content[1]"),
            (message(json!({ "role": "user", "content": 7 })), "messages[1].content"),
            (message(json!({ "role": "user", "content": [{ "text": "a" }] })), "messages[1].content[0]"),
            (message(json!({ "role": "user" })), "messages[1].content"),
            (message(json!({ "content": "a" })), "messages[1]"),
            (message(json!({ "role": "tool", "content": "a" })), "messages[1].tool_call_id"),
            (json!({ "model": 7 }), "model"),
            (json!({ "model": null }), "model"),
            (json!({ "temperature": 2.5 }), "temperature"),
            (json!({ "temperature": "hot" }), "temperature"),
            (json!({ "top_p": 0 }), "top_p"),
            (json!({ "top_k": -2 }), "top_k"),
            (json!({ "min_p": 1.5 }), "min_p"),
            (json!({ "repetition_penalty": 0 }), "repetition_penalty"),
            (json!({ "frequency_penalty": 3 }), "frequency_penalty"),
            (json!({ "presence_penalty": -3 }), "presence_penalty"),
            (json!({ "n": 0 }), "n"),
            (json!({ "n": 17 }), "n"),
            (json!({ "max_tokens": 0 }), "max_tokens"),
            (json!({ "max_tokens": -1 }), "max_tokens"),
            (json!({ "max_completion_tokens": 1.5 }), "max_completion_tokens"),
            (json!({ "stop": vec!["a"; 17] }), "stop"),
            (json!({ "stop": ["a", ""] }), "stop"),
            (json!({ "stop": ["a", 7] }), "stop[1]"),
            (json!({ "stop_token_ids": [-1] }), "stop_token_ids[0]"),
            (json!({ "logit_bias": { "x": 1 } }), "logit_bias"),
            (json!({ "logit_bias": { "1": 101 } }), "logit_bias"),
            (json!({ "seed": 0.5 }), "seed"),
            (json!({ "stream": "yes" }), "stream"),
            (json!({ "stream_options": { "include_usage": 1 } }), "stream_options.include_usage"),
            (json!({ "logprobs": 3 }), "logprobs"),
            (json!({ "top_logprobs": 3 }), "top_logprobs"),
            (json!({ "logprobs": true, "top_logprobs": 21 }), "top_logprobs"),
            (json!({ "response_format": { "type": "xml" } }), "response_format.type"),
            (json!({ "response_format": { "type": "json_schema" } }), "response_format.json_schema"),
            (json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": 7 } } }), "response_format.json_schema.schema"),
            (json!({ "guided_regex": "a", "guided_json": {} }), "guided_regex"),
            (json!({ "guided_choice": "a" }), "guided_choice"),
            (tool(json!({ "name": "no spaces" })), "tools[0].function.name"),
            (tool(json!({ "name": "a", "parameters": [] })), "tools[0].function.parameters"),
            (json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type"),
            (json!({ "tool_choice": "required" }), "tool_choice"),
            (json!({ "tool_choice": "perhaps" }), "tool_choice"),
            (json!({ "tool_choice": { "type": "function", "function": { "name": "a" } } }), "tool_choice"),
            (json!({ "chat_template_kwargs": "x" }), "chat_template_kwargs"),
        ] {
            let answer = connection.post(CHAT, &asks(&rest)).await;
            assert_eq!(answer.status, 400, "{rest}: {}", answer.text());
            let error = &answer.json()["error"];
            assert_eq!(error["param"], param, "{rest}: {error}");
            assert!(error["message"].as_str().unwrap().starts_with(&format!("{param}: ")), "{error}");
        }
        for (body, part) in [("{", "cannot be read"), ("[]", "an object"), ("{} x", "cannot be read"), ("", "cannot be read")] {
            let answer = connection.send(web::request(http::Method::POST, CHAT, body)).await.unwrap();
            assert_eq!(answer.status, 400, "{body:?}");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(part), "{body:?}: {}", answer.text());
        }
        for (rest, param) in [
            (json!({}), "prompt"),
            (json!({ "prompt": "" }), "prompt"),
            (json!({ "prompt": [] }), "prompt"),
            (json!({ "prompt": ["a", ""] }), "prompt[1]"),
            (json!({ "prompt": ["a", 7] }), "prompt"),
            (json!({ "prompt": [[1], [-1]] }), "prompt[1][0]"),
            (json!({ "prompt": { "a": 1 } }), "prompt"),
            (json!({ "prompt": "a", "suffix": "b" }), "suffix"),
            (json!({ "prompt": "a", "n": 3, "best_of": 2 }), "best_of"),
            (json!({ "prompt": "a", "logprobs": true }), "logprobs"),
            (json!({ "prompt": "a", "echo": 1 }), "echo"),
        ] {
            let mut body = json!({ "model": MODEL });
            body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            let answer = connection.post(COMPLETIONS, &body).await;
            assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some(param)), "{rest}: {}", answer.text());
        }
        assert!(writer.asked().is_empty(), "nothing of it was passed on");
    });
}

fn token(bytes: &[u8], logprob: Option<f32>) -> WrittenToken {
    let likely = LikelyToken { id: 1, bytes: bytes.to_vec(), logprob: logprob.unwrap_or(f32::NEG_INFINITY) };
    WrittenToken { id: 1, bytes: bytes.to_vec(), logprob, likeliest: vec![likely] }
}

#[test]
fn a_character_that_is_spread_over_tokens_is_whole_and_its_tokens_are_told() {
    bounded(async {
        let [first, second] = ["ü".as_bytes()[..1].to_vec(), "ü".as_bytes()[1..].to_vec()];
        let (mesh, _writer) = mesh(move |_| {
            let half = chat(ChatResponse { tokens: vec![token(&first, Some(-0.5))], ..Default::default() });
            let whole =
                chat(ChatResponse { content: "ü".into(), tokens: vec![token(&second, Some(f32::NEG_INFINITY))], ..Default::default() });
            vec![half, whole, ends(0, FinishReason::Stop), used()]
        })
        .await;
        let told = |bytes: &[u8], logprob: f64| {
            let token = json!("\u{fffd}");
            json!({ "token": token, "bytes": bytes, "logprob": logprob, "top_logprobs": [{ "token": token, "bytes": bytes, "logprob": logprob }] })
        };
        let want = json!([told(&[0xc3], -0.5), told(&[0xbc], -9999.0)]);
        let body = web::post(mesh.gateway(), CHAT, &asks(&json!({ "logprobs": true }))).await.json();
        assert_eq!(body["choices"][0]["logprobs"], json!({ "content": want, "refusal": null }));
        let (chunks, _) =
            sse::post(mesh.gateway(), Version::HTTP_11, CHAT, &asks(&json!({ "logprobs": true, "stream": true }))).await.rest().await;
        let streamed: Vec<_> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array()).flatten().collect();
        assert_eq!(json!(streamed), want);
        assert_eq!(content(&chunks, 0), "ü");
        let plain = web::post(mesh.gateway(), CHAT, &asks(&json!({}))).await.json();
        assert_eq!(plain["choices"][0]["logprobs"], Value::Null, "nobody asked for them");
    });
}

/// Says each prompt back, twice as many times as there are answers.
fn echo(asked: &Asked) -> Vec<Step> {
    let asked: GenerateRequest = asked.as_a();
    let prompt = if asked.prompt.is_empty() { format!("{:?}", asked.tokens) } else { asked.prompt };
    let answers = 0..asked.settings.as_ref().and_then(|settings| settings.n).unwrap_or(1);
    let piece = |index: u32, words: String, finish: FinishReason| {
        let tokens = vec![token(words.as_bytes(), (!words.is_empty()).then_some(-1.0))];
        text(GenerateResponse { index, text: words, tokens, finish_reason: finish.into(), ..Default::default() })
    };
    let mut steps: Vec<_> = answers.clone().map(|index| piece(index, prompt.clone(), FinishReason::Unspecified)).collect();
    steps.extend(answers.map(|index| piece(index, format!("-{index}"), FinishReason::Length)));
    steps.push(text(GenerateResponse { usage: Some(USED), ..Default::default() }));
    steps
}

#[test]
fn each_prompt_has_its_choices_in_order() {
    bounded(async {
        let (mesh, writer) = mesh(echo).await;
        for (prompt, n, want) in [
            (json!("a"), 1, &["a-0"][..]),
            (json!(["a", "b"]), 2, &["a-0", "a-1", "b-0", "b-1"]),
            (json!([1, 2]), 1, &["[1, 2]-0"]),
            (json!([[1], [2, 3]]), 1, &["[1]-0", "[2, 3]-0"]),
            (json!((0..40).map(|at| at.to_string()).collect::<Vec<_>>()), 1, &[]),
        ] {
            let mut body = json!({ "model": MODEL, "prompt": prompt, "n": n, "echo": true, "best_of": n });
            let answer = web::post(mesh.gateway(), COMPLETIONS, &body).await.json();
            let choices = answer["choices"].as_array().unwrap();
            assert_eq!((answer["object"].as_str(), answer["model"].as_str()), (Some("text_completion"), Some(MODEL)));
            let texts: Vec<_> = choices.iter().map(|choice| choice["text"].as_str().unwrap()).collect();
            assert!(choices.iter().enumerate().all(|(at, choice)| choice["index"] == at && choice["finish_reason"] == "length"));
            assert!(want.is_empty() || texts == want, "{texts:?}");
            let prompts = prompt.as_array().filter(|_| !prompt[0].is_number()).map_or(1, Vec::len);
            assert_eq!((choices.len(), answer["usage"]["total_tokens"].as_u64()), (prompts * n, Some(12 * prompts as u64)));
            body["stream"] = json!(true);
            body["stream_options"] = json!({ "include_usage": true });
            let (mut chunks, done) = sse::post(mesh.gateway(), Version::HTTP_2, COMPLETIONS, &body).await.rest().await;
            assert!(done);
            assert_eq!(chunks.pop().unwrap()["usage"], answer["usage"]);
            for (at, text) in texts.iter().enumerate() {
                let pieces = chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == at);
                assert_eq!(&pieces.filter_map(|choice| choice["text"].as_str()).collect::<String>(), text);
            }
        }
        let asked: GenerateRequest = writer.asked()[0].as_a();
        assert_eq!((asked.echo, asked.settings.unwrap().best_of), (true, Some(1)));
    });
}

#[test]
fn the_logarithms_of_a_text_stand_side_by_side() {
    bounded(async {
        let (mesh, writer) = mesh(|_| {
            let tokens = vec![token(b"", None), token("ü".as_bytes(), Some(-0.25)), token(b"b", Some(-1.0))];
            let first = text(GenerateResponse { text: "üb".into(), tokens, ..Default::default() });
            let last = GenerateResponse {
                text: "c".into(),
                tokens: vec![token(b"c", Some(-2.0))],
                finish_reason: FinishReason::Stop.into(),
                ..Default::default()
            };
            vec![first, text(last), text(GenerateResponse { usage: Some(USED), ..Default::default() })]
        })
        .await;
        let want = json!({
            "tokens": ["", "ü", "b", "c"], "token_logprobs": [null, -0.25, -1.0, -2.0], "text_offset": [0, 0, 1, 2],
            "top_logprobs": [null, { "ü": -0.25 }, { "b": -1.0 }, { "c": -2.0 }],
        });
        let mut body = json!({ "model": MODEL, "prompt": "x", "logprobs": 1 });
        assert_eq!(web::post(mesh.gateway(), COMPLETIONS, &body).await.json()["choices"][0]["logprobs"], want);
        assert_eq!(writer.asked()[0].as_a::<GenerateRequest>().settings.unwrap().logprobs, Some(1));
        body["stream"] = json!(true);
        let (chunks, _) = sse::post(mesh.gateway(), Version::HTTP_11, COMPLETIONS, &body).await.rest().await;
        let offsets: Vec<_> = chunks.iter().flat_map(|chunk| chunk["choices"][0]["logprobs"]["text_offset"].as_array().unwrap()).collect();
        assert_eq!(json!(offsets), want["text_offset"]);
    });
}

#[test]
fn tritons_generate_gives_a_text_for_a_text() {
    bounded(async {
        let (mesh, writer) = mesh(echo).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (path, body) in [
            (
                "/v2/models/writer/generate",
                json!({ "text_input": "Hi", "parameters": { "max_tokens": 9, "temperature": 0, "stream": false } }),
            ),
            ("/v2/models/writer/versions/1/generate", json!({ "text_input": "Hi", "max_tokens": 9, "temperature": 0 })),
        ] {
            let answer = connection.post(path, &body).await;
            let want = json!({ "model_name": MODEL, "model_version": "1", "text_output": "Hi-0" });
            assert_eq!((answer.status, answer.json()), (200, want));
            let asked: GenerateRequest = writer.asked().pop().unwrap().as_a();
            let settings = asked.settings.unwrap();
            assert_eq!((settings.max_tokens, settings.temperature), (Some(9), Some(0.0)));
            assert_eq!(asked.model_version, if path.contains("versions") { "1" } else { "" });
        }
        for path in ["/v2/models/writer/generate_stream", "/v2/models/writer/versions/1/generate_stream"] {
            let events = sse::post(mesh.gateway(), Version::HTTP_11, path, &json!({ "text_input": "Hi" })).await;
            assert_eq!(events.headers[header::CONTENT_TYPE], "text/event-stream");
            let (pieces, done) = events.rest().await;
            let texts: Vec<_> = pieces.iter().map(|piece| piece["text_output"].as_str().unwrap()).collect();
            assert_eq!((texts, done), (vec!["Hi", "-0"], false));
        }
        for (body, part) in [
            (json!({}), "text_input"),
            (json!({ "text_input": 7 }), "text_input"),
            (json!({ "text_input": "a", "parameters": { "temperature": 3 } }), "temperature"),
            (json!({ "text_input": "a", "parameters": { "max_tokens": "x" } }), "parameters.max_tokens"),
            (json!({ "text_input": "a", "n": 2 }), "n: "),
        ] {
            let answer = connection.post("/v2/models/writer/generate", &body).await;
            assert_eq!(answer.status, 400);
            assert!(answer.json()["error"].as_str().unwrap().contains(part), "{}", answer.text());
        }
    });
}

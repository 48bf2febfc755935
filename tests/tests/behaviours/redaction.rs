//! Personal data that a gateway's rules take out: it reaches no worker, by whichever door it comes, and no log.

use std::{fs, path::Path};

use bytes::Bytes;
use http::{Method, header};
use prost::Message as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;
use torchmesh_api::{
    frame,
    inference::ModelMetadataResponse,
    text::v1::{
        ChatMessage, ChatRequest, ClassifyRequest, ClassifyTokensRequest, ClassifyTokensResponse, EmbedRequest, EmbedResponse, Entity,
        ExplainRequest, FillRequest, FinishReason, GenerateRequest, GenerateResponse, RerankRequest, TokenClassification, ToolCall,
    },
    vision,
};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded, client,
    ledger::Ledger,
    raw::{self, Call},
    sandbox::Builder,
    upstream::{Manner, Upstream},
    web,
    writer::{Asked, MODEL, Step, USED, Writer, ends, text, used, words},
};

const SECRET: &str = "ada@example.org";
const TOLD: &str = "[EMAIL_1]";
const SAID: &str = "x-torchmesh-redacted";
const CHAT: &str = "/torchmesh.text.v1.GenerationService/Chat";
const GENERATE: &str = "/torchmesh.text.v1.GenerationService/Generate";

/// Whether these bytes have the address in them.
fn leaks(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|part| part.eq_ignore_ascii_case(SECRET.as_bytes()))
}

/// Says again what it was sent, or the end of it: what it says leaves when there is room for all of it.
fn echo(asked: &Asked) -> Vec<Step> {
    if asked.method == "Generate" {
        let piece = |prompt: String| text(GenerateResponse { text: prompt, ..Default::default() });
        let end = GenerateResponse { finish_reason: FinishReason::Stop.into(), ..Default::default() };
        return vec![
            piece(asked.as_a::<GenerateRequest>().prompt),
            text(end),
            text(GenerateResponse { usage: Some(USED), ..Default::default() }),
        ];
    }
    let said: Vec<_> = asked.as_a::<ChatRequest>().messages.into_iter().map(|message| message.content).collect();
    let said = said.join(" ");
    vec![words(0, &said[said.len().saturating_sub(200)..]), ends(0, FinishReason::Stop), used()]
}

fn rule(builder: Builder, models: &str, action: &str) -> Builder {
    builder.set("gateway", "redaction[0].models", models).set("gateway", "redaction[0].action", action)
}

async fn writes(action: &str) -> (MeshSandbox, Writer) {
    let writer = Writer::start(echo).await;
    (rule(MeshSandbox::builder().worker_at(writer.addr), MODEL, action).start().await, writer)
}

/// Every path that a conversation or a prompt comes by, with the address in it once.
fn asks() -> Vec<(&'static str, Value)> {
    let part = json!({ "type": "text", "text": format!("I am {SECRET}.") });
    let prompt = format!("I am {SECRET}.");
    let item = json!({ "role": "user", "content": [{ "type": "input_text", "text": prompt }] });
    vec![
        ("/v1/chat/completions", json!({ "model": MODEL, "messages": [{ "role": "user", "content": prompt }] })),
        ("/v1/chat/completions", json!({ "model": MODEL, "stream": true, "messages": [{ "role": "user", "content": [part] }] })),
        ("/v1/responses", json!({ "model": MODEL, "input": prompt })),
        ("/v1/responses", json!({ "model": MODEL, "input": [item], "stream": true })),
        ("/v1/completions", json!({ "model": MODEL, "prompt": prompt })),
        ("/v1/completions", json!({ "model": MODEL, "prompt": ["x", prompt], "stream": true })),
        ("/v2/models/writer/generate", json!({ "text_input": prompt })),
        ("/v2/models/writer/generate_stream", json!({ "text_input": prompt })),
    ]
}

#[test]
fn an_address_in_a_conversation_reaches_no_worker_whichever_path_it_comes_by() {
    bounded(async {
        let (mesh, writer) = writes("redact").await;
        for (path, body) in asks() {
            let answer = web::post(mesh.gateway(), path, &body).await;
            assert_eq!((answer.status, answer.headers[SAID].as_bytes()), (200, &b"email=1"[..]), "{path} {body}: {}", answer.text());
            assert!(answer.text().contains(TOLD) && !leaks(&answer.body), "{path} {body}: {}", answer.text());
        }
        let asked = writer.asked();
        assert_eq!(asked.len(), asks().len() + 1, "two prompts are two calls");
        assert!(asked.iter().all(|asked| !leaks(&asked.message)));
        // A text of which nothing is to be taken out is told of nothing.
        let plain = web::post(
            mesh.gateway(),
            "/v1/chat/completions",
            &json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }] }),
        )
        .await;
        assert!(plain.status == 200 && !plain.headers.contains_key(SAID));
    });
}

#[test]
fn the_same_holds_for_every_text_of_a_call_over_grpc_however_long_it_is() {
    bounded(async {
        let (mesh, writer) = writes("redact").await;
        let call = ToolCall { id: "c".into(), name: "f".into(), arguments: "{\"to\":\"ADA\\u0040example.org\"}".into() };
        for filler in [0, 3 << 20] {
            let content = format!("{}{SECRET} and bob@example.org", "x ".repeat(filler / 2));
            let message =
                ChatMessage { role: "user".into(), content: content.clone(), tool_calls: vec![call.clone()], ..Default::default() };
            let chat = ChatRequest { model: MODEL.into(), messages: vec![message], ..Default::default() };
            let answer = raw::call(mesh.gateway(), &Call::new(CHAT, &chat).with_key()).await;
            assert_eq!((answer.trailer("grpc-status"), answer.head[SAID].as_bytes()), (Some("0"), &b"email=3"[..]));
            let asked: ChatRequest = writer.asked().pop().unwrap().as_a();
            assert_eq!(asked.messages[0].content, content.replace(SECRET, TOLD).replace("bob@example.org", "[EMAIL_2]"));
            assert_eq!(asked.messages[0].tool_calls[0].arguments, format!("{{\"to\":\"{TOLD}\"}}"));
        }
        let prompt = GenerateRequest { model: MODEL.into(), prompt: SECRET.into(), ..Default::default() };
        raw::call(mesh.gateway(), &Call::new(GENERATE, &prompt).with_key()).await;
        assert_eq!(writer.asked().pop().unwrap().as_a::<GenerateRequest>().prompt, TOLD);
    });
}

#[test]
fn where_it_is_to_be_refused_the_field_and_the_kind_are_named_and_nothing_is_sent() {
    bounded(async {
        let (mesh, writer) = writes("refuse").await;
        let card = json!([{ "role": "system", "content": "Hi" }, { "role": "user", "content": "4111 1111 1111 1111" }]);
        let answer = web::post(mesh.gateway(), "/v1/chat/completions", &json!({ "model": MODEL, "messages": card, "stream": true })).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, error["param"].as_str(), error["code"].as_str()),
            (400, Some("messages[1].content"), Some("invalid_value"))
        );
        let told = error["message"].as_str().unwrap();
        assert!(told.contains("a payment card's number") && !told.contains("4111"), "{told}");
        for (path, body) in asks() {
            let answer = web::post(mesh.gateway(), path, &body).await;
            assert!(answer.status == 400 || answer.text().contains("error"), "{path}: {}", answer.text());
            assert!(answer.text().contains("an e-mail address") && !leaks(&answer.body), "{path}: {}", answer.text());
        }
        let chat = ChatRequest {
            model: MODEL.into(),
            messages: vec![ChatMessage { content: SECRET.into(), ..Default::default() }],
            ..Default::default()
        };
        let refused = raw::call(mesh.gateway(), &Call::new(CHAT, &chat).with_key()).await.status();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("messages[0].content: has an e-mail address"), "{refused:?}");
        assert!(writer.asked().iter().all(|asked| !leaks(&asked.message)), "the first of two prompts may be sent, and the second is not");
        let metrics = mesh.gateways[0].metrics().await;
        assert_eq!(metrics.count("torchmesh_gateway_personal_data_total", &[("kind", "card"), ("action", "refuse")]), 1);
    });
}

const CLASSIFY_TOKENS: &str = "/torchmesh.text.v1.TextService/ClassifyTokens";

/// A router that answers these methods, and the gateway before it, which has names found by the model `ner`.
async fn finding_names(answers: Vec<(&'static str, Bytes)>) -> (MeshSandbox, Upstream) {
    let upstream = Upstream::start(&["m", "ner"], Manner::AnswersEach(answers)).await;
    let builder = rule(MeshSandbox::builder().router_at(upstream.addr), "m", "redact");
    (builder.set("gateway", "redaction[0].names.model", "ner").start().await, upstream)
}

/// The bodies of a method's calls.
fn told(upstream: &Upstream, path: &str) -> Vec<Bytes> {
    upstream.seen().into_iter().filter(|seen| seen.path == path).filter_map(|seen| seen.body).collect()
}

#[test]
fn a_model_is_asked_for_names_and_the_other_is_not_told_them() {
    bounded(async {
        let name = Entity { label: "PER".to_owned(), score: 0.9, end_byte: 12, ..Default::default() };
        let classifications = vec![TokenClassification { entities: vec![name], ..Default::default() }];
        let named = ClassifyTokensResponse { classifications, ..Default::default() };
        let answers = vec![("ClassifyTokens", frame::encode(&named)), ("Embed", frame::encode(&EmbedResponse::default()))];
        let (mesh, upstream) = finding_names(answers).await;
        let question = EmbedRequest { model: "m".to_owned(), texts: vec![format!("Ada Lovelace <{SECRET}> asks")], ..Default::default() };
        let answer = raw::call(mesh.gateway(), &Call::new(raw::EMBED, &question).with_key()).await;
        assert_eq!((answer.status().code(), answer.head[SAID].to_str().unwrap()), (Code::Ok, "email=1, name=1"));
        let redacted = EmbedRequest { texts: vec![format!("[NAME_1] <{TOLD}> asks")], ..question.clone() };
        assert_eq!(told(&upstream, raw::EMBED), [frame::encode(&redacted)]);
        let [asked] = &told(&upstream, CLASSIFY_TOKENS)[..] else { panic!("it is asked once") };
        let asked = ClassifyTokensRequest::decode(frame::message(asked.clone()).unwrap()).unwrap();
        assert_eq!((asked.model, asked.texts), ("ner".to_owned(), question.texts));
    });
}

#[test]
fn while_nobody_finds_names_nothing_is_sent() {
    bounded(async {
        let (mesh, upstream) = finding_names(vec![("Embed", frame::encode(&EmbedResponse::default()))]).await;
        let question = EmbedRequest { model: "m".to_owned(), texts: vec!["Ada".to_owned()], ..Default::default() };
        let refused = raw::call(mesh.gateway(), &Call::new(raw::EMBED, &question).with_key()).await.status();
        assert!(refused.code() == Code::Unavailable && refused.message().contains("names"), "{refused:?}");
        assert!(told(&upstream, raw::EMBED).is_empty());
        // Where there is nothing that may be a name, nobody has to be asked.
        let digits = EmbedRequest { texts: vec!["1 + 1".to_owned()], ..question };
        assert_eq!(raw::call(mesh.gateway(), &Call::new(raw::EMBED, &digits).with_key()).await.status().code(), Code::Ok);
    });
}

/// A router of which every model has this task, and the gateway before it, whose rule is for the model `m`.
async fn gateway(task: &str, more: impl FnOnce(Builder) -> Builder) -> (MeshSandbox, Upstream) {
    let described = ModelMetadataResponse { properties: [("task".to_owned(), task.to_owned())].into(), ..Default::default() };
    let upstream = Upstream::start(&["m", "free"], Manner::AnswersEach(vec![("ModelMetadata", frame::encode(&described))])).await;
    let mesh = more(rule(MeshSandbox::builder().router_at(upstream.addr), "m", "redact")).start().await;
    (mesh, upstream)
}

/// The bodies that have come since so many.
fn came(upstream: &Upstream, before: usize) -> Vec<u8> {
    upstream.seen().into_iter().skip(before).filter_map(|seen| seen.body).flatten().collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Every path for texts, by the task of the model behind it.
fn paths(model: &str) -> Vec<(&'static str, Vec<(String, Value)>)> {
    let tasks = (format!("/v1/tasks/{model}"), json!({ "inputs": ["x", SECRET] }));
    let torchserve = (format!("/predictions/{model}"), json!({ "data": SECRET }));
    let documents = json!({ "model": model, "query": SECRET, "documents": ["x", SECRET] });
    vec![
        (
            "embed",
            vec![
                ("/v1/embeddings".to_owned(), json!({ "model": model, "input": SECRET })),
                ("/v1/embeddings".to_owned(), json!({ "model": model, "input": ["x", SECRET] })),
                (format!("/embed?model={model}"), json!({ "inputs": ["x", SECRET] })),
                tasks.clone(),
                torchserve.clone(),
            ],
        ),
        ("classify", vec![(format!("/predict?model={model}"), json!({ "inputs": SECRET })), tasks.clone(), torchserve]),
        ("token-classify", vec![tasks.clone()]),
        ("fill", vec![tasks]),
        (
            "rerank",
            vec![
                ("/v1/rerank".to_owned(), documents),
                (format!("/rerank?model={model}"), json!({ "query": "x", "texts": [SECRET] })),
                (format!("/v1/tasks/{model}"), json!({ "inputs": { "query": SECRET, "documents": ["x"] } })),
            ],
        ),
    ]
}

#[test]
fn no_path_for_texts_lets_it_through_to_a_model_of_a_rule_and_each_does_to_another() {
    bounded(async {
        for ((task, of_rule), (_, free)) in paths("m").into_iter().zip(paths("free")) {
            let (mesh, upstream) = gateway(task, |builder| builder).await;
            for ((path, body), (free, free_body)) in of_rule.into_iter().zip(free) {
                let before = upstream.seen().len();
                web::post(mesh.gateway(), &path, &body).await;
                let sent = came(&upstream, before);
                assert!(has(&sent, TOLD) && !leaks(&sent), "{path} of {task}: {}", String::from_utf8_lossy(&sent));
                let before = upstream.seen().len();
                web::post(mesh.gateway(), &free, &free_body).await;
                assert!(leaks(&came(&upstream, before)), "{free} of {task} sends nothing");
            }
        }
    });
}

#[test]
fn no_method_of_grpc_does_either() {
    bounded(async {
        let (mesh, upstream) = gateway("embed", |builder| builder).await;
        let texts = || vec![SECRET.to_owned()];
        let asks = |model: &str| {
            let model = model.to_owned();
            [
                ("Embed", frame::encode(&EmbedRequest { model: model.clone(), texts: texts(), ..Default::default() })),
                ("Classify", frame::encode(&ClassifyRequest { model: model.clone(), texts: texts(), ..Default::default() })),
                ("ClassifyTokens", frame::encode(&ClassifyTokensRequest { model: model.clone(), texts: texts(), ..Default::default() })),
                ("Fill", frame::encode(&FillRequest { model: model.clone(), texts: texts(), ..Default::default() })),
                (
                    "Rerank",
                    frame::encode(&RerankRequest { model: model.clone(), query: SECRET.into(), documents: texts(), ..Default::default() }),
                ),
                ("Explain", frame::encode(&ExplainRequest { model, text: SECRET.into(), ..Default::default() })),
            ]
        };
        for ((method, message), (_, free)) in asks("m").into_iter().zip(asks("free")) {
            let path = format!("/torchmesh.text.v1.TextService/{method}");
            let before = upstream.seen().len();
            raw::call(mesh.gateway(), &Call::of_bytes(&path, message).with_key()).await;
            let sent = came(&upstream, before);
            assert!(has(&sent, TOLD) && !leaks(&sent), "{method}");
            raw::call(mesh.gateway(), &Call::of_bytes(&path, free).with_key()).await;
            assert!(leaks(&came(&upstream, before)), "{method} sends nothing");
        }
    });
}

#[test]
fn a_model_of_a_rule_is_reached_by_no_door_whose_inputs_cannot_be_searched() {
    bounded(async {
        let (mesh, upstream) = gateway("embed", |builder| builder).await;
        let tensors = |model: &str| client::infer(model, "text", "BYTES", &[1], SECRET.as_bytes().to_vec());
        let images =
            |model: &str| vision::v1::ClassifyRequest { model: model.to_owned(), images: vec![SECRET.into()], ..Default::default() };
        let tokens =
            EmbedRequest { model: "m".into(), tokens: vec![torchmesh_api::text::v1::TokenIds { ids: vec![1] }], ..Default::default() };
        let call = async |call: Call| raw::call(mesh.gateway(), &call.with_key()).await.status();
        let before = upstream.seen().len();
        for call_of in [
            Call::new(raw::MODEL_INFER, &tensors("m")),
            Call::new(raw::MODEL_STREAM_INFER, &tensors("m")),
            Call::new("/torchmesh.vision.v1.VisionService/Classify", &images("m")),
            Call::new("/torchmesh.text.v1.TextService/Summarize", &tensors("m")),
        ] {
            let refused = call(call_of.clone()).await;
            assert_eq!(refused.code(), Code::PermissionDenied, "{call_of:?}: {refused:?}");
        }
        assert_eq!(call(Call::new(raw::EMBED, &tokens)).await.code(), Code::InvalidArgument);
        let body = |data: &str| json!({ "inputs": [{ "name": "text", "datatype": "BYTES", "shape": [1], "data": [data] }] });
        let refused = web::post(mesh.gateway(), "/v2/models/m/infer", &body(SECRET)).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(refused.json()["error"].as_str().unwrap().contains("cannot be searched"), "{}", refused.text());
        let refused = web::post(mesh.gateway(), "/v1/embeddings", &json!({ "model": "m", "input": [1, 2, 3] })).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert_eq!(upstream.seen().len(), before);
        // Another model is.
        call(Call::new(raw::MODEL_INFER, &tensors("free"))).await;
        web::post(mesh.gateway(), "/v2/models/free/infer", &body(SECRET)).await;
        assert_eq!(upstream.seen().len(), before + 2);
    });
}

#[test]
fn the_lines_of_a_batch_are_redacted_as_calls_are() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let (mesh, upstream) = gateway("embed", |builder| builder.set("gateway", "batches.folder", folder.path().to_str().unwrap())).await;
        let line = json!({ "custom_id": "1", "method": "POST", "url": "/v1/embeddings", "body": { "model": "m", "input": SECRET } });
        crate::batches::begin(mesh.gateway(), KEY, &line.to_string()).await;
        let sent = upstream.sees("the line", |seen| seen.path.ends_with("/Embed") && seen.body.is_some()).await.body.unwrap();
        assert!(has(&sent, TOLD) && !leaks(&sent));
    });
}

/// Whether any file below a folder has the address in it.
fn kept(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return kept(&path);
            }
            let leaks = fs::read(&path).is_ok_and(|content| leaks(&content));
            leaks.then(|| path.display().to_string()).into_iter().collect()
        })
        .collect()
}

#[test]
fn what_is_sent_is_in_no_log_and_in_no_record_of_a_call_with_a_rule_or_without() {
    bounded(async {
        let (ledger, writer) = (Ledger::default(), Writer::start(echo).await);
        let builder = ledger.of(MeshSandbox::builder().worker_at(writer.addr)).set("gateway", "telemetry.log", "debug").set(
            "router",
            "telemetry.log",
            "debug",
        );
        let mesh = rule(builder, "another", "redact").start().await;
        for (at, (path, body)) in asks().into_iter().enumerate() {
            for body in [body.to_string(), body.to_string().replace(MODEL, "another"), format!("{{\"model\": {SECRET}")] {
                let mut request = web::request(Method::POST, path, body);
                request.headers_mut().insert("x-request-id", format!("call-{at}").parse().unwrap());
                request.headers_mut().insert(header::USER_AGENT, "test".parse().unwrap());
                web::Connection::http1(mesh.gateway()).await.unwrap().send(request).await.unwrap();
            }
        }
        assert!(writer.asked().iter().any(|asked| leaks(&asked.message)), "a model without a rule gets what was sent");
        ledger.has((0..asks().len()).map(|at| format!("call-{at}"))).await;
        assert_eq!(kept(ledger.folder()), Vec::<String>::new());
        for instance in mesh.instances() {
            let log = instance.log();
            let line = log.lines().find(|line| leaks(line.as_bytes()));
            assert_eq!(line, None, "in the log of {}", instance.name);
        }
    });
}

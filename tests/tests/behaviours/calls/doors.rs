//! The doors that go by a model's task: those of text-embeddings-inference and TorchServe, `/v1/rerank`, and `/v1/tasks`.

use bytes::Bytes;
use http::{Method, Request, header};
use prost::Message;
use serde_json::{Value, json};
use torchmesh_api::{
    audio::v1 as audio,
    frame,
    inference::ModelMetadataResponse,
    text::v1 as text,
    vision::v1::{self as vision},
};
use torchmesh_tests::{
    MeshSandbox, bounded,
    models::Model,
    upstream::{Manner, Seen, Upstream},
    web,
};

const TEXT: &str = "A man is eating food.";

async fn send(mesh: &MeshSandbox, request: Request<Bytes>) -> web::Answer {
    web::Connection::http1(mesh.gateway()).await.unwrap().send(request).await.unwrap()
}

async fn post(mesh: &MeshSandbox, path: &str, body: Value) -> web::Answer {
    web::post(mesh.gateway(), path, &body).await
}

/// A body that is the thing itself.
fn raw(path: &str, kind: &'static str, body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = web::request(Method::POST, path, body);
    request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
    request
}

fn floats(list: &Value) -> Vec<f32> {
    serde_json::from_value(list.clone()).unwrap_or_else(|error| panic!("{error}: {list}"))
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
}

/// A mesh whose only worker is a stand-in with one model, `m`, of this task.
async fn stand_in(task: &str, method: &'static str, answer: &impl Message) -> (Upstream, MeshSandbox) {
    let properties = [("task".to_owned(), task.to_owned())].into();
    let metadata = ModelMetadataResponse { name: "m".to_owned(), properties, ..Default::default() };
    let answers = vec![("ModelMetadata", frame::encode(&metadata)), (method, frame::encode(answer))];
    let upstream = Upstream::start(&["m"], Manner::AnswersEach(answers)).await;
    let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
    (upstream, mesh)
}

/// What came of the last call of a method.
async fn asked<T: Message + Default>(upstream: &Upstream, method: &str) -> T {
    upstream.sees(method, |seen: &Seen| seen.path.ends_with(method) && seen.body.is_some()).await;
    let last = upstream.seen().into_iter().rfind(|seen| seen.path.ends_with(method)).unwrap();
    T::decode(frame::message(last.body.unwrap()).unwrap()).unwrap()
}

#[test]
fn every_door_gives_a_text_the_same_embedding() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm(), Model::noop()]).await;
        let wanted = post(&mesh, "/v1/embeddings", json!({ "model": "minilm", "input": TEXT })).await.json();
        let wanted = floats(&wanted["data"][0]["embedding"]);

        let answer = post(&mesh, "/embed", json!({ "inputs": TEXT })).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(close(&floats(&answer.json()[0]), &wanted));
        assert_eq!((&answer.headers["x-compute-tokens"], &answer.headers["x-compute-characters"]), (&8.into(), &21.into()));
        assert!(answer.headers.contains_key("x-total-time"));
        let batch = post(&mesh, "/embed", json!({ "inputs": ["other words", TEXT], "truncate": true })).await.json();
        assert!(close(&floats(&batch[1]), &wanted));

        let whole =
            post(&mesh, "/v1/tasks/minilm", json!({ "inputs": [TEXT, "other words"], "parameters": { "truncation": "end" } })).await;
        let told = whole.json();
        assert_eq!((&told["model"], &told["version"], &told["task"]), (&json!("minilm"), &json!("1"), &json!("embed")));
        assert!(close(&floats(&told["outputs"][0]["embedding"]), &wanted) && told["outputs"].as_array().unwrap().len() == 2);
        let plain = send(&mesh, raw("/v1/tasks/minilm", "text/plain; charset=utf-8", TEXT)).await.json();
        assert!(close(&floats(&plain["outputs"][0]["embedding"]), &wanted));

        let form = format!("--x\r\ncontent-disposition: form-data; name=\"data\"; filename=\"a.txt\"\r\n\r\n{TEXT}\r\n--x--\r\n");
        for request in [
            raw("/predictions/minilm", "text/plain", TEXT),
            raw("/predictions/minilm/1", "application/json", json!({ "data": TEXT }).to_string()),
            raw("/predictions/minilm", "multipart/form-data; boundary=x", form),
        ] {
            let answer = send(&mesh, request).await;
            assert!(close(&floats(&answer.json()), &wanted), "{}", answer.text());
        }
    });
}

#[test]
fn a_model_says_what_it_is_and_what_it_takes() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let info = connection.get("/info").await.json();
        assert_eq!((&info["model_id"], &info["model_type"]), (&json!("minilm"), &json!({ "embedding": { "pooling": "mean" } })));
        assert_eq!((&info["max_input_length"], &info["max_client_batch_size"]), (&json!(256), &json!(2048)));
        let properties = connection.get("/v2/models/minilm").await.json()["properties"].clone();
        assert_eq!((&properties["task"], &properties["normalize"]), (&json!("embed"), &json!("true")));
        assert_eq!(web::get(mesh.gateway(), "/ping").await.unwrap().json(), json!({ "status": "Healthy" }));
    });
}

#[test]
fn each_door_tells_of_mistakes_in_its_own_form() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm(), Model::noop(), Model::minilm().called("twin")]).await;
        let json = |path: &str, body: Value| web::request(Method::POST, path, body.to_string());
        let without_key = |mut request: Request<Bytes>| {
            request.headers_mut().remove(header::AUTHORIZATION);
            request
        };
        let text = json!({ "inputs": "a" });
        // The status, the field that says it, and what it must say.
        let cases = [
            (json("/embed?model=minilm", json!({ "inputs": [] })), 400, "error", "inputs is empty"),
            (json("/embed?model=minilm", json!({ "inputs": 7 })), 422, "error", "inputs must be"),
            (json("/embed?model=minilm", json!({ "inputs": "a", "dimensions": 8 })), 422, "error", "dimensions"),
            (json("/embed", text.clone()), 422, "error", "?model=NAME: minilm, twin"),
            (json("/embed?model=nope", text.clone()), 404, "error", "nope"),
            (json("/predict?model=minilm", text.clone()), 424, "error", "has the task \"embed\""),
            (json("/rerank", json!({ "query": "q", "texts": ["a"] })), 404, "error", "no model of the task rerank"),
            (without_key(json("/embed", text.clone())), 401, "error", "Bearer"),
            (raw("/predictions/nope", "text/plain", "a"), 404, "message", "nope"),
            (raw("/predictions/minilm/9", "text/plain", "a"), 404, "message", "version 9"),
            (raw("/predictions/minilm", "text/plain", ""), 400, "message", "empty"),
            (raw("/predictions/minilm", "image/png", vec![0xff, 0xd8]), 400, "message", "UTF-8"),
            (raw("/predictions/noop", "text/plain", "a"), 400, "message", "/v2/models/noop/infer"),
            (without_key(raw("/predictions/minilm", "text/plain", "a")), 401, "message", "Bearer"),
        ];
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (request, status, field, part) in cases {
            let what = format!("{} {}", request.method(), request.uri());
            let answer = connection.send(request).await.unwrap();
            let told = answer.json();
            assert_eq!(answer.status, status, "{what}: {told}");
            assert!(told[field].as_str().is_some_and(|message| message.contains(part)), "{what}: {told}");
            let kinds = told.get("error_type").or(told.get("type"));
            assert!(kinds.is_some_and(Value::is_string), "{what}: {told}");
        }
        for (request, status, part) in [
            (
                json("/v1/tasks/minilm", json!({ "inputs": "a", "parameters": { "top_k": 2 } })),
                400,
                "unknown field `top_k`, expected `truncation`",
            ),
            (json("/v1/tasks/minilm", json!({ "inputs": { "query": "q", "documents": ["a"] } })), 400, "takes a text"),
            (json("/v1/tasks/minilm?version=9", text.clone()), 404, "version 9"),
            (json("/v1/tasks/noop", text), 501, "/v2/models/noop/infer"),
            (json("/v1/rerank", json!({ "model": "minilm", "query": "q", "documents": ["a"] })), 501, "minilm"),
        ] {
            let what = format!("{} {}", request.method(), request.uri());
            let answer = connection.send(request).await.unwrap();
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(part), "{what}: {}", answer.text());
        }
    });
}

#[test]
fn a_classifiers_labels_come_in_each_doors_shape() {
    bounded(async {
        let label = |label: &str, score| text::LabelScore { label: label.to_owned(), score, index: 0 };
        let found = text::Classification { labels: vec![label("spam", 0.75), label("ham", 0.25)], tokens: 4, ..Default::default() };
        let answer = text::ClassifyResponse { model: "m".to_owned(), classifications: vec![found], ..Default::default() };
        let (upstream, mesh) = stand_in("classify", "Classify", &answer).await;
        let wanted = json!([{ "label": "spam", "score": 0.75 }, { "label": "ham", "score": 0.25 }]);
        assert_eq!(post(&mesh, "/predict", json!({ "inputs": "a" })).await.json(), wanted);
        assert_eq!(post(&mesh, "/predict", json!({ "inputs": [["a"]], "raw_scores": true })).await.json(), json!([wanted]));
        assert_eq!(asked::<text::ClassifyRequest>(&upstream, "/Classify").await.function(), text::ScoreFunction::None);
        let served = send(&mesh, raw("/predictions/m", "text/plain", "a")).await;
        assert_eq!(served.text(), r#"{"spam":0.75,"ham":0.25}"#);
        let options = json!({ "inputs": ["a"], "parameters": { "top_k": 2, "scores": "sigmoid", "truncation": "split" } });
        let told = post(&mesh, "/v1/tasks/m", options).await.json();
        assert_eq!(told["outputs"], json!([{ "labels": wanted, "tokens": 4, "truncated": false }]));
        let request: text::ClassifyRequest = asked(&upstream, "/Classify").await;
        assert_eq!((request.top_k, request.function(), request.truncation()), (2, text::ScoreFunction::Sigmoid, text::Truncation::Split));
    });
}

#[test]
fn a_rerankers_order_comes_in_each_doors_shape() {
    bounded(async {
        let one =
            |index, score, document: &str| text::Ranked { index, score, document: document.to_owned(), tokens: 5, ..Default::default() };
        let answer =
            text::RerankResponse { model: "m".to_owned(), results: vec![one(1, 0.75, "b"), one(0, 0.5, "a")], ..Default::default() };
        let (upstream, mesh) = stand_in("rerank", "Rerank", &answer).await;
        let told = post(&mesh, "/rerank", json!({ "query": "q", "texts": ["a", "b"], "return_text": true })).await;
        assert_eq!(told.json(), json!([{ "index": 1, "text": "b", "score": 0.75 }, { "index": 0, "text": "a", "score": 0.5 }]));
        assert_eq!(told.headers["x-compute-tokens"], "10");
        let told =
            post(&mesh, "/v1/rerank", json!({ "model": "m", "query": "q", "documents": ["a", { "text": "b" }], "top_n": 2 })).await.json();
        assert_eq!(told["results"], json!([{ "index": 1, "relevance_score": 0.75 }, { "index": 0, "relevance_score": 0.5 }]));
        assert_eq!(told["usage"]["total_tokens"], 10);
        let request: text::RerankRequest = asked(&upstream, "/Rerank").await;
        assert_eq!((request.documents, request.top_n, request.return_documents), (vec!["a".to_owned(), "b".to_owned()], 2, false));
        let told = post(&mesh, "/v1/tasks/m", json!({ "inputs": { "query": "q", "documents": ["a", "b"] } })).await.json();
        assert_eq!(told["outputs"][0]["results"][0], json!({ "index": 1, "score": 0.75 }));
    });
}

#[test]
fn entities_and_masks_are_given_in_characters() {
    bounded(async {
        let entity = text::Entity {
            label: "PER".to_owned(),
            score: 0.5,
            start_byte: 3,
            end_byte: 6,
            start_char: 2,
            end_char: 5,
            text: "Ada".to_owned(),
        };
        let found = text::TokenClassification { entities: vec![entity], tokens: 5, ..Default::default() };
        let answer = text::ClassifyTokensResponse { model: "m".to_owned(), classifications: vec![found], ..Default::default() };
        let (upstream, mesh) = stand_in("token-classify", "ClassifyTokens", &answer).await;
        let told = post(&mesh, "/v1/tasks/m", json!({ "inputs": "é Ada", "parameters": { "aggregation": "max" } })).await.json();
        let wanted = json!([{ "label": "PER", "score": 0.5, "start": 2, "end": 5, "text": "Ada" }]);
        assert_eq!(told["outputs"][0]["entities"], wanted);
        assert_eq!(asked::<text::ClassifyTokensRequest>(&upstream, "/ClassifyTokens").await.aggregation(), text::Aggregation::Max);
        assert_eq!(send(&mesh, raw("/predictions/m", "text/plain", "é Ada")).await.json(), wanted);
    });
}

#[test]
fn a_file_goes_on_as_it_came_whether_it_is_the_body_a_part_of_a_form_or_in_base64() {
    bounded(async {
        let place = Some(vision::Box { x_min: 1.0, y_min: 2.0, x_max: 3.0, y_max: 4.0 });
        let detection = vision::Detection { r#box: place, index: 0, label: "cat".to_owned(), score: 0.5 };
        let image = vision::ImageDetections { detections: vec![detection], width: 10, height: 20 };
        let answer = vision::DetectResponse { model: "m".to_owned(), images: vec![image], ..Default::default() };
        let (upstream, mesh) = stand_in("detect-objects", "Detect", &answer).await;
        let file = [0xff, 0xd8, 0xff, 0x00];
        let wanted = json!([{ "detections": [{ "label": "cat", "score": 0.5, "box": [1.0, 2.0, 3.0, 4.0] }], "width": 10, "height": 20 }]);
        let form =
            [&b"--x\r\ncontent-disposition: form-data; name=\"data\"; filename=\"a.jpg\"\r\n\r\n"[..], &file, b"\r\n--x--\r\n"].concat();
        for request in [
            raw("/v1/tasks/m", "image/jpeg", file.to_vec()),
            raw("/v1/tasks/m", "application/json", json!({ "inputs": "/9j/AA==" }).to_string()),
            raw("/v1/tasks/m", "application/json", json!({ "inputs": "data:image/jpeg;base64,/9j/AA==" }).to_string()),
        ] {
            assert_eq!(send(&mesh, request).await.json()["outputs"], wanted);
            assert_eq!(asked::<vision::DetectRequest>(&upstream, "/Detect").await.images, [&file[..]]);
        }
        let served = send(&mesh, raw("/predictions/m", "multipart/form-data; boundary=x", form)).await;
        assert_eq!(served.json(), json!([{ "cat": [1.0, 2.0, 3.0, 4.0], "score": 0.5 }]));
        assert_eq!(asked::<vision::DetectRequest>(&upstream, "/Detect").await.images, [&file[..]]);
        let refused = post(&mesh, "/v1/tasks/m", json!({ "inputs": "a cat" })).await;
        assert!(refused.status == 400 && refused.text().contains("inputs[0] is no base64"), "{}", refused.text());
    });
}

#[test]
fn speech_is_given_in_seconds() {
    bounded(async {
        let segment = audio::VoiceSegment { start_s: 0.5, end_s: 1.25, ..Default::default() };
        let answer = audio::DetectVoiceResponse {
            model: "m".to_owned(),
            model_version: "1".to_owned(),
            segments: vec![segment],
            duration_s: 2.0,
            sample_rate: 16000,
            ..Default::default()
        };
        let (upstream, mesh) = stand_in("detect-voice", "DetectVoice", &answer).await;
        let told = send(&mesh, raw("/v1/tasks/m", "audio/wav", "RIFF")).await.json();
        assert_eq!(told["outputs"], json!([{ "segments": [{ "start": 0.5, "end": 1.25 }], "duration": 2.0, "sample_rate": 16000 }]));
        post(&mesh, "/v1/tasks/m", json!({ "inputs": "UklGRg==", "parameters": { "threshold": 0.6 } })).await;
        let request: audio::DetectVoiceRequest = asked(&upstream, "/DetectVoice").await;
        assert_eq!((&request.audio[..], request.options.unwrap().threshold), (&b"RIFF"[..], Some(0.6)));
        let two = post(&mesh, "/v1/tasks/m", json!({ "inputs": ["UklGRg==", "UklGRg=="] })).await;
        assert!(two.status == 400 && two.text().contains("one recording"), "{}", two.text());
    });
}

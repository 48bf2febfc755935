//! The document at `/openapi.json` against a mesh: every example in it is sent, and every answer, good or bad, is what it says.

use std::process::Command;

use bytes::Bytes;
use http::{Method, Request, header};
use jsonschema::Validator;
use prost::Message;
use serde_json::{Value, json};
use torchmesh_api::{
    frame,
    inference::{ModelMetadataResponse, ModelStatisticsResponse},
    text::v1 as text,
};
use torchmesh_tests::{
    KEY, MeshSandbox, TENANT, bounded,
    models::Model,
    upstream::{Manner, Upstream},
    web,
};

/// The secret of the OAuth client, as the examples have it.
const SECRET: &str = "YOUR_SECRET";
/// A form as browsers send it, and the most that one may have.
const FORM: &str = "application/x-www-form-urlencoded";
const LONGEST_FORM: usize = 64 << 10;

/// What is refused, in words: what the router hands on to nobody yet, and calling off a batch that is over.
const REFUSED: [(&str, u16); 3] = [("loadModel", 501), ("unloadModel", 501), ("cancelBatch", 400)];

/// A worker that stands in for a model of this task.
async fn stand_in(name: &str, task: &str, method: &'static str, answer: &impl Message) -> Upstream {
    let properties = [("task".to_owned(), task.to_owned())].into();
    let metadata = ModelMetadataResponse { name: name.to_owned(), properties, ..Default::default() };
    let statistics = frame::encode(&ModelStatisticsResponse::default());
    let answers = vec![("ModelMetadata", frame::encode(&metadata)), ("ModelStatistics", statistics), (method, frame::encode(answer))];
    Upstream::start(&[name], Manner::AnswersEach(answers)).await
}

/// A mesh that has every model that the document's examples ask.
async fn mesh() -> (MeshSandbox, [Upstream; 2], Kept) {
    let label = |label: &str, score| text::LabelScore { label: label.to_owned(), score, ..Default::default() };
    let found = text::Classification { labels: vec![label("spam", 0.9), label("ham", 0.1)], tokens: 5, ..Default::default() };
    let labels = text::ClassifyResponse { classifications: vec![found.clone(), found], model: "spam".to_owned(), ..Default::default() };
    let ranked = |index, document: &str| text::Ranked { index, score: 0.5, document: document.to_owned(), ..Default::default() };
    let ranking = text::RerankResponse {
        results: vec![ranked(0, "The Danube."), ranked(1, "Bread.")],
        model: "reranker".to_owned(),
        ..Default::default()
    };
    let stand_ins = [stand_in("spam", "classify", "Classify", &labels).await, stand_in("reranker", "rerank", "Rerank", &ranking).await];
    let builder = stand_ins.iter().fold(MeshSandbox::builder(), |builder, upstream| builder.worker_at(upstream.addr)).workers(1);
    let kept = Kept(tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let builder = builder.set("gateway", "batches.folder", kept.0.path().to_str().unwrap());
    let builder = builder.giving_tokens(kept.1.path(), SECRET);
    (builder.model(Model::minilm()).model(Model::stories()).model(Model::smollm2()).start().await, stand_ins, kept)
}

/// The gateway's folder of files and batches, and that of what it signs tokens with.
struct Kept(tempfile::TempDir, tempfile::TempDir);

impl Kept {
    /// Puts the file and the batch there that the examples name; some of them take the file away.
    fn lay_out(&self) {
        let (file, batch) = ("file-abcdefghijklmnopqrstuvwx", "batch_abcdefghijklmnopqrstuvwx");
        let [files, batches] = ["files", "batches"].map(|kind| self.0.path().join(TENANT).join(kind));
        for folder in [&files, &batches] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let record = json!({ "id": file, "bytes": 3, "created_at": 1, "filename": "calls.jsonl", "purpose": "batch" });
        let owner = json!({ "tenant": TENANT, "credential": "test", "kind": "api_key", "scopes": "infer", "models": ["*"] });
        let over = json!({
            "id": batch, "endpoint": "/v1/embeddings", "input_file_id": file, "metadata": null, "owner": owner, "status": "completed", "errors": [],
            "counts": { "total": 1, "completed": 1, "failed": 0 }, "output": file, "error": file, "created_at": 1, "in_progress_at": 2, "ended_at": 3,
            "cancelling_at": null,
        });
        for (path, text) in [
            (files.join(format!("{file}.jsonl")), "{}\n".to_owned()),
            (files.join(format!("{file}.json")), record.to_string()),
            (batches.join(format!("{batch}.json")), over.to_string()),
        ] {
            std::fs::write(path, text).unwrap();
        }
    }
}

struct Document(Value);

/// An operation of the document.
struct Operation<'a> {
    path: &'a str,
    method: Method,
    told: &'a Value,
}

impl Document {
    async fn of(mesh: &MeshSandbox) -> Self {
        let answer = web::get(mesh.gateway(), "/openapi.json").await.unwrap();
        assert_eq!((answer.status, &answer.headers[header::CONTENT_TYPE]), (200, &"application/json".parse().unwrap()));
        Self(answer.json())
    }

    fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        let methods = paths.flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |(method, told)| (path, method, told)));
        methods.map(|(path, method, told)| Operation { path, method: method.to_uppercase().parse().unwrap(), told }).collect()
    }

    /// A validator of a schema, in which no object may have a field that is not written.
    fn validator(&self, schema: &Value) -> Validator {
        let mut whole =
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema], "components": self.0["components"] });
        close(&mut whole);
        jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{schema} is no schema: {error}"))
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        value["$ref"].as_str().map_or(value, |place| self.0.pointer(place.trim_start_matches('#')).unwrap())
    }

    /// An answer is one of those that are written of the operation.
    fn has(&self, operation: &Operation<'_>, answer: &web::Answer, why: &str) {
        let what = format!(
            "{} {} ({why}): {} {}",
            operation.method,
            operation.path,
            answer.status,
            answer.text().chars().take(600).collect::<String>()
        );
        let written =
            operation.told["responses"].get(answer.status.to_string()).unwrap_or_else(|| panic!("this status is not written: {what}"));
        let written = self.resolved(written);
        assert!(answer.headers.contains_key("x-request-id"), "{what}");
        let Some(kind) = answer.headers.get(header::CONTENT_TYPE) else {
            assert!(written.get("content").is_none() && answer.body.is_empty(), "{what}");
            return;
        };
        let kind = kind.to_str().unwrap().split(';').next().unwrap();
        let schema = written["content"][kind].get("schema").unwrap_or_else(|| panic!("a body of {kind} is not written: {what}"));
        let data = &schema["properties"]["data"]["anyOf"][0]["contentSchema"];
        let validator = self.validator(if data.is_object() { data } else { schema });
        for value in values(kind, answer) {
            let wrong: Vec<_> = validator.iter_errors(&value).map(|error| format!("{error} at {}", error.instance_path())).collect();
            assert!(wrong.is_empty(), "{what}\nis not as written: {}", wrong.join("\n"));
        }
    }
}

/// Forbids fields that are not written.
fn close(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
            fields.insert("additionalProperties".to_owned(), json!(false));
        }
        fields.values_mut().for_each(close);
    } else if let Value::Array(all) = schema {
        all.iter_mut().for_each(close);
    }
}

/// The values of a body: of JSON one, of a stream one for each event.
fn values(kind: &str, answer: &web::Answer) -> Vec<Value> {
    match kind {
        "text/event-stream" => {
            let text = answer.text();
            let data: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]").collect();
            assert!(!data.is_empty(), "there is no event in {text:?}");
            data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
        }
        "text/html" | "application/octet-stream" => vec![json!(answer.text())],
        _ => vec![answer.json()],
    }
}

impl Operation<'_> {
    fn id(&self) -> &str {
        self.told["operationId"].as_str().unwrap()
    }

    fn needs_a_key(&self) -> bool {
        self.told.get("security").is_none()
    }

    /// The path with its parameters; in place of a model and a version, this one where there is one.
    fn target(&self, other: Option<&str>) -> String {
        let (mut path, mut query) = (self.path.to_owned(), Vec::new());
        for one in self.told["parameters"].as_array().unwrap() {
            let (name, example) = (one["name"].as_str().unwrap(), one["example"].as_str());
            match (one["in"].as_str().unwrap(), example) {
                ("path", Some(example)) => path = path.replace(&format!("{{{name}}}"), other.unwrap_or(example)),
                ("query", Some(example)) => query.push(format!("{name}={}", other.unwrap_or(example))),
                _ => {}
            }
        }
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    }

    /// Every example: its name, its content type and its body.
    fn examples(&self) -> Vec<(String, String, Bytes)> {
        let mut all = Vec::new();
        for (kind, body) in self.told["requestBody"]["content"].as_object().into_iter().flatten() {
            for (name, example) in body["examples"].as_object().into_iter().flatten() {
                let value = &example["value"];
                let (kind, bytes) = match (kind.as_str(), value) {
                    ("multipart/form-data", Value::Object(parts)) => ("multipart/form-data; boundary=x", form(parts)),
                    (FORM, Value::Object(fields)) => (FORM, encoded(fields)),
                    ("text/plain", Value::String(text)) => ("text/plain", text.clone()),
                    _ => (kind.as_str(), value.to_string()),
                };
                all.push((name.clone(), kind.to_owned(), bytes.into()));
            }
        }
        if all.is_empty() {
            assert_ne!(self.told["requestBody"]["required"], json!(true), "{} has a body and no example", self.path);
            all.push(("without a body".to_owned(), "application/json".to_owned(), Bytes::new()));
        }
        all
    }

    fn request(&self, target: &str, kind: &str, body: impl Into<Bytes>) -> Request<Bytes> {
        let mut request = web::request(self.method.clone(), target, body);
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        if !self.needs_a_key() {
            request.headers_mut().remove(header::AUTHORIZATION);
        }
        request
    }
}

fn encoded(fields: &serde_json::Map<String, Value>) -> String {
    let fields = fields.iter().map(|(name, value)| (name, value.as_str().unwrap()));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn form(parts: &serde_json::Map<String, Value>) -> String {
    let part = |(name, value): (&String, &Value)| {
        format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{}\r\n", value.as_str().unwrap())
    };
    parts.iter().map(part).collect::<String>() + "--x--\r\n"
}

async fn send(mesh: &MeshSandbox, request: Request<Bytes>) -> web::Answer {
    web::Connection::http1(mesh.gateway()).await.unwrap().send(request).await.unwrap()
}

#[test]
fn every_example_of_the_document_is_answered_as_it_says() {
    bounded(async {
        let (mesh, _stand_ins, kept) = mesh().await;
        let document = Document::of(&mesh).await;
        for operation in document.operations() {
            for (name, kind, body) in operation.examples() {
                kept.lay_out();
                if kind == "application/json" && !body.is_empty() {
                    let schema = &operation.told["requestBody"]["content"]["application/json"]["schema"];
                    let value: Value = serde_json::from_slice(&body).unwrap();
                    assert!(
                        document.validator(schema).is_valid(&value),
                        "{}: the example {name} is not as its schema says",
                        operation.path
                    );
                }
                let answer = send(&mesh, operation.request(&operation.target(None), &kind, body)).await;
                let wanted = REFUSED.iter().find(|(id, _)| *id == operation.id()).map_or(200, |(_, status)| *status);
                assert_eq!(answer.status, wanted, "{} {name}: {}", operation.path, answer.text());
                document.has(&operation, &answer, &name);
            }
        }
    });
}

#[test]
fn every_line_of_the_page_works_in_a_terminal() {
    bounded(async {
        let (mesh, _stand_ins, kept) = mesh().await;
        let page = web::get(mesh.gateway(), "/docs").await.unwrap().text();
        let shown = [("&#x27;", "'"), ("&quot;", "\""), ("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
        let page = shown.iter().fold(page, |page, (from, to)| page.replace(from, to));
        let lines: Vec<_> = page.split("<code>curl ").skip(1).map(|rest| rest.split_once("</code>").unwrap().0).collect();
        assert!(lines.len() > 40, "{} lines", lines.len());
        for line in lines {
            kept.lay_out();
            let line = format!("curl -o /dev/null -w '%{{http_code}}' {}", line.replace("YOUR_KEY", KEY));
            let ran = tokio::task::spawn_blocking({
                let line = line.clone();
                move || Command::new("sh").args(["-c", &line]).output().expect("a shell")
            });
            let status = String::from_utf8(ran.await.unwrap().stdout).unwrap();
            let wanted = if line.contains("/repository/models/") {
                "501"
            } else if line.contains("/cancel") {
                "400"
            } else {
                "200"
            };
            assert_eq!(status, wanted, "{line}");
        }
    });
}

#[test]
fn what_is_wrong_is_refused_as_the_document_says() {
    bounded(async {
        let builder = MeshSandbox::builder().model(Model::minilm()).model(Model::stories());
        let kept = tempfile::tempdir().unwrap();
        let builder = builder.set("gateway", "batches.folder", kept.path().to_str().unwrap());
        let tokens = tempfile::tempdir().unwrap();
        let builder = builder.giving_tokens(tokens.path(), SECRET).set("gateway", "oauth.max_failures", "1000000");
        let mesh = builder.set("gateway", "limits.max_message_bytes", "1MiB").start().await;
        let document = Document::of(&mesh).await;
        for operation in document.operations() {
            let (_, kind, body) = operation.examples().remove(0);
            let request = |target: &str, body: &Bytes| operation.request(target, &kind, body.clone());
            let mut wrong = vec![
                ("no such model", request(&operation.target(Some("nope")), &body)),
                ("a body that is no JSON", request(&operation.target(None), &Bytes::from_static(b"{"))),
                ("a body without fields", request(&operation.target(None), &Bytes::from_static(b"{}"))),
                ("a list", request(&operation.target(None), &Bytes::from_static(b"[]"))),
                ("a path that is no UTF-8", request(&operation.target(Some("%ff")), &body)),
                ("a name twice", request(&format!("{0}{1}model=a&model=b", operation.path.replace(['{', '}'], ""), '?'), &body)),
            ];
            let mut hurried = request(&operation.target(None), &body);
            hurried.headers_mut().insert("x-request-timeout", "0.000001".parse().unwrap());
            wrong.push(("no time", hurried));
            if operation.method == Method::POST {
                let most = if kind == FORM { LONGEST_FORM } else { 1 << 20 };
                wrong.push(("a body that is too large", request(&operation.target(None), &Bytes::from(vec![b' '; most + 1]))));
            }
            if operation.needs_a_key() {
                let mut without = request(&operation.target(None), &body);
                without.headers_mut().remove(header::AUTHORIZATION);
                let answer = send(&mesh, without).await;
                assert_eq!(answer.status, 401, "{}", operation.path);
                document.has(&operation, &answer, "no key");
            }
            for (why, request) in wrong {
                let answer = web::Connection::http1(mesh.gateway()).await.unwrap().send(request).await;
                let answer = answer.unwrap_or_else(|error| panic!("{} breaks off ({why}): {error}", operation.path));
                document.has(&operation, &answer, why);
            }
        }
    });
}

#[test]
fn a_gateway_lists_the_doors_of_oauth_where_it_has_them() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let bare = || MeshSandbox::builder().workers(0).without_waiting();
        for (builder, gives) in [(bare(), false), (bare().giving_tokens(folder.path(), SECRET), true)] {
            let mesh = builder.start().await;
            let document = Document::of(&mesh).await;
            let listed: Vec<_> =
                document.operations().iter().filter(|operation| operation.told["tags"][0] == "OAuth").map(|one| one.path).collect();
            assert_eq!(listed.len(), if gives { 4 } else { 0 }, "{listed:?}");
            assert_eq!(document.0["components"]["securitySchemes"].get("token").is_some(), gives);
            let answer = web::get(mesh.gateway(), "/.well-known/jwks.json").await.unwrap();
            assert_eq!(answer.status, if gives { 200 } else { 404 });
        }
    });
}

#[test]
fn the_document_is_one_of_openapi_and_anybody_may_read_it() {
    bounded(async {
        let mesh = MeshSandbox::builder().workers(0).without_waiting().start().await;
        let document = Document::of(&mesh).await.0;
        assert_eq!(document["openapi"], "3.1.0");
        for schema in document["components"]["schemas"].as_object().unwrap().values() {
            assert!(jsonschema::draft202012::meta::is_valid(schema), "{schema}");
        }
        for page in ["/docs", "/docs/errors"] {
            let answer = web::get(mesh.gateway(), page).await.unwrap();
            assert_eq!(answer.status, 200, "{page}");
            let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
        }
    });
}

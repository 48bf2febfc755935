//! The OpenAI doors, over every kind of HTTP that clients speak.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, Version, header};
use serde_json::{Value, json};
use torchmesh_tests::{MeshSandbox, bounded, models::Model, tls::Certificate, web};

const EMBEDDINGS: &str = "/v1/embeddings";
const TEXT: &str = "A man is eating food.";
/// The same as tokens of the model.
const TOKENS: [u32; 8] = [101, 1037, 2158, 2003, 5983, 2833, 1012, 102];

fn floats(item: &Value) -> Vec<f32> {
    item["embedding"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == 384 && b.len() == 384 && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
}

async fn minilm() -> MeshSandbox {
    MeshSandbox::with([Model::minilm()]).await
}

#[test]
fn all_four_forms_of_input_give_the_same_embedding() {
    bounded(async {
        let mesh = minilm().await;
        let mut first = None;
        for (input, count) in [(json!(TEXT), 1), (json!([TEXT, TEXT]), 2), (json!(TOKENS), 1), (json!([TOKENS, TOKENS, TOKENS]), 3)] {
            let answer = web::post(mesh.gateway(), EMBEDDINGS, &json!({ "model": "minilm", "input": input, "user": "u-1" })).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
            let body = answer.json();
            assert_eq!((body["object"].as_str(), body["model"].as_str()), (Some("list"), Some("minilm")));
            assert_eq!(body["usage"], json!({ "prompt_tokens": 8 * count, "total_tokens": 8 * count }));
            let data = body["data"].as_array().unwrap();
            assert_eq!(data.len(), count);
            for (at, item) in data.iter().enumerate() {
                assert_eq!((item["object"].as_str(), item["index"].as_u64()), (Some("embedding"), Some(at as u64)));
                let embedding = floats(item);
                assert!(close(first.get_or_insert_with(|| embedding.clone()), &embedding), "{input} has another embedding");
            }
        }
    });
}

#[test]
fn texts_come_back_in_their_order() {
    bounded(async {
        let mesh = minilm().await;
        let texts: Vec<_> = (1..=40).map(|words| "tide ".repeat(words)).collect();
        let together = web::post(mesh.gateway(), EMBEDDINGS, &json!({ "model": "minilm", "input": texts })).await.json();
        for at in [0, 17, 39] {
            let alone = web::post(mesh.gateway(), EMBEDDINGS, &json!({ "model": "minilm", "input": texts[at] })).await.json();
            assert!(close(&floats(&alone["data"][0]), &floats(&together["data"][at])), "text {at}");
        }
    });
}

#[test]
fn base64_holds_the_same_floats() {
    bounded(async {
        let mesh = minilm().await;
        let ask = async |format: &str| {
            let body = json!({ "model": "minilm", "input": TEXT, "encoding_format": format });
            web::post(mesh.gateway(), EMBEDDINGS, &body).await.json()["data"][0].clone()
        };
        let bytes = STANDARD.decode(ask("base64").await["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<_> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        assert_eq!(decoded, floats(&ask("float").await));
    });
}

#[test]
fn the_models_are_listed_and_shown() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm(), Model::noop()]).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let list = connection.get("/v1/models").await.json();
        assert_eq!(list["object"], "list");
        let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        assert_eq!(names, ["minilm", "noop"]);
        let shown = connection.get("/v1/models/minilm").await;
        assert_eq!((shown.status, shown.json()["id"].as_str(), shown.json()["object"].as_str()), (200, Some("minilm"), Some("model")));
        let missing = connection.get("/v1/models/nope").await;
        assert_eq!((missing.status, missing.json()["error"]["param"].as_str()), (404, Some("model")));
    });
}

#[test]
fn every_error_has_all_four_fields_and_says_what_kind_it_is() {
    bounded(async {
        let mesh = minilm().await;
        let key = |request: http::Request<bytes::Bytes>, value: &str| {
            let mut request = request;
            request.headers_mut().insert(header::AUTHORIZATION, value.parse().unwrap());
            request
        };
        let post = |body: &Value| web::request(Method::POST, EMBEDDINGS, body.to_string());
        let good = json!({ "model": "minilm", "input": "hi" });
        let mut form = post(&good);
        form.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
        let mut bare = post(&good);
        bare.headers_mut().remove(header::AUTHORIZATION);
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (request, status, code) in [
            (bare, 401, "invalid_api_key"),
            (key(post(&good), "Bearer tm_wrong"), 401, "invalid_api_key"),
            (post(&json!({ "model": "minilm", "input": [] })), 400, "invalid_value"),
            (post(&json!({ "model": "nope", "input": "hi" })), 404, "not_found"),
            (form, 400, "invalid_value"),
            (web::request(Method::GET, "/v1/nothing", ""), 404, "not_found"),
            (web::request(Method::POST, "/", ""), 404, "not_found"),
            (web::request(Method::GET, EMBEDDINGS, ""), 405, "invalid_value"),
        ] {
            let what = format!("{} {}", request.method(), request.uri());
            let answer = connection.send(request).await.unwrap();
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
            let body = answer.json();
            let error = body["error"].as_object().unwrap_or_else(|| panic!("{what}: {body}"));
            let mut fields: Vec<_> = error.keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(fields, ["code", "message", "param", "type"], "{what}");
            assert_eq!(error["code"], code, "{what}: {body}");
            assert!(!error["message"].as_str().unwrap().is_empty() && error["type"].is_string(), "{what}: {body}");
        }
    });
}

#[test]
fn one_connection_of_http_1_1_serves_many_requests() {
    bounded(async {
        let mesh = minilm().await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for _ in 0..20 {
            let answer = connection.post(EMBEDDINGS, &json!({ "model": "minilm", "input": TEXT })).await;
            assert_eq!((answer.status, answer.version), (200, Version::HTTP_11));
            // A mistake does not cost the connection either.
            assert_eq!(connection.post(EMBEDDINGS, &json!({ "model": "minilm" })).await.status, 400);
        }
    });
}

#[test]
fn http_2_in_clear_text_is_spoken_on_the_same_port() {
    bounded(async {
        let mesh = minilm().await;
        let mut connection = web::Connection::http2(mesh.gateway()).await.unwrap();
        let answer = connection.post(EMBEDDINGS, &json!({ "model": "minilm", "input": TEXT })).await;
        assert_eq!((answer.status, answer.version), (200, Version::HTTP_2), "{}", answer.text());
        assert_eq!(connection.get("/v2/health/live").await.status, 200);
    });
}

#[test]
fn over_tls_the_client_chooses_between_http_2_and_http_1_1() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::make(folder.path());
        let builder = MeshSandbox::builder().model(Model::minilm());
        let mesh = builder.set("gateway", "tls.cert", &certificate.cert).set("gateway", "tls.key", &certificate.key).start().await;
        for (offered, chosen, version) in [
            (&["h2", "http/1.1"][..], "h2", Version::HTTP_2),
            (&["http/1.1"][..], "http/1.1", Version::HTTP_11),
            (&[][..], "", Version::HTTP_11),
        ] {
            let (mut connection, agreed) = certificate.connect(mesh.gateway(), offered).await;
            assert_eq!(agreed, chosen, "of {offered:?}");
            let answer = connection.post(EMBEDDINGS, &json!({ "model": "minilm", "input": TEXT })).await;
            assert_eq!((answer.status, answer.version), (200, version), "{}", answer.text());
        }
        assert!(web::get(mesh.gateway(), "/v2/health/live").await.is_err(), "clear text is not spoken on a TLS port");
    });
}

#[test]
fn the_doors_of_health_need_no_key() {
    bounded(async {
        let mesh = minilm().await;
        for path in ["/v2/health/live", "/v2/health/ready"] {
            assert_eq!(web::get(mesh.gateway(), path).await.unwrap().status, 200, "{path}");
        }
        assert_eq!(web::get(mesh.gateway(), "/v1/models").await.unwrap().status, 401);
    });
}

#[test]
fn a_request_id_is_returned_and_made_where_there_is_none() {
    bounded(async {
        let mesh = minilm().await;
        let mut request = web::request(Method::GET, "/v1/models", "");
        request.headers_mut().insert("x-request-id", "mine-1".parse().unwrap());
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        assert_eq!(connection.send(request).await.unwrap().headers["x-request-id"], "mine-1");
        assert_eq!(connection.get("/v1/models").await.headers["x-request-id"].len(), 32);
    });
}

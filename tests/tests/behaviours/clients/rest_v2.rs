//! The Open Inference Protocol over REST: JSON tensors, binary tensors, and whatever else is sent in their place.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded,
    models::Model,
    upstream::{Manner, Seen, Upstream},
    web,
};

const NOOP: &str = "/v2/models/noop/infer";
const JSON_LENGTH: &str = "inference-header-content-length";

/// A request whose body is JSON and then tensors.
fn binary(path: &str, json: &Value, tensors: &[u8]) -> Request<Bytes> {
    let json = json.to_string();
    let mut request = web::request(Method::POST, path, [json.as_bytes(), tensors].concat());
    request.headers_mut().insert(JSON_LENGTH, json.len().into());
    request
}

async fn send(mesh: &MeshSandbox, request: Request<Bytes>) -> web::Answer {
    web::Connection::http1(mesh.gateway()).await.unwrap().send(request).await.unwrap()
}

fn floats(count: u16) -> Vec<f32> {
    (0..count).map(|at| f32::from(at) / 3.0 - 40.0).collect()
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn json_comes_back_as_json_and_binary_as_binary() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let values = floats(512);
        let input = |rest: Value| {
            let mut input = json!({ "name": "INPUT0", "shape": [2, 256], "datatype": "FP32" });
            input.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            input
        };
        let nested: Vec<_> = values.chunks(256).collect();
        for data in [json!(values), json!(nested)] {
            let body = json!({ "id": "mine", "inputs": [input(json!({ "data": data }))] });
            let answer = send(&mesh, web::request(Method::POST, NOOP, body.to_string())).await;
            assert_eq!((answer.status, answer.headers.contains_key(JSON_LENGTH)), (200, false), "{}", answer.text());
            let told = answer.json();
            assert_eq!((&told["id"], &told["model_name"], &told["model_version"]), (&json!("mine"), &json!("noop"), &json!("1")));
            let output = &told["outputs"][0];
            assert_eq!((&output["name"], &output["datatype"], &output["shape"]), (&json!("OUTPUT0"), &json!("FP32"), &json!([2, 256])));
            let back: Vec<f32> = serde_json::from_value(output["data"].clone()).unwrap();
            assert_eq!(back, values);
        }
        let body = json!({ "inputs": [input(json!({ "parameters": { "binary_data_size": 2048 } }))], "parameters": { "binary_data_output": true } });
        let answer = send(&mesh, binary(NOOP, &body, &bytes_of(&values))).await;
        assert_eq!((answer.status, &answer.headers[header::CONTENT_TYPE]), (200, &"application/octet-stream".parse().unwrap()));
        let length: usize = answer.headers[JSON_LENGTH].to_str().unwrap().parse().unwrap();
        let told: Value = serde_json::from_slice(&answer.body[..length]).unwrap();
        assert_eq!(told["outputs"][0]["parameters"]["binary_data_size"], 2048);
        assert_eq!(answer.body[length..], bytes_of(&values));
        assert_eq!(answer.headers[header::CONTENT_LENGTH], (length + 2048).to_string());
    });
}

#[test]
fn a_tensor_of_16_mib_goes_through_and_the_calls_of_others_meanwhile_too() {
    bounded(async {
        let mesh = MeshSandbox::builder().model(Model::wide()).model(Model::noop()).set("gateway", "threads", "1").start().await;
        let large = vec![0x3f; 16 << 20];
        let body = json!({ "inputs": [{ "name": "INPUT0", "shape": [1, 4 << 20], "datatype": "FP32", "parameters": { "binary_data_size": 16 << 20 } }],
            "outputs": [{ "name": "OUTPUT0", "parameters": { "binary_data": true } }] });
        let (all, small) = tokio::join!(send(&mesh, binary("/v2/models/wide/infer", &body, &large)), async {
            let body = json!({ "inputs": [{ "name": "INPUT0", "shape": [1, 256], "datatype": "FP32", "data": floats(256) }] });
            send(&mesh, web::request(Method::POST, NOOP, body.to_string())).await
        });
        assert_eq!((all.status, small.status), (200, 200));
        assert!(all.body.ends_with(&large));
        // As JSON it is some 40 MB, read and written beside the thread that serves the others.
        let body = json!({ "inputs": [{ "name": "INPUT0", "shape": [1, 1 << 20], "datatype": "FP32", "data": vec![0.25; 1 << 20] }] });
        let answer = send(&mesh, web::request(Method::POST, "/v2/models/wide/infer", body.to_string())).await;
        assert_eq!(answer.json()["outputs"][0]["data"].as_array().unwrap().len(), 1 << 20);
    });
}

#[test]
fn what_is_wrong_is_told_in_the_protocols_form_with_the_field_and_the_remedy() {
    bounded(async {
        let mesh = MeshSandbox::builder().model(Model::noop()).set("gateway", "limits.max_message_bytes", "64KiB").start().await;
        let ask = |input: &str| web::request(Method::POST, NOOP, format!(r#"{{"inputs":[{{"name":"INPUT0",{input}}}]}}"#));
        let get = |path: &str| web::request(Method::GET, path, "");
        let post = |path: &str, body: &str| web::request(Method::POST, path, body.to_owned());
        let with = |mut request: Request<Bytes>, name: &'static str, value: &'static str| {
            request.headers_mut().insert(name, value.parse().unwrap());
            request
        };
        let without_key = |mut request: Request<Bytes>| {
            request.headers_mut().remove(header::AUTHORIZATION);
            request
        };
        let cases = [
            (without_key(get("/v2/models/noop")), 401, "Bearer"),
            (with(get("/v2/models/noop"), "authorization", "Bearer tm_wrong"), 401, "not valid"),
            (get("/v2/models/nope"), 404, "nope"),
            (get("/v2/models/noop/versions/9"), 404, "version 9"),
            (get("/v2/models/noop/versions/one/ready"), 400, "\"one\""),
            (get("/v2/models/nope/ready"), 404, "nope"),
            (get("/v2/models/nope/stats"), 404, "nope"),
            (get("/v2/nothing"), 404, "/v2/nothing"),
            (get(NOOP), 405, "use POST"),
            (post(NOOP, ""), 400, "cannot be read"),
            (post(NOOP, "{\"inputs\":[]}"), 400, "\"INPUT0\" is missing"),
            (post("/v2/models/nope/infer", "{\"inputs\":[]}"), 404, "nope"),
            (ask(r#""shape":[1,2],"datatype":"FP32","data":[1,2]"#), 400, "[-1, 256]"),
            (ask(r#""shape":[1],"datatype":"FP32","data":[1,2]"#), 400, "more elements"),
            (ask(r#""shape":[1],"datatype":"FP99","data":[1]"#), 400, "FP99"),
            (ask(r#""shape":[1],"datatype":"FP32""#), 400, "no data"),
            (with(ask(r#""shape":[1]"#), JSON_LENGTH, "5000"), 400, "has 42 bytes"),
            (with(ask(r#""shape":[1]"#), JSON_LENGTH, "many"), 400, "whole number"),
            (with(ask(r#""shape":[1]"#), JSON_LENGTH, "0"), 400, "without a JSON part"),
            (with(ask(r#""shape":[1]"#), "content-encoding", "gzip"), 400, "send it as it is"),
            (with(ask(r#""shape":[1]"#), "x-request-timeout", "soon"), 400, "x-request-timeout"),
            (post(NOOP, &"x".repeat(65 << 10)), 413, "limit is 65536"),
            (post("/v2/repository/models/noop/load", "{\"parameters\":[]}"), 400, "parameters"),
        ];
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (request, status, part) in cases {
            let what = format!("{} {}", request.method(), request.uri());
            let answer = connection.send(request).await.unwrap();
            let told = answer.json();
            assert_eq!(answer.status, status, "{what}: {told}");
            let message = told["error"].as_str().unwrap_or_else(|| panic!("{what}: {told}"));
            assert!(message.contains(part) && told.as_object().unwrap().len() == 1, "{what}: {told}");
        }
    });
}

#[test]
fn a_body_that_does_not_say_its_length_is_held_to_the_limit_too() {
    bounded(async {
        let mesh = MeshSandbox::builder().model(Model::noop()).set("gateway", "limits.max_message_bytes", "64KiB").start().await;
        let head = format!(
            "POST {NOOP} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: chunked\r\n\r\n11000\r\n{}\r\n0\r\n\r\n",
            "x".repeat(0x11000)
        );
        let answer = web::exchange(mesh.gateway(), head.as_bytes()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("limit"), "{answer}");
    });
}

#[test]
fn a_body_that_breaks_off_costs_nobody_anything() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        for half in ["", "{\"inputs\":[{\"name\":\"INPUT0\","] {
            let head = format!("POST {NOOP} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: 5000\r\n\r\n{half}");
            let _ = web::exchange(mesh.gateway(), head.as_bytes()).await;
        }
        mesh.gateways[0].metric_until("torchmesh_gateway_in_flight_requests", &[], Duration::from_secs(10), |count| count == 0).await;
        assert_eq!(web::Connection::http1(mesh.gateway()).await.unwrap().get("/v2/models/noop/ready").await.status, 200);
    });
}

#[test]
fn a_caller_that_hangs_up_takes_its_call_with_it() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let body = json!({ "inputs": [{ "name": "INPUT0", "shape": [1], "datatype": "FP32", "data": [1] }] }).to_string();
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let asking = tokio::spawn(async move { connection.send(web::request(Method::POST, NOOP, body)).await });
        let seen = upstream.sees("the call", |seen: &Seen| seen.body.is_some()).await;
        assert_eq!(seen.header("x-torchmesh-tenant"), torchmesh_tests::sandbox::TENANT);
        asking.abort();
        upstream.sees("that its caller has left", |seen: &Seen| seen.left.is_some()).await;
    });
}

#[test]
fn a_caller_gets_the_time_it_asks_for_and_no_more() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::slow()]).await;
        let body = json!({ "inputs": [{ "name": "INPUT0", "shape": [1, 1], "datatype": "INT64", "data": [60_000] }] }).to_string();
        for (name, value) in [("x-request-timeout", "0.2"), ("grpc-timeout", "200m")] {
            let mut request = web::request(Method::POST, "/v2/models/slow/infer", body.clone());
            request.headers_mut().insert(name, value.parse().unwrap());
            let answer = send(&mesh, request).await;
            assert_eq!(answer.status, 504, "{}", answer.text());
            assert!(answer.json()["error"].as_str().unwrap().contains("time"), "{}", answer.text());
        }
    });
}

#[test]
fn a_gateway_that_is_full_says_when_to_try_again() {
    bounded(async {
        let upstream = Upstream::start(&["noop"], Manner::Silent).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).set("gateway", "limits.max_in_flight", "1").start().await;
        let body = json!({ "inputs": [{ "name": "INPUT0", "shape": [1], "datatype": "FP32", "data": [1] }] }).to_string();
        let mut occupant = web::Connection::http1(mesh.gateway()).await.unwrap();
        let asked = body.clone();
        let occupied = tokio::spawn(async move { occupant.send(web::request(Method::POST, NOOP, asked)).await });
        upstream.sees("the call", |seen: &Seen| seen.body.is_some()).await;
        let answer = send(&mesh, web::request(Method::POST, NOOP, body)).await;
        assert_eq!((answer.status, answer.headers.contains_key(header::RETRY_AFTER)), (429, true), "{}", answer.text());
        assert!(answer.json()["error"].is_string());
        occupied.abort();
    });
}

#[test]
fn the_server_and_its_models_describe_themselves() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop(), Model::slow()]).await;
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let server = connection.get("/v2").await.json();
        assert_eq!(server["name"], "torchmesh");
        assert!(server["extensions"].as_array().unwrap().contains(&json!("binary_tensor_data")));
        let model = connection.get("/v2/models/noop").await.json();
        assert_eq!(model["inputs"], json!([{ "name": "INPUT0", "datatype": "FP32", "shape": [-1, 256] }]));
        assert_eq!(connection.get("/v2/models/noop/ready").await.json(), json!({ "name": "noop", "ready": true }));
        let config = connection.get("/v2/models/noop/versions/1/config").await.json();
        assert_eq!((&config["name"], &config["input"][0]["data_type"]), (&json!("noop"), &json!("TYPE_FP32")));
        let statistics = connection.get("/v2/models/stats").await.json();
        let named: Vec<_> = statistics["model_stats"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
        assert_eq!(named, ["noop", "slow"]);
        let index = connection.post("/v2/repository/index", &json!({})).await.json();
        assert_eq!(index[0], json!({ "name": "noop", "version": "1", "state": "READY", "reason": "" }));
    });
}

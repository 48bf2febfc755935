//! Whatever is sent, the answer is a precise status with words that say what to change, nothing crashes, and memory comes back.

use std::{net::SocketAddr, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::Method;
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Status};
use torchmesh_api::{
    frame,
    inference::{InferTensorContents, ModelInferRequest, ModelMetadataRequest, model_infer_request::InferRequestedOutputTensor},
    text::v1::{EmbedRequest, TokenIds},
};
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    models::Model,
    raw::{self, Call},
    web,
};

const MIB: usize = 1 << 20;
const ADDED: u64 = 24 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// A call that is wrong, the code that it must end with, and what its message must say.
type Case = (&'static str, Call, Code, &'static [&'static str]);

fn infer(change: impl FnOnce(&mut ModelInferRequest)) -> Call {
    let mut request = client::noop();
    change(&mut request);
    Call::new(raw::MODEL_INFER, &request)
}

/// What the tensors of a request for a tensor model say of themselves.
fn mistakes_of_form() -> Vec<Case> {
    use Code::InvalidArgument;
    vec![
        ("wrong dtype", infer(|r| r.inputs[0].datatype = "INT64".into()), InvalidArgument, &["INPUT0", "INT64", "send FP32"]),
        ("no dtype", infer(|r| r.inputs[0].datatype.clear()), InvalidArgument, &["INPUT0", "send FP32"]),
        ("wrong shape", infer(|r| r.inputs[0].shape = vec![1, 128]), InvalidArgument, &["INPUT0", "[1, 128]", "[-1, 256]"]),
        ("wrong rank", infer(|r| r.inputs[0].shape = vec![256]), InvalidArgument, &["INPUT0", "[256]", "[-1, 256]"]),
        ("negative rows", infer(|r| r.inputs[0].shape[0] = -1), InvalidArgument, &["INPUT0", "[-1, 256]"]),
        ("no rows", infer(|r| r.inputs[0].shape[0] = 0), InvalidArgument, &["INPUT0", "[0, 256]"]),
        ("endless rows", infer(|r| r.inputs[0].shape[0] = i64::MAX), InvalidArgument, &["INPUT0", "larger than any message"]),
        ("too many rows", infer(many_rows), InvalidArgument, &["4096 rows", "2048"]),
    ]
}

fn many_rows(request: &mut ModelInferRequest) {
    request.inputs[0].shape[0] = 4096;
    request.raw_input_contents = vec![vec![0; 4096 * 1024].into()];
}

/// The data of a request for a tensor model.
fn mistakes_of_data() -> Vec<Case> {
    use Code::InvalidArgument;
    let floats = || InferTensorContents { fp32_contents: vec![0.0; 256], ..Default::default() };
    let integers = InferTensorContents { int64_contents: vec![0; 256], ..Default::default() };
    let both = infer(|r| r.inputs[0].contents = Some(floats()));
    let elsewhere = infer(|r| {
        r.raw_input_contents.clear();
        r.inputs[0].contents = Some(integers);
    });
    let short = infer(|r| r.raw_input_contents[0] = Bytes::from_static(&[0; 8]));
    let negative = [(-1.0_f32).to_le_bytes(), 1.0_f32.to_le_bytes()].concat();
    let negative = client::infer("fails_on_negative", "INPUT0", "FP32", &[1, 2], negative);
    vec![
        ("no data", infer(|r| r.raw_input_contents.clear()), InvalidArgument, &["INPUT0", "no data", "raw_input_contents"]),
        ("too little data", short, InvalidArgument, &["INPUT0", "8 bytes", "1024"]),
        ("data in both places", both, InvalidArgument, &["INPUT0", "one of the two"]),
        ("data in the wrong field", elsewhere, InvalidArgument, &["INPUT0", "fp32_contents"]),
        (
            "more data than inputs",
            infer(|r| r.raw_input_contents.push(Bytes::new())),
            InvalidArgument,
            &["raw_input_contents", "2 entries for 1"],
        ),
        ("what the model itself refuses", Call::new(raw::MODEL_INFER, &negative), Code::Internal, &["negative"]),
    ]
}

/// The names in a request for a tensor model.
fn mistakes_of_name() -> Vec<Case> {
    use Code::{InvalidArgument, NotFound};
    let missing = infer(|r| {
        r.inputs.clear();
        r.raw_input_contents.clear();
    });
    let twice = infer(|r| {
        r.inputs.push(r.inputs[0].clone());
        r.raw_input_contents.push(r.raw_input_contents[0].clone());
    });
    let output = infer(|r| r.outputs.push(InferRequestedOutputTensor { name: "LOGITS".into(), ..Default::default() }));
    let metadata = ModelMetadataRequest { name: "nope".into(), ..Default::default() };
    let metadata = Call::new("/inference.GRPCInferenceService/ModelMetadata", &metadata);
    vec![
        ("missing input", missing, InvalidArgument, &["\"INPUT0\" is missing"]),
        ("unknown input", infer(|r| r.inputs[0].name = "INPUT7".into()), InvalidArgument, &["INPUT7", "it takes \"INPUT0\""]),
        ("input given twice", twice, InvalidArgument, &["INPUT0", "twice"]),
        ("unknown output", output, InvalidArgument, &["LOGITS", "OUTPUT0"]),
        ("unknown model", infer(|r| r.model_name = "nope".into()), NotFound, &["\"nope\""]),
        ("a path for a model", infer(|r| r.model_name = "../../etc/passwd".into()), NotFound, &["passwd"]),
        ("unknown version", infer(|r| r.model_version = "7".into()), NotFound, &["\"noop\"", "7", "1"]),
        ("unknown model's metadata", metadata, NotFound, &["\"nope\""]),
    ]
}

/// Mistakes in a request for an embedding model.
fn text_mistakes() -> Vec<Case> {
    use Code::{InvalidArgument, NotFound, Unimplemented};
    let embed = |change: &dyn Fn(&mut EmbedRequest)| {
        let mut request = client::embed(["hi"]);
        change(&mut request);
        Call::new(raw::EMBED, &request)
    };
    let ids = |ids: &[u32]| vec![TokenIds { ids: ids.to_vec() }];
    vec![
        ("no text", embed(&|r| r.texts.clear()), InvalidArgument, &["texts", "1 to"]),
        ("texts and tokens", embed(&|r| r.tokens = ids(&[101])), InvalidArgument, &["texts and tokens", "one of the two"]),
        ("too many texts", embed(&|r| r.texts = vec!["a".into(); 2049]), InvalidArgument, &["texts", "2049", "2048"]),
        (
            "a token that is none",
            embed(&|r| {
                r.texts.clear();
                r.tokens = ids(&[101, 4_000_000]);
            }),
            InvalidArgument,
            &["tokens[0]", "4000000", "30521"],
        ),
        (
            "no tokens",
            embed(&|r| {
                r.texts.clear();
                r.tokens = ids(&[]);
            }),
            InvalidArgument,
            &["tokens[0]", "empty"],
        ),
        ("unknown truncation", embed(&|r| r.truncation = 9), InvalidArgument, &["truncation", "9"]),
        ("an id that is too long", embed(&|r| r.id = "x".repeat(500)), InvalidArgument, &["id", "128"]),
        ("a model that does not embed", embed(&|r| r.model = "noop".into()), Unimplemented, &["noop", "ModelInfer"]),
        ("unknown text model", embed(&|r| r.model = "nope".into()), NotFound, &["nope"]),
        (
            "a token id out of range in a tensor",
            Call::new(raw::MODEL_INFER, &client::tokens(&[vec![101, 4_000_000]])),
            InvalidArgument,
            &["input_ids", "4000000"],
        ),
        ("a negative token id", Call::new(raw::MODEL_INFER, &client::tokens(&[vec![-1]])), InvalidArgument, &["input_ids", "-1"]),
        ("a sequence that is too long", Call::new(raw::MODEL_INFER, &client::tokens(&[vec![101; 300]])), InvalidArgument, &["300", "256"]),
        (
            "inputs of different rows",
            Call::new(raw::MODEL_INFER, &{
                let mut request = client::tokens(&[vec![101, 102]]);
                request.inputs[1].shape = vec![2, 1];
                request
            }),
            InvalidArgument,
            &["attention_mask", "rows"],
        ),
    ]
}

/// Bytes that are no request at all.
fn garbage() -> Vec<Case> {
    let framed = |body: &[u8]| {
        let mut bytes = BytesMut::new();
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(body.len()).unwrap());
        bytes.put_slice(body);
        bytes.freeze()
    };
    let mut half = client::noop().encode_to_vec();
    half.truncate(40);
    let mut invalid_text = client::embed([]).encode_to_vec();
    // Field 4 of EmbedRequest, two bytes that are no UTF-8.
    invalid_text.extend([0x22, 2, 0xc3, 0x28]);
    let mut compressed = BytesMut::from(&frame::encode(&client::noop())[..]);
    compressed[0] = 1;
    let call = |path: &str, bytes: Bytes| Call::of_bytes(path, bytes);
    vec![
        ("garbage for protobuf", call(raw::MODEL_INFER, framed(&[0xff; 64])), Code::InvalidArgument, &["o"]),
        (
            "garbage behind the model's name",
            call(raw::MODEL_INFER, framed(b"\x0a\x04noop\x2a\x05\xff\xff\xff\xff\xff")),
            Code::InvalidArgument,
            &["message", "proto"],
        ),
        ("half a message", call(raw::MODEL_INFER, framed(&half)), Code::InvalidArgument, &["message"]),
        (
            "a message shorter than its prefix says",
            call(raw::MODEL_INFER, frame::encode(&client::noop()).slice(..20)),
            Code::InvalidArgument,
            &["message"],
        ),
        ("no message", call(raw::MODEL_INFER, Bytes::new()), Code::InvalidArgument, &["message"]),
        ("a name that is no UTF-8", call(raw::MODEL_INFER, framed(&[0x0a, 2, 0xc3, 0x28])), Code::InvalidArgument, &["UTF-8"]),
        ("a text that is no UTF-8", call(raw::EMBED, framed(&invalid_text)), Code::InvalidArgument, &["UTF-8"]),
        (
            "a compressed message",
            call(raw::MODEL_INFER, compressed.freeze()).header("grpc-encoding", "gzip"),
            Code::Unimplemented,
            &["ompressed"],
        ),
        ("an unknown method", call("/inference.GRPCInferenceService/ModelGuess", frame::encode(&client::noop())), Code::Unimplemented, &[]),
        ("an unknown service", call("/inference.Oracle/Ask", frame::encode(&client::noop())), Code::Unimplemented, &[]),
    ]
}

fn check(what: &str, door: &str, status: &Status, code: Code, parts: &[&str]) -> Result<(), String> {
    let message = status.message();
    let missing: Vec<_> = parts.iter().filter(|part| !message.contains(*part)).collect();
    // What is inside is nobody's business.
    let leaks: Vec<_> =
        ["/root", "/home", "/tmp", ".rs:", "c10::", "torch::", "panicked"].into_iter().filter(|part| message.contains(part)).collect();
    if status.code() == code && missing.is_empty() && leaks.is_empty() {
        return Ok(());
    }
    Err(format!("{what}, through the {door}: {:?} {message:?}; expected {code:?}, missing {missing:?}, leaking {leaks:?}", status.code()))
}

/// Makes every wrong call at both doors, and right ones afterwards: the same processes are still there, with the memory they had.
async fn survive(mesh: &MeshSandbox, cases: Vec<Case>) {
    let doors: [(&str, SocketAddr); 2] = [("gateway", mesh.gateway()), ("worker", mesh.workers[0].addr)];
    let before: Vec<_> = mesh.instances().map(|instance| (instance.pid(), instance.resident())).collect();
    let mut wrong = Vec::new();
    for (what, call, code, parts) in cases {
        for (door, address) in doors {
            let status = raw::call(address, &call.clone().with_key()).await.status();
            wrong.extend(check(what, door, &status, code, parts).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    mesh.inference().model_infer(client::noop()).await.expect("the mesh still answers");
    for (instance, (pid, resident)) in mesh.instances().zip(before) {
        assert_eq!(instance.pid(), pid);
        let name = &instance.name;
        eventually(&format!("{name} gives its memory back"), PATIENCE, async || (instance.resident() < resident + ADDED).then_some(()))
            .await;
    }
}

#[test]
fn a_mistake_in_a_tensor_request_is_named_with_its_remedy() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop(), Model::fails_on_negative()]).await;
        for mistakes in [mistakes_of_form(), mistakes_of_data(), mistakes_of_name()] {
            survive(&mesh, mistakes).await;
        }
    });
}

#[test]
fn a_mistake_in_a_request_about_texts_is_named_with_its_remedy() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop(), Model::minilm()]).await;
        survive(&mesh, text_mistakes()).await;
    });
}

#[test]
fn bytes_that_are_no_request_are_told_what_they_lack() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop(), Model::minilm()]).await;
        survive(&mesh, garbage()).await;
    });
}

#[test]
fn a_model_without_a_name_and_a_version_that_is_no_number_are_not_looked_for() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        for version in ["latest", "-1", "1.0", "01"] {
            let status = raw::call(mesh.gateway(), &infer(|r| r.model_version = version.into()).with_key()).await.status();
            check("a version that is no number", "gateway", &status, Code::InvalidArgument, &[version, "whole number"]).unwrap();
        }
        let status = raw::call(mesh.gateway(), &infer(|r| r.model_name.clear()).with_key()).await.status();
        check("no name", "gateway", &status, Code::InvalidArgument, &["model name is empty", "field 1"]).unwrap();
    });
}

#[test]
fn a_wrong_key_and_none_are_refused_in_words_that_do_not_repeat_the_key() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let call = Call::new(raw::MODEL_INFER, &client::noop());
        let cases =
            [("", "no API key"), ("Bearer tm_wrong_key", "not valid"), ("Basic dXNlcjpwYXNz", "Bearer"), ("tm_wrong_key", "Bearer")];
        for (sent, part) in cases {
            let call = if sent.is_empty() { call.clone() } else { call.clone().header("authorization", sent) };
            let status = raw::call(mesh.gateway(), &call).await.status();
            assert_eq!(status.code(), Code::Unauthenticated, "{sent:?}: {status:?}");
            assert!(status.message().contains(part) && !status.message().contains("tm_wrong"), "{sent:?}: {}", status.message());
        }
        let log = mesh.gateways[0].log();
        assert!(!log.contains("tm_wrong") && !log.contains(torchmesh_tests::KEY), "a key is in the log: {log}");
        assert!(!mesh.gateways[0].metrics().await.mentions("tm_"), "a key is in the metrics");
    });
}

#[test]
fn a_message_that_names_another_model_than_it_was_routed_by_is_refused_by_the_worker() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop(), Model::wide()]).await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).header("x-torchmesh-model", "wide");
        let status = raw::call(mesh.workers[0].addr, &call).await.status();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains("\"noop\"") && status.message().contains("x-torchmesh-model"), "{}", status.message());
        // Two names in one message: the last counts, for the worker's decoder and therefore for whoever routes by it.
        let mut twice = client::noop().encode_to_vec();
        twice.extend([0x0a, 4]);
        twice.extend(b"wide");
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(twice.len()).unwrap());
        framed.put_slice(&twice);
        let status = raw::call(mesh.gateway(), &Call::of_bytes(raw::MODEL_INFER, framed.freeze()).with_key()).await.status();
        assert_eq!(status.code(), Code::InvalidArgument, "routed by one name and run by the other: {status:?}");
    });
}

#[test]
fn a_text_of_100_mb_is_refused_over_grpc_by_its_length() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop(), Model::minilm()]).await;
        let text = "x".repeat(100 * MIB);
        let call = Call::new(raw::EMBED, &client::embed([text.as_str()]));
        for (door, address, holder) in [("gateway", mesh.gateway(), &mesh.gateways[0]), ("worker", mesh.workers[0].addr, &mesh.workers[0])]
        {
            torchmesh_tests::memory::forget_peak(holder.pid());
            let before = holder.resident();
            let status = raw::call(address, &call.clone().with_key()).await.status();
            check("100 MB of text", door, &status, Code::ResourceExhausted, &["67108864", "bytes", "send"]).unwrap();
            let grown = torchmesh_tests::memory::peak(holder.pid()) - before;
            assert!(grown < 16 << 20, "the {door} took {} KiB of a message that it refused", grown >> 10);
        }
        mesh.text().embed(client::embed(["hi"])).await.expect("the mesh still answers");
    });
}

#[test]
fn a_text_of_100_mb_is_refused_over_http_and_the_memory_comes_back() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let body = Bytes::from(json!({ "model": "minilm", "input": "x".repeat(100 * MIB) }).to_string());
        let gateway = &mesh.gateways[0];
        web::post(mesh.gateway(), "/v1/embeddings", &json!({ "model": "minilm", "input": "hi" })).await;
        let before = gateway.resident();
        for http2 in [false, true] {
            let open = if http2 { web::Connection::http2(mesh.gateway()).await } else { web::Connection::http1(mesh.gateway()).await };
            let answer = open.unwrap().send(web::request(Method::POST, "/v1/embeddings", body.clone())).await.expect("the refusal arrives");
            assert_eq!(answer.status, 413, "{}", answer.text());
            assert_eq!(answer.json()["error"]["code"], "request_too_large");
        }
        eventually("the gateway gives its memory back", PATIENCE, async || (gateway.resident() < before + ADDED).then_some(())).await;
        let answer = web::post(mesh.gateway(), "/v1/embeddings", &json!({ "model": "minilm", "input": "hi" })).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    });
}

#[test]
fn where_100_mb_are_allowed_a_text_of_that_size_is_cut_before_it_is_tokenised() {
    bounded(async {
        let builder = MeshSandbox::builder().model(Model::minilm());
        let roomy = ["gateway", "router", "worker"]
            .into_iter()
            .fold(builder, |builder, service| builder.set(service, "limits.max_message_bytes", "128MiB"));
        let mesh = roomy.start().await;
        let text = "word ".repeat(20 * MIB);
        let request = client::within(Duration::from_secs(20), client::embed([text.as_str()]));
        let answer = mesh.text().embed(request).await.unwrap().into_inner();
        assert!(answer.embeddings[0].truncated);
        let tokenising = mesh.workers[0].metrics().await;
        assert_eq!(
            tokenising.count("torchmesh_worker_tokenise_seconds_bucket", &[("model", "minilm"), ("le", "0.04096")]),
            1,
            "it took its time"
        );
    });
}

#[test]
fn over_http_what_is_wrong_is_named_too() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let mut invalid = br#"{"model": "minilm", "input": ""#.to_vec();
        invalid.extend([0xc3, 0x28]);
        invalid.extend(br#""}"#);
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        for (body, status, part) in [
            (&b"{"[..], 400, "body cannot be read"),
            (b"", 400, "body cannot be read"),
            (br#"{"input": "hi"}"#, 400, "model"),
            (br#"{"model": "minilm"}"#, 400, "input"),
            (br#"{"model": "minilm", "input": {"text": "hi"}}"#, 400, "input"),
            (br#"{"model": "minilm", "input": ["hi", 7]}"#, 400, "input"),
            (br#"{"model": "minilm", "input": ""}"#, 400, "input[0]"),
            (br#"{"model": "minilm", "input": "hi", "encoding_format": "hex"}"#, 400, "encoding_format"),
            (br#"{"model": "minilm", "input": "hi", "dimensions": 12}"#, 400, "dimensions"),
            (br#"{"model": "minilm", "input": [4000000]}"#, 400, "4000000"),
            (br#"{"model": "nope", "input": "hi"}"#, 404, "nope"),
            (&invalid, 400, "unicode"),
        ] {
            let answer = connection.send(web::request(Method::POST, "/v1/embeddings", body.to_vec())).await.unwrap();
            let (sent, message) = (String::from_utf8_lossy(body), answer.text());
            assert_eq!(answer.status, status, "{sent}: {message}");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(part), "{sent}: {part:?} is missing in {message}");
        }
        assert_eq!(connection.post("/v1/embeddings", &json!({ "model": "minilm", "input": "hi" })).await.status, 200);
    });
}

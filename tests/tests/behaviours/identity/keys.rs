//! API keys: what they may do, and until when.

use std::{process::Stdio, time::Instant};

use http::Method;
use serde_json::Value;
use tokio::process::Command;
use tonic::{Code, Request};
use torchmesh_api::inference::{
    ModelInferRequest, ModelStatisticsRequest, RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest,
    grpc_inference_service_client::GrpcInferenceServiceClient,
};
use torchmesh_tests::{MeshSandbox, bounded, client, eventually, key_entry, models::Model, places};

use super::{SOON, ask, builder, models, models_until};

const KEY: &str = "limited-key";

fn with_key<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {KEY}").parse().unwrap());
    request
}

/// Two models, and a key for one of them.
async fn mesh(scopes: &str) -> MeshSandbox {
    let entry = key_entry("limited", "acme", KEY, &format!("models = [\"noop\"]\nscopes = {scopes}"));
    MeshSandbox::builder().model(Model::noop()).model(Model::slow()).keys(&entry).start().await
}

#[test]
fn a_model_that_was_not_granted_is_refused_by_name_at_every_door() {
    bounded(async {
        let mesh = mesh("[\"infer\", \"models:read\"]").await;
        let mut grpc = GrpcInferenceServiceClient::new(client::channel(mesh.gateway()));
        grpc.model_infer(with_key(client::noop())).await.unwrap();
        let other = ModelInferRequest { model_name: "slow".to_owned(), ..client::noop() };
        let refused = grpc.model_infer(with_key(other.clone())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(refused.message().contains("\"slow\"") && refused.message().contains("GET /v1/models"), "{}", refused.message());
        let streamed = grpc.model_stream_infer(with_key(tokio_stream::iter([other]))).await.unwrap_err();
        assert_eq!(streamed.code(), Code::PermissionDenied);
        let bearer = format!("Bearer {KEY}");
        let text = r#"{"model": "slow", "input": "x", "prompt": "x", "messages": [{"role": "user", "content": "x"}], "inputs": [{"name": "INPUT0", "shape": [1, 1], "datatype": "INT64", "data": [1]}], "text_input": "x"}"#;
        for path in [
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/embeddings",
            "/v1/tasks/slow",
            "/v2/models/slow/infer",
            "/v2/models/slow/versions/1/infer",
            "/v2/models/slow/generate",
            "/v2/models/slow/generate_stream",
            "/predictions/slow",
        ] {
            let answer = ask(mesh.gateway(), Method::POST, path, &bearer, text).await;
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
            assert!(answer.text().contains("slow"), "{path}: {}", answer.text());
        }
        for path in ["/v2/models/slow", "/v2/models/slow/ready", "/v2/models/slow/config", "/v2/models/slow/stats", "/info?model=slow"] {
            assert_eq!(ask(mesh.gateway(), Method::GET, path, &bearer, "").await.status, 403, "{path}");
        }
        assert_eq!(ask(mesh.gateway(), Method::GET, "/v1/models/slow", &bearer, "").await.status, 404);
    });
}

#[test]
fn lists_show_only_the_models_that_were_granted() {
    bounded(async {
        let mesh = mesh("[\"infer\", \"models:read\"]").await;
        let bearer = format!("Bearer {KEY}");
        let list = ask(mesh.gateway(), Method::GET, "/v1/models", &bearer, "").await.json();
        assert_eq!(list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect::<Vec<_>>(), ["noop"]);
        let index = ask(mesh.gateway(), Method::POST, "/v2/repository/index", &bearer, "").await.json();
        assert!(index.as_array().unwrap().iter().all(|model| model["name"] == "noop"), "{index}");
        let statistics = ask(mesh.gateway(), Method::GET, "/v2/models/stats", &bearer, "").await.json();
        assert!(statistics["model_stats"].as_array().unwrap().iter().all(|model| model["name"] == "noop"), "{statistics}");
        let mut grpc = GrpcInferenceServiceClient::new(client::channel(mesh.gateway()));
        let told = grpc.repository_index(with_key(RepositoryIndexRequest::default())).await.unwrap().into_inner();
        assert!(!told.models.is_empty() && told.models.iter().all(|model| model.name == "noop"), "{told:?}");
        let refused = grpc.model_statistics(with_key(ModelStatisticsRequest::default())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "those of all models are for keys that have all");
        let whole = mesh.inference().repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
        assert!(whole.models.iter().any(|model| model.name == "slow"));
    });
}

#[test]
fn only_a_key_with_the_scope_loads_and_unloads_and_only_its_own_models() {
    bounded(async {
        let mesh = mesh("[\"models:write\"]").await;
        let mut grpc = GrpcInferenceServiceClient::new(client::channel(mesh.gateway()));
        let load = |name: &str| RepositoryModelLoadRequest { model_name: name.to_owned(), ..Default::default() };
        let passed_on = grpc.repository_model_load(with_key(load("noop"))).await.unwrap_err();
        assert_eq!(passed_on.code(), Code::Unimplemented, "routers leave it to the workers: {}", passed_on.message());
        assert_eq!(grpc.repository_model_load(with_key(load("slow"))).await.unwrap_err().code(), Code::PermissionDenied);
        let unload = RepositoryModelUnloadRequest { model_name: "slow".to_owned(), ..Default::default() };
        assert_eq!(grpc.repository_model_unload(with_key(unload)).await.unwrap_err().code(), Code::PermissionDenied);
        let bearer = format!("Bearer {KEY}");
        assert_eq!(ask(mesh.gateway(), Method::POST, "/v2/repository/models/slow/unload", &bearer, "").await.status, 403);
        let refused = grpc.model_infer(with_key(client::noop())).await.unwrap_err();
        assert!(refused.code() == Code::PermissionDenied && refused.message().contains("the scope infer"), "{}", refused.message());
        mesh.rewrite_keys(&key_entry("limited", "acme", KEY, "scopes = [\"infer\"]"));
        let infer = async || grpc.clone().model_infer(with_key(client::noop())).await.ok();
        eventually("the new scope is heeded", SOON, infer).await;
        let refused = grpc.repository_model_load(with_key(load("noop"))).await.unwrap_err();
        assert!(refused.message().contains("the scope models:write"), "{}", refused.message());
    });
}

/// `meshctl keys` for the keys file of a mesh.
async fn meshctl(mesh: &MeshSandbox, arguments: &[&str]) -> String {
    let mut command = Command::new(places::program("meshctl"));
    command.arg("keys").args(arguments).arg("--keys-file").arg(mesh.folder().join("keys.toml"));
    let output = command.env("TORCHMESH_HOME", mesh.folder()).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_key_that_meshctl_makes_is_good_at_once_and_a_revoked_one_is_refused_within_a_second() {
    bounded(async {
        let mesh = builder().start().await;
        let key = meshctl(&mesh, &["create", "search", "--tenant", "acme", "--model", "noop"]).await;
        assert!(key.starts_with("tm_"), "{key}");
        models_until(&mesh, &key, 200).await;
        let mut typo = key.clone();
        typo.replace_range(20..21, if &key[20..21] == "x" { "y" } else { "x" });
        assert!(models(&mesh, &typo).await.1.contains("has a typo"));
        let new = meshctl(&mesh, &["rotate", "search", "--overlap", "1h"]).await;
        models_until(&mesh, &new, 200).await;
        assert_eq!(models(&mesh, &key).await.0, 200, "the old key is good for an hour more");
        let listed: Value = serde_json::from_str(&meshctl(&mesh, &["list", "--output", "json"]).await).unwrap();
        let entries = listed.as_array().unwrap();
        assert_eq!(entries.iter().filter(|entry| entry["name"] == "search").count(), 2, "{listed}");
        assert!(!listed.to_string().contains(&new));
        meshctl(&mesh, &["revoke", "search"]).await;
        let began = Instant::now();
        assert!(models_until(&mesh, &new, 401).await.contains("revoked"));
        let took = began.elapsed();
        assert!(took.as_secs_f64() < 1.0, "it took {took:?}");
        assert_eq!(models(&mesh, &key).await.0, 401);
    });
}

//! OAuth clients: a secret for a token, and a token for calls.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::Value;
use torchmesh_tests::{
    MeshSandbox, bounded,
    issuer::Signer,
    key_entry,
    python::{is_content, script},
};

use super::{ask, builder, models, models_until};

const SECRET: &str = "a-secret-of-the-test";
/// As `openssl genpkey -algorithm ed25519` writes it.
const SIGNING_KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n-----END PRIVATE KEY-----\n";
const TOKEN: &str = "/oauth/token";

fn client() -> String {
    let more = "scopes = [\"infer\", \"models:read\"]";
    key_entry("batch", "acme", SECRET, more).replace("[[key]]", "[[client]]")
}

async fn mesh(folder: &std::path::Path) -> MeshSandbox {
    let key = folder.join("signing.pem");
    std::fs::write(&key, SIGNING_KEY).unwrap();
    let mesh = builder().gateways(2).keys(&client()).set("gateway", "oauth.issuer", "https://models.example");
    mesh.set("gateway", "oauth.signing_key_file", key.to_str().unwrap()).set("gateway", "oauth.max_failures", "3").start().await
}

fn basic(secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("batch:{secret}")))
}

async fn token(mesh: &MeshSandbox) -> String {
    let answer = ask(mesh.gateway(), Method::POST, TOKEN, &basic(SECRET), "grant_type=client_credentials").await;
    assert_eq!((answer.status, answer.headers["cache-control"].as_bytes()), (200, &b"no-store"[..]), "{}", answer.text());
    let told = answer.json();
    assert_eq!((told["token_type"].as_str(), told["expires_in"].as_u64()), (Some("Bearer"), Some(600)));
    told["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_for_a_secret_is_good_at_every_replica_until_its_client_is_revoked() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = mesh(folder.path()).await;
        let token = token(&mesh).await;
        for door in mesh.doors() {
            assert_eq!(ask(door, Method::GET, "/v1/models", &format!("Bearer {token}"), "").await.status, 200);
        }
        assert_eq!(ask(mesh.gateway(), Method::POST, "/v2/repository/models/noop/load", &format!("Bearer {token}"), "").await.status, 403);
        let mut openai = script("openai_models.py", &mesh);
        openai.env("KEY", &token).env("MODEL", "noop");
        is_content(openai).await;
        mesh.rewrite_keys("");
        assert!(models_until(&mesh, &token, 401).await.contains("client was revoked"));
    });
}

#[test]
fn what_is_asked_wrongly_is_answered_as_the_standard_has_it() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = mesh(folder.path()).await;
        let post = format!("client_id=batch&client_secret={SECRET}");
        for (authorization, body, status, error) in [
            (basic(SECRET), "grant_type=password".to_owned(), 400, "unsupported_grant_type"),
            (basic(SECRET), "scope=infer".to_owned(), 400, "invalid_request"),
            (basic(SECRET), "grant_type=client_credentials&scope=models:write".to_owned(), 400, "invalid_scope"),
            (basic(SECRET), format!("grant_type=client_credentials&{post}"), 400, "invalid_request"),
            (String::new(), "grant_type=client_credentials".to_owned(), 401, "invalid_client"),
            (basic("wrong"), "grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        ] {
            let answer = ask(mesh.gateway(), Method::POST, TOKEN, &authorization, &body).await;
            assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{body}");
        }
        let answer = ask(mesh.gateway(), Method::POST, TOKEN, "", &format!("grant_type=client_credentials&scope=infer&{post}")).await;
        assert_eq!((answer.status, answer.json()["scope"].as_str()), (200, Some("infer")));
        let narrow = answer.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(models(&mesh, &narrow).await.0, 403, "a token may be asked for with less than the client has");
    });
}

#[test]
fn whoever_shows_too_many_wrong_secrets_is_not_listened_to_for_a_while() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = mesh(folder.path()).await;
        let (mut seen, ask) = (Vec::new(), async |secret: &str| {
            ask(mesh.gateway(), Method::POST, TOKEN, &basic(secret), "grant_type=client_credentials").await
        });
        // Eight: a minute may end between two of them.
        for _ in 0..8 {
            seen.push(ask("wrong").await.status);
        }
        assert!(seen.starts_with(&[401]) && seen.contains(&429), "{seen:?}");
        if ask(SECRET).await.status == 429 {
            assert!(ask(SECRET).await.headers.contains_key("retry-after"));
        }
    });
}

#[test]
fn a_token_is_explained_to_its_client_and_the_server_describes_itself() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = mesh(folder.path()).await;
        let token = token(&mesh).await;
        let explain = async |token: &str| {
            let body = format!("token={token}");
            ask(mesh.gateway(), Method::POST, "/oauth/introspect", &basic(SECRET), &body).await.json()
        };
        let told = explain(&token).await;
        assert_eq!(
            (told["active"].as_bool(), told["client_id"].as_str(), told["tenant"].as_str()),
            (Some(true), Some("batch"), Some("acme"))
        );
        for other in ["x", &Signer::new("x").sign(&told)] {
            assert_eq!(explain(other).await, serde_json::json!({ "active": false }));
        }
        assert_eq!(ask(mesh.gateway(), Method::POST, "/oauth/introspect", "", "token=x").await.status, 401);
        let metadata = ask(mesh.gateway(), Method::GET, "/.well-known/oauth-authorization-server", "", "").await.json();
        assert_eq!(metadata["token_endpoint"], "https://models.example/oauth/token");
        let keys: Value = ask(mesh.gateway(), Method::GET, "/.well-known/jwks.json", "", "").await.json();
        assert_eq!((keys["keys"][0]["crv"].as_str(), keys["keys"][0].get("d")), (Some("Ed25519"), None));
    });
}

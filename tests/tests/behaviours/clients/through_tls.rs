//! Other people's clients through TLS, with each kind of credential that is shown in a header.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, Request, header};
use serde_json::json;
use tempfile::TempDir;
use torchmesh_tests::{
    KEY, MeshSandbox, bounded,
    issuer::{Signer, key_set},
    models::Model,
    origin::Origin,
    python::{is_content, script},
    sandbox::Builder,
    tls::Certificate,
};

/// A gateway that speaks TLS, in front of minilm.
struct Secured {
    mesh: MeshSandbox,
    certificate: Certificate,
    _folder: TempDir,
}

impl Secured {
    async fn start(more: impl FnOnce(Builder, &TempDir) -> Builder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::make(folder.path());
        let builder = MeshSandbox::builder().model(Model::minilm());
        let builder = builder.set("gateway", "tls.cert", &certificate.cert).set("gateway", "tls.key", &certificate.key);
        Self { mesh: more(builder, &folder).start().await, certificate, _folder: folder }
    }

    /// Everybody's clients, with this key or token.
    async fn is_content_with(&self, credential: &str) {
        for name in ["through_tls.py", "kserve_client.py"] {
            let mut script = script(name, &self.mesh);
            script.env("GATEWAY", format!("localhost:{}", self.mesh.gateway().port()));
            script.env("KEY", credential).env("SSL_CERT_FILE", &self.certificate.cert);
            is_content(script).await;
        }
    }
}

#[test]
fn everybodys_clients_work_through_tls_with_a_key() {
    bounded(async { Secured::start(|mesh, _| mesh).await.is_content_with(KEY).await });
}

#[test]
fn everybodys_clients_work_through_tls_with_a_token_of_an_issuer() {
    bounded(async {
        let (origin, signer) = (Origin::start().await, Signer::new("one"));
        origin.put("keys", key_set([&signer]));
        let (issuer, url) = ("https://id.example", origin.url("keys"));
        let settings = [("issuer", issuer), ("audience", "torchmesh"), ("tenant_claim", "org"), ("jwks_url", &url)];
        let set = |mesh: Builder, (key, value): (&str, &str)| mesh.set("gateway", &format!("issuer[0].{key}"), value);
        let secured = Secured::start(|mesh, _| settings.into_iter().fold(mesh, set)).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims =
            json!({ "iss": issuer, "sub": "me", "aud": "torchmesh", "exp": now + 600, "org": "acme", "scope": "infer models:read" });
        secured.is_content_with(&signer.sign(&claims)).await;
    });
}

const SECRET: &str = "a-secret-of-the-test";

#[test]
fn everybodys_clients_work_through_tls_with_client_credentials() {
    bounded(async {
        let secured = Secured::start(|mesh, folder| mesh.giving_tokens(folder.path(), SECRET)).await;
        let (mut connection, _) = secured.certificate.connect(secured.mesh.gateway(), &["h2"]).await;
        let asked = Request::builder().method(Method::POST).uri("/oauth/token");
        let asked = asked.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = format!("grant_type=client_credentials&client_id=batch&client_secret={SECRET}");
        let answer = connection.send(asked.body(body.into()).unwrap()).await.unwrap();
        secured.is_content_with(answer.json()["access_token"].as_str().unwrap()).await;
    });
}

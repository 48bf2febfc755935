//! A gateway that speaks TLS, and each kind of credential that is shown in a header.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, Request, header};
use serde_json::json;
use tempfile::TempDir;
use torchmesh_tests::{
    KEY, MeshSandbox,
    issuer::{Signer, key_set},
    origin::Origin,
    sandbox::Builder,
    tls::Certificate,
};

const SECRET: &str = "a-secret-of-the-test";
const ISSUER: &str = "https://id.example";

/// The gateway, the mesh behind it, and what a caller shows it.
pub(super) struct Secured {
    pub mesh: MeshSandbox,
    pub certificate: Certificate,
    pub credential: String,
    _issuer: Option<Origin>,
    _folder: TempDir,
}

impl Secured {
    /// Who calls it shows an API key.
    pub(super) async fn by_key(mesh: Builder) -> Self {
        let (folder, certificate, mesh) = speaking_tls(mesh);
        Self { mesh: mesh.start().await, certificate, credential: KEY.to_owned(), _issuer: None, _folder: folder }
    }

    /// Who calls it shows a token of an issuer's.
    pub(super) async fn by_token(mesh: Builder) -> Self {
        let (folder, certificate, mesh) = speaking_tls(mesh);
        let (origin, signer) = (Origin::start().await, Signer::new("one"));
        origin.put("keys", key_set([&signer]));
        let url = origin.url("keys");
        let settings = [("issuer", ISSUER), ("audience", "torchmesh"), ("tenant_claim", "org"), ("jwks_url", &url)];
        let mesh = settings.into_iter().fold(mesh, |mesh, (key, value)| mesh.set("gateway", &format!("issuer[0].{key}"), value));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims =
            json!({ "iss": ISSUER, "sub": "me", "aud": "torchmesh", "exp": now + 600, "org": "acme", "scope": "infer models:read" });
        Self { mesh: mesh.start().await, certificate, credential: signer.sign(&claims), _issuer: Some(origin), _folder: folder }
    }

    /// Who calls it shows a token that the gateway gives for a client's id and secret.
    pub(super) async fn by_client_credentials(mesh: Builder) -> Self {
        let (folder, certificate, mesh) = speaking_tls(mesh);
        let mesh = mesh.giving_tokens(folder.path(), SECRET).start().await;
        let (mut connection, _) = certificate.connect(mesh.gateway(), &["h2"]).await;
        let asked = Request::builder().method(Method::POST).uri("/oauth/token");
        let asked = asked.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = format!("grant_type=client_credentials&client_id=batch&client_secret={SECRET}");
        let answer = connection.send(asked.body(body.into()).unwrap()).await.unwrap();
        let credential = answer.json()["access_token"].as_str().unwrap().to_owned();
        Self { mesh, certificate, credential, _issuer: None, _folder: folder }
    }
}

fn speaking_tls(mesh: Builder) -> (TempDir, Certificate, Builder) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(folder.path());
    let mesh = mesh.set("gateway", "tls.cert", &certificate.cert).set("gateway", "tls.key", &certificate.key);
    (folder, certificate, mesh)
}

//! Other people's clients through TLS, with each kind of credential that is shown in a header.

use torchmesh_tests::{
    MeshSandbox, bounded,
    models::Model,
    python::{is_content, script},
    sandbox::Builder,
};

use super::secured::Secured;

fn mesh() -> Builder {
    MeshSandbox::builder().model(Model::minilm())
}

/// Everybody's clients, with the credential.
async fn are_content(secured: &Secured) {
    for name in ["through_tls.py", "kserve_client.py"] {
        let mut script = script(name, &secured.mesh);
        script.env("GATEWAY", format!("localhost:{}", secured.mesh.gateway().port()));
        script.env("KEY", &secured.credential).env("SSL_CERT_FILE", &secured.certificate.cert);
        is_content(script).await;
    }
}

#[test]
fn everybodys_clients_work_through_tls_with_a_key() {
    bounded(async { are_content(&Secured::by_key(mesh()).await).await });
}

#[test]
fn everybodys_clients_work_through_tls_with_a_token_of_an_issuer() {
    bounded(async { are_content(&Secured::by_token(mesh()).await).await });
}

#[test]
fn everybodys_clients_work_through_tls_with_client_credentials() {
    bounded(async { are_content(&Secured::by_client_credentials(mesh()).await).await });
}

//! Accounts as a process, with either database, and the gateways that follow them.

mod asking;
mod billing;
mod gateways;
mod listings;
mod measure;
mod meshctl;
mod privacy;
mod tls;
mod usage;
mod webhooks;

use http::{Method, Request, header};
use torchmesh_tests::{MeshSandbox, web};

/// The status of `GET /v1/models` with a key.
async fn models(mesh: &MeshSandbox, gateway: usize, key: &str) -> u16 {
    answer(mesh, gateway, key).await.status
}

/// The models that a key is shown.
async fn listed(mesh: &MeshSandbox, key: &str) -> String {
    answer(mesh, 0, key).await.text()
}

async fn answer(mesh: &MeshSandbox, gateway: usize, key: &str) -> web::Answer {
    let request = Request::builder().method(Method::GET).uri("/v1/models").header(header::AUTHORIZATION, format!("Bearer {key}"));
    let request = request.body(bytes::Bytes::new()).unwrap();
    web::Connection::http1(mesh.gateways[gateway].addr).await.unwrap().send(request).await.unwrap()
}

//! Who may call, and what: keys, tokens and client certificates at a running gateway.

mod certificates;
mod clients;
mod keys;
mod tokens;

use std::{net::SocketAddr, time::Duration};

use http::{Method, Request, header};
use torchmesh_tests::{MeshSandbox, eventually, models::Model, web};

/// What is changed in a file is heeded within a second; machines may be busy.
const SOON: Duration = Duration::from_secs(3);

/// Asks with a credential, over a connection of its own.
async fn ask(address: SocketAddr, method: Method, path: &str, authorization: &str, body: &str) -> web::Answer {
    let kind = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
    let request = if authorization.is_empty() { request } else { request.header(header::AUTHORIZATION, authorization) };
    let request = request.body(body.to_owned().into()).unwrap();
    web::Connection::http1(address).await.unwrap().send(request).await.unwrap()
}

/// The status of `GET /v1/models` with a token or key.
async fn models(mesh: &MeshSandbox, token: &str) -> (u16, String) {
    let answer = ask(mesh.gateway(), Method::GET, "/v1/models", &format!("Bearer {token}"), "").await;
    (answer.status, answer.text())
}

/// Waits until `GET /v1/models` has this status with a token or key, and gives the answer.
async fn models_until(mesh: &MeshSandbox, token: &str, status: u16) -> String {
    eventually(&format!("the status {status}"), SOON, async || {
        let (now, text) = models(mesh, token).await;
        (now == status).then_some(text)
    })
    .await
}

/// A gateway, a router and a worker with a model.
fn builder() -> torchmesh_tests::sandbox::Builder {
    MeshSandbox::builder().model(Model::noop())
}

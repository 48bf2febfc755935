//! Calls of a model that has no worker at the moment.

use std::time::Duration;

use tonic::Code;
use torchmesh_api::inference::ModelReadyRequest;
use torchmesh_tests::{MeshSandbox, bounded, client, eventually, instance::Signal, models::Model};

const PATIENCE: Duration = Duration::from_secs(20);

/// A mesh whose worker is gone, and whose router holds what is called as long as told.
async fn without_a_worker(patience: &str) -> MeshSandbox {
    let builder = MeshSandbox::builder().model(Model::noop()).set("router", "hold.models", "noop").set("router", "hold.patience", patience);
    let mesh = builder.start().await;
    mesh.workers[0].signal(Signal::KILL);
    let mut router = client::inference(mesh.routers[0].addr);
    let ask = || ModelReadyRequest { name: "noop".to_owned(), ..Default::default() };
    let knows = async || router.model_ready(ask()).await.err().filter(|error| error.message().contains("not ready on any worker"));
    eventually("the router knows that it is gone", PATIENCE, knows).await;
    mesh
}

#[test]
fn a_call_waits_for_the_worker_that_its_waiting_brings() {
    bounded(async {
        let mut mesh = without_a_worker("60s").await;
        let mut inference = mesh.inference();
        let call = tokio::spawn(async move { inference.model_infer(client::noop()).await });
        let labels = [("model", "noop"), ("version", "")];
        mesh.routers[0].metric_until("torchmesh_router_held_requests", &labels, PATIENCE, |held| held == 1).await;
        mesh.start_again("worker", 0).await;
        call.await.unwrap().unwrap();
        mesh.routers[0].metric_until("torchmesh_router_held_requests", &labels, PATIENCE, |held| held == 0).await;
    });
}

#[test]
fn a_call_for_which_nobody_comes_is_told_so_when_its_time_is_up() {
    bounded(async {
        let mesh = without_a_worker("300ms").await;
        let refused = mesh.inference().model_infer(client::noop()).await.unwrap_err();
        assert!(refused.code() == Code::Unavailable && refused.message().contains("has not come within"), "{refused:?}");
    });
}

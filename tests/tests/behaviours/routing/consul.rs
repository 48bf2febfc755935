//! A mesh whose services find each other through Consul, and what becomes of it when Consul is in trouble.

use std::time::Duration;

use torchmesh_tests::{
    MeshSandbox, Signal, bounded, client,
    consul::Agent,
    eventually,
    load::{Load, Plan},
    models::Model,
    raw::{self, Call},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Two of each service behind one gateway.
async fn mesh(agent: &Agent) -> MeshSandbox {
    MeshSandbox::builder().consul(agent).routers(2).workers(2).model(Model::noop()).start().await
}

/// 200 calls a second, each with two seconds.
fn load(mesh: &MeshSandbox) -> Load {
    let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
    Load::start(Plan { addresses: mesh.doors(), call, rate: 200.0, deadline: Duration::from_secs(2) })
}

/// Waits until a worker takes calls.
async fn takes_calls(mesh: &MeshSandbox, worker: usize) {
    mesh.workers[worker].metric_until("torchmesh_worker_requests_total", &[("code", "OK")], PATIENCE, |taken| taken > 0).await;
}

#[test]
fn services_find_each_other_and_who_ends_is_no_longer_listed() {
    bounded(async {
        let agent = Agent::start().await;
        let mut mesh = mesh(&agent).await;
        mesh.inference().model_infer(client::noop()).await.unwrap();
        for (service, count) in [("worker", 2), ("router", 2), ("gateway", 1)] {
            agent.until_well(&format!("torchmesh-{service}"), count).await;
        }
        let load = load(&mesh);
        load.answers(50).await;
        let status = mesh.workers[0].end(Signal::TERM).await;
        assert!(status.success());
        assert_eq!(agent.well("torchmesh-worker").await, [mesh.workers[1].addr.to_string()]);
        load.answers(50).await;
        mesh.start_again("worker", 0).await;
        takes_calls(&mesh, 0).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_worker_that_is_killed_costs_no_caller_an_error_and_is_found_to_be_in_trouble() {
    bounded(async {
        let agent = Agent::start().await;
        let mut mesh = mesh(&agent).await;
        let load = load(&mesh);
        load.answers(50).await;
        mesh.workers[0].end(Signal::KILL).await;
        agent.until_well("torchmesh-worker", 1).await;
        load.answers(50).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_consul_that_is_away_is_not_missed_and_one_that_forgot_everything_learns_it_again() {
    bounded(async {
        let mut agent = Agent::start().await;
        let mut mesh = mesh(&agent).await;
        agent.until_well("torchmesh-worker", 2).await;
        let load = load(&mesh);
        for memory in [true, false] {
            agent.kill();
            load.answers(400).await;
            agent.start_again(memory).await;
            agent.until_well("torchmesh-worker", 2).await;
            agent.until_well("torchmesh-router", 2).await;
            load.answers(100).await;
        }
        // And changes are seen again.
        mesh.workers[0].end(Signal::KILL).await;
        mesh.start_again("worker", 0).await;
        takes_calls(&mesh, 0).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_consul_that_hangs_stops_nobody() {
    bounded(async {
        let agent = Agent::start().await;
        let mut mesh = mesh(&agent).await;
        agent.until_well("torchmesh-router", 2).await;
        let load = load(&mesh);
        agent.signal(Signal::STOP);
        load.answers(400).await;
        assert!(mesh.workers[0].end(Signal::TERM).await.success(), "it ends although it cannot say so");
        load.answers(100).await;
        agent.signal(Signal::CONT);
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_mesh_that_starts_before_its_consul_is_whole_once_consul_is_there() {
    bounded(async {
        let mut agent = Agent::start().await;
        agent.kill();
        let mesh = MeshSandbox::builder().consul(&agent).model(Model::noop()).without_waiting().start().await;
        eventually("the worker is ready", PATIENCE, async || mesh.workers[0].is_ready().await.then_some(())).await;
        agent.start_again(true).await;
        eventually("a call is answered", PATIENCE, async || mesh.inference().model_infer(client::noop()).await.ok()).await;
    });
}

//! Services start, stop, break and come back, and the callers of the mesh notice as little of it as can be.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tonic::Code;
use torchmesh_api::inference::{RepositoryIndexRequest, ServerReadyRequest};
use torchmesh_tests::{
    MeshSandbox, Signal, bounded, client,
    instance::run_to_end,
    load::{Load, Plan},
    models::Model,
    raw::{self, Call},
    web,
};

const PATIENCE: Duration = Duration::from_secs(10);
const SLOW: [(&str, &str); 1] = [("model", "slow")];

/// 200 calls a second, each with two seconds.
fn load(addresses: Vec<SocketAddr>) -> Load {
    Load::start(Plan {
        addresses,
        call: Call::new(raw::MODEL_INFER, &client::noop()).with_key(),
        rate: 200.0,
        deadline: Duration::from_secs(2),
    })
}

/// A mesh with two of each service, in which calls take so long that at 200 a second some are always in flight.
async fn doubled() -> MeshSandbox {
    let model = Model::noop().with("[batching]\nmax_queue_delay = \"20ms\"");
    MeshSandbox::builder().gateways(2).routers(2).workers(2).model(model).start().await
}

/// Begins a call of `slow`, and returns once the worker runs it.
async fn in_flight(mesh: &MeshSandbox, busy: Duration) -> tokio::task::JoinHandle<raw::Answer> {
    let (gateway, call) = (mesh.gateway(), Call::new(raw::MODEL_INFER, &client::slow(busy)).with_key());
    let calling = tokio::spawn(async move { raw::call(gateway, &call).await });
    mesh.workers[0].metric_until("torchmesh_worker_queue_seconds_count", &SLOW, PATIENCE, |taken| taken == 1).await;
    calling
}

#[test]
fn a_mesh_is_up_and_answers_within_two_seconds() {
    bounded(async {
        let began = Instant::now();
        let mesh = MeshSandbox::with([Model::noop()]).await;
        mesh.inference().model_infer(client::noop()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?}", began.elapsed());
    });
}

#[test]
fn a_worker_that_is_killed_under_load_costs_no_caller_an_error() {
    bounded(async {
        let mut mesh = doubled().await;
        let load = load(mesh.doors());
        load.answers(100).await;
        mesh.workers[0].end(Signal::KILL).await;
        load.answers(100).await;
        mesh.start_again("worker", 0).await;
        load.answers(100).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
        let taken = mesh.workers[0].metrics().await.count("torchmesh_worker_requests_total", &[("code", "OK")]);
        assert!(taken > 0, "the worker that came back takes its share again");
    });
}

#[test]
fn a_router_that_is_killed_under_load_costs_no_caller_an_error() {
    bounded(async {
        let mut mesh = doubled().await;
        let load = load(mesh.doors());
        load.answers(100).await;
        mesh.routers[0].end(Signal::KILL).await;
        load.answers(100).await;
        mesh.start_again("router", 0).await;
        load.answers(100).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

/// Freezes an instance under load, as a partition or a stuck disk would, and thaws it again.
async fn freeze(mesh: &mut MeshSandbox, service: &str) {
    let load = load(mesh.doors());
    // So many that the callers of the instance know how long calls take.
    load.answers(400).await;
    mesh.of(service)[0].signal(Signal::STOP);
    load.answers(400).await;
    mesh.of(service)[0].signal(Signal::CONT);
    load.answers(400).await;
    let report = load.stop().await;
    assert_eq!(report.failed(), 0, "{report:?}");
}

#[test]
fn a_worker_that_freezes_under_load_costs_no_caller_an_error() {
    bounded(async {
        let mut mesh = doubled().await;
        freeze(&mut mesh, "worker").await;
        let mut hedges = 0;
        for router in &mesh.routers {
            hedges += router.metrics().await.count("torchmesh_router_hedges_won_total", &[]);
        }
        assert!(hedges > 0, "what was sent to the frozen worker was answered by the other");
    });
}

#[test]
fn a_router_that_freezes_under_load_costs_no_caller_an_error() {
    bounded(async {
        let mut mesh = doubled().await;
        freeze(&mut mesh, "router").await;
    });
}

#[test]
fn every_service_can_be_stopped_and_started_in_turn_under_load_and_no_request_is_lost() {
    bounded(async {
        let mut mesh = doubled().await;
        let load = load(mesh.doors());
        for service in ["worker", "router", "gateway"] {
            for at in 0..2 {
                load.answers(50).await;
                let ended = mesh.of(service)[at].end(Signal::TERM).await;
                assert!(ended.success(), "{service} {at} ended with {ended}");
                load.answers(50).await;
                mesh.start_again(service, at).await;
                load.go_to(&mesh.doors());
            }
        }
        load.answers(50).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_call_in_flight_outlives_the_sigterm_of_every_service_it_runs_through() {
    bounded(async {
        let mut mesh = MeshSandbox::with([Model::slow()]).await;
        let calling = in_flight(&mesh, Duration::from_millis(800)).await;
        mesh.instances().for_each(|instance| instance.signal(Signal::TERM));
        let answer = calling.await.unwrap();
        assert_eq!(answer.status().code(), Code::Ok, "{:?}", answer.status());
        for service in ["gateway", "router", "worker"] {
            let ended = mesh.of(service)[0].ended().await;
            assert!(ended.success(), "{service} ended with {ended}");
        }
    });
}

#[test]
fn a_service_that_drains_says_so_and_takes_no_new_connection() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::slow()]).await;
        let _calling = in_flight(&mesh, Duration::from_secs(30)).await;
        for instance in mesh.instances() {
            assert!(instance.is_ready().await);
            instance.signal(Signal::TERM);
            torchmesh_tests::eventually("it is not ready any more", PATIENCE, async || (!instance.is_ready().await).then_some(())).await;
            let refuses = async || raw::Connection::open(instance.addr).await.is_err().then_some(());
            torchmesh_tests::eventually("it refuses connections", PATIENCE, refuses).await;
            assert!(web::get(instance.admin, "/live").await.is_ok_and(|answer| answer.status == 200), "{} lives on", instance.name);
        }
    });
}

#[test]
fn a_call_that_outlasts_the_grace_period_is_cut_with_a_status() {
    bounded(async {
        let mut mesh = MeshSandbox::builder().model(Model::slow()).set("worker", "drain.grace", "200ms").start().await;
        let calling = in_flight(&mesh, Duration::from_secs(60)).await;
        let began = Instant::now();
        let ended = mesh.workers[0].end(Signal::TERM).await;
        assert!(ended.success(), "the worker ended with {ended}");
        assert!(began.elapsed() < Duration::from_secs(5), "the worker took {:?} to end", began.elapsed());
        let status = calling.await.unwrap().status();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("try again"), "{}", status.message());
    });
}

#[test]
fn a_mesh_whose_only_worker_died_says_unavailable_and_answers_again_once_it_is_back() {
    bounded(async {
        let mut mesh = MeshSandbox::with([Model::noop()]).await;
        let mut client = mesh.inference();
        client.model_infer(client::noop()).await.unwrap();
        mesh.workers[0].end(Signal::KILL).await;
        let began = Instant::now();
        let refused = client.model_infer(client::within(PATIENCE, client::noop())).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(refused.message().contains("try again"), "{}", refused.message());
        assert!(began.elapsed() < Duration::from_secs(2), "it took {:?} to say so", began.elapsed());
        mesh.start_again("worker", 0).await;
        let again = async || mesh.inference().model_infer(client::noop()).await.ok();
        torchmesh_tests::eventually("the mesh answers again", PATIENCE, again).await;
    });
}

#[test]
fn a_frozen_worker_hangs_nobody_beyond_the_deadline() {
    bounded(async {
        let mesh = doubled().await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        let plan = Plan { addresses: mesh.doors(), call, rate: 200.0, deadline: Duration::from_millis(300) };
        let load = Load::start(plan.clone());
        load.answers(50).await;
        mesh.workers[0].signal(Signal::STOP);
        load.answers(200).await;
        let report = load.stop().await;
        mesh.workers[0].signal(Signal::CONT);
        let late: u64 = report.errors.iter().filter(|(what, _)| what.starts_with("DeadlineExceeded")).map(|(_, count)| count).sum();
        assert_eq!(late, report.failed(), "a call at a frozen worker ends with DEADLINE_EXCEEDED and nothing else: {report:?}");
        assert!(report.longest < plan.deadline + Duration::from_millis(250), "{report:?}");
        assert!(late * 5 < report.ok, "most calls go to the worker that answers: {report:?}");

        let mut thawed = mesh.inference();
        for _ in 0..20 {
            thawed.model_infer(client::within(PATIENCE, client::noop())).await.unwrap();
        }
    });
}

#[test]
fn a_worker_is_not_ready_while_it_loads_and_the_mesh_says_so() {
    bounded(async {
        let warm = Model::minilm().with("[warmup]\nbatch_sizes = [32]\nlengths = [256]");
        let mut mesh = MeshSandbox::builder().model(warm).without_waiting().start().await;
        let worker = &mesh.workers[0];
        assert!(!worker.is_ready().await, "the worker is ready before its model is warm");
        let mut direct = client::inference(worker.addr);
        assert!(!direct.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
        let index = direct.repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
        assert_eq!(index.models[0].state, "LOADING");
        let refused = mesh.text().embed(client::embed(["hi"])).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        let health = web::get(mesh.gateway(), "/v2/health/ready").await.unwrap();
        assert_eq!((health.status, health.json()["ready"].as_bool()), (503, Some(false)));
        mesh.workers[0].ready().await;
        mesh.routers[0].ready().await;
        assert!(mesh.text().embed(client::embed(["hi"])).await.is_ok());
        assert_eq!(web::get(mesh.gateway(), "/v2/health/ready").await.unwrap().status, 200);
    });
}

#[test]
fn a_model_that_cannot_be_loaded_says_why_and_the_others_are_served() {
    bounded(async {
        let wrong = "task = \"tensor\"\ninstances = 0\nartefact = \"../other/model.pt\"\n[batching]\nlength_ratio = 0.5";
        let broken = Model::noop().called("broken").described_as(wrong);
        let mesh = MeshSandbox::with([Model::noop(), broken]).await;
        let mut client = mesh.inference();
        let index = client.repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
        let broken = index.models.iter().find(|model| model.name == "broken").unwrap();
        assert_eq!(broken.state, "UNAVAILABLE");
        for mistake in
            ["instances: must be from 1", "artefact: must be the name of a file", "inputs: is required", "length_ratio: must be at least 1"]
        {
            assert!(broken.reason.contains(mistake), "{mistake:?} is missing in {}", broken.reason);
        }
        assert!(client.model_infer(client::noop()).await.is_ok());
        let mut call = client::noop();
        call.model_name = "broken".to_owned();
        assert_eq!(client.model_infer(call).await.unwrap_err().code(), Code::Unavailable);
    });
}

#[test]
fn every_mistake_of_a_configuration_is_in_one_report_and_the_exit_code_is_64() {
    bounded(async {
        let wrong = [
            ("drain.grace", "soon"),
            ("limits.max_message_bytes", "12"),
            ("telemetry.log", "info,torchmesh=loud"),
            ("thread", "2"),
            ("tls.cert", "/nowhere"),
        ];
        for (service, own) in [("gateway", vec!["keys_file", "discovery.file"]), ("router", vec!["discovery.file"]), ("worker", vec![])] {
            let output = run_to_end(service, &wrong, &[]).await;
            let report = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{service}: {report}");
            for field in ["drain.grace", "limits.max_message_bytes", "telemetry.log", "thread: is not a setting", "tls.cert", "tls.key"]
                .iter()
                .chain(&own)
            {
                assert!(report.contains(field), "{field} is missing in the report of the {service}:\n{report}");
            }
            assert_eq!(run_to_end(service, &wrong, &["--check"]).await.status.code(), Some(64), "{service} --check");
        }
    });
}

#[test]
fn a_port_that_is_taken_is_named_with_the_setting_to_change() {
    bounded(async {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        for (setting, value) in [("addr", &addr), ("admin_addr", &addr)] {
            let output = run_to_end("worker", &[(setting, value.as_str()), ("models_dir", folder.path().to_str().unwrap())], &[]).await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{said}");
            for part in [addr.as_str(), "in use", &format!("change {setting}")] {
                assert!(said.contains(part), "{part:?} is missing in {said}");
            }
        }
    });
}

#[test]
fn a_model_repository_that_is_not_there_is_named_with_the_setting_to_change() {
    bounded(async {
        let output = run_to_end("worker", &[("models_dir", "/nowhere/models")], &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("/nowhere/models") && said.contains("models_dir"), "{said}");
    });
}

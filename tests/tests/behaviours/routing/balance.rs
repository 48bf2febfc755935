//! Which of a version's workers answers: by a route's own policy, by what workers say of their queues, and by where they are.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use tokio::task::JoinSet;
use tonic::Code;
use torchmesh_api::{
    admin::v1::{Endpoint, GetTrafficRequest, ListEndpointsRequest, router_admin_client::RouterAdminClient},
    frame,
    inference::{ModelInferRequest, ModelInferResponse},
};
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    sandbox::Builder,
    upstream::{Manner, Upstream},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn answer() -> Bytes {
    frame::encode(&ModelInferResponse { model_name: "noop".into(), model_version: "1".into(), ..Default::default() })
}

fn route(balance: &str) -> String {
    format!("[[route]]\nmodel = 'noop'\nto = [{{ version = '1' }}]\nbalance = '{balance}'\n")
}

/// One router, which knows both workers, and these routes. It hedges nothing: on a machine that is busy, a call would be counted twice.
async fn mesh(builder: Builder, folder: &Path, routes: &str) -> MeshSandbox {
    let file = folder.join("routes.toml");
    fs::write(&file, routes).unwrap();
    let mesh = builder.set("router", "routes_file", file.to_str().unwrap()).set("router", "hedge.percentile", "0").start().await;
    eventually("both workers are known", PATIENCE, async || (endpoints(&mesh).await.len() == 2).then_some(())).await;
    mesh
}

async fn endpoints(mesh: &MeshSandbox) -> Vec<Endpoint> {
    let mut admin = RouterAdminClient::new(client::channel(mesh.routers[0].addr));
    admin.list_endpoints(ListEndpointsRequest {}).await.unwrap().into_inner().endpoints
}

async fn call(mesh: &MeshSandbox, session: Option<&'static str>) {
    let mut request = tonic::Request::new(ModelInferRequest { model_name: "noop".into(), ..client::noop() });
    if let Some(session) = session {
        request.metadata_mut().insert("x-torchmesh-session", session.parse().unwrap());
    }
    mesh.inference().model_infer(request).await.unwrap();
}

#[test]
fn a_route_has_a_policy_of_its_own_and_another_one_as_soon_as_it_is_changed() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let workers =
            [Upstream::start(&["noop"], Manner::Answers(answer())).await, Upstream::start(&["noop"], Manner::Answers(answer())).await];
        let seen = || workers.each_ref().map(|worker| worker.seen().len());
        let builder = workers.iter().fold(MeshSandbox::builder(), |builder, worker| builder.worker_at(worker.addr));
        let mesh = mesh(builder, folder.path(), &route("round_robin")).await;
        for _ in 0..20 {
            call(&mesh, None).await;
        }
        assert_eq!(seen(), [10, 10], "one after the other");
        fs::write(folder.path().join("routes.toml"), route("hash")).unwrap();
        let to_one = async || {
            let before = seen();
            for _ in 0..12 {
                call(&mesh, Some("conversation-7")).await;
            }
            let now = seen();
            (now[0] == before[0] || now[1] == before[1]).then_some(())
        };
        eventually("the calls of one session go to one worker", PATIENCE, to_one).await;
    });
}

#[test]
fn where_the_route_goes_by_reports_a_worker_that_says_that_calls_wait_is_spared_and_operators_see_what_it_said() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let busy = Upstream::start(&["noop"], Manner::AnswersSaying("depth=40, wait-us=60000000", answer())).await;
        let idle = Upstream::start(&["noop"], Manner::AnswersSaying("depth=0, wait-us=0", answer())).await;
        let builder = MeshSandbox::builder().worker_at(busy.addr).worker_at(idle.addr).set("router", "balance.decay", "1m");
        let mesh = mesh(builder, folder.path(), &route("reported")).await;
        for _ in 0..40 {
            call(&mesh, None).await;
        }
        assert_eq!((busy.seen().len(), idle.seen().len()), (1, 39));
        let shown = endpoints(&mesh).await;
        let of = |at: usize| (shown[at].queued, shown[at].wait_us);
        assert_eq!((of(0), of(1)), ((40, 60_000_000), (0, 0)));
        let mut admin = RouterAdminClient::new(client::channel(mesh.routers[0].addr));
        let traffic = admin.get_traffic(GetTrafficRequest {}).await.unwrap().into_inner().versions.remove(0);
        assert_eq!((traffic.queued, traffic.percent), (40, Some(100.0)));
    });
}

#[test]
fn a_worker_in_the_routers_zone_answers_while_it_has_no_more_than_its_share() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let [near, far] = [Upstream::start(&["noop"], Manner::Answers(answer())).await, Upstream::start(&["noop"], Manner::Silent).await];
        let builder = MeshSandbox::builder().worker_in("here", near.addr).worker_in("there", far.addr).set("router", "zone", "here");
        let mesh = mesh(builder, folder.path(), "").await;
        for _ in 0..20 {
            call(&mesh, None).await;
        }
        assert_eq!((near.seen().len(), far.seen().len()), (20, 0));
        let shown: Vec<_> = endpoints(&mesh).await.into_iter().map(|endpoint| endpoint.zone).collect();
        assert_eq!(shown, ["here", "there"]);
    });
}

#[test]
fn a_near_worker_that_is_full_leaves_calls_to_one_far_away() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let [near, far] = [Upstream::start(&["noop"], Manner::Silent).await, Upstream::start(&["noop"], Manner::Silent).await];
        let builder = MeshSandbox::builder().worker_in("here", near.addr).worker_in("there", far.addr).set("router", "zone", "here");
        let mesh = mesh(builder, folder.path(), "").await;
        let mut calls = JoinSet::new();
        for _ in 0..12 {
            let inference = mesh.inference();
            calls.spawn(async move { inference.clone().model_infer(client::noop()).await });
        }
        let arrived = async || (near.seen().len() + far.seen().len() == 12).then(|| near.seen().len());
        let stayed = eventually("all calls have arrived", PATIENCE, arrived).await;
        // A quarter more than half of them, rounded up with each call.
        assert!((6..=9).contains(&stayed), "{stayed} of 12 calls are at the worker nearby");
    });
}

#[test]
fn where_every_worker_has_as_many_calls_as_it_answers_in_good_time_a_call_is_refused_and_says_what_to_change() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let workers = [Upstream::start(&["noop"], Manner::Silent).await, Upstream::start(&["noop"], Manner::Silent).await];
        let builder = workers.iter().fold(MeshSandbox::builder(), |builder, worker| builder.worker_at(worker.addr));
        let mesh = mesh(builder.set("router", "limits.adaptive", "true"), folder.path(), "").await;
        let most: Vec<_> = endpoints(&mesh).await.iter().map(|endpoint| endpoint.most_in_flight).collect();
        assert_eq!(most, [16, 16]);
        let mut calls = JoinSet::new();
        for _ in 0..32 {
            let inference = mesh.inference();
            calls.spawn(async move { inference.clone().model_infer(client::noop()).await });
        }
        let arrived = async || (workers.iter().map(|worker| worker.seen().len()).sum::<usize>() == 32).then_some(());
        eventually("all calls have arrived", PATIENCE, arrived).await;
        let refused = mesh.inference().model_infer(client::noop()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert!(refused.message().contains("limits.adaptive"), "{}", refused.message());
    });
}

//! What operators ask of the routers, by gRPC and by `meshctl`.

use std::{fs, net::SocketAddr, path::Path, process::Output, time::Duration};

use tonic::{Code, transport::Channel};
use torchmesh_api::{
    admin::v1::{GetRoutesRequest, ListEndpointsRequest, ListPastRoutesRequest, SetRoutesRequest, router_admin_client::RouterAdminClient},
    inference::ModelInferRequest,
};
use torchmesh_tests::{MeshSandbox, Signal, bounded, client, consul::Agent, eventually, models::Model, places};

const PATIENCE: Duration = Duration::from_secs(20);

fn admin(router: SocketAddr) -> RouterAdminClient<Channel> {
    RouterAdminClient::new(client::channel(router))
}

fn all_to(version: u32) -> String {
    format!("[[route]]\nmodel = \"noop\"\nto = [{{ version = \"{version}\" }}]\n")
}

async fn set(router: SocketAddr, routes: &str, version: u64) -> Result<u64, tonic::Status> {
    let request = SetRoutesRequest { routes: routes.into(), version, dry_run: false };
    Ok(admin(router).set_routes(request).await?.into_inner().version)
}

/// Waits until every router sends calls of `noop` to this version; panics when it takes longer than a second.
async fn agree(mesh: &MeshSandbox, version: &str) {
    agree_within(Duration::from_secs(1), mesh, version).await;
}

async fn agree_within(bound: Duration, mesh: &MeshSandbox, version: &str) {
    eventually("every router has the new routes", bound, async || {
        for router in &mesh.routers {
            let answer = client::inference(router.addr).model_infer(client::noop()).await.ok()?;
            if answer.into_inner().model_version != version {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// Two routers and two versions of `noop`, with routes that are kept where `settings` say.
async fn mesh(agent: Option<&Agent>, settings: (&str, &str)) -> MeshSandbox {
    let builder =
        MeshSandbox::builder().routers(2).set("worker", "models_poll", "50ms").set("router", settings.0, settings.1).model(Model::noop());
    let mesh = match agent {
        Some(agent) => builder.consul(agent),
        None => builder,
    };
    let mesh = mesh.start().await;
    Model::noop().add_version(&mesh.folder().join("models"), 2);
    for router in &mesh.routers {
        let second = || ModelInferRequest { model_version: "2".into(), ..client::noop() };
        let inference = || client::inference(router.addr);
        eventually("version 2 is ready", PATIENCE, async || inference().model_infer(second()).await.ok()).await;
    }
    mesh
}

/// What any store must do.
async fn routes_are_agreed_on(mesh: &MeshSandbox) {
    let [one, two] = [mesh.routers[0].addr, mesh.routers[1].addr];
    agree(mesh, "2").await;
    let first = set(one, &all_to(1), 0).await.unwrap();
    agree(mesh, "1").await;

    let wrong = set(two, "[[route]]\nmodel = 'noop'\nto = [{ version = '1', weight = 5 }]\ncolour = 'red'", first).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().contains("must be 100 together, not 5") && wrong.message().contains("route[0].colour"), "{wrong}");

    let second = set(two, &all_to(2), first).await.unwrap();
    agree(mesh, "2").await;
    let late = set(one, &all_to(1), first).await.unwrap_err();
    assert_eq!(late.code(), Code::Aborted, "{late}");

    let now = admin(one).get_routes(GetRoutesRequest {}).await.unwrap().into_inner();
    assert_eq!((now.routes, now.version, now.can_set), (all_to(2), second, true));
    let past = admin(two).list_past_routes(ListPastRoutesRequest {}).await.unwrap().into_inner().past;
    assert_eq!(past.iter().map(|past| past.routes.as_str()).collect::<Vec<_>>(), [all_to(2), all_to(1)]);
}

#[test]
fn routes_in_a_folder_reach_every_router_within_a_second_and_a_wrong_or_late_change_changes_nothing() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        routes_are_agreed_on(&mesh(None, ("store.folder", folder.path().to_str().unwrap())).await).await;
    });
}

#[test]
fn routes_in_consul_reach_every_router_within_a_second_and_a_wrong_or_late_change_changes_nothing() {
    bounded(async {
        let agent = Agent::start().await;
        let mesh = mesh(Some(&agent), ("store.consul", "true")).await;
        routes_are_agreed_on(&mesh).await;
        let router = mesh.routers[0].addr;
        let version = async || admin(router).get_routes(GetRoutesRequest {}).await.unwrap().into_inner().version;
        let long = |bytes: usize| all_to(1) + &"#".repeat(bytes - all_to(1).len());
        let refused = set(router, &long(195_073), version().await).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains("195073 bytes and may have 195072"), "{refused}");
        // Sent twice, once for the history, they are as much as Consul takes at once.
        set(router, &long(195_072), version().await).await.unwrap();
        agree(&mesh, "1").await;
    });
}

#[test]
fn routes_outlive_a_consul_that_forgets_them_and_a_router_without_them_takes_no_calls() {
    bounded(async {
        let mut agent = Agent::start().await;
        let mut mesh = mesh(Some(&agent), ("store.consul", "true")).await;
        set(mesh.routers[0].addr, &all_to(1), 0).await.unwrap();
        agree(&mesh, "1").await;
        agent.kill();
        agree(&mesh, "1").await;
        let refused = set(mesh.routers[0].addr, &all_to(2), 0).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");

        mesh.routers[1].end(Signal::KILL).await;
        mesh.start_without_waiting("router", 1).await;
        let noted = || mesh.routers[1].log().contains("the last list stays in use");
        eventually("the new router has looked for Consul", PATIENCE, async || noted().then_some(())).await;
        assert!(!mesh.routers[1].is_ready().await, "a router that does not know the routes takes calls");

        agent.start_again(false).await;
        mesh.routers[1].ready().await;
        // The other router remembers, and gives them back as soon as it has noticed.
        agree_within(PATIENCE, &mesh, "1").await;
    });
}

#[test]
fn endpoints_are_listed_with_what_they_serve() {
    bounded(async {
        let mesh = MeshSandbox::builder().workers(2).model(Model::noop()).start().await;
        mesh.inference().model_infer(client::noop()).await.unwrap();
        let listed = admin(mesh.routers[0].addr).list_endpoints(ListEndpointsRequest {}).await.unwrap().into_inner().endpoints;
        assert_eq!(listed.iter().map(|endpoint| endpoint.id.as_str()).collect::<Vec<_>>(), ["worker-1", "worker-2"]);
        for (endpoint, worker) in listed.iter().zip(&mesh.workers) {
            assert_eq!(endpoint.address, worker.addr.to_string());
            assert_eq!((endpoint.versions[0].model.as_str(), endpoint.versions[0].version.as_str()), ("noop", "1"));
        }
        assert!(listed.iter().any(|endpoint| endpoint.versions[0].latency > 0.0), "one of them has answered: {listed:?}");
    });
}

#[test]
fn the_gateway_does_not_pass_operators_calls_on() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let refused = admin(mesh.gateway()).get_routes(GetRoutesRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        let mut asking = tonic::Request::new(GetRoutesRequest {});
        asking.metadata_mut().insert("authorization", format!("Bearer {}", torchmesh_tests::KEY).parse().unwrap());
        let refused = admin(mesh.gateway()).get_routes(asking).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
    });
}

async fn meshctl(router: SocketAddr, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(places::program("meshctl"));
    command.args(arguments).args(["--router", &router.to_string()]).current_dir(folder);
    command.output().await.expect("meshctl starts")
}

#[test]
fn meshctl_shows_changes_and_takes_back_the_routes() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = mesh(None, ("store.folder", folder.path().join("control").to_str().unwrap())).await;
        let (router, folder) = (mesh.routers[0].addr, folder.path());
        let said = async |arguments: &[&str]| {
            let output = meshctl(router, folder, arguments).await;
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        fs::write(folder.join("one.toml"), all_to(1)).unwrap();
        fs::write(folder.join("two.toml"), all_to(2)).unwrap();
        fs::write(folder.join("wrong.toml"), "[[route]]\nmodel = 'noop'").unwrap();

        assert!(said(&["route", "get"]).await.contains("there are no routes"));
        said(&["route", "set", "one.toml"]).await;
        agree(&mesh, "1").await;
        let difference = said(&["route", "diff", "two.toml"]).await;
        assert!(difference.contains("-to = [{ version = \"1\" }]\n+to = [{ version = \"2\" }]"), "{difference}");
        said(&["route", "set", "two.toml"]).await;
        agree(&mesh, "2").await;
        assert_eq!(said(&["route", "history"]).await.lines().count(), 3);
        said(&["route", "undo"]).await;
        agree(&mesh, "1").await;
        assert_eq!(said(&["route", "get"]).await, all_to(1));

        let refused = meshctl(router, folder, &["route", "set", "wrong.toml"]).await;
        assert_eq!(refused.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("route[0].to: must name at least one destination"), "{refused:?}");
        let endpoints = said(&["endpoints"]).await;
        assert!(endpoints.contains("worker-1") && endpoints.contains("noop"), "{endpoints}");
    });
}

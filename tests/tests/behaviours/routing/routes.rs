//! Which version answers, when a route says so.

use std::{fs, path::Path, time::Duration};

use tonic::Code;
use torchmesh_api::inference::ModelInferRequest;
use torchmesh_tests::{MeshSandbox, bounded, client, eventually, instance::run_to_end, models::Model};

const PATIENCE: Duration = Duration::from_secs(20);

/// A mesh of `noop` in two versions, with these routes.
async fn mesh(folder: &Path, routes: &str) -> MeshSandbox {
    let file = folder.join("routes.toml");
    fs::write(&file, routes).unwrap();
    let mesh = MeshSandbox::builder()
        .set("worker", "models_poll", "50ms")
        .set("router", "routes_file", file.to_str().unwrap())
        .model(Model::noop())
        .start()
        .await;
    Model::noop().add_version(&mesh.folder().join("models"), 2);
    let second = || ModelInferRequest { model_version: "2".into(), ..client::noop() };
    eventually("version 2 is ready", PATIENCE, async || mesh.inference().model_infer(second()).await.ok()).await;
    mesh
}

/// Who answers a call of `name`: the model and its version.
async fn answering(
    mesh: &MeshSandbox,
    name: &str,
    header: Option<(&'static str, &'static str)>,
) -> Result<(String, String), tonic::Status> {
    let mut request = tonic::Request::new(ModelInferRequest { model_name: name.into(), ..client::noop() });
    if let Some((name, value)) = header {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    let answer = mesh.inference().model_infer(request).await?.into_inner();
    Ok((answer.model_name, answer.model_version))
}

fn noop(version: &str) -> (String, String) {
    ("noop".into(), version.into())
}

#[test]
fn a_canary_gets_its_share_an_exception_its_version_and_another_name_its_model() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let routes = r#"
            [[route]]
            model = "noop"
            to = [{ version = "1", weight = 75 }, { version = "2", weight = 25 }]
            except = [{ header = "x-canary", value = "yes", version = "2" }]
            [[route]]
            model = "nothing"
            to = [{ model = "noop", version = "1" }]
        "#;
        let mesh = mesh(folder.path(), routes).await;
        let mut canary = 0;
        for _ in 0..400 {
            canary += u32::from(answering(&mesh, "noop", None).await.unwrap() == noop("2"));
        }
        // Five standard deviations either side: once in two million runs it is outside by chance.
        assert!((57..=143).contains(&canary), "{canary} of 400 calls went to a canary with a quarter of them");
        for _ in 0..20 {
            assert_eq!(answering(&mesh, "noop", Some(("x-canary", "yes"))).await.unwrap(), noop("2"));
            assert_eq!(answering(&mesh, "nothing", None).await.unwrap(), noop("1"));
        }
    });
}

#[test]
fn routes_change_while_calls_come_and_wrong_ones_change_nothing() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        let all_to = |version: &str| format!("[[route]]\nmodel = 'noop'\nto = [{{ version = '{version}' }}]");
        let mesh = mesh(folder.path(), &all_to("1")).await;
        assert_eq!(answering(&mesh, "noop", None).await.unwrap(), noop("1"));
        let until = async |version: &str| {
            eventually("the new route is in use", PATIENCE, async || {
                (answering(&mesh, "noop", None).await.ok()? == noop(version)).then_some(())
            })
            .await;
        };
        fs::write(&file, all_to("2")).unwrap();
        until("2").await;
        fs::write(&file, "[[route]]\nmodel = 'noop'\nto = [{ version = '1', weight = 5 }]\ncolour = 'red'").unwrap();
        eventually("the mistakes are in the log", PATIENCE, async || {
            let log = mesh.routers[0].log();
            (log.contains("must be 100 together, not 5") && log.contains("route[0].colour")).then_some(())
        })
        .await;
        assert_eq!(answering(&mesh, "noop", None).await.unwrap(), noop("2"));
        fs::write(&file, all_to("1")).unwrap();
        until("1").await;
    });
}

#[test]
fn a_route_to_what_is_not_there_says_so_to_the_caller() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = mesh(folder.path(), "[[route]]\nmodel = 'noop'\nto = [{ version = '9' }]").await;
        let refused = answering(&mesh, "noop", None).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        assert!(refused.message().contains("no version 9; it has 1, 2; the route of \"noop\" leads there"), "{}", refused.message());
    });
}

#[test]
fn a_router_does_not_start_with_wrong_routes_and_names_every_mistake() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (routes, discovery) = (folder.path().join("routes.toml"), folder.path().join("discovery.toml"));
        fs::write(&routes, "[[route]]\nmodel = 'a'\nto = [{ model = 'b' }]\n[[route]]\nmodel = 'b'\nto = [{ model = 'a' }]\nsticky = 'x'")
            .unwrap();
        fs::write(&discovery, "").unwrap();
        let settings = [("discovery.file", discovery.to_str().unwrap()), ("routes_file", routes.to_str().unwrap())];
        let ended = run_to_end("router", &settings, &[]).await;
        assert!(!ended.status.success());
        let said = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
        for part in ["routes.toml", "goes in a circle: a → b → a", "route[1].sticky"] {
            assert!(said.contains(part), "{part:?} is missing in {said}");
        }
    });
}

//! Which version answers, when a route says so.

use std::{fs, path::Path, time::Duration};

use tonic::Code;
use torchmesh_api::{
    frame,
    inference::{ModelInferRequest, ModelInferResponse},
};
use torchmesh_tests::{
    MeshSandbox, TENANT, bounded, client, eventually,
    instance::run_to_end,
    models::Model,
    upstream::{Manner, Upstream},
};

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
async fn answering(mesh: &MeshSandbox, name: &str, headers: &[(&'static str, &str)]) -> Result<(String, String), tonic::Status> {
    answering_to(mesh, ModelInferRequest { model_name: name.into(), ..client::noop() }, headers).await
}

async fn answering_to(
    mesh: &MeshSandbox,
    asked: ModelInferRequest,
    headers: &[(&'static str, &str)],
) -> Result<(String, String), tonic::Status> {
    let mut request = tonic::Request::new(asked);
    for &(name, value) in headers {
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
            canary += u32::from(answering(&mesh, "noop", &[]).await.unwrap() == noop("2"));
        }
        // Five standard deviations either side: once in two million runs it is outside by chance.
        assert!((57..=143).contains(&canary), "{canary} of 400 calls went to a canary with a quarter of them");
        for _ in 0..20 {
            assert_eq!(answering(&mesh, "noop", &[("x-canary", "yes")]).await.unwrap(), noop("2"));
            assert_eq!(answering(&mesh, "nothing", &[]).await.unwrap(), noop("1"));
        }
    });
}

#[test]
fn all_of_an_exception_must_hold_and_the_same_user_or_content_stays_where_it_is() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let halves = "to = [{ version = '1', weight = 50 }, { version = '2', weight = 50 }]";
        let routes = format!(
            "[[route]]\nmodel = 'noop'\n{halves}\nsticky = {{ header = 'x-user' }}\n\
             except = [{{ header = 'x-beta', present = true, tenants = ['{TENANT}', 'other'], when = [{{ header = 'x-region', value = 'eu' }}], version = '2' }}]\n\
             [[route]]\nmodel = 'asked'\nsticky = 'content'\n\
             to = [{{ model = 'noop', version = '1', weight = 50 }}, {{ model = 'noop', version = '2', weight = 50 }}]"
        );
        let mesh = mesh(folder.path(), &routes).await;
        let mut met = [Vec::new(), Vec::new()];
        for key in 0..20_u8 {
            let user = key.to_string();
            let content =
                ModelInferRequest { model_name: "asked".into(), raw_input_contents: vec![vec![key; 1024].into()], ..client::noop() };
            let places = async || {
                let by_user = answering(&mesh, "noop", &[("x-user", user.as_str())]).await.unwrap();
                [by_user, answering_to(&mesh, content.clone(), &[]).await.unwrap()]
            };
            let first = places().await;
            for _ in 0..4 {
                assert_eq!(places().await, first);
            }
            met.iter_mut().zip(first).for_each(|(met, answered)| met.push(answered));
        }
        // That all twenty are with one version would be a chance of one in half a million, and the keys are the same in every run.
        for met in met {
            assert!(met.contains(&noop("1")) && met.contains(&noop("2")), "{met:?}");
        }
        let (beta, region) = (("x-beta", "1"), ("x-region", "eu"));
        for user in 0..20 {
            let user = user.to_string();
            let user = ("x-user", user.as_str());
            assert_eq!(answering(&mesh, "noop", &[beta, region, user]).await.unwrap(), noop("2"));
            let own = answering(&mesh, "noop", &[user]).await.unwrap();
            for one in [beta, region] {
                assert_eq!(answering(&mesh, "noop", &[one, user]).await.unwrap(), own, "one of the conditions is not enough");
            }
        }
    });
}

#[test]
fn when_a_model_fails_its_fallback_answers_if_the_route_says_so() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        let routes = "[[route]]\nmodel = 'noop'\nto = [{}]\nfallback = ['small']\n";
        fs::write(&file, routes).unwrap();
        let small = frame::encode(&ModelInferResponse { model_name: "small".into(), model_version: "1".into(), ..Default::default() });
        let (broken, small) =
            (Upstream::start(&["noop"], Manner::Refuses(13, "broken")).await, Upstream::start(&["small"], Manner::Answers(small)).await);
        let builder =
            MeshSandbox::builder().worker_at(broken.addr).worker_at(small.addr).set("router", "routes_file", file.to_str().unwrap());
        let mesh = builder.set("router", "breaker.pause", "30s").start().await;
        for _ in 0..20 {
            assert_eq!(
                answering(&mesh, "noop", &[]).await.unwrap_err().code(),
                Code::Internal,
                "it is there, and that is enough by default"
            );
        }
        fs::write(&file, format!("{routes}fallback_when = 'failing'")).unwrap();
        eventually("the fallback answers", PATIENCE, async || answering(&mesh, "noop", &[]).await.ok()).await;
        let before = broken.seen().len();
        for _ in 0..50 {
            assert_eq!(answering(&mesh, "noop", &[]).await.unwrap().0, "small");
        }
        assert_eq!(broken.seen().len(), before, "nobody has to meet what is known to fail");
        let direct = ModelInferRequest { model_version: "1".into(), ..client::noop() };
        assert_eq!(answering_to(&mesh, direct, &[]).await.unwrap_err().code(), Code::Internal, "whoever names a version gets that one");
    });
}

#[test]
fn routes_change_while_calls_come_and_wrong_ones_change_nothing() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        let all_to = |version: &str| format!("[[route]]\nmodel = 'noop'\nto = [{{ version = '{version}' }}]");
        let mesh = mesh(folder.path(), &all_to("1")).await;
        assert_eq!(answering(&mesh, "noop", &[]).await.unwrap(), noop("1"));
        let until = async |version: &str| {
            eventually("the new route is in use", PATIENCE, async || {
                (answering(&mesh, "noop", &[]).await.ok()? == noop(version)).then_some(())
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
        assert_eq!(answering(&mesh, "noop", &[]).await.unwrap(), noop("2"));
        fs::write(&file, all_to("1")).unwrap();
        until("1").await;
    });
}

#[test]
fn a_route_to_what_is_not_there_says_so_to_the_caller() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mesh = mesh(folder.path(), "[[route]]\nmodel = 'noop'\nto = [{ version = '9' }]").await;
        let refused = answering(&mesh, "noop", &[]).await.unwrap_err();
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

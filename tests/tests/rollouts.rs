//! A new version takes over by itself when it is good, and is taken back by itself when it is not.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tonic::{Code, Request, transport::Channel};
use torchmesh_api::{
    admin::v1::{
        ChangeRolloutRequest, GetRoutesRequest, ListRolloutsRequest, Rollout, RolloutCommand, SetRoutesRequest, StartRolloutRequest,
        router_admin_client::RouterAdminClient,
    },
    frame,
    inference::{ModelInferResponse, model_infer_response::InferOutputTensor},
    text::v1::{Classification, ClassifyResponse, LabelScore},
};
use torchmesh_tests::{
    KEY, MeshSandbox, Signal, bounded, client,
    consul::Agent,
    eventually,
    load::{Load, Plan},
    places,
    raw::{self, Call},
    sandbox::Builder,
    upstream::{Manner, Upstream},
};

/// What a rollout of two steps of five seconds takes, and more.
const PATIENCE: Duration = Duration::from_secs(60);
const PLAN: &str = "model = 'noop'\nto = '2'\nsteps = [50, 100]\nevery = '5s'\nmax_error_rate = '5%'\n";
const ROUTES: &str = "[[route]]\nmodel = \"noop\"\nto = [{ version = \"1\" }]\n";

/// An answer with one number, in its frame.
fn answer(version: &str, number: f32) -> Bytes {
    let output = InferOutputTensor { name: "OUTPUT0".into(), datatype: "FP32".into(), shape: vec![1, 1], ..Default::default() };
    frame::encode(&ModelInferResponse {
        model_name: "noop".into(),
        model_version: version.into(),
        outputs: vec![output],
        raw_output_contents: vec![Bytes::copy_from_slice(&number.to_le_bytes())],
        ..Default::default()
    })
}

struct Scene {
    mesh: MeshSandbox,
    load: Load,
    _upstreams: [Upstream; 2],
}

/// Where the routers keep what they agree on.
enum Kept<'a> {
    Folder(&'a Path),
    Consul(&'a Agent),
}

impl Scene {
    /// Two routers that keep their routes in `folder`, version 1 that has all calls, 200 of them a second, and version 2 in this manner.
    async fn start(folder: &Path, canary: Manner) -> Self {
        Self::kept(&Kept::Folder(folder), canary).await
    }

    async fn kept(kept: &Kept<'_>, canary: Manner) -> Self {
        let stable = Upstream::start(&["noop"], Manner::Answers(answer("1", 1.0))).await;
        let canary = Upstream::start(&["noop@2"], canary).await;
        let mesh = Self::builder(kept, &[&stable, &canary]).await.start().await;
        let request = SetRoutesRequest { routes: ROUTES.into(), version: 0, dry_run: false };
        admin(mesh.routers[0].addr).set_routes(request).await.unwrap();
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        let load = Load::start(Plan { addresses: mesh.doors(), call, rate: 200.0, deadline: Duration::from_secs(2) });
        load.answers(20).await;
        Self { mesh, load, _upstreams: [stable, canary] }
    }

    /// A mesh of two routers whose workers are these upstreams.
    async fn builder(kept: &Kept<'_>, upstreams: &[&Upstream]) -> Builder {
        let builder = MeshSandbox::builder().routers(2);
        match kept {
            Kept::Folder(folder) => {
                let builder = builder.set("router", "store.folder", folder.to_str().unwrap());
                upstreams.iter().fold(builder, |builder, upstream| builder.worker_at(upstream.addr))
            }
            Kept::Consul(agent) => {
                for (at, upstream) in upstreams.iter().enumerate() {
                    agent.register("torchmesh-worker", &format!("stand-in-{at}"), upstream.addr).await;
                }
                builder.workers(0).consul(agent).set("router", "store.consul", "true")
            }
        }
    }

    async fn begin(&self, more: &str) -> Rollout {
        let request = StartRolloutRequest { plan: format!("{PLAN}{more}") };
        admin(self.mesh.routers[1].addr).start_rollout(request).await.unwrap().into_inner().rollout.unwrap()
    }

    /// Waits for its end, and gives how it stands then and the routes.
    async fn end(&self) -> (Rollout, String) {
        let mut admin = admin(self.mesh.routers[1].addr);
        let began = Instant::now();
        let rollout = eventually("the rollout ends", PATIENCE, async || {
            let rollout = admin.list_rollouts(ListRolloutsRequest {}).await.ok()?.into_inner().rollouts.pop()?;
            (!matches!(rollout.stage.as_str(), "running" | "paused")).then_some(rollout)
        })
        .await;
        println!("{} after {:.1} s: {}", rollout.stage, began.elapsed().as_secs_f64(), rollout.events.last().unwrap().said);
        let wanted = if rollout.stage == "promoted" { "version = \"2\", weight = 100" } else { "version = \"1\", weight = 100" };
        let routes = eventually("the routes say so", PATIENCE, async || {
            let routes = admin.get_routes(GetRoutesRequest {}).await.ok()?.into_inner().routes;
            routes.contains(wanted).then_some(routes)
        })
        .await;
        (rollout, routes)
    }
}

fn admin(router: SocketAddr) -> RouterAdminClient<Channel> {
    RouterAdminClient::new(client::channel(router))
}

fn said(rollout: &Rollout) -> &str {
    &rollout.events.last().unwrap().said
}

#[test]
fn a_good_version_takes_over_and_no_caller_notices() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let mut scene = Scene::start(folder.path(), Manner::Answers(answer("2", 1.0))).await;
        // Tails of a busy machine are no matter here: to tell 1.2 times from 1.0 in them takes minutes.
        let begun = scene.begin("max_p99 = '4x'\n").await;
        assert_eq!((begun.from.as_str(), begun.stage.as_str(), begun.percent), ("1", "running", 50.0));
        // Whoever leads may go: another goes on.
        scene.mesh.routers[0].end(Signal::KILL).await;
        let (rollout, routes) = scene.end().await;
        assert_eq!(rollout.stage, "promoted", "{:?}", rollout.events);
        assert!(routes.contains("version = \"1\", weight = 0"), "{routes}");
        let report = scene.load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn when_the_router_that_leads_by_consul_is_killed_another_one_promotes_the_version() {
    bounded(async {
        let agent = Agent::start().await;
        let mut scene = Scene::kept(&Kept::Consul(&agent), Manner::Answers(answer("2", 1.0))).await;
        let leader = async |not: Option<&str>| {
            let other = async || agent.holder("torchmesh/leader").await.filter(|holder| Some(holder.as_str()) != not);
            eventually("a router leads", PATIENCE, other).await
        };
        let first = leader(None).await;
        let leads = |router: &torchmesh_tests::Instance| router.addr.to_string() == first;
        let at = scene.mesh.routers.iter().position(leads).expect("the leader is one of the routers");
        // Operators ask the last of them.
        scene.mesh.routers.swap(0, at);
        let begun = scene.begin("max_p99 = '4x'\n").await;
        assert_eq!((begun.stage.as_str(), begun.percent), ("running", 50.0));
        scene.mesh.routers[0].end(Signal::KILL).await;
        let rollouts = admin(scene.mesh.routers[1].addr).list_rollouts(ListRolloutsRequest {}).await.unwrap().into_inner().rollouts;
        assert_eq!(rollouts[0].stage, "running", "it was killed in the midst of it");
        assert_eq!(leader(Some(&first)).await, scene.mesh.routers[1].addr.to_string());
        let (rollout, routes) = scene.end().await;
        assert_eq!(rollout.stage, "promoted", "{:?}", rollout.events);
        assert!(routes.contains("version = \"1\", weight = 0"), "{routes}");
        let report = scene.load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_version_that_fails_is_taken_back() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::start(folder.path(), Manner::Refuses(13, "broken")).await;
        scene.begin("").await;
        let (rollout, routes) = scene.end().await;
        assert_eq!(rollout.stage, "rolled_back");
        assert!(said(&rollout).contains("of its calls failed"), "{}", said(&rollout));
        assert!(routes.contains("version = \"2\", weight = 0"), "{routes}");
        eventually("no caller meets it any more", PATIENCE, async || {
            let before = scene.load.report().failed();
            scene.load.answers(100).await;
            (scene.load.report().failed() == before).then_some(())
        })
        .await;
    });
}

#[test]
fn a_version_that_is_slow_is_taken_back() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::start(folder.path(), Manner::AnswersAfter(Duration::from_millis(60), answer("2", 1.0))).await;
        scene.begin("").await;
        let (rollout, _) = scene.end().await;
        assert_eq!(rollout.stage, "rolled_back");
        assert!(said(&rollout).contains("took longer than"), "{}", said(&rollout));
    });
}

#[test]
fn a_version_that_answers_otherwise_is_taken_back_before_any_caller_has_met_it() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::start(folder.path(), Manner::Answers(answer("2", 7.0))).await;
        let begun = scene.begin("max_disagreement = '2%'\nshadow_percent = 100").await;
        assert!(begun.percent < 1e-9, "no caller meets it before its answers are known");
        let (rollout, _) = scene.end().await;
        assert_eq!(rollout.stage, "rolled_back");
        assert!(said(&rollout).contains("answers"), "{}", said(&rollout));
        let mut admin = admin(scene.mesh.routers[0].addr);
        eventually("the shadow is gone", PATIENCE, async || {
            let routes = admin.get_routes(GetRoutesRequest {}).await.ok()?.into_inner().routes;
            (!routes.contains("shadow")).then_some(())
        })
        .await;
        let report = scene.load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::start(folder.path(), Manner::Answers(answer("2", 1.0))).await;
        let mut admin = admin(scene.mesh.routers[0].addr);
        let mut refused = async |plan: &str, code: Code, words: &[&str]| {
            let refused = admin.start_rollout(Request::new(StartRolloutRequest { plan: plan.into() })).await.unwrap_err();
            assert_eq!(refused.code(), code, "{refused}");
            for words in words {
                assert!(refused.message().contains(words), "{words:?} is missing in {}", refused.message());
            }
        };
        let wrong = "model = 'noop'\nto = 'x'\nsteps = [50, 10]\nevery = '1s'\ncolour = 'red'";
        refused(wrong, Code::InvalidArgument, &["to: must be a version", "steps: must rise", "every: must be at least 5s", "colour"]).await;
        refused("model = 'noop'\nto = '9'", Code::FailedPrecondition, &["no version 9; it has 1, 2"]).await;
        refused("model = 'noop'\nto = '1'", Code::InvalidArgument, &["to: must be another version than `from`"]).await;
        scene.begin("").await;
        refused(PLAN, Code::FailedPrecondition, &["has a rollout under way"]).await;

        let change = |command: RolloutCommand| ChangeRolloutRequest { model: "noop".into(), command: command.into() };
        let unfit = admin.change_rollout(change(RolloutCommand::Resume)).await.unwrap_err();
        assert!(unfit.code() == Code::FailedPrecondition && unfit.message().contains("is not paused"), "{unfit}");
        admin.change_rollout(change(RolloutCommand::Pause)).await.unwrap();
        admin.change_rollout(change(RolloutCommand::Abort)).await.unwrap();
        let (rollout, _) = scene.end().await;
        assert_eq!(rollout.stage, "aborted");
    });
}

#[test]
fn meshctl_starts_shows_and_ends_a_rollout_and_what_goes_on() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::start(folder.path(), Manner::Answers(answer("2", 1.0))).await;
        let run = async |arguments: &[&str]| {
            let mut command = tokio::process::Command::new(places::program("meshctl"));
            command.args(arguments).args(["--router", &scene.mesh.routers[0].addr.to_string()]).current_dir(folder.path());
            let output = command.output().await.expect("meshctl starts");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let started = run(&["rollout", "start", "noop", "--to", "2", "--steps", "10,100", "--every", "1h", "--max-error-rate", "2%"]).await;
        assert!(started.contains("noop 1 → 2: running") && started.contains("10% of 10%, 100%"), "{started}");
        assert!(run(&["rollout", "status"]).await.contains("running"));
        let top = run(&["top", "--once"]).await;
        assert!(top.contains("noop") && top.contains("CALLS/S"), "{top}");
        assert!(run(&["rollout", "abort", "noop"]).await.contains("aborted by an operator"));
        assert_eq!(scene.end().await.0.stage, "aborted");
    });
}

/// An answer of version 2 to texts, each of which gets one of these labels, in its frame.
fn labelled(labels: &[&str]) -> Bytes {
    let one =
        |label: &&str| Classification { labels: vec![LabelScore { label: (*label).into(), score: 0.9, index: 0 }], ..Default::default() };
    frame::encode(&ClassifyResponse { classifications: labels.iter().map(one).collect(), ..Default::default() })
}

#[test]
fn a_version_that_gives_too_few_texts_their_label_is_not_begun_with() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        // Three of four as the file has them.
        let classified = labelled(&["spam", "ham", "spam", "spam"]);
        let canary = Manner::AnswersEach(vec![("Classify", classified), ("ModelInfer", answer("2", 1.0))]);
        let scene = Scene::start(folder.path(), canary).await;
        let lines = ["spam", "ham", "spam", "ham"].map(|label| format!("{{\"text\": \"a text\", \"label\": \"{label}\"}}\n"));
        fs::write(folder.path().join("labelled.jsonl"), lines.concat()).unwrap();
        fs::write(folder.path().join("key"), KEY).unwrap();
        let (gateway, router) = (scene.mesh.gateway().to_string(), scene.mesh.routers[0].addr.to_string());
        let start = async |least: &str| {
            let mut command = tokio::process::Command::new(places::program("meshctl"));
            command.args(["rollout", "start", "noop", "--to", "2", "--steps", "10,100", "--every", "1h"]);
            command.args([
                "--gate",
                "labelled.jsonl",
                "--min-accuracy",
                least,
                "--gateway",
                &gateway,
                "--key-file",
                "key",
                "--router",
                &router,
            ]);
            command.current_dir(folder.path()).output().await.expect("meshctl starts")
        };
        let rollouts =
            async || admin(scene.mesh.routers[0].addr).list_rollouts(ListRolloutsRequest {}).await.unwrap().into_inner().rollouts;

        let refused = start("80%").await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        for words in ["version 2 gives 3 of 4 texts their label: 75.0%", "80.0% are asked for", "no caller has met the version"] {
            assert!(said.contains(words), "{words:?} is missing in {said}");
        }
        assert!(rollouts().await.is_empty());

        let begun = start("75%").await;
        assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
        assert!(String::from_utf8_lossy(&begun.stdout).contains("noop 1 → 2: running"));
        assert_eq!(rollouts().await.len(), 1);
    });
}

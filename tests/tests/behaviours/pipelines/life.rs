//! How pipelines come, change and go: as versions of models do.

use std::fs;

use tonic::Code;
use torchmesh_api::inference::{ModelInferRequest, RepositoryIndexRequest};
use torchmesh_api::tensor::Tensor;
use torchmesh_tests::{MeshSandbox, bounded, eventually, models::Model};

use super::{PATIENCE, X, call, mesh, output, passes_on, ready, request, start, step, y};

fn x() -> [(&'static str, Tensor); 1] {
    [("x", Tensor::from_f32s([1, 2], &[1.0, 2.0]))]
}

/// State and reason of a version, as the mesh lists it.
async fn state(mesh: &MeshSandbox, name: &str, version: &str) -> Option<(String, String)> {
    let index = mesh.inference().repository_index(RepositoryIndexRequest::default()).await.ok()?.into_inner();
    let found = index.models.into_iter().find(|model| model.name == name && model.version == version)?;
    Some((found.state, found.reason))
}

#[test]
fn a_file_with_mistakes_is_listed_with_all_of_them_and_hurts_nobody() {
    bounded(async {
        let wrong = "timeout = 5\n[[input]]\nname = 'x'\ndatatype = 'TEXT'\nshape = [1]\n";
        let mesh = mesh([Model::wide()], &[("good/1", &passes_on("wide"))]).await;
        mesh.write_pipeline("good/2", wrong);
        let unfit = [
            X,
            &step("a", "wide", "WRONG = 'input.x'", ""),
            &step("b", "nobody", "x = 'input.x'", ""),
            &output("y", "'a.OUTPUT0'"),
            &output("z", "'b.y'"),
        ];
        mesh.write_pipeline("unfit/1", &unfit.concat());
        let told = async |name: &str, version: &str, parts: &[&str]| {
            eventually(&format!("{name} {version} is listed with its mistakes"), PATIENCE, async || {
                let (state, reason) = state(&mesh, name, version).await?;
                (state == "UNAVAILABLE" && parts.iter().all(|part| reason.contains(part))).then_some(())
            })
            .await;
        };
        told("good", "2", &["timeout: must be a duration", "input[0].datatype: \"TEXT\"", "output: there must be"]).await;
        told("unfit", "1", &["wide needs \"INPUT0\"", "wide takes no \"WRONG\"", "nobody is not there"]).await;
        assert_eq!(y(&mesh, "good", &x()).await, x()[0].1, "the version that is good answers");
        assert_eq!(call(&mesh, "unfit", &x()).await.unwrap_err().code(), Code::Unavailable);
    });
}

#[test]
fn a_pipeline_waits_for_its_model_and_follows_its_file() {
    bounded(async {
        let builder =
            MeshSandbox::builder().set("worker", "models_poll", "50ms").model(Model::noop()).pipeline("late/1", &passes_on("wide"));
        let mesh = builder.start().await;
        eventually("it is listed as waiting", PATIENCE, async || {
            state(&mesh, "late", "1").await.filter(|(state, reason)| state == "UNAVAILABLE" && reason.contains("wide is not there"))
        })
        .await;
        Model::wide().install(&mesh.folder().join("models"));
        ready(&mesh, "late/1").await;
        assert_eq!(y(&mesh, "late", &x()).await, x()[0].1);
        let more = [X, &step("only", "wide", "INPUT0 = 'input.x'", ""), &output("z", "'only.OUTPUT0'")].concat();
        mesh.write_pipeline("late/1", &more);
        eventually("the changed file is in use", PATIENCE, async || {
            call(&mesh, "late", &x()).await.ok().filter(|answer| answer.outputs[0].name == "z")
        })
        .await;
        fs::remove_file(mesh.folder().join("pipelines/late/1.toml")).unwrap();
        eventually("it is gone with its file", PATIENCE, async || {
            call(&mesh, "late", &x()).await.err().filter(|status| status.code() == Code::NotFound)
        })
        .await;
    });
}

#[test]
fn a_canary_of_a_pipeline_gets_its_share_and_an_alias_its_pipeline() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let routes = folder.path().join("routes.toml");
        let text = "[[route]]\nmodel = 'pipe'\nto = [{ version = '1', weight = 75 }, { version = '2', weight = 25 }]\n\
                    [[route]]\nmodel = 'alias'\nto = [{ model = 'pipe', version = '2' }]\n";
        fs::write(&routes, text).unwrap();
        let builder = MeshSandbox::builder().model(Model::wide()).set("router", "routes_file", routes.to_str().unwrap());
        let second =
            [X, &step("a", "wide", "INPUT0 = 'input.x'", ""), &step("b", "wide", "INPUT0 = 'a.OUTPUT0'", ""), &output("y", "'b.OUTPUT0'")];
        let mesh = start(builder, &[("pipe/1", &passes_on("wide")), ("pipe/2", &second.concat())]).await;
        let mut canary = 0;
        for _ in 0..400 {
            canary += u32::from(call(&mesh, "pipe", &x()).await.unwrap().model_version == "2");
        }
        // Five standard deviations either side: once in two million runs it is outside by chance.
        assert!((57..=143).contains(&canary), "{canary} of 400 calls went to a canary with a quarter of them");
        let alias = call(&mesh, "alias", &x()).await.unwrap();
        assert_eq!((alias.model_name.as_str(), alias.model_version.as_str()), ("pipe", "2"));
        let named = ModelInferRequest { model_version: "1".into(), ..request("pipe", &x()) };
        assert_eq!(mesh.inference().model_infer(named).await.unwrap().into_inner().model_version, "1");
    });
}

#[test]
fn pipelines_that_come_to_call_each_other_are_stopped() {
    bounded(async {
        // `b` is well as long as it calls the model; then it is changed to call `a`, which calls it.
        let b = [X, &step("only", "wide", "INPUT0 = 'input.x'", ""), &output("y", "'only.OUTPUT0'")].concat();
        let calls = |model: &str| [X, &step("only", model, "x = 'input.x'", ""), &output("y", "'only.y'")].concat();
        let mesh = mesh([Model::wide()], &[("b/1", &b), ("a/1", &calls("b"))]).await;
        mesh.write_pipeline("b/2", &calls("a"));
        ready(&mesh, "b/2").await;
        let stopped = eventually("the newest b is in use", PATIENCE, async || call(&mesh, "a", &x()).await.err()).await;
        assert!(stopped.message().contains("4 pipelines have called each other in a row"), "{stopped:?}");
        assert_eq!(stopped.code(), Code::InvalidArgument, "{stopped:?}");
    });
}

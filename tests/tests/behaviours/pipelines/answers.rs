//! What pipelines answer.

use std::time::{Duration, Instant};

use serde_json::json;
use torchmesh_api::tensor::Tensor;
use torchmesh_tests::{bounded, models::Model, web};

use super::{X, call, given, mesh, output, step, texts, transform, words, y};

fn x(values: &[f32]) -> (&'static str, Tensor) {
    ("x", Tensor::from_f32s([1, i64::try_from(values.len()).unwrap()], values))
}

#[test]
fn steps_run_in_a_row_and_side_by_side_and_are_joined_by_grpc_and_by_rest() {
    bounded(async {
        let chain = [
            X,
            &step("first", "wide", "INPUT0 = 'input.x'", ""),
            &transform("head", "slice", "x = 'first.OUTPUT0'", "axis = 1\nend = 2"),
            &transform("tail", "slice", "x = 'first.OUTPUT0'", "axis = 1\nbegin = -2"),
            &step("left", "wide", "INPUT0 = 'head.out'", ""),
            &step("right", "wide", "INPUT0 = 'tail.out'", ""),
            &step("both", "tuple", "a = 'left.OUTPUT0', b = 'right.OUTPUT0'", ""),
            &output("y", "'both.sum'"),
            &output("mean", "'both.mean'"),
        ]
        .concat();
        let mesh = mesh([Model::wide(), Model::tuple()], &[("chain/1", &chain)]).await;
        let answer = call(&mesh, "chain", &[x(&[1.0, 2.0, 30.0, 40.0])]).await.unwrap();
        assert_eq!((answer.model_name.as_str(), answer.model_version.as_str()), ("chain", "1"));
        assert_eq!(given(&answer, "y"), Some(Tensor::from_f32s([1, 2], &[31.0, 42.0])));
        assert_eq!(given(&answer, "mean"), Some(Tensor::from_f32s([1, 2], &[15.5, 21.0])));
        let mut connection = web::Connection::http1(mesh.gateway()).await.unwrap();
        let body = json!({ "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 30, 40] }], "outputs": [{ "name": "y" }] });
        let answer = connection.post("/v2/models/chain/infer", &body).await.json();
        assert_eq!((&answer["outputs"][0]["data"], answer["outputs"].as_array().unwrap().len()), (&json!([31.0, 42.0]), 1), "{answer}");
        let described = web::get(mesh.gateway(), "/v2/models/chain").await.unwrap();
        assert_eq!(described.status, 401, "a pipeline asks for a key as every model does");
    });
}

#[test]
fn parallel_branches_cost_the_longest_and_not_their_sum() {
    bounded(async {
        let busy = "[[input]]\nname = 'ms'\ndatatype = 'INT64'\nshape = [-1, 1]\n";
        let side_by_side = [
            busy,
            &step("one", "slow", "INPUT0 = 'input.ms'", ""),
            &step("two", "slow-too", "INPUT0 = 'input.ms'", ""),
            &step("three", "slow-as-well", "INPUT0 = 'input.ms'", ""),
            &transform("all", "concat", "a = 'one.OUTPUT0', b = 'two.OUTPUT0', c = 'three.OUTPUT0'", ""),
            &output("y", "'all.out'"),
        ]
        .concat();
        let models = [Model::slow(), Model::slow().called("slow-too"), Model::slow().called("slow-as-well")];
        let mesh = mesh(models, &[("busy/1", &side_by_side)]).await;
        let began = Instant::now();
        let given = y(&mesh, "busy", &[("ms", Tensor::from_i64s([1, 1], &[500]))]).await;
        let took = began.elapsed();
        assert_eq!(given, Tensor::from_i64s([3, 1], &[500; 3]));
        assert!(took < Duration::from_secs(1), "{took:?} for three branches of 500 ms");
    });
}

#[test]
fn a_value_chooses_a_model_and_whether_a_step_runs() {
    bounded(async {
        let choose = [
            X,
            "[[input]]\nname = 'kind'\ndatatype = 'BYTES'\nshape = [1]\n",
            "[[step]]\nname = 'chosen'\ninputs = { INPUT0 = 'input.x' }\n\
             switch = { on = 'input.kind', cases = { plain = 'wide', careful = 'fails_on_negative' } }\n",
            &transform("loud", "cast", "x = 'input.x'", "to = 'INT64'\nwhen = { value = 'input.kind', is = ['loud', 'very loud'] }"),
            "[[output]]\nname = 'y'\nfrom = ['chosen.OUTPUT0', 'input.x']\n[[output]]\nname = 'loud'\nfrom = 'loud.out'\noptional = true\n",
        ]
        .concat();
        let mesh = mesh([Model::wide(), Model::fails_on_negative()], &[("choose/1", &choose)]).await;
        let ask = async |kind: &str| call(&mesh, "choose", &[x(&[-1.0, 2.0]), ("kind", texts(&[kind]))]).await;
        let plain = ask("plain").await.unwrap();
        assert_eq!((given(&plain, "y"), given(&plain, "loud")), (Some(x(&[-1.0, 2.0]).1), None));
        let careful = ask("careful").await.unwrap_err();
        assert!(careful.message().contains("step \"chosen\""), "{careful:?}");
        let other = ask("very loud").await.unwrap();
        assert_eq!(given(&other, "y"), Some(x(&[-1.0, 2.0]).1), "no case, no default: the next place");
        assert_eq!(given(&other, "loud"), Some(Tensor::from_i64s([1, 2], &[-1, 2])));
    });
}

#[test]
fn a_list_is_taken_apart_and_put_together_in_its_order() {
    bounded(async {
        let each = [
            X,
            &step("each", "wide", "INPUT0 = 'input.x'", "map = { over = ['INPUT0'], rows = 2, at_once = 3 }"),
            "[[output]]\nname = 'y'\nfrom = 'each.OUTPUT0'\noptional = true\n",
        ]
        .concat();
        let mesh = mesh([Model::wide()], &[("each/1", &each)]).await;
        let rows: Vec<f32> = (0..33).map(|number| number as f32).collect();
        let x = Tensor::from_f32s([11, 3], &rows);
        assert_eq!(y(&mesh, "each", &[("x", x.clone())]).await, x);
        let labels = [("pipeline", "each"), ("step", "each"), ("code", "Ok")];
        assert_eq!(mesh.pipelines[0].metrics().await.count("torchmesh_pipelines_step_calls_total", &labels), 6);
    });
}

#[test]
fn several_models_answer_as_one_and_some_of_them_may_fail() {
    bounded(async {
        let ensemble = |by: &str, at_least: usize| {
            let step = format!(
                "[[step]]\nname = 'all'\ninputs = {{ INPUT0 = 'input.x' }}\n\
                 ensemble = {{ models = ['fails_on_negative', 'wide', 'wide'], by = '{by}', weights = [2, 1, 1], at_least = {at_least} }}\n"
            );
            [X, &step, &output("y", "'all.OUTPUT0'")].concat()
        };
        let pipelines = [("mean/1", &*ensemble("mean", 3)), ("vote/1", &*ensemble("vote", 2))];
        let mesh = mesh([Model::wide(), Model::fails_on_negative()], &pipelines).await;
        assert_eq!(y(&mesh, "mean", &[x(&[1.0, 2.0])]).await, x(&[1.0, 2.0]).1);
        assert_eq!(y(&mesh, "vote", &[x(&[-1.0, 2.0])]).await, x(&[-1.0, 2.0]).1, "two of three are enough");
        let failed = call(&mesh, "mean", &[x(&[-1.0, 2.0])]).await.unwrap_err();
        assert!(failed.message().contains("step \"all\""), "{failed:?}");
    });
}

#[test]
fn texts_are_written_and_json_is_read_between_steps() {
    bounded(async {
        let letters = [
            "[[input]]\nname = 'name'\ndatatype = 'BYTES'\nshape = [-1]\n[[input]]\nname = 'json'\ndatatype = 'BYTES'\nshape = [-1]\n",
            &transform("score", "json", "x = 'input.json'", "pick = '/a/0/score'\nto = 'FP32'\ndefault = '0'"),
            &transform("enough", "threshold", "x = 'score.out'", "at_least = 0.5"),
            &transform("letter", "template", "name = 'input.name', good = 'enough.out'", "text = 'Dear {name}: {good}!'"),
            &transform("column", "reshape", "x = 'score.out'", "shape = [-1, 1]"),
            &step("model", "wide", "INPUT0 = 'column.out'", ""),
            &output("y", "'letter.out'"),
            &output("scores", "'model.OUTPUT0'"),
        ]
        .concat();
        let mesh = mesh([Model::wide()], &[("letters/1", &letters)]).await;
        let json = texts(&[r#"{"a":[{"score":0.75}]}"#, "{}"]);
        let answer = call(&mesh, "letters", &[("name", texts(&["Ann", "Bo"])), ("json", json)]).await.unwrap();
        assert_eq!(words(&given(&answer, "y").unwrap()), ["Dear Ann: true!", "Dear Bo: false!"]);
        assert_eq!(given(&answer, "scores"), Some(Tensor::from_f32s([2, 1], &[0.75, 0.0])));
    });
}

#[test]
fn a_pipeline_can_be_a_step_of_another_one() {
    bounded(async {
        let (inner, outer) =
            (super::passes_on("wide"), [X, &step("only", "inner", "x = 'input.x'", ""), &output("y", "'only.y'")].concat());
        let mesh = mesh([Model::wide()], &[("inner/1", &inner), ("outer/1", &outer)]).await;
        assert_eq!(y(&mesh, "outer", &[x(&[1.0])]).await, x(&[1.0]).1);
    });
}

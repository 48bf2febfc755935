use torchmesh_api::tensor::{Datatype, Tensor};

use super::*;
use crate::transform::Transform;

const WHOLE: &str = r#"
description = "says what a text is about"
timeout = "2s"
[[input]]
name = "text"
datatype = "BYTES"
shape = [-1]
[[step]]
name = "judge"
model = "spam@2"
fallback = ["rules"]
inputs = { text = "input.text" }
timeout = "200ms"
retries = 1
cache = "10m"
parameters = { max_tokens = 5, temperature = 0.5 }
[[step]]
name = "best"
transform = "top_k"
k = 1
inputs = { x = "judge.scores" }
optional = true
[[step]]
name = "more"
inputs = { text = "input.text", bias = { datatype = "FP32", shape = [2], data = [0.5, 1] } }
when = { value = "best.indices", is = [0, "x"] }
switch = { on = "best.indices", cases = { 0 = "a", 1 = "b@3" }, default = "c" }
map = { over = ["text"], rows = 8 }
[[step]]
name = "together"
inputs = { x = ["more.y", "judge.scores"] }
ensemble = { models = ["a", "b"], by = "mean", weights = [1, 3], at_least = 1 }
[[output]]
name = "class"
from = ["together.y", "judge.scores"]
"#;

#[test]
fn a_whole_file_is_read() {
    let pipeline = Pipeline::parse(WHOLE).unwrap();
    assert_eq!(pipeline.inputs, [Named::new("text", crate::TensorType::new(Datatype::Bytes, [-1]))]);
    let [judge, best, more, together] = &pipeline.steps[..] else { panic!("{:?}", pipeline.steps) };
    assert_eq!(
        judge.targets().iter().map(|(at, target)| format!("{at} {target}")).collect::<Vec<_>>(),
        ["model spam@2", "fallback[0] rules"]
    );
    assert_eq!((judge.policy.timeout, judge.policy.retries), (Some(Duration::from_millis(200)), 1));
    assert_eq!((judge.policy.cache, more.policy.cache), (StepCache::For(Duration::from_secs(600)), StepCache::AsRouted));
    let Work::Call(Calls { parameters, .. }) = &judge.work else { panic!("{:?}", judge.work) };
    assert_eq!(parameters[..], [("max_tokens".to_owned(), Parameter::Whole(5)), ("temperature".to_owned(), Parameter::Real(0.5))]);
    assert!(best.policy.optional && matches!(best.work, Work::Transform(Transform::TopK(_))));
    assert_eq!(more.inputs[0].1, Wire(vec![Source::Constant(Tensor::from_f32s([2], &[0.5, 1.0]))]));
    assert_eq!(more.when.as_ref().unwrap().test, Test::Is(vec!["0".into(), "x".into()]));
    assert_eq!(more.targets().len(), 3);
    let Work::Call(Calls { choice: Choice::Ensemble(ensemble), .. }) = &together.work else { panic!("{:?}", together.work) };
    assert_eq!((ensemble.by, ensemble.at_least, &ensemble.weights[..]), (By::Mean, 1, &[1.0, 3.0][..]));
}

#[test]
fn every_mistake_is_in_one_report() {
    let text = r#"
timeout = "0s"
[[input]]
name = "in put"
datatype = "TEXT"
shape = [0]
[[step]]
name = "a"
model = "spam@x"
transform = "top_k"
inputs = { x = "nowhere" }
[[step]]
name = "b"
transform = "shrink"
inputs = { x = { datatype = "INT64", shape = [2], data = [1] } }
retries = 3
[[step]]
name = "b"
ensemble = { models = ["a"], by = "sum", weights = [0] }
inputs = { x = "a.y" }
map = { over = ["z"], at_once = 0 }
"#;
    let report = Pipeline::parse(text).unwrap_err().to_string();
    for part in [
        "timeout: must be more than 0s",
        "input[0].name: must have 1 to 64",
        "input[0].datatype: \"TEXT\" is not a datatype",
        "input[0].shape: has a dimension",
        "step[0].model: must be given, or one of",
        "step[0].inputs.x: is \"nowhere\"; it must be",
        "step[1].transform: is \"shrink\"; known are",
        "step[1].inputs.x: its data has 1 elements",
        "step[2].ensemble.by: is \"sum\"",
        "step[2].ensemble.models: must name two",
        "step[2].ensemble.weights: must be 0 or more",
        "step[2].map.at_once: must be from 1 to 256",
        "output: there must be from 1 to 256",
    ] {
        assert!(report.contains(part), "{part:?} is missing in:\n{report}");
    }
}

#[test]
fn times_and_weights_without_a_sensible_end_are_mistakes() {
    let step = |more: &str| format!("[[step]]\nname = 'a'\nmodel = 'm'\ninputs = {{ x = 'input.x' }}\n{more}\n");
    let report = |own: &str, step: &str| {
        let frame = "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1]\n[[output]]\nname = 'y'\nfrom = 'a.y'\n";
        Pipeline::parse(&[own, frame, step].concat()).map_err(|problems| problems.to_string())
    };
    for (own, step, part) in [
        ("timeout = '25h'\n", step(""), "timeout: must be at most 24h"),
        ("", step("timeout = '100000000000h'"), "step[0].timeout: must be at most 24h"),
        ("", step("cache = '10ms'"), "step[0].cache: must be from 1s to 24h, or off"),
        ("", step("cache = 'never'"), "step[0].cache: must be how old an answer may be, such as \"10m\", or \"off\", not \"never\""),
        ("", step("backoff = '61s'"), "step[0].backoff: must be at most 1m"),
        ("", step("").replace("model = 'm'", "transform = 'mean'\nweights = [inf]"), "step[0].weights: must be a number, not inf"),
        ("", step("").replace("model = 'm'", "transform = 'mean'\nweights = [1e308, 1e308]"), "step[0].weights: must be 0 or more"),
    ] {
        let error = report(own, &step).unwrap_err();
        assert!(error.contains(part), "{part:?} is missing in:\n{error}");
    }
    report("timeout = '24h'\n", &step("timeout = '24h'\nretries = 10\nbackoff = '1m'")).unwrap();
}

#[test]
fn a_test_goes_by_how_a_value_reads() {
    let (word, number) = (crate::element::texts([1], ["spam".into()]), Tensor::from_f32s([1, 1], &[0.5]));
    let is = |words: &[&str]| Test::Is(words.iter().map(ToString::to_string).collect());
    assert_eq!(is(&["ham", "spam"]).holds(&word), Ok(true));
    assert_eq!(Test::AtLeast(0.5).holds(&number), Ok(true));
    assert_eq!(Test::Below(0.5).holds(&number), Ok(false));
    assert!(Test::Below(0.5).holds(&word).is_err());
    assert!(is(&["1"]).holds(&Tensor::from_i64s([2], &[1, 1])).is_err());
}

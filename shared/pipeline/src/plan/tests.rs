use super::*;

const IN: &str = "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1]\n";

fn model(name: &str, inputs: &str, more: &str) -> String {
    format!("[[step]]\nname = '{name}'\nmodel = 'm'\ninputs = {{ {inputs} }}\n{more}\n")
}

fn out(from: &str) -> String {
    format!("[[output]]\nname = 'y'\nfrom = {from}\n")
}

fn problems(text: &str) -> String {
    Plan::parse(text).unwrap_err().to_string()
}

#[test]
fn a_diamond_has_ranks_and_knows_which_outputs_are_asked_for() {
    let text = [
        IN,
        &model("last", "a = 'left.y', b = 'right.z', c = 'right.y'", ""),
        &model("left", "x = 'first.y'", ""),
        &model("right", "x = 'first.y'", ""),
        &model("first", "x = 'input.x'", ""),
        &out("'last.y'"),
    ]
    .concat();
    let plan = Plan::parse(&text).unwrap();
    let [last, left, right, first] = &plan.nodes[..] else { panic!("{:?}", plan.nodes) };
    assert_eq!([last.rank, left.rank, right.rank, first.rank], [2, 1, 1, 0]);
    assert_eq!([last.below, left.below, right.below, first.below], [0, 1, 1, 2]);
    assert_eq!(right.outputs.iter().map(|name| &**name).collect::<Vec<_>>(), ["z", "y"]);
    assert_eq!(first.after, [1, 2]);
    assert_eq!(plan.in_order(), [3, 1, 2, 0]);
}

#[test]
fn steps_that_wait_for_each_other_are_told_as_a_circle() {
    let text = [IN, &model("a", "x = 'input.x', y = 'c.y'", ""), &model("b", "x = 'a.y'", ""), &model("c", "x = 'b.y'", ""), &out("'c.y'")];
    assert!(problems(&text.concat()).contains("step[0]: waits for itself: a takes from c takes from b takes from a"));
    let own = [IN, &model("a", "x = ['a.y', 'input.x']", ""), &out("'a.y'")];
    assert!(problems(&own.concat()).contains("a takes from a"));
}

#[test]
fn what_is_not_there_or_for_nothing_is_told_at_once() {
    let text = [
        IN,
        "[[input]]\nname = 'z'\ndatatype = 'FP32'\nshape = [1]\n",
        &model("a", "x = 'input.q', y = 'nobody.y', z = 'input.x'", ""),
        &model("b", "x = 'a.y'", ""),
        "[[step]]\nname = 'c'\ntransform = 'cast'\nto = 'FP64'\ninputs = { x = 'input.x' }\n",
        "[[output]]\nname = 'y'\nfrom = 'a.y'\n[[output]]\nname = 'w'\nfrom = 'c.values'\n",
    ];
    let report = problems(&text.concat());
    for part in [
        "step[0].inputs.x: there is no input \"q\"; there is x, z",
        "step[0].inputs.y: there is no step \"nobody\"",
        "output[1].from: cast \"c\" gives out, and no \"values\"",
        "step[1]: \"b\" is for nothing",
        "input[1]: \"z\" is for nothing",
    ] {
        assert!(report.contains(part), "{part:?} is missing in:\n{report}");
    }
}

#[test]
fn only_a_last_step_that_calls_one_model_goes_on_piece_by_piece() {
    let (first, last) = (model("a", "x = 'input.x'", ""), model("b", "x = 'a.y'", ""));
    let plan =
        |stream: &str, last: &str, from: &str| Plan::parse(&[&format!("stream = '{stream}'\n"), IN, &first, last, &out(from)].concat());
    assert_eq!(plan("b", &last, "'b.y'").unwrap().stream, Some(1));
    let told = |stream, last: &str, from| plan(stream, last, from).unwrap_err().to_string();
    assert!(told("c", &last, "'b.y'").contains("stream: there is no step \"c\""));
    assert!(told("a", &last, "'b.y'").contains("output \"y\" must come from \"a\" alone"));
    let again = model("b", "x = 'a.y'", "retries = 1");
    assert!(told("b", &again, "'b.y'").contains("without map, retries and fallback"));
}

#[test]
fn an_output_that_may_be_absent_has_to_say_so() {
    let optional = model("a", "x = 'input.x'", "optional = true");
    assert!(problems(&[IN, &optional, &out("'a.y'")].concat()).contains("output[0].from: may be absent"));
    let behind = model("b", "x = 'a.y'", "");
    assert!(problems(&[IN, &optional, &behind, &out("'b.y'")].concat()).contains("may be absent"));
    for good in [&out("['a.y', 'input.x']"), &out("'a.y'\noptional = true")] {
        Plan::parse(&[IN, &optional, good].concat()).unwrap_or_else(|problems| panic!("{good}: {problems}"));
    }
    let certain = model("a", "x = 'input.x'", "");
    let idle = [IN, &certain, &out("['a.y', 'input.x']")];
    assert!(problems(&idle.concat()).contains("output[0].from: names 2 places, and number 1 always has a tensor"));
}

//! When steps run, on a clock that moves only when there is nothing to do.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    tensor::Tensor,
    usage::Figures,
};
use torchmesh_pipeline::{
    Plan,
    run::{Answer, Begun, Call, Ended, Steps, run, run_to},
};

/// Models that are called by how many milliseconds they take, such as `m40`; `never` does not answer, and `broken` fails at once.
struct Named;

impl Steps for Named {
    async fn call(&self, call: Call<'_>) -> Result<Answer, ApiError> {
        match call.target.model.as_str() {
            "never" => std::future::pending().await,
            "broken" => return Err(ApiError::new(ErrorKind::InvalidArgument, "broken")),
            name => sleep(Duration::from_millis(name[1..].parse().expect("a model's name"))).await,
        }
        let outputs = call.outputs.iter().map(|_| call.inputs[0].1.clone()).collect();
        Ok(Answer { outputs, used: Figures { items: 1, ..Figures::default() } })
    }
}

const INPUT: &str = "[[input]]\nname = 'x'\ndatatype = 'INT64'\nshape = [-1]\n";

fn step(name: &str, model: &str, inputs: &str, more: &str) -> String {
    format!("[[step]]\nname = '{name}'\nmodel = '{model}'\ninputs = {{ {inputs} }}\n{more}\n")
}

fn output(from: &str) -> String {
    format!("[[output]]\nname = 'y'\nfrom = {from}\n")
}

/// How a pipeline ends within a second, and after how many milliseconds.
fn ends(parts: &[&str]) -> (Ended, u128) {
    // What stands in front of the first table is the pipeline's own.
    let (own, tables): (Vec<&str>, Vec<&str>) = parts.iter().partition(|part| !part.starts_with('['));
    let text = [&own[..], &[INPUT], &tables].concat().concat();
    let plan = Plan::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let began = Instant::now();
        let ended = run(&plan, vec![Tensor::from_i64s([3], &[1, 2, 3])], began + Duration::from_secs(1), &Named).await;
        (ended, began.elapsed().as_millis())
    })
}

#[test]
fn a_step_waits_for_what_it_takes_and_for_nothing_else() {
    let (first, second) = (step("b1", "m50", "x = 'input.x'", ""), step("b2", "m50", "x = 'b1.y'", ""));
    let join = step("c", "m10", "x = 'a.y', z = 'b2.y'", "");
    let (ended, took) = ends(&[&step("a", "m100", "x = 'input.x'", ""), &first, &second, &join, &output("'c.y'")]);
    assert!(ended.outputs.is_ok());
    assert_eq!(took, 110, "the longest way");
}

#[test]
fn a_list_makes_its_calls_together_as_far_as_it_may() {
    let map = |at_once: usize| step("a", "m30", "x = 'input.x'", &format!("map = {{ over = ['x'], at_once = {at_once} }}"));
    let from = output("['a.y', 'input.x']");
    assert_eq!((ends(&[&map(3), &from]).1, ends(&[&map(1), &from]).1), (30, 90));
    assert_eq!(ends(&[&map(3), &from]).0.outputs, Ok(vec![Some(Tensor::from_i64s([3], &[1, 2, 3]))]));
}

#[test]
fn nobody_waits_for_a_step_that_is_not_needed_any_more() {
    let slow = step("slow", "never", "x = 'input.x'", "");
    let quick = step("quick", "m5", "x = 'input.x'", "optional = true");
    let (ended, took) = ends(&[&slow, &quick, &output("['quick.y', 'slow.y']")]);
    assert_eq!((ended.outputs.is_ok(), took, ended.used.len()), (true, 5, 1));
}

#[test]
fn a_step_that_fails_ends_the_pipeline_at_once() {
    let (slow, broken) = (step("slow", "never", "x = 'input.x'", ""), step("bad", "broken", "x = 'input.x'", ""));
    let (ended, took) = ends(&[&slow, &broken, &output("'slow.y'"), "[[output]]\nname = 'z'\nfrom = 'bad.y'\n"]);
    let failure = ended.outputs.unwrap_err();
    assert_eq!((&*failure.step, took), ("bad", 0));
    assert_eq!(ApiError::from(failure).message, "step \"bad\": broken");
}

#[test]
fn tries_divide_the_time_so_that_the_last_of_them_has_its_share() {
    let fallback = step("a", "never", "x = 'input.x'", "fallback = ['m400']");
    let (ended, took) = ends(&[&fallback, &output("'a.y'")]);
    assert_eq!((ended.outputs.is_ok(), took), (true, 900), "half for the first");
    let optional = step("a", "never", "x = 'input.x'", "optional = true");
    let behind = step("b", "m400", "x = ['a.y', 'input.x']", "");
    let (ended, took) = ends(&[&optional, &behind, &output("'b.y'")]);
    assert_eq!((ended.outputs.is_ok(), took), (true, 900), "half for what comes behind an optional step");
}

#[test]
fn a_run_can_stop_before_the_step_that_is_passed_on_as_it_comes() {
    let text = [INPUT, &step("a", "m20", "x = 'input.x'", ""), &step("b", "never", "x = 'a.y'", ""), &output("'b.y'")].concat();
    let plan = Plan::parse(&format!("stream = 'b'\n{text}")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let x = Tensor::from_i64s([1], &[7]);
    let Begun { inputs, used } = runtime.block_on(async {
        let deadline = Instant::now() + Duration::from_secs(1);
        run_to(&plan, plan.stream.unwrap(), vec![x.clone()], deadline, &Named).await
    });
    assert_eq!((inputs, used.len()), (Ok(Some(vec![("x".into(), x)])), 1));
}

#[test]
fn a_timeout_never_lengthens_a_deadline() {
    let (ended, took) = ends(&[&step("a", "never", "x = 'input.x'", "timeout = '10s'"), &output("'a.y'")]);
    assert_eq!((ended.outputs.unwrap_err().error.kind, took), (ErrorKind::DeadlineExceeded, 1000));
    let (ended, took) = ends(&["timeout = '40ms'\n", &step("a", "never", "x = 'input.x'", ""), &output("'a.y'")]);
    assert_eq!((ended.outputs.is_err(), took), (true, 40), "the pipeline's own");
}

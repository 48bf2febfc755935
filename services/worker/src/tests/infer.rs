use std::time::Duration;

use tokio_stream::StreamExt as _;
use tonic::{Code, Request};
use torchmesh_api::inference::{ModelInferRequest, infer_parameter::ParameterChoice};

use super::{Worker, row};
use crate::testing::FAILS;

#[tokio::test]
async fn a_request_comes_back_with_its_id_and_the_version_that_answered() {
    let worker = Worker::start(|_| ()).await;
    let answer = worker.oip().model_infer(ModelInferRequest { id: "q-1".into(), ..row(&[1, 2]) }).await.unwrap().into_inner();
    assert_eq!((answer.model_name.as_str(), answer.model_version.as_str(), answer.id.as_str()), ("echo", "1", "q-1"));
    assert_eq!(answer.outputs[0].name, "y");
    assert_eq!(answer.outputs[0].shape, [1, 2]);
    assert_eq!(&answer.raw_output_contents[0][..], row(&[1, 2]).raw_input_contents[0]);
    assert_eq!(worker.metric("torchmesh_worker_requests_total{model=\"echo\",version=\"1\",code=\"OK\"}"), "1");
}

#[tokio::test]
async fn the_error_of_a_model_reaches_its_caller_without_the_trace() {
    let worker = Worker::start(|_| ()).await;
    let status = worker.oip().model_infer(row(&[FAILS])).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "the model failed: told to fail"));
}

#[tokio::test]
async fn a_full_queue_says_when_to_try_again() {
    let worker = Worker::start(|_| ()).await;
    let mut calls = vec![worker.occupy().await];
    calls.extend((0..3).map(|_| worker.call(row(&[1]))));
    worker.until("three wait", |worker| worker.depth("echo") == 3).await;
    let refused = worker.oip().model_infer(row(&[2])).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.metadata().contains_key("grpc-retry-pushback-ms"), "{refused:?}");
    worker.seen.gate.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_is_answered_as_such_and_costs_no_forward() {
    let worker = Worker::start(|_| ()).await;
    let busy = worker.occupy().await;
    let mut late = Request::new(row(&[2]));
    late.set_timeout(Duration::from_millis(20));
    let status = worker.oip().model_infer(late).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(worker.depth("echo"), 0, "its slot is free though the executor is still busy");
    worker.seen.gate.open();
    busy.await.unwrap().unwrap();
    worker.oip().model_infer(row(&[3])).await.unwrap();
    assert_eq!(worker.seen.shapes().len(), 2, "the late one never ran");
    assert_eq!(worker.metric("torchmesh_worker_requests_total{model=\"echo\",version=\"1\",code=\"DEADLINE_EXCEEDED\"}"), "1");
}

#[tokio::test]
async fn a_caller_who_hangs_up_frees_its_slot_and_is_counted_as_cancelled() {
    let worker = Worker::start(|_| ()).await;
    let running = worker.occupy().await;
    let waiting = worker.call(row(&[2]));
    worker.until("it waits", |worker| worker.depth("echo") == 1).await;
    for call in [running, waiting] {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(worker.depth("echo"), 0);
    assert_eq!(worker.metric("torchmesh_worker_queue_depth_requests{model=\"echo\""), "0");
    assert_eq!(worker.metric("torchmesh_worker_dropped_requests_total{model=\"echo\""), "1");
    assert_eq!(worker.metric("torchmesh_worker_requests_total{model=\"echo\",version=\"1\",code=\"CANCELLED\"}"), "2");
    worker.seen.gate.open();
}

#[tokio::test]
async fn a_message_that_names_another_model_than_it_was_routed_by_is_refused() {
    let worker = Worker::start(|_| ()).await;
    let call = |model: &'static str, version: &'static str| {
        let mut request = Request::new(row(&[1]));
        request.metadata_mut().insert("x-torchmesh-model", model.parse().unwrap());
        request.metadata_mut().insert("x-torchmesh-model-version", version.parse().unwrap());
        let mut client = worker.oip();
        async move { client.model_infer(request).await }
    };
    assert_eq!(call("embed", "1").await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(call("echo", "7").await.unwrap_err().code(), Code::NotFound, "the router's version fills the empty one");
    assert_eq!(call("echo", "1").await.unwrap().into_inner().model_version, "1");
}

#[tokio::test]
async fn a_stream_is_answered_in_order_and_an_error_does_not_end_it() {
    let worker = Worker::start(|_| ()).await;
    let request = |value: i64| ModelInferRequest { id: value.to_string(), ..row(&[value]) };
    let mut wrong = request(2);
    wrong.model_name = "nobody".into();
    let requests = tokio_stream::iter(vec![request(1), wrong, request(3)]);
    let answers = worker.oip().model_stream_infer(requests).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    let seen: Vec<_> = answers.iter().map(|answer| answer.infer_response.as_ref().map(|response| response.id.as_str())).collect();
    assert_eq!(seen, [Some("1"), None, Some("3")]);
    assert!(answers[1].error_message.contains("\"nobody\" does not exist"), "{}", answers[1].error_message);
    let last = &answers[0].infer_response.as_ref().unwrap().parameters["triton_final_response"];
    assert_eq!(last.parameter_choice, Some(ParameterChoice::BoolParam(true)));
}

#[tokio::test]
async fn a_stream_ends_at_its_deadline() {
    let worker = Worker::start(|_| ()).await;
    worker.seen.gate.close();
    let mut requests = Request::new(tokio_stream::iter(vec![row(&[1])]).chain(tokio_stream::pending()));
    requests.set_timeout(Duration::from_millis(50));
    let mut answers = worker.oip().model_stream_infer(requests).await.unwrap().into_inner();
    assert_eq!(answers.next().await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    worker.seen.gate.open();
}

#[tokio::test]
async fn an_answer_says_where_its_time_went_and_a_priority_that_is_none_is_refused() {
    let worker = Worker::start(|_| ()).await;
    let with = |priority: &'static str| {
        let mut request = Request::new(row(&[1]));
        request.metadata_mut().insert("x-torchmesh-priority", priority.parse().unwrap());
        request
    };
    let answer = worker.oip().model_infer(with("high")).await.unwrap();
    for header in ["x-torchmesh-queue-us", "x-torchmesh-compute-us"] {
        let micros = answer.metadata().get(header).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        assert!(micros.is_some(), "{header} is missing in {:?}", answer.metadata());
    }
    assert!(answer.metadata().get("x-torchmesh-load").unwrap().to_str().unwrap().starts_with("depth=0"));
    let refused = worker.oip().model_infer(with("urgent")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "x-torchmesh-priority is \"urgent\"; send high, normal or low");
}

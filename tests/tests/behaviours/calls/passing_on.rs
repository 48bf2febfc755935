//! What crosses the mesh arrives as it was sent, and costs the hops no more than a window of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tonic::{Code, metadata::MetadataValue};
use torchmesh_api::{
    frame,
    inference::{ModelInferRequest, ModelInferResponse, RepositoryIndexRequest, model_infer_response::InferOutputTensor},
};
use torchmesh_tests::{
    MeshSandbox, bounded, client, memory,
    models::Model,
    raw::{self, Call},
    sandbox::TENANT,
    upstream::{Manner, Upstream},
};

const MIB: usize = 1 << 20;

/// Bytes that no compression and no zero page makes small, and that show every change of order.
fn numbers(bytes: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut all = BytesMut::with_capacity(bytes);
    while all.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Of a float's exponent only the low half, so that no number is a NaN.
        all.extend_from_slice(&(state & 0x3fff_ffff_3fff_ffff).to_le_bytes());
    }
    all.freeze()
}

fn wide(data: Bytes) -> ModelInferRequest {
    let width = i64::try_from(data.len() / 4).unwrap();
    client::infer("wide", "INPUT0", "FP32", &[1, width], data)
}

fn output(data: Bytes) -> ModelInferResponse {
    let output = InferOutputTensor { name: "OUTPUT0".into(), datatype: "FP32".into(), shape: vec![1, 1], ..Default::default() };
    ModelInferResponse { model_name: "wide".into(), outputs: vec![output], raw_output_contents: vec![data], ..Default::default() }
}

#[test]
fn a_tensor_of_16_mb_comes_back_from_the_model_bit_for_bit() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::wide()]).await;
        let sent = numbers(16 * MIB);
        let answer = mesh.inference().model_infer(wide(sent.clone())).await.unwrap().into_inner();
        assert!(answer.raw_output_contents[0] == sent, "the tensor came back changed");
    });
}

#[test]
fn a_message_of_16_mb_crosses_both_hops_as_the_same_bytes_in_both_directions() {
    bounded(async {
        let returned = frame::encode(&output(numbers(16 * MIB)));
        let upstream = Upstream::start(&["wide"], Manner::Answers(returned.clone())).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let sent = frame::encode(&wide(numbers(16 * MIB)));
        let answer = raw::call(mesh.gateway(), &Call::of_bytes(raw::MODEL_INFER, sent.clone()).with_key()).await;
        assert_eq!(answer.status().code(), Code::Ok, "{:?}", answer.status());
        assert!(answer.body == returned, "the answer arrived changed");
        assert!(upstream.seen()[0].body.as_ref().unwrap() == &sent, "the request arrived changed");
    });
}

#[test]
fn a_message_of_16_mb_is_neither_decoded_nor_copied_by_a_hop() {
    bounded(async {
        let returned = frame::encode(&output(numbers(16 * MIB)));
        let upstream = Upstream::start(&["wide"], Manner::Answers(returned)).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        // What a process needs once and for ever (its buffers, its connections) is none of a message's costs.
        let connection = raw::Connection::open(mesh.gateway()).await.unwrap();
        let mut call = Call::new(raw::MODEL_INFER, &wide(numbers(MIB))).with_key();
        for _ in 0..2 {
            connection.call(&call).await.unwrap();
            call = Call::new(raw::MODEL_INFER, &wide(numbers(16 * MIB))).with_key();
        }
        for (instance, most, why) in [
            (&mesh.gateways[0], 8 * MIB, "it keeps 1 MiB for another try, and streams the rest"),
            (&mesh.routers[0], 24 * MIB, "it keeps the request for another try, by reference, and streams the answer"),
        ] {
            memory::forget_peak(instance.pid());
            let before = instance.resident();
            connection.call(&call).await.unwrap().message::<ModelInferResponse>();
            let grown = memory::peak(instance.pid()) - before;
            // Decoding needs the message whole and its tensor beside it, 32 MiB, before a byte of it is passed on.
            assert!(grown < most as u64, "{} grew by {} KiB: {why}", instance.name, grown >> 10);
        }
    });
}

#[test]
fn a_callers_own_metadata_passes_and_its_key_and_cookies_do_not() {
    bounded(async {
        let answer = frame::encode(&output(Bytes::new()));
        let upstream = Upstream::start(&["wide"], Manner::Answers(answer)).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let call = Call::new(raw::MODEL_INFER, &wide(numbers(8)))
            .with_key()
            .header("x-team", "vision")
            .header("x-team", "speech")
            .header("x-packed-bin", "AAEC/w")
            .header("x-request-id", "call-7")
            .header("cookie", "session=secret");
        let answer = raw::call(mesh.gateway(), &call).await;
        let seen = &upstream.seen()[0];
        assert_eq!(seen.headers.get_all("x-team").iter().collect::<Vec<_>>(), ["vision", "speech"]);
        assert_eq!((seen.header("x-packed-bin"), seen.header("x-request-id")), ("AAEC/w", "call-7"));
        assert_eq!(answer.trailer("x-request-id"), Some("call-7"));
        let whole = format!("{:?}", seen.headers);
        assert!(!whole.contains("tm_test") && !seen.headers.contains_key("authorization"), "the key went on: {whole}");
        assert!(!seen.headers.contains_key("cookie"), "{whole}");
    });
}

#[test]
fn what_only_the_mesh_may_say_a_client_cannot_say() {
    bounded(async {
        let upstream = Upstream::start(&["wide", "costly"], Manner::Answers(frame::encode(&output(Bytes::new())))).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let call = Call::new(raw::MODEL_INFER, &wide(numbers(8)))
            .with_key()
            .header("x-torchmesh-tenant", "somebody-else")
            .header("x-torchmesh-model", "costly")
            .header("x-torchmesh-model-version", "99");
        raw::call(mesh.gateway(), &call).await;
        let seen = &upstream.seen()[0];
        assert_eq!(seen.headers.get_all("x-torchmesh-tenant").iter().collect::<Vec<_>>(), [TENANT]);
        assert_eq!(seen.headers.get_all("x-torchmesh-model").iter().collect::<Vec<_>>(), ["wide"]);
        assert_eq!(seen.headers.get_all("x-torchmesh-model-version").iter().collect::<Vec<_>>(), ["1"]);
    });
}

#[test]
fn a_status_and_its_details_come_back_as_the_worker_gave_them() {
    bounded(async {
        let upstream = Upstream::start(&["wide"], Manner::Refuses(9, "warm%20it%20up first")).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let refused = mesh.inference().model_infer(wide(numbers(8))).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::FailedPrecondition, "warm it up first"));
        assert_eq!(upstream.seen().len(), 1, "what is not UNAVAILABLE is not tried again");
    });
}

#[test]
fn calls_on_one_connection_do_not_wait_for_each_other() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop(), Model::slow()]).await;
        let mut client = mesh.inference();
        let mut other = client.clone();
        let busy = tokio::spawn(async move { other.model_infer(client::slow(Duration::from_secs(20))).await });
        mesh.workers[0]
            .metric_until("torchmesh_worker_requests_total", &[("model", "slow")], Duration::from_secs(5), |ended| ended == 0)
            .await;
        for _ in 0..20 {
            client.model_infer(client::within(Duration::from_secs(5), client::noop())).await.unwrap();
        }
        assert!(!busy.is_finished());
    });
}

#[test]
fn a_key_in_other_metadata_than_authorization_is_not_looked_for() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::noop()]).await;
        let mut request = tonic::Request::new(RepositoryIndexRequest::default());
        request.metadata_mut().insert("x-api-key", MetadataValue::from_static("tm_test_0123456789"));
        let mut bare =
            torchmesh_api::inference::grpc_inference_service_client::GrpcInferenceServiceClient::new(client::channel(mesh.gateway()));
        let refused = bare.repository_index(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        assert!(refused.message().contains("authorization: Bearer"), "{}", refused.message());
    });
}

//! What calls have used is written down: each once, before its answer ends, whatever happens to the gateway.

mod accounts;
mod audit;
mod crash;
mod figures;
mod full;
mod memory;
mod streams;

use bytes::Bytes;
use torchmesh_api::{frame, inference::ModelInferResponse};
use torchmesh_tests::{
    MeshSandbox, client,
    ledger::Ledger,
    raw::{self, Call},
    upstream::{Manner, Upstream},
};

/// A model that answers at once, and says that a row of four tokens was read.
async fn upstream() -> Upstream {
    Upstream::start(&["noop"], Manner::AnswersUsing("noop/1 prompt=4 items=1", answer())).await
}

fn answer() -> Bytes {
    frame::encode(&ModelInferResponse { model_name: "noop".into(), model_version: "1".into(), ..Default::default() })
}

/// A mesh before that model whose gateway writes down.
async fn mesh(ledger: &Ledger, upstream: &Upstream, settings: &[(&str, &str)]) -> MeshSandbox {
    let builder = ledger.of(MeshSandbox::builder().worker_at(upstream.addr));
    settings.iter().fold(builder, |builder, (key, value)| builder.set("gateway", key, value)).start().await
}

/// A call of that model, with this id.
fn noop(request: &str) -> Call {
    Call::new(raw::MODEL_INFER, &client::noop()).with_key().header("x-request-id", request)
}

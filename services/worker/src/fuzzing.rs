//! What the fuzz targets reach of the inside of this crate; in no other build.

use std::sync::{Arc, LazyLock};

use prometheus_client::registry::Registry;
use torchmesh_api::inference::ModelInferRequest;

use crate::{
    admission::{Queue, QueueSettings},
    infer,
    manifest::{Manifest, Published, Truncation},
    metrics::WorkerMetrics,
    models::{Intake, Serving},
    text,
};

/// An input of every kind: padded, of a fixed shape, of text.
const MANIFEST: &str = "task = 'tensor'\n\
    [[inputs]]\nname = 'a'\ndatatype = 'INT64'\nshape = [-1, -1]\npad = 0\n\
    [[inputs]]\nname = 'b'\ndatatype = 'FP32'\nshape = [-1, 2]\n\
    [[outputs]]\nname = 'y'\ndatatype = 'FP32'\nshape = [-1, 2]\n[queue]\nmax_rows = 64\n";

static SERVING: LazyLock<Serving> = LazyLock::new(|| {
    let manifest = Arc::new(Manifest::parse(MANIFEST, &Published::default()).expect("it is a constant"));
    let metrics = WorkerMetrics::register(&mut Registry::default()).model("m", "1");
    let queue = Queue::new(QueueSettings {
        limits: manifest.queue.clone(),
        batching: manifest.batching.clone(),
        instances: 1,
        metrics: metrics.queue.clone(),
    });
    Serving { outputs: manifest.outputs.clone(), manifest, platform: "none", queue, stats: Arc::default(), intake: Intake::Tensors }
});

/// A `ModelInferRequest`: what is taken has as many bytes as its shape says.
pub fn infer(request: ModelInferRequest) {
    let Ok(decoded) = infer::decode(request, &SERVING) else { return };
    assert!((1..=64).contains(&decoded.part.rows));
    for tensor in &decoded.part.inputs {
        let elements = tensor.elements().expect("it was checked");
        assert!(tensor.data.len() >= elements, "{tensor:?}");
    }
}

/// The part of a text that is worth tokenising.
pub fn bound(text: &str, max_tokens: usize, which: u8) {
    let truncation = [Truncation::End, Truncation::Reject, Truncation::Split][usize::from(which % 3)];
    if let Ok((part, cut)) = text::bound(text, "the text", max_tokens, truncation) {
        assert!(text.starts_with(part) && (cut || part.len() == text.len()));
    }
}

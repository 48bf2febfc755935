use std::sync::{Arc, LazyLock};

use prometheus_client::registry::Registry;
use torchmesh_api::inference::ModelInferRequest;

use crate::{
    admission::{Queue, QueueSettings},
    infer,
    manifest::{Manifest, Published},
    metrics::WorkerMetrics,
    models::{Artefact, Intake, Serving},
    tensor::{Datatype, Tensor, bytes_elements},
};

/// The most rows that the models take.
const ROWS: usize = 64;

/// One model for each datatype, and one of several inputs: padded, of a fixed shape, without a batch.
static MODELS: LazyLock<Vec<Serving>> = LazyLock::new(|| {
    let input = |name: &str, datatype: Datatype, rest: &str| format!("[[inputs]]\nname = '{name}'\ndatatype = '{datatype}'\n{rest}\n");
    let one = Datatype::ALL.map(|datatype| input("x", datatype, "shape = [-1, -1]"));
    let two = input("a", Datatype::Int64, "shape = [-1, -1]\npad = 0") + &input("b", Datatype::Fp32, "shape = [-1, 2]");
    let whole = input("w", Datatype::Uint8, "shape = [-1, 3]") + "[batching]\nmax_batch = 0\n";
    one.into_iter().chain([two, whole]).map(|inputs| serving(&inputs)).collect()
});

fn serving(inputs: &str) -> Serving {
    let text =
        format!("task = 'tensor'\n{inputs}[[outputs]]\nname = 'y'\ndatatype = 'FP32'\nshape = [-1, 2]\n[queue]\nmax_rows = {ROWS}\n");
    let manifest = Arc::new(Manifest::parse(&text, &Published::default()).expect("it is a constant"));
    let metrics = WorkerMetrics::register(&mut Registry::default()).model("m", "1");
    let queue = Queue::new(QueueSettings {
        limits: manifest.queue.clone(),
        batching: manifest.batching.clone(),
        instances: 1,
        metrics: metrics.queue.clone(),
    });
    Serving {
        outputs: manifest.outputs.clone(),
        manifest,
        platform: "none",
        differentiates: false,
        artefact: Artefact::default(),
        queue,
        stats: Arc::default(),
        intake: Intake::Tensors,
    }
}

/// A request: what is taken has as many bytes as its shape says, can be cut between any two rows, and is the same when its data comes raw.
#[expect(clippy::needless_pass_by_value, reason = "it comes from a decoder")]
pub fn tensors(request: ModelInferRequest) {
    let _ = infer::wishes(&request);
    for serving in &*MODELS {
        let Ok(decoded) = infer::decode(request.clone(), serving) else { continue };
        assert!((1..=ROWS).contains(&decoded.part.rows));
        decoded.part.inputs.iter().for_each(hold);
        let mut raw = request.clone();
        let specs = serving.manifest.inputs.iter().map(|spec| &spec.name);
        let place = |name: &String| specs.clone().position(|known| known == name).expect("an input of the model");
        raw.raw_input_contents = raw.inputs.iter().map(|input| decoded.part.inputs[place(&input.name)].data.clone()).collect();
        raw.inputs.iter_mut().for_each(|input| input.contents = None);
        let again = infer::decode(raw, serving).expect("the same, raw");
        assert_eq!((again.part.inputs, again.part.rows, again.wanted), (decoded.part.inputs, decoded.part.rows, decoded.wanted));
    }
}

fn hold(tensor: &Tensor) {
    assert!(is_whole(tensor), "{tensor:?}");
    let _ = tensor.is_finite();
    let rows = usize::try_from(tensor.shape[0]).expect("it was checked");
    for at in [0, 1, rows / 2, rows] {
        let (front, back) = tensor.split_rows(at);
        assert!(is_whole(&front) && is_whole(&back), "{tensor:?} cut at {at}");
        assert_eq!([&front.data[..], &back.data[..]].concat(), tensor.data, "cut at {at}");
    }
}

fn is_whole(tensor: &Tensor) -> bool {
    if tensor.datatype != Datatype::Bytes {
        return tensor.is_consistent();
    }
    bytes_elements(&tensor.data).all(|element| element.is_some()) && Some(bytes_elements(&tensor.data).count()) == tensor.elements()
}

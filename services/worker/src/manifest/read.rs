//! From the text of a `model.toml` to a [`Manifest`], every mistake reported.

use std::{num::NonZero, thread, time::Duration};

use torchmesh_runtime::config::{ByteSize, Problem, Problems, Section};

use super::{
    Batching, Manifest, Published, QueueLimits, Task, Versions, Warmup,
    published::WEIGHTS,
    read_generate, read_task, sources, tensors,
    words::{Class, EngineChoice, NonFinite, TaskWord},
};
use crate::{
    admission::Priority,
    engine::{Device, Dtype},
};

pub(super) fn parse(text: &str, published: &Published) -> Result<Manifest, Problems> {
    let table = text.parse::<toml::Table>().map_err(|error| {
        let place = error.span().map_or(0, |span| text.get(..span.start).map_or(0, |before| before.matches('\n').count() + 1));
        Problems(vec![Problem { field: format!("line {place}"), message: error.message().to_owned() }])
    })?;
    Section::read_all(table, |s| manifest(s, published))
}

fn manifest(s: &mut Section, published: &Published) -> Manifest {
    let word = match published.task {
        Some(word) => s.or("task", word),
        None => s.required("task").unwrap_or(TaskWord::Embed),
    };
    let versions = s.or("versions", Versions::All);
    // Where versions come from is read before they are there (`Sources`); here for the mistakes in it.
    sources::read(s);
    let engine = s.or("engine", EngineChoice::Auto);
    let native = match engine {
        EngineChoice::Auto | EngineChoice::Aoti => published.weights,
        EngineChoice::TorchScript => false,
        EngineChoice::Native => true,
    };
    let generates = word == TaskWord::Generate;
    let usual = if native { WEIGHTS } else { "model.pt" };
    let artefact = file_name(s, "artefact", if generates { published.language.as_deref().unwrap_or(WEIGHTS) } else { usual });
    let device = s.or("device", Device::Auto);
    let dtype = s.or("dtype", Dtype::Auto);
    let instances = within(s, "instances", 1, 1..=64);
    // One step of a language model serves all who wait; it is not run several times at once.
    let threads = if generates { thread::available_parallelism().map_or(1, NonZero::get).min(256) } else { 1 };
    let intra_op_threads = within(s, "intra_op_threads", threads, 1..=256);
    let task = read_task::task(s, word, published);
    let non_finite = s.or("nan", if word == TaskWord::Tensor { NonFinite::Pass } else { NonFinite::Reject });
    let mut batching = if generates { read_generate::batching() } else { s.section("batching", |s| batching(s, word)) };
    let batched = batching.max_batch > 0;
    batching.max_batch = batching.max_batch.max(1);
    let inputs = tensors::inputs(s, &task, word, published.token_types, batched);
    let outputs = tensors::outputs(s, &task, word, batched);
    let queue = s.section("queue", |s| queue(s, word));
    let (longest, lengths) = match &task {
        Task::DetectVoice(voice) => (usize::MAX, [1, voice.block]),
        task => (task.text().map_or(usize::MAX, |text| text.max_tokens), [16, 64]),
    };
    let warmup = if generates { read_generate::warmup() } else { s.section("warmup", |s| warmup(s, batching.max_batch, longest, lengths)) };
    s.check(!generates || instances == 1, "instances", "must be 1 for task = \"generate\": all sequences run in one step");
    let made = Manifest {
        versions,
        engine,
        artefact,
        device,
        dtype,
        instances,
        intra_op_threads,
        task,
        non_finite,
        batched,
        inputs,
        outputs,
        batching,
        queue,
        warmup,
    };
    check_rows(s, &made);
    made
}

/// A row that no queue takes would be refused at every call, and made up for the warm-up before.
fn check_rows(s: &Section, made: &Manifest) {
    let shortest = made.warmup.lengths.iter().copied().min().unwrap_or(1);
    let most = made.queue.max_bytes;
    let fits = made.row_bytes(shortest).is_some_and(|bytes| bytes <= most);
    s.check(fits, "inputs", format!("one row of them takes more than the {most} bytes of queue.max_bytes; no request would be taken"));
}

fn batching(s: &mut Section, word: TaskWord) -> Batching {
    // A masked language model answers a score for every token and word: 1024 tokens of 30,000 words are 125 MB.
    let tokens = if word == TaskWord::Fill { 1024 } else { 16_384 };
    let read = Batching {
        // A model without a batch dimension is one of tensors: texts come in rows.
        max_batch: within(s, "max_batch", 32, usize::from(word != TaskWord::Tensor)..=4096),
        max_queue_delay: s.or("max_queue_delay", Duration::ZERO),
        max_padded_tokens: within(s, "max_padded_tokens", tokens, 1..=1 << 30),
        length_ratio: s.or("length_ratio", 1.5),
    };
    s.check(read.max_queue_delay <= Duration::from_secs(1), "max_queue_delay", "must be at most 1s");
    s.check(read.length_ratio >= 1.0, "length_ratio", "must be at least 1");
    read
}

fn queue(s: &mut Section, word: TaskWord) -> QueueLimits {
    let rows = if matches!(word, TaskWord::ClassifyImage | TaskWord::DetectObjects) { 64 } else { 2048 };
    let max_requests = within(s, "max_requests", 1024, 1..=100_000);
    let ByteSize(max_bytes) = s.or("max_bytes", ByteSize::mib(256));
    s.check(max_bytes >= 1024, "max_bytes", "must be at least 1KiB");
    let max_rows = within(s, "max_rows", rows, 1..=1_000_000);
    QueueLimits { max_requests, max_bytes, max_rows, priority: s.or("priority", Class(Priority::default())).0 }
}

fn warmup(s: &mut Section, max_batch: usize, longest: usize, lengths: [usize; 2]) -> Warmup {
    let mut batch_sizes = s.or("batch_sizes", vec![1, max_batch]);
    s.check(
        batch_sizes.iter().all(|size| (1..=max_batch).contains(size)),
        "batch_sizes",
        format!("must be from 1 to max_batch ({max_batch})"),
    );
    let mut lengths = s.or("lengths", lengths.map(|length| length.min(longest)).to_vec());
    s.check(lengths.iter().all(|length| (1..=longest).contains(length)), "lengths", "must be from 1 to max_tokens");
    batch_sizes.dedup();
    lengths.dedup();
    Warmup { batch_sizes, lengths }
}

pub(super) fn within(s: &mut Section, key: &str, default: usize, range: std::ops::RangeInclusive<usize>) -> usize {
    let value = s.or(key, default);
    s.check(range.contains(&value), key, format!("must be from {} to {}", range.start(), range.end()));
    value
}

/// A name without a path: a manifest reaches nothing outside its model's folder.
pub(super) fn file_name(s: &mut Section, key: &str, default: &str) -> String {
    let name = s.or(key, default.to_owned());
    let plain = !name.is_empty() && name != ".." && name != "." && !name.contains(['/', '\\']);
    s.check(plain, key, "must be the name of a file in the model's folder, without a path");
    name
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, Pooling, Problems, Published, Task};
    use crate::tensor::Datatype;

    fn parse(text: &str) -> Result<Manifest, Problems> {
        Manifest::parse(text, &Published::default())
    }

    fn names(specs: &[super::super::TensorSpec]) -> Vec<&str> {
        specs.iter().map(|spec| spec.name.as_str()).collect()
    }

    #[test]
    fn three_lines_are_enough_for_an_embedding_model() {
        let manifest = parse("task = 'embed'\nmax_tokens = 256\npooling = 'mean'").unwrap();
        let Task::Embed(embed) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((embed.text.max_tokens, embed.pool.pooling, embed.pool.normalize), (256, Pooling::Mean, true));
        assert_eq!((names(&manifest.inputs), names(&manifest.outputs)), (vec!["input_ids", "attention_mask"], vec!["embedding"]));
        assert_eq!(manifest.inputs[0].datatype, Datatype::Int64);
        assert!(manifest.pads());
        assert_eq!(manifest.warmup.batch_sizes, [1, 32]);
    }

    #[test]
    fn every_mistake_in_a_manifest_is_in_one_report() {
        let report = parse(
            "task = 'tensor'\ndevise = 'cpu'\ninstances = 0\nartefact = '../secret.pt'\n\
             [[inputs]]\nname = 'x'\ndatatype = 'FLOAT'\nshape = [1, 0]\n[batching]\nlength_ratio = 0.5\n[warmup]\nbatch_sizes = [64]",
        )
        .unwrap_err()
        .to_string();
        for part in [
            "devise: is not a setting here",
            "instances: must be from 1 to 64",
            "artefact: must be the name of a file",
            "inputs[0].datatype: must be one of BOOL",
            "inputs[0].shape: must begin with -1",
            "inputs[0].shape: dimensions must be positive",
            "outputs: is required",
            "batching.length_ratio: must be at least 1",
            "warmup.batch_sizes: must be from 1 to max_batch (32)",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn a_row_that_no_queue_takes_is_refused_before_it_takes_memory() {
        let refused = |shape: &str| {
            let tensors = ["inputs", "outputs"].map(|kind| format!("[[{kind}]]\nname = 'x'\ndatatype = 'FP32'\nshape = {shape}\n"));
            parse(&format!("task = 'tensor'\n{}", tensors.concat())).err().map(|problems| problems.to_string())
        };
        assert_eq!(refused("[-1, 67108864]"), None, "256 MiB are what a queue takes by default");
        for shape in ["[-1, 67108865]", "[-1, 4611686018427387904, 16]", "[-1, 1000000, -1, 1000000]"] {
            let report = refused(shape).unwrap();
            assert!(report.contains("inputs: one row of them takes more than the 268435456 bytes of queue.max_bytes"), "{report}");
        }
    }

    #[test]
    fn text_that_is_not_toml_is_said_with_its_line() {
        let report = parse("task = 'embed'\nmax_tokens = = 2").unwrap_err().to_string();
        assert!(report.contains("line 2"), "{report}");
    }

    #[test]
    fn an_embedding_model_with_inputs_that_text_cannot_fill_is_refused() {
        let report = parse("task = 'embed'\n[[inputs]]\nname = 'pixels'\ndatatype = 'FP32'\nshape = [-1, 3]").unwrap_err();
        assert!(report.to_string().contains("must be input_ids, attention_mask"), "{report}");
    }

    #[test]
    fn settings_of_text_are_unknown_to_a_tensor_model() {
        let report = parse("task = 'tensor'\npooling = 'mean'").unwrap_err().to_string();
        assert!(report.contains("pooling: is not a setting here"), "{report}");
    }
}

//! `[[inputs]]` and `[[outputs]]` of a manifest.

use std::collections::HashSet;

use torchmesh_runtime::config::Section;

use super::{
    ATTENTION_MASK, INPUT_IDS, TOKEN_TYPE_IDS, Task, TensorSpec, read_generate, read_image, read_voice,
    words::{DatatypeName, TaskWord},
};
use crate::tensor::Datatype;

/// The longest name of a tensor, in bytes.
const MAX_NAME: usize = 256;
/// The most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// The inputs; `token_types` says whether a model that was published tells the texts of a pair apart.
pub(super) fn inputs(s: &mut Section, settings: &Task, task: TaskWord, token_types: bool, batched: bool) -> Vec<TensorSpec> {
    let mut given = s.list("inputs", |s| one(s, true, batched));
    unique(s, "inputs", &given);
    if task == TaskWord::Tensor {
        s.check(
            !given.is_empty(),
            "inputs",
            "is required for task = \"tensor\": one [[inputs]] table for each input, in the model's order",
        );
        return given;
    }
    match settings {
        Task::ClassifyImage(settings) => return as_expected(s, "inputs", given, vec![read_image::input(&settings.image)]),
        Task::DetectObjects(settings) => return as_expected(s, "inputs", given, vec![read_image::input(&settings.image)]),
        Task::DetectVoice(voice) => return as_expected(s, "inputs", given, read_voice::inputs(voice)),
        Task::Generate(_) => return as_expected(s, "inputs", given, vec![read_generate::text(read_generate::TEXT_INPUT)]),
        _ => {}
    }
    if given.is_empty() {
        given = [INPUT_IDS, ATTENTION_MASK].map(token_input).into();
        if token_types && task == TaskWord::Rerank {
            given.push(token_input(TOKEN_TYPE_IDS));
        }
    }
    text_inputs(s, &mut given);
    given
}

pub(super) fn outputs(s: &mut Section, settings: &Task, task: TaskWord, batched: bool) -> Vec<TensorSpec> {
    let given = s.list("outputs", |s| one(s, false, batched));
    unique(s, "outputs", &given);
    match settings {
        Task::DetectObjects(settings) => return as_expected(s, "outputs", given, read_image::outputs(&settings.detector)),
        Task::DetectVoice(voice) => return as_expected(s, "outputs", given, read_voice::outputs(voice)),
        Task::Generate(_) => return as_expected(s, "outputs", given, vec![read_generate::text(read_generate::TEXT_OUTPUT)]),
        _ => {}
    }
    let (name, rank) = match task {
        TaskWord::Tensor => {
            s.check(
                !given.is_empty(),
                "outputs",
                "is required for task = \"tensor\": one [[outputs]] table for each output, in the model's order",
            );
            return given;
        }
        TaskWord::Embed => ("embedding", 2),
        TaskWord::TokenClassify | TaskWord::Fill => ("logits", 3),
        _ => ("logits", 2),
    };
    let fits = match given.as_slice() {
        [] => return vec![TensorSpec { name: name.to_owned(), datatype: Datatype::Fp32, shape: vec![-1; rank], pad: None }],
        [only] => only.datatype == Datatype::Fp32 && only.shape.len() == rank,
        _ => false,
    };
    let advice = format!("must be one FP32 output of {rank} dimensions for this task, or left out");
    s.check(fits, "outputs", advice);
    given
}

/// Tensors whose names may be the model's own, and whose form the task decides.
fn as_expected(s: &Section, key: &str, given: Vec<TensorSpec>, expected: Vec<TensorSpec>) -> Vec<TensorSpec> {
    if given.is_empty() {
        return expected;
    }
    let dims = |given: &[i64], expected: &[i64]| {
        given.len() == expected.len() && given.iter().zip(expected).all(|(given, expected)| given == expected || *expected == -1)
    };
    let fits = |(given, expected): (&TensorSpec, &TensorSpec)| given.datatype == expected.datatype && dims(&given.shape, &expected.shape);
    let good = given.len() == expected.len() && given.iter().zip(&expected).all(fits) && given.iter().all(|given| given.pad.is_none());
    let listed = expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    s.check(good, key, format!("for this task must be like {listed} (the names are yours), or left out"));
    given
}

fn one(s: &mut Section, input: bool, batched: bool) -> TensorSpec {
    let name: String = s.required("name").unwrap_or_default();
    s.check(name.len() <= MAX_NAME, "name", format!("must have at most {MAX_NAME} bytes"));
    let datatype = s.required("datatype").map_or(Datatype::Fp32, |DatatypeName(datatype)| datatype);
    let shape: Vec<i64> = s.required("shape").unwrap_or_else(|| vec![-1]);
    s.check(shape.len() <= MAX_RANK, "shape", format!("must have at most {MAX_RANK} dimensions"));
    let first_is_batch = !batched || shape.first() == Some(&-1);
    s.check(first_is_batch, "shape", "must begin with -1 (the batch); a model without one has batching.max_batch = 0");
    s.check(shape.iter().all(|&dim| dim == -1 || dim > 0), "shape", "dimensions must be positive, or -1 for one that the caller chooses");
    let pad = if input && batched { s.optional::<f64>("pad").and_then(|value| padding(s, datatype, &shape, value)) } else { None };
    TensorSpec { name, datatype, shape, pad }
}

fn padding(s: &Section, datatype: Datatype, shape: &[i64], value: f64) -> Option<Vec<u8>> {
    s.check(shape.get(1) == Some(&-1), "pad", "needs a second dimension of -1 (the sequence) in shape");
    let element = element(datatype, value);
    s.check(element.is_some(), "pad", format!("{value} is not a value of {datatype}"));
    element
}

/// One element of `value`; `None` where the type cannot hold it exactly (a float may be rounded).
fn element(datatype: Datatype, value: f64) -> Option<Vec<u8>> {
    #[expect(clippy::cast_possible_truncation, reason = "the nearest float is what is wanted")]
    let single = value as f32;
    match datatype {
        Datatype::Fp32 => Some(single.to_le_bytes().to_vec()),
        Datatype::Fp64 => Some(value.to_le_bytes().to_vec()),
        // bfloat16 is the upper half of a float.
        Datatype::Bf16 => Some(single.to_le_bytes()[2..].to_vec()),
        _ => whole_element(datatype, value),
    }
}

fn whole_element(datatype: Datatype, value: f64) -> Option<Vec<u8>> {
    // A float that is a whole number of at most 53 bits; nobody pads with a larger one.
    let whole = (value.fract() == 0.0 && value.abs() < 9e15).then_some(value)?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range in the line above")]
    let whole = whole as i64;
    macro_rules! fit {
        ($type:ty) => {
            <$type>::try_from(whole).ok().map(|value| value.to_le_bytes().to_vec())
        };
    }
    match datatype {
        Datatype::Bool => (0..=1).contains(&whole).then(|| whole.to_le_bytes()[..1].to_vec()),
        Datatype::Uint8 => fit!(u8),
        Datatype::Uint16 => fit!(u16),
        Datatype::Uint32 => fit!(u32),
        Datatype::Uint64 => fit!(u64),
        Datatype::Int8 => fit!(i8),
        Datatype::Int16 => fit!(i16),
        Datatype::Int32 => fit!(i32),
        Datatype::Int64 => fit!(i64),
        Datatype::Fp16 => (whole == 0).then(|| vec![0, 0]),
        _ => None,
    }
}

fn token_input(name: &str) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: Datatype::Int64, shape: vec![-1, -1], pad: Some(vec![0; 8]) }
}

/// The inputs of a model of text are known by name, so that the worker can fill them.
fn text_inputs(s: &Section, inputs: &mut [TensorSpec]) {
    let known = |input: &TensorSpec| {
        [INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS].contains(&input.name.as_str())
            && input.datatype == Datatype::Int64
            && input.shape == [-1, -1]
    };
    let has = |name| inputs.iter().any(|input| input.name == name);
    let good = inputs.iter().all(known) && has(INPUT_IDS) && has(ATTENTION_MASK);
    s.check(
        good,
        "inputs",
        "for a task of text must be input_ids, attention_mask and optionally token_type_ids, all INT64 of shape [-1, -1], or left out",
    );
    for input in inputs {
        // Padding is what the mask is for, so tokens can always be padded.
        input.pad.get_or_insert_with(|| vec![0; 8]);
    }
}

fn unique(s: &Section, key: &str, specs: &[TensorSpec]) {
    let mut seen = HashSet::new();
    for spec in specs {
        s.check(seen.insert(spec.name.as_str()), key, format!("has two tensors named \"{}\"", spec.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padding_value_is_kept_exactly_or_refused() {
        assert_eq!(element(Datatype::Int64, -100.0), Some((-100_i64).to_le_bytes().to_vec()));
        assert_eq!(element(Datatype::Fp32, 0.5), Some(0.5_f32.to_le_bytes().to_vec()));
        assert_eq!(element(Datatype::Bf16, 1.0), Some(vec![0x80, 0x3f]));
        for (datatype, value) in [(Datatype::Uint8, 256.0), (Datatype::Int32, 0.5), (Datatype::Bool, 2.0), (Datatype::Bytes, 0.0)] {
            assert_eq!(element(datatype, value), None, "{datatype} {value}");
        }
    }
}

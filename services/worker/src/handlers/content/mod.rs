//! Texts and files by the Open Inference Protocol. A model that has a task takes, in place of its tensors, what they are made of, and then gives, in place
//! of its tensors, what they mean. So a pipeline, or a client that knows nothing but this protocol, can ask it in the words of its task.

mod audio;
mod text;
mod vision;

use bytes::{BufMut as _, Bytes, BytesMut};
use tonic::Response;
use torchmesh_api::{
    error::ApiError,
    inference::{ModelInferRequest, ModelInferResponse},
    tensor::bytes_elements,
};

use super::{
    Front,
    answer::Spending,
    call::{CallInfo, invalid},
    parameters::whole,
};
use crate::{
    infer::{decode_content, encode_tensors},
    manifest::{Manifest, Task, TensorSpec},
    models::{Model, Serving},
    tensor::{Datatype, Tensor},
};

/// A request that sends texts or files.
struct Content<'a> {
    front: &'a Front,
    model: &'a Model,
    info: CallInfo,
    spending: &'a Spending,
    /// What it sends.
    elements: Vec<Bytes>,
}

/// The name of the input that a model takes in place of its own; `None` where its task has none, or it has a tensor of that name itself.
fn input_name(manifest: &Manifest) -> Option<&'static str> {
    let name = match manifest.task {
        Task::Embed(_) | Task::Classify(_) => "text",
        Task::ClassifyImage(_) => "image_bytes",
        Task::DetectVoice(_) => "audio_bytes",
        _ => return None,
    };
    (!manifest.inputs.iter().any(|input| input.name == name)).then_some(name)
}

/// Whether a request sends that.
pub(super) fn is_sent(serving: &Serving, request: &ModelInferRequest) -> bool {
    input_name(&serving.manifest).is_some_and(|name| request.inputs.iter().any(|input| input.name == name))
}

/// What a model takes and gives in place of its own tensors.
pub(super) fn signature(serving: &Serving) -> Option<(TensorSpec, Vec<TensorSpec>)> {
    let name = input_name(&serving.manifest)?;
    let (rows, outputs) = match serving.manifest.task {
        Task::Embed(_) => (-1, serving.outputs.clone()),
        Task::DetectVoice(_) => (1, audio::outputs()),
        _ => (-1, vec![spec("label", Datatype::Bytes, &[-1, -1]), spec("score", Datatype::Fp32, &[-1, -1])]),
    };
    Some((spec(name, Datatype::Bytes, &[rows]), outputs))
}

fn spec(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype, shape: shape.to_vec(), pad: None }
}

/// Answers such a request.
pub(super) async fn infer(
    front: &Front,
    model: &Model,
    serving: &Serving,
    request: ModelInferRequest,
    info: CallInfo,
) -> Result<Response<ModelInferResponse>, ApiError> {
    let Some((input, outputs)) = signature(serving) else { return Err(invalid("this model takes tensors")) };
    let task = &serving.manifest.task;
    let top_k = request.parameters.get("top_k").and_then(|given| given.parameter_choice.as_ref());
    let top_k = top_k.map_or(Some(0), whole).ok_or_else(|| invalid("parameters[top_k]: send a whole number, or 0 for the model's own"))?;
    let options = audio::options(&request.parameters)?;
    let (tensor, wanted, id) = decode_content(request, &input, &outputs)?;
    let elements = bytes_elements(&tensor.data).flatten().map(|element| tensor.data.slice_ref(element)).collect();
    let spending = Spending::default();
    let content = Content { front, model, info, spending: &spending, elements };
    let tensors = match task {
        Task::ClassifyImage(_) => vision::classify(content, top_k).await?,
        Task::DetectVoice(_) => audio::detect(content, &options, audio::clips_are_wanted(&wanted)).await?,
        task => text::read(content, task, top_k).await?,
    };
    Ok(spending.answer(encode_tensors(model, &outputs, id, &wanted, tensors), model))
}

/// Labels and scores as the two outputs, a row for each text or image; all rows are as long.
fn labelled(rows: Vec<Vec<(String, f32)>>) -> Vec<Tensor> {
    let shape = [rows.len(), rows.first().map_or(0, Vec::len)].map(dimension);
    let (labels, scores): (Vec<String>, Vec<f32>) = rows.into_iter().flatten().unzip();
    vec![bytes(shape, labels.iter().map(String::as_bytes)), Tensor::from_f32s(shape, &scores)]
}

/// A tensor of BYTES.
fn bytes<'a>(shape: impl Into<Vec<i64>>, elements: impl Iterator<Item = &'a [u8]>) -> Tensor {
    let mut data = BytesMut::new();
    for element in elements {
        data.put_u32_le(u32::try_from(element.len()).unwrap_or(u32::MAX));
        data.put_slice(element);
    }
    Tensor { datatype: Datatype::Bytes, shape: shape.into(), data: data.freeze() }
}

fn dimension(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Published;

    fn named(manifest: &str) -> Option<&'static str> {
        input_name(&Manifest::parse(manifest, &Published::default()).unwrap())
    }

    #[test]
    fn a_task_says_what_is_sent_in_place_of_tensors_unless_a_tensor_has_that_name() {
        assert_eq!(named("task = 'embed'"), Some("text"));
        assert_eq!(named("task = 'detect-voice'"), Some("audio_bytes"));
        let image = "task = 'classify-image'\n[image]\nsize = [8]\n";
        assert_eq!(named(image), Some("image_bytes"));
        let own = "[[inputs]]\nname = 'image_bytes'\ndatatype = 'FP32'\nshape = [-1, 3, 8, 8]";
        assert_eq!(named(&format!("{image}{own}")), None);
        assert_eq!(named(crate::testing::ECHO), None);
    }

    #[test]
    fn labels_and_scores_have_a_row_for_each_input() {
        let row = |label: &str, score| vec![(label.to_owned(), score)];
        let tensors = labelled(vec![row("spam", 0.75), row("", 0.5)]);
        assert_eq!(tensors[0].data, &b"\x04\0\0\0spam\0\0\0\0"[..]);
        assert_eq!((tensors[0].shape.as_slice(), &tensors[1]), (&[2, 1][..], &Tensor::from_f32s([2, 1], &[0.75, 0.5])));
        assert_eq!(labelled(Vec::new())[1].shape, [0, 0]);
    }
}

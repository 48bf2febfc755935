//! From a `ModelInferRequest` to the rows of a request, everything checked against the manifest.

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{ModelInferRequest, model_infer_request::InferInputTensor},
    tensor::contents,
};

use crate::{
    admission::Part,
    manifest::{INPUT_IDS, Manifest, TensorSpec},
    models::{Serving, TextModel, shown},
    tensor::Tensor,
};

/// A request that fits its model.
#[derive(Debug)]
pub struct Decoded {
    /// Its rows.
    pub part: Part,
    /// The outputs it asks for, as positions in the manifest; empty for all.
    pub wanted: Vec<usize>,
    /// The caller's id.
    pub id: String,
}

/// Checks a request against its model. The tensors keep pointing into the message that arrived.
///
/// Every mistake is `InvalidArgument`, and its message names the field, what came, and what to send.
pub fn decode(request: ModelInferRequest, serving: &Serving) -> Result<Decoded, ApiError> {
    checked(request, serving).map_err(|message| ApiError::new(ErrorKind::InvalidArgument, message))
}

fn checked(mut request: ModelInferRequest, serving: &Serving) -> Result<Decoded, String> {
    let manifest = &*serving.manifest;
    let inputs = tensors(&mut request, &manifest.inputs)?;
    let rows = rows(&inputs, manifest)?;
    let length = length(&inputs, manifest, serving.text())?;
    let wanted = wanted(&request, &serving.outputs)?;
    Ok(Decoded { part: Part { rows, length, shape: open_dims(&inputs, manifest), inputs, attribution: None }, wanted, id: request.id })
}

/// What a request sends that has one input in place of the model's own: that input, the outputs it asks for, as positions, and the caller's id.
pub fn decode_content(
    mut request: ModelInferRequest,
    input: &TensorSpec,
    outputs: &[TensorSpec],
) -> Result<(Tensor, Vec<usize>, String), ApiError> {
    let mut read = || Ok((tensors(&mut request, std::slice::from_ref(input))?.remove(0), wanted(&request, outputs)?));
    let (tensor, wanted) = read().map_err(|message: String| ApiError::new(ErrorKind::InvalidArgument, message))?;
    Ok((tensor, wanted, request.id))
}

/// The inputs of a request, in the order of `specs`.
fn tensors(request: &mut ModelInferRequest, specs: &[TensorSpec]) -> Result<Vec<Tensor>, String> {
    let order = order(&request.inputs, specs)?;
    let raw = !request.raw_input_contents.is_empty();
    if raw && request.raw_input_contents.len() != request.inputs.len() {
        let (have, want) = (request.raw_input_contents.len(), request.inputs.len());
        return Err(format!("raw_input_contents has {have} entries for {want} inputs; send one for each input, in their order"));
    }
    let mut inputs = Vec::with_capacity(order.len());
    for (spec, &at) in specs.iter().zip(&order) {
        let data = raw.then(|| std::mem::take(&mut request.raw_input_contents[at]));
        let tensor = tensor(&mut request.inputs[at], data, spec).map_err(|reason| format!("input \"{}\": {reason}", spec.name))?;
        inputs.push(tensor);
    }
    Ok(inputs)
}

/// Where each input of the manifest is in the request.
fn order(given: &[InferInputTensor], specs: &[TensorSpec]) -> Result<Vec<usize>, String> {
    const NOWHERE: usize = usize::MAX;
    let names = || specs.iter().map(|spec| format!("\"{}\"", spec.name)).collect::<Vec<_>>().join(", ");
    let mut order = vec![NOWHERE; specs.len()];
    for (at, input) in given.iter().enumerate() {
        let Some(place) = specs.iter().position(|spec| spec.name == input.name) else {
            return Err(format!("input \"{}\" is not an input of this model; it takes {}", shown(&input.name), names()));
        };
        if order[place] != NOWHERE {
            return Err(format!("input \"{}\" is given twice; send it once", input.name));
        }
        order[place] = at;
    }
    match order.iter().position(|&at| at == NOWHERE) {
        Some(missing) => Err(format!("input \"{}\" is missing; this model takes {}", specs[missing].name, names())),
        None => Ok(order),
    }
}

fn tensor(input: &mut InferInputTensor, raw: Option<bytes::Bytes>, spec: &TensorSpec) -> Result<Tensor, String> {
    if input.datatype != spec.datatype.name() {
        return Err(format!("its datatype is \"{}\"; send {}", shown(&input.datatype), spec.datatype));
    }
    let shape = std::mem::take(&mut input.shape);
    let fits =
        shape.len() == spec.shape.len() && shape.iter().zip(&spec.shape).all(|(&have, &want)| have > 0 && (want == -1 || want == have));
    if !fits {
        let come: Vec<_> = shape.iter().take(16).collect();
        return Err(format!("its shape is {come:?}; send {:?}, where -1 is any length from 1", spec.shape));
    }
    if input.parameters.keys().any(|key| key.starts_with("shared_memory")) {
        return Err("shared memory is not supported; send the data in raw_input_contents".to_owned());
    }
    let mut tensor = Tensor { datatype: spec.datatype, shape, data: bytes::Bytes::new() };
    let elements = tensor.elements().ok_or("its shape is larger than any message")?;
    tensor.data = match (raw, input.contents.take()) {
        (Some(_), Some(contents)) if contents != Default::default() => {
            return Err("it has data in contents beside raw_input_contents; send one of the two".to_owned());
        }
        (Some(data), _) => contents::raw(spec.datatype, elements, data)?,
        (None, Some(contents)) => contents::typed(spec.datatype, elements, &contents)?,
        (None, None) => return Err("it has no data; send it in raw_input_contents or in contents".to_owned()),
    };
    Ok(tensor)
}

/// The rows that all inputs agree on.
fn rows(inputs: &[Tensor], manifest: &Manifest) -> Result<usize, String> {
    if !manifest.batched {
        return Ok(1);
    }
    let rows = inputs.first().map_or(0, |first| first.shape[0]);
    if let Some((spec, other)) = manifest.inputs.iter().zip(inputs).find(|(_, input)| input.shape[0] != rows) {
        let first = &manifest.inputs[0].name;
        return Err(format!("input \"{}\" has {} rows and \"{first}\" has {rows}; send as many of each", spec.name, other.shape[0]));
    }
    let limit = manifest.queue.max_rows;
    match usize::try_from(rows) {
        Ok(rows) if rows <= limit => Ok(rows),
        _ => Err(format!("the request has {rows} rows, and this model takes {limit} at once; send it in parts")),
    }
}

/// The sequence length that batching goes by, and the limits that text models have.
fn length(inputs: &[Tensor], manifest: &Manifest, text: Option<&TextModel>) -> Result<usize, String> {
    let padded = || manifest.inputs.iter().zip(inputs).filter(|(spec, _)| spec.pad.is_some());
    let longest = padded().map(|(_, input)| input.shape[1]).max().unwrap_or(1);
    let Some(text) = text else { return Ok(usize::try_from(longest).unwrap_or(usize::MAX)) };
    if let Some((spec, input)) = padded().find(|(_, input)| input.shape[1] != longest) {
        return Err(format!(
            "input \"{}\" has a sequence of {}, another one of {longest}; send the same length",
            spec.name, input.shape[1]
        ));
    }
    let limit = text.settings.max_tokens;
    let length = usize::try_from(longest).unwrap_or(usize::MAX);
    if length > limit {
        return Err(format!("the sequence is {length} long, and this model reads {limit}; send a shorter one"));
    }
    token_ids(inputs, manifest, text.tokeniser.vocabulary())?;
    Ok(length)
}

/// A token id outside the vocabulary would fail the whole batch (on a GPU, the whole process), so it is found here.
fn token_ids(inputs: &[Tensor], manifest: &Manifest, vocabulary: usize) -> Result<(), String> {
    let Some(at) = manifest.inputs.iter().position(|spec| spec.name == INPUT_IDS) else { return Ok(()) };
    let ids = inputs[at].data.as_chunks().0.iter().map(|id| i64::from_le_bytes(*id));
    match ids.enumerate().find(|&(_, id)| !usize::try_from(id).is_ok_and(|id| id < vocabulary)) {
        Some((place, id)) => Err(format!("input \"{INPUT_IDS}\" has {id} at element {place}; ids go from 0 to {}", vocabulary - 1)),
        None => Ok(()),
    }
}

/// The dimensions that the manifest leaves open and padding does not level out: only requests that agree in them share a batch.
fn open_dims(inputs: &[Tensor], manifest: &Manifest) -> Box<[i64]> {
    let open = |(spec, input): (&TensorSpec, &Tensor)| {
        let skip = if spec.pad.is_some() { 2 } else { 1 };
        let dims = spec.shape.iter().zip(&input.shape).skip(skip);
        dims.filter(|&(&want, _)| want == -1).map(|(_, &have)| have).collect::<Vec<_>>()
    };
    manifest.inputs.iter().zip(inputs).flat_map(open).collect()
}

fn wanted(request: &ModelInferRequest, outputs: &[TensorSpec]) -> Result<Vec<usize>, String> {
    let mut wanted = Vec::with_capacity(request.outputs.len());
    for output in &request.outputs {
        let Some(at) = outputs.iter().position(|spec| spec.name == output.name) else {
            let names: Vec<_> = outputs.iter().map(|spec| spec.name.as_str()).collect();
            return Err(format!("output \"{}\" is not an output of this model; it gives {}", shown(&output.name), names.join(", ")));
        };
        if wanted.contains(&at) {
            return Err(format!("output \"{}\" is asked for twice; ask once", output.name));
        }
        wanted.push(at);
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;

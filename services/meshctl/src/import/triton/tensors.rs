//! Inputs, outputs and the batch.

use torchmesh_api::inference::{DataType, ModelConfig, ModelTensorReshape, model_input::Format};

use crate::import::{Description, Refused, Tensor};

/// The most rows of a batch that a manifest takes.
const MAX_BATCH: i32 = 4096;
/// The most dimensions, the batch included.
const MAX_RANK: usize = 8;
/// The longest name that a manifest takes, in bytes.
const MAX_NAME: usize = 256;

pub(super) fn carry(config: &ModelConfig, made: &mut Description) -> Result<(), Refused> {
    match config.max_batch_size {
        0 => {}
        size @ 1..=MAX_BATCH => made.manifest.batching.max_batch = Some(size.into()),
        size if size > MAX_BATCH => {
            made.manifest.batching.max_batch = Some(MAX_BATCH.into());
            made.note("max_batch_size", format!("is cut to {MAX_BATCH}; larger requests run in parts"));
        }
        _ => return Err(Refused::new("max_batch_size", "must not be negative")),
    }
    let batched = config.max_batch_size > 0;
    let mut inputs = Vec::new();
    for (at, input) in config.input.iter().enumerate() {
        let field = format!("input[{at}]");
        if input.is_shape_tensor || input.is_non_linear_format_io {
            return Err(Refused::new(field, "is a shape tensor or has a format of TensorRT's, which TorchScript does not take"));
        }
        if input.format() != Format::None {
            made.note(format!("{field}.format"), "is not needed: the tensor is given to the model as it comes");
        }
        if input.allow_ragged_batch {
            made.note(
                format!("{field}.allow_ragged_batch"),
                "is left out: requests of one shape share a batch; `pad` lets those of different length do so",
            );
        }
        if input.optional {
            made.note(format!("{field}.optional"), "is left out: every request has to bring the input");
        }
        inputs.push(one(&field, &input.name, input.data_type(), &input.dims, input.reshape.as_ref(), batched, made)?);
    }
    let mut outputs = Vec::new();
    for (at, output) in config.output.iter().enumerate() {
        let field = format!("output[{at}]");
        if !output.label_filename.is_empty() {
            made.note(format!("{field}.label_filename"), "is left out: the answer is the tensor, without labels");
        }
        outputs.push(one(&field, &output.name, output.data_type(), &output.dims, output.reshape.as_ref(), batched, made)?);
    }
    for (field, tensors) in [("input", &inputs), ("output", &outputs)] {
        if tensors.is_empty() {
            return Err(Refused::new(field, "is required: Triton can ask a model for it, a TorchScript file does not say"));
        }
        let twice = (1..tensors.len()).find(|&at| tensors[..at].iter().any(|tensor| tensor.name == tensors[at].name));
        if let Some(at) = twice {
            return Err(Refused::new(format!("{field}[{at}].name"), format!("\"{}\" is there twice", tensors[at].name)));
        }
    }
    made.manifest.inputs = in_order("input", inputs, made);
    made.manifest.outputs = in_order("output", outputs, made);
    Ok(())
}

fn one(
    field: &str,
    name: &str,
    data_type: DataType,
    dims: &[i64],
    reshape: Option<&ModelTensorReshape>,
    batched: bool,
    made: &mut Description,
) -> Result<Tensor, Refused> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Refused::new(format!("{field}.name"), format!("must have 1 to {MAX_NAME} bytes")));
    }
    let datatype = match data_type {
        DataType::TypeInvalid => return Err(Refused::new(format!("{field}.data_type"), "is required")),
        DataType::TypeString => {
            return Err(Refused::new(
                format!("{field}.data_type"),
                "TYPE_STRING has no counterpart: a TorchScript model takes tensors of numbers",
            ));
        }
        other => other.as_str_name().trim_start_matches("TYPE_").to_owned(),
    };
    let dims = reshape.map_or(dims, |reshape| {
        made.note(format!("{field}.reshape"), format!("is left out: callers and the model see {:?} behind the batch", reshape.shape));
        &reshape.shape
    });
    let mut shape = if batched { vec![-1] } else { Vec::new() };
    shape.extend(dims);
    if !batched && shape.first().is_some_and(|first| *first > 0) {
        made.note(
            format!("{field}.dims"),
            format!("begins with {}, not -1: it is taken for a batch, and rows run {} at a time", shape[0], shape[0]),
        );
        made.manifest.batching.max_batch = Some(shape[0].clamp(1, MAX_BATCH.into()));
        shape[0] = -1;
    }
    let good = shape.first() == Some(&-1) && shape.len() <= MAX_RANK && shape.iter().all(|&dim| dim == -1 || dim > 0);
    if !good {
        return Err(Refused::new(
            format!("{field}.dims"),
            format!("must be at most {MAX_RANK} dimensions, each positive or -1, the batch among them"),
        ));
    }
    Ok(Tensor { name: name.to_owned(), datatype, shape })
}

/// `INPUT__0`, `INPUT__1`: Triton takes the position from such names, wherever they stand. Other names stand in the model's order, or are the
/// names of its arguments.
fn in_order(kind: &str, mut tensors: Vec<Tensor>, made: &mut Description) -> Vec<Tensor> {
    let position = |tensor: &Tensor| tensor.name.rsplit_once("__").and_then(|(_, number)| number.parse::<u32>().ok());
    if tensors.iter().all(|tensor| position(tensor).is_some()) {
        tensors.sort_by_key(position);
    } else if tensors.len() > 1 {
        made.note(kind, format!("stands in the order of {}; make it the order of the model's forward, if it is another", super::FILE_NAME));
    }
    tensors
}

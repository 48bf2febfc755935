//! Recording a calculation as `TorchScript`.

use std::path::Path;

use tch::{CModule, TchError, Tensor};

use super::ExportError;

/// Records what `calculate` does to `example` and saves it at `out` under the method name `forward`.
///
/// Only what libtorch does is recorded: a size that Rust reads from a tensor becomes a constant. So `calculate` uses operations that
/// need no sizes, and the module then takes any.
pub(super) fn save_trace(
    name: &str,
    example: &[Tensor],
    out: &Path,
    mut calculate: impl FnMut(&[Tensor]) -> Result<Vec<Tensor>, TchError>,
) -> Result<(), ExportError> {
    let _no_grad = tch::no_grad_guard();
    let mut failure = None;
    let mut recorded = |inputs: &[Tensor]| {
        calculate(inputs).unwrap_or_else(|error| {
            failure = Some(error);
            Vec::new()
        })
    };
    let module = CModule::create_by_tracing(name, "forward", example, &mut recorded);
    if let Some(error) = failure {
        return Err(error.into());
    }
    // libtorch aborts a write to a folder that is not there with less of a message than the system has.
    std::fs::File::create(out).map_err(|source| ExportError::File { path: out.to_owned(), source })?;
    Ok(module?.save(out)?)
}

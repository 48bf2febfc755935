//! Packages that AOTInductor compiled ahead of time (`model.pt2`).

mod guard;
mod host;
mod package;
mod sidecar;
#[cfg(test)]
mod tests;

pub(crate) use guard::Input;
pub(crate) use host::Host;
pub(crate) use sidecar::{FORMAT, Misfit, PACKAGE, Sidecar, Source, sha256};

use self::package::Package;
use super::{
    Device, Engine, EngineError, EngineSpec, cuda,
    tensors::{from_torch, text, to_torch, use_threads},
};
use crate::tensor::Tensor;

/// A loaded package, with weights of its own.
pub(super) struct Compiled {
    package: Package,
    inputs: Vec<Input>,
    device: tch::Device,
    intra_op_threads: i32,
}

/// Whether `spec`'s artefact, a package, may be run on `host`.
pub(crate) fn examine(spec: &EngineSpec, host: &Host) -> Result<Sidecar, Misfit> {
    let sidecar = Sidecar::read(&spec.artefact)?;
    sidecar.fits(host, device_word(spec.device), spec.dtype)?;
    sidecar.describes(&spec.artefact)?;
    Ok(sidecar)
}

/// `cpu` or `cuda`, for the device that `device` comes to here.
pub(crate) fn device_word(device: Device) -> &'static str {
    let on_gpu = matches!(device, Device::Cuda(_)) || (device == Device::Auto && cuda::cuda_available());
    if on_gpu { "cuda" } else { "cpu" }
}

impl Compiled {
    /// Loads the package, if it fits this host and is what its sidecar describes.
    pub(super) fn load(spec: &EngineSpec) -> Result<Self, EngineError> {
        let file = spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let device = cuda::resolve(spec.device)?;
        let sidecar = examine(spec, &Host::here()).map_err(|misfit| EngineError::load(file.clone(), misfit.to_string()))?;
        let failed = |detail: String| EngineError::load(file.clone(), detail.replace(&*spec.artefact.to_string_lossy(), &file));
        let package = Package::open(&spec.artefact, device).map_err(|error| failed(text(error)))?;
        let intra_op_threads = i32::try_from(spec.intra_op_threads.max(1)).unwrap_or(i32::MAX);
        Ok(Self { package, inputs: sidecar.inputs, device, intra_op_threads })
    }
}

impl Engine for Compiled {
    fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        use_threads(self.intra_op_threads);
        let _no_grad = tch::no_grad_guard();
        guard::check(&self.inputs, inputs).map_err(EngineError::forward)?;
        let given = inputs.iter().enumerate().map(|(index, input)| to_torch(index, input, self.device)).collect::<Result<Vec<_>, _>>()?;
        let answer = self.package.run(&given).map_err(|error| failure(text(error)))?;
        answer.iter().map(from_torch).collect()
    }

    fn platform(&self) -> &'static str {
        "pytorch_aotinductor"
    }
}

/// A package says what went wrong on standard error and throws a fixed phrase about its own interface.
fn failure(detail: String) -> EngineError {
    let detail = if detail.contains("API call failed at") {
        format!("the compiled model refused its inputs or failed; the worker's standard error says how\n{detail}")
    } else {
        detail
    };
    EngineError::forward(detail)
}

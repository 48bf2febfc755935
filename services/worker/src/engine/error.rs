//! What an engine can answer instead of a result.

use super::{Device, Dtype};
use crate::tensor::Datatype;

/// The longest summary of a runtime's error that a caller sees, in characters.
const SUMMARY_LIMIT: usize = 300;

/// What libtorch's allocators say when they have nothing left, on a GPU, on the CPU, and in the C++ library.
const OUT_OF_MEMORY: [&str; 4] =
    ["CUDA out of memory", "CUDA error: out of memory", "DefaultCPUAllocator: can't allocate memory", "std::bad_alloc"];

/// Why a model could not be loaded or run.
///
/// `Display` is fit for a caller. What the runtime said in full (paths and stack traces among it) is in
/// [`EngineError::detail`], for the log only.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The artefact is missing, damaged, or not of a kind that this engine reads.
    #[error("cannot load {file}: {summary}")]
    Load {
        /// The artefact's file name, without its folder.
        file: String,
        /// One line.
        summary: String,
        /// All that the runtime said.
        detail: String,
    },
    /// The model refused its inputs, or failed while it ran.
    #[error("the model failed: {summary}")]
    Forward {
        /// One line.
        summary: String,
        /// All that the runtime said.
        detail: String,
    },
    /// The memory of the processor or the GPU does not hold what a forward needs; a smaller batch may do.
    #[error("the model ran out of memory")]
    OutOfMemory {
        /// All that the runtime said.
        detail: String,
    },
    /// The engine has no tensor of this type.
    #[error("the engine cannot take {datatype} tensors")]
    UnsupportedDatatype {
        /// The type.
        datatype: Datatype,
    },
    /// The engine cannot hold the weights so.
    #[error("the engine cannot run this model with dtype = \"{dtype}\"; leave it out of model.toml")]
    UnsupportedDtype {
        /// The format asked for.
        dtype: Dtype,
    },
    /// The data is not as long as its shape and datatype say.
    #[error("input {index} holds {actual} bytes, which its shape and datatype do not add up to")]
    InconsistentInput {
        /// Which input, from 0.
        index: usize,
        /// Bytes found.
        actual: usize,
    },
    /// The model returned something that is not a tensor, or a tensor that the protocol has no type for.
    #[error("the model returned {what}, which cannot be sent")]
    UnsupportedOutput {
        /// What it was, for example `a string`.
        what: String,
    },
    /// The model returned a dictionary that lacks an output.
    #[error("the model returned no output named \"{name}\"")]
    MissingOutput {
        /// The output's name.
        name: String,
    },
    /// The device is not there.
    #[error("{device} is not available on this machine")]
    DeviceUnavailable {
        /// The device asked for.
        device: Device,
    },
}

impl EngineError {
    /// A failed forward, from all that the runtime said.
    pub fn forward(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        if OUT_OF_MEMORY.iter().any(|words| detail.contains(words)) {
            return Self::OutOfMemory { detail };
        }
        Self::Forward { summary: summarise(&detail), detail }
    }

    /// A failed load of `file`, from all that the runtime said.
    pub fn load(file: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Load { file: file.into(), summary: summarise(&detail), detail }
    }

    /// What the runtime said in full; `None` when the error is the worker's own and says all.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Load { detail, .. } | Self::Forward { detail, .. } | Self::OutOfMemory { detail } => Some(detail),
            _ => None,
        }
    }
}

/// The one line of a C++ error that says what went wrong.
///
/// That is the first line, except when the `TorchScript` interpreter wraps the error: then the first line is a fixed phrase, a trace
/// follows, and the reason stands after the name of the exception.
fn summarise(detail: &str) -> String {
    let mut lines = detail.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("no reason given");
    let reason = if first.starts_with("The following operation failed in the TorchScript interpreter") {
        lines.find_map(exception_message).unwrap_or("an operation failed")
    } else {
        first
    };
    reason.chars().take(SUMMARY_LIMIT).collect()
}

/// The message of a line such as `RuntimeError: sizes do not match`.
fn exception_message(line: &str) -> Option<&str> {
    let (name, message) = line.split_once(": ")?;
    let is_exception = name.ends_with("Error") || name.ends_with("Exception");
    let is_name = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
    (is_exception && is_name && !message.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_of_a_cpp_error_reaches_a_caller() {
        let error = EngineError::forward("sizes do not match\nException raised from check at /build/aten/Tensor.cpp:42\nframe #0");
        assert_eq!(error.to_string(), "the model failed: sizes do not match");
        assert!(error.detail().is_some_and(|detail| detail.contains("frame #0")), "the log gets all of it");
    }

    #[test]
    fn the_interpreters_phrase_and_trace_give_way_to_the_reason() {
        let error = EngineError::forward(
            "The following operation failed in the TorchScript interpreter.\n\
             Traceback of TorchScript, serialized code (most recent call last):\n  \
             File \"code/__torch__/model.py\", line 7, in forward\n    raise ValueError(\"\")\n    ~~~~~ <--- HERE\n\
             RuntimeError: index out of range in self\n",
        );
        assert_eq!(error.to_string(), "the model failed: index out of range in self");
    }

    #[test]
    fn an_endless_line_is_cut() {
        assert!(EngineError::forward("x".repeat(10_000)).to_string().len() < 400);
    }
}

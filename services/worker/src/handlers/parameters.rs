//! Numbers among a request's parameters, in whichever of the protocol's types they come.

use torchmesh_api::inference::infer_parameter::ParameterChoice;

/// A number.
pub(super) fn number(choice: &ParameterChoice) -> Option<f64> {
    match choice {
        ParameterChoice::DoubleParam(value) => Some(*value),
        ParameterChoice::StringParam(text) => text.parse().ok(),
        choice => large(choice).map(|value| value as f64),
    }
}

/// A whole number from 0.
pub(super) fn whole(choice: &ParameterChoice) -> Option<u32> {
    large(choice).and_then(|value| u32::try_from(value).ok())
}

/// The same of 64 bits.
pub(super) fn large(choice: &ParameterChoice) -> Option<u64> {
    match choice {
        ParameterChoice::Int64Param(value) => u64::try_from(*value).ok(),
        ParameterChoice::Uint64Param(value) => Some(*value),
        ParameterChoice::StringParam(text) => text.parse().ok(),
        _ => None,
    }
}

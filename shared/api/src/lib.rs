//! What the services say to each other.
//!
//! Generated messages and stubs ([`inference`], [`text`], [`vision`], [`audio`], [`admin`], [`accounts`]), checked ids ([`ids`]), what a credential may do ([`access`]), one set of error kinds with its mapping to gRPC and
//! HTTP ([`error`]), and what a proxy reads of a call without decoding it ([`peek`], [`tally`], [`usage`], [`timeout`], [`trace`]), and [`tensor`]s as bytes.

pub mod access;
pub mod error;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod headers;
pub mod ids;
pub mod method;
pub mod peek;
pub mod priority;
pub mod tally;
pub mod tensor;
pub mod timeout;
mod told;
pub mod trace;

/// The Open Inference Protocol, version 2 (`inference.GRPCInferenceService`).
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod inference {
    tonic::include_proto!("inference");
}

/// Who the callers are, and what they have used.
pub mod accounts {
    /// `torchmesh.accounts.v1`.
    #[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("torchmesh.accounts.v1");
    }
}

/// What operators ask of the services.
pub mod admin {
    /// `torchmesh.admin.v1`.
    #[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("torchmesh.admin.v1");
    }
}

/// The typed APIs for audio models.
pub mod audio {
    /// `torchmesh.audio.v1`.
    #[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("torchmesh.audio.v1");
    }
}

/// The typed APIs for text models.
pub mod text {
    /// `torchmesh.text.v1`.
    #[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("torchmesh.text.v1");
    }
}

/// What calls have used.
pub mod usage {
    pub use crate::told::{Figures, Usage};

    /// `torchmesh.usage.v1`.
    #[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("torchmesh.usage.v1");
    }
}

/// The typed APIs for vision models.
pub mod vision {
    /// `torchmesh.vision.v1`.
    #[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
    pub mod v1 {
        tonic::include_proto!("torchmesh.vision.v1");
    }
}

/// Every proto of this crate as an encoded `google.protobuf.FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/torchmesh.bin"));

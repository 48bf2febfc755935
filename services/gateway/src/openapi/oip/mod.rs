//! What is written of the Open Inference Protocol over REST.

mod describe;
mod generate;
mod infer;
mod messages;
mod repository;

use super::{
    operation::{Operation, Tag},
    schema::Schema,
};
use crate::form::Form;

/// Their heading.
pub(super) const TAG: Tag = Tag {
    name: "Open Inference Protocol",
    what: "`/v2`, for tensors and for what is known of models, as `tritonclient.http` and KServe's clients speak it.",
    form: Form::Rest,
};

/// The doors.
pub(super) fn operations() -> Vec<Operation> {
    [describe::operations(), infer::operations(), generate::operations(), repository::operations()].concat()
}

/// What goes in and out.
pub(super) fn schemas() -> Vec<(String, Schema)> {
    let named = [describe::schemas(), infer::schemas(), generate::schemas(), repository::schemas()].concat();
    let mut all: Vec<_> = named.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    all.extend(messages::schemas(&[
        "ServerMetadataResponse",
        "ModelMetadataResponse",
        "ModelConfig",
        "ModelStatisticsResponse",
        "RepositoryIndexResponse.ModelIndex",
    ]));
    all
}

//! What is written of the document itself.

use super::{
    operation::{Operation, Tag},
    schema::Schema,
};
use crate::form::Form;

/// Their heading.
pub(super) const TAG: Tag =
    Tag { name: "About", what: "What this gateway answers, for programs and for people. Needs no key.", form: Form::OpenAi };

/// The doors.
pub(super) fn operations() -> Vec<Operation> {
    let page = |path, id| Operation::get(path, id, TAG).open().own();
    vec![
        page("/openapi.json", "openApi")
            .says("This document", "OpenAPI 3.1.")
            .gives("The document.", Schema::map(Schema::any("As OpenAPI 3.1 has it."), "A document of OpenAPI.")),
        page("/docs", "docs").says("This document for people to read", "One page, which loads nothing else.").answers(
            200,
            "The page.",
            [("text/html", Schema::text("HTML."))],
        ),
        page("/docs/errors", "errors")
            .says("What errors mean", "Each kind with its names at every door, what happened and what to do.")
            .answers(200, "The page.", [("text/html", Schema::text("HTML."))]),
    ]
}

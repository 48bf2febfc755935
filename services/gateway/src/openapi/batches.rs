//! What is written of `/v1/files` and `/v1/batches`.

use serde_json::json;

use super::{
    openai::TAG as OPENAI,
    operation::{Operation, Tag},
    schema::{Object, Schema},
};
use crate::batches::ENDPOINTS;

const JSON: &str = "application/json";
/// The ids of the examples.
const FILE: &str = "file-abcdefghijklmnopqrstuvwx";
const BATCH: &str = "batch_abcdefghijklmnopqrstuvwx";

/// Their heading.
pub(super) const TAG: Tag = Tag {
    name: "Batches",
    what: "Many calls that can wait: a file of lines goes in, each line a call, and a file of answers comes out, in OpenAI's form. Where the gateway has no folder for them (`batches.folder`), 501.",
    form: OPENAI.form,
};

/// The doors.
pub(super) fn operations() -> Vec<Operation> {
    [files(), batches()].concat()
}

fn file(operation: Operation) -> Operation {
    operation.part("file", "The file's id.", FILE)
}

fn batch(operation: Operation) -> Operation {
    operation.part("batch", "The batch's id.", BATCH)
}

fn paged(operation: Operation) -> Operation {
    operation.query("limit", "How many, 1 to 100; 20 where it is absent.", None).query("after", "Those behind the one with this id.", None)
}

fn files() -> Vec<Operation> {
    let body = json!({ "model": "minilm", "input": "A man is eating food." });
    let line = json!({ "custom_id": "first", "method": "POST", "url": "/v1/embeddings", "body": body });
    let form = Object::new("A form.")
        .must("purpose", Schema::always("batch"))
        .must("file", Schema::text("Lines of JSON, each a call: `custom_id`, `method` (`POST`), `url` (the batch's endpoint) and `body`."));
    vec![
        paged(Operation::get("/v1/files", "listFiles", TAG))
            .query("purpose", "Only those that came in (`batch`) or that came out (`batch_output`).", None)
            .says("The files there are", "Those of the caller's tenant, the newest first.")
            .gives("A page of them.", Schema::named("FileList")),
        Operation::post("/v1/files", "createFile", TAG)
            .says("A file of calls", "Up to `batches.max_file` bytes, which is 200 MiB where nothing else is set.")
            .body("multipart/form-data", form.schema())
            .example("multipart/form-data", "one", "One call", json!({ "purpose": "batch", "file": line.to_string() }))
            .gives("The file.", Schema::named("File")),
        file(Operation::get("/v1/files/{file}", "showFile", TAG).says("What a file is", "Its size and its name."))
            .gives("The file.", Schema::named("File")),
        file(Operation::delete("/v1/files/{file}", "deleteFile", TAG).says("Removes a file", "Not while a batch reads it."))
            .gives("What is gone.", deleted()),
        file(
            Operation::get("/v1/files/{file}/content", "readFile", TAG)
                .says("What is in a file", "Whole, as it came or as it was written."),
        )
        .answers(200, "The lines.", [("application/octet-stream", Schema::any("Lines of JSON."))]),
    ]
}

fn batches() -> Vec<Operation> {
    vec![
        paged(Operation::get("/v1/batches", "listBatches", TAG))
            .says("The batches there are", "Those of the caller's tenant, the newest first.")
            .gives("A page of them.", Schema::named("BatchList")),
        Operation::post("/v1/batches", "createBatch", TAG)
            .says(
                "Begins a batch",
                "Its calls are made in the name of whoever begins it, behind everybody else's (priority `low`), within a day. What there is no room for is tried again. Each answer is \
                 billed as a call's is, once, whatever happens to the gateway meanwhile.",
            )
            .body(JSON, Schema::named("BatchRequest"))
            .example(
                JSON,
                "embeddings",
                "Embeddings, from a file that was sent before",
                json!({ "input_file_id": FILE, "endpoint": "/v1/embeddings", "completion_window": "24h", "metadata": { "for": "the archive" } }),
            )
            .gives("The batch.", Schema::named("Batch")),
        batch(Operation::get("/v1/batches/{batch}", "showBatch", TAG).says("How far a batch is", "Figures are a second old at most."))
            .gives("The batch.", Schema::named("Batch")),
        batch(Operation::post("/v1/batches/{batch}/cancel", "cancelBatch", TAG))
            .says("Calls a batch off", "No further calls are made, and those on their way are given up. What was answered by then can be read.")
            .gives("The batch.", Schema::named("Batch")),
    ]
}

fn deleted() -> Schema {
    Object::new("What is gone.")
        .must("id", Schema::text("Its id."))
        .must("object", Schema::always("file"))
        .must("deleted", Schema::flag("Always true."))
        .schema()
}

fn moment(what: &str) -> Schema {
    Schema::whole(what).from(0)
}

/// What goes in and out.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    vec![("File", of_file()), ("FileList", list("File")), ("BatchRequest", request()), ("Batch", of_batch()), ("BatchList", list("Batch"))]
}

fn list(of: &str) -> Schema {
    Object::new("A page.")
        .must("object", Schema::always("list"))
        .must("data", Schema::list(Schema::named(of), "The newest first."))
        .must("first_id", Schema::text("The first one's id.").or_null())
        .must("last_id", Schema::text("The last one's id.").or_null())
        .must("has_more", Schema::flag("Whether there are more behind the last."))
        .schema()
}

fn of_file() -> Schema {
    Object::new("A file.")
        .must("id", Schema::text("Its id."))
        .must("object", Schema::always("file"))
        .must("bytes", Schema::count("Its size."))
        .must("created_at", moment("When it came, in seconds since 1970."))
        .must("filename", Schema::text("As whoever sent it calls it."))
        .must("purpose", Schema::word(&["batch", "batch_output"], "Whether it came in or went out."))
        .must("status", Schema::always("processed"))
        .must("status_details", Schema::null("None."))
        .must("expires_at", Schema::null("None."))
        .schema()
}

fn request() -> Schema {
    Object::new("What is to be done.")
        .must("input_file_id", Schema::text("A file with the purpose `batch`."))
        .must("endpoint", Schema::word(&ENDPOINTS, "What every line calls."))
        .must("completion_window", Schema::always("24h"))
        .maybe("metadata", Schema::map(Schema::text("A text.").no_longer(512), "Up to 16 texts of yours, which the batch keeps."))
        .schema()
}

fn of_batch() -> Schema {
    let counts = Object::new("How many calls.")
        .must("total", Schema::count("All."))
        .must("completed", Schema::count("Those that went well."))
        .must("failed", Schema::count("Those that did not."));
    let mistake = Object::new("A mistake in the file.")
        .must("code", Schema::text("Which kind."))
        .must("message", Schema::text("What is wrong."))
        .must("param", Schema::text("The field.").or_null())
        .must("line", Schema::whole("The line, from 1 up.").from(1).or_null());
    let mistakes =
        Object::new("Mistakes.").must("object", Schema::always("list")).must("data", Schema::list(mistake.schema(), "Up to 50."));
    let statuses = ["validating", "failed", "in_progress", "completed", "expired", "cancelling", "cancelled"];
    let whole = Object::new("A batch.")
        .must("id", Schema::text("Its id."))
        .must("object", Schema::always("batch"))
        .must("endpoint", Schema::text("What every line calls."))
        .must("errors", Schema::either([mistakes.schema(), Schema::null("None.")], "Why it failed."))
        .must("input_file_id", Schema::text("The calls."))
        .must("completion_window", Schema::always("24h"))
        .must("status", Schema::word(&statuses, "How far it is."))
        .must("output_file_id", Schema::text("The answers that went well, at the end.").or_null())
        .must("error_file_id", Schema::text("The answers that did not, at the end.").or_null())
        .must("request_counts", counts.schema())
        .must("metadata", Schema::either([Schema::map(Schema::text("A text."), "Yours."), Schema::null("None.")], "As it was sent."))
        .must("created_at", moment("When it was begun, in seconds since 1970."))
        .must("expires_at", moment("When its time is up."));
    let moments = ["in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"];
    moments.into_iter().fold(whole, |whole, name| whole.must(name, moment("When that was.").or_null())).schema()
}

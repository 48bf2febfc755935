//! The document: all doors together.

use serde_json::{Map, Value, json};

use super::{
    about, batches, errors, oauth, oip, openai,
    operation::{Operation, Tag},
    tasks, tei, torchserve,
};

/// The headings, in the order in which they are read.
const TAGS: [Tag; 8] = [openai::TAG, batches::TAG, tasks::TAG, oip::TAG, tei::TAG, torchserve::TAG, oauth::TAG, about::TAG];

/// Every door; those of OAuth where the gateway gives tokens.
pub(super) fn operations(oauth: bool) -> Vec<Operation> {
    [
        openai::operations(),
        batches::operations(),
        tasks::operations(),
        oip::operations(),
        tei::operations(),
        torchserve::operations(),
        if oauth { oauth::operations() } else { Vec::new() },
        about::operations(),
    ]
    .concat()
}

/// The document of a gateway that takes bodies of up to `max_body` bytes, and gives tokens or not.
pub(super) fn write(max_body: usize, oauth: bool) -> Value {
    let mut paths = Map::new();
    for operation in operations(oauth) {
        let (method, path) = (operation.method, operation.path);
        paths.entry(path).or_insert_with(|| json!({}))[method] = operation.json();
    }
    let tags = TAGS.into_iter().filter(|tag| oauth || *tag != oauth::TAG);
    let tags: Vec<_> = tags.map(|tag| json!({ "name": tag.name, "description": tag.what })).collect();
    let (security, schemes) = security(oauth);
    json!({
        "openapi": "3.1.0",
        "info": { "title": "torchmesh", "version": env!("CARGO_PKG_VERSION"), "summary": "A mesh that serves models.", "description": about_all(max_body) },
        "servers": [{ "url": "/", "description": "The gateway that this document came from." }],
        "security": security,
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": schemes,
            "responses": errors::responses(),
            "schemas": schemas(oauth),
        },
    })
}

/// What is shown to be let in, of which one is enough, and how each is shown.
fn security(oauth: bool) -> (Value, Value) {
    let key = json!({ "type": "http", "scheme": "bearer", "description": "The API key, as `Authorization: Bearer YOUR_KEY`." });
    if oauth {
        (json!([{ "key": [] }, { "token": [] }]), json!({ "key": key, "token": oauth::security_scheme() }))
    } else {
        (json!([{ "key": [] }]), json!({ "key": key }))
    }
}

fn schemas(oauth: bool) -> Map<String, Value> {
    let of_oauth = if oauth { oauth::schemas() } else { Vec::new() };
    let named =
        [errors::schemas(), openai::schemas(), batches::schemas(), tasks::schemas(), tei::schemas(), torchserve::schemas(), of_oauth]
            .concat();
    let named = named.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    named.chain(oip::schemas()).map(|(name, schema)| (name, schema.json())).collect()
}

fn about_all(max_body: usize) -> String {
    format!(
        "Every door of this gateway that speaks HTTP. A body may have up to {max_body} bytes. `x-request-timeout` says how many seconds an answer \
         may take. `x-request-id` is taken over and returned; one is made where there is none. Hanging up ends a call. What is asked in another way \
         than a path answers is 405. Errors have the form that the door's own clients read; [what they mean](/docs/errors)."
    )
}

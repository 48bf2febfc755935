//! One way in: a path, a method, what goes in and what comes out.

use serde_json::{Map, Value, json};

use super::{
    errors::{self, KINDS},
    schema::Schema,
};
use crate::form::Form;

/// What the page and the document put under one heading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// The heading.
    pub(super) name: &'static str,
    /// What is under it.
    pub(super) what: &'static str,
    /// How its errors look.
    pub(super) form: Form,
}

/// See the module. Built up word by word.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// In small letters, as OpenAPI has it.
    pub(super) method: &'static str,
    /// As axum has it, which is as OpenAPI has it.
    pub(super) path: &'static str,
    tag: Tag,
    id: &'static str,
    summary: &'static str,
    description: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    open: bool,
    own: bool,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, id: &'static str, tag: Tag) -> Self {
        let (parameters, answers) = (Vec::new(), Map::new());
        let operation = Self {
            method,
            path,
            tag,
            id,
            summary: "",
            description: String::new(),
            parameters,
            body: None,
            answers,
            open: false,
            own: false,
        };
        operation.header("x-request-id", Schema::text("An id of your own for this call; the answer has it too.").no_longer(128))
    }

    /// A question without a body.
    pub(super) fn get(path: &'static str, id: &'static str, tag: Tag) -> Self {
        Self::new("get", path, id, tag)
    }

    /// A question with one.
    pub(super) fn post(path: &'static str, id: &'static str, tag: Tag) -> Self {
        Self::new("post", path, id, tag).header("x-request-timeout", Schema::number("How many seconds the answer may take.").from(0))
    }

    /// A thing that is to be gone.
    pub(super) fn delete(path: &'static str, id: &'static str, tag: Tag) -> Self {
        Self::new("delete", path, id, tag)
    }

    /// What it does, in a line and at length.
    pub(super) fn says(mut self, summary: &'static str, description: impl Into<String>) -> Self {
        (self.summary, self.description) = (summary, description.into());
        self
    }

    /// Needs no key.
    pub(super) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Is answered by the gateway alone: nothing of the mesh can fail in it.
    pub(super) fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// A part of the path.
    pub(super) fn part(mut self, name: &str, what: &str, example: &str) -> Self {
        let schema = Schema::text(what).some().json();
        let one = json!({ "name": name, "in": "path", "required": true, "description": what, "schema": schema, "example": example });
        // In front of the headers, where people look for it.
        let at = self.parameters.iter().filter(|one| one["in"] == "path").count();
        self.parameters.insert(at, one);
        self
    }

    /// A model in the path.
    pub(super) fn model(self, example: &str) -> Self {
        self.part("model", "The model's name; `GET /v1/models` lists those there are.", example)
    }

    /// A version in the path.
    pub(super) fn version(self) -> Self {
        self.part("version", "The version's number.", "1")
    }

    /// What may stand behind the question mark.
    pub(super) fn query(mut self, name: &str, what: &str, example: Option<&str>) -> Self {
        let mut one = json!({ "name": name, "in": "query", "required": false, "description": what, "schema": Schema::text(what).json() });
        if let Some(example) = example {
            one["example"] = json!(example);
        }
        let at = self.parameters.iter().filter(|one| one["in"] != "header").count();
        self.parameters.insert(at, one);
        self
    }

    /// A header that is read.
    pub(super) fn header(mut self, name: &str, schema: Schema) -> Self {
        let schema = schema.json();
        self.parameters
            .push(json!({ "name": name, "in": "header", "required": false, "description": schema["description"], "schema": schema }));
        self
    }

    /// A body, of which there may be several kinds.
    pub(super) fn body(mut self, kind: &str, schema: Schema) -> Self {
        let body = self.body.get_or_insert_with(|| json!({ "required": true, "content": {} }));
        body["content"][kind] = json!({ "schema": schema.json() });
        self
    }

    /// The body may be left out.
    pub(super) fn body_if_any(mut self) -> Self {
        if let Some(body) = &mut self.body {
            body["required"] = json!(false);
        }
        self
    }

    /// A body that can be sent as it is.
    pub(super) fn example(mut self, kind: &str, name: &str, summary: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if let Some(body) = &mut self.body {
            body["content"][kind]["examples"][name] = json!({ "summary": summary, "value": value });
        }
        self
    }

    /// An answer, of which there may be several kinds; without a kind it has no body.
    pub(super) fn answers(mut self, status: u16, what: &str, bodies: impl IntoIterator<Item = (&'static str, Schema)>) -> Self {
        let one =
            self.answers.entry(status.to_string()).or_insert_with(|| json!({ "description": what, "headers": errors::headers(false) }));
        for (kind, schema) in bodies {
            one["content"][kind] = json!({ "schema": schema.json() });
        }
        self
    }

    /// A header of an answer.
    pub(super) fn tells(mut self, status: u16, name: &str, schema: Schema) -> Self {
        let schema = schema.json();
        if let Some(answer) = self.answers.get_mut(&status.to_string()) {
            answer["headers"][name] = json!({ "description": schema["description"], "schema": schema });
        }
        self
    }

    /// A good answer of JSON.
    pub(super) fn gives(self, what: &str, schema: Schema) -> Self {
        self.answers(200, what, [("application/json", schema)])
    }

    /// As the document has it. Each kind of error that can come is there, with the status that this door has for it.
    pub(super) fn json(self) -> Value {
        let mut answers = self.answers;
        for kind in KINDS {
            let refers = json!({ "$ref": format!("#/components/responses/{}", errors::response_name(self.tag.form, kind)) });
            let status = errors::status(self.tag.form, kind).as_str().to_owned();
            if !self.own || errors::in_front(kind, self.open) {
                answers.entry(status).or_insert(refers);
            }
        }
        let mut json = json!({ "operationId": self.id, "tags": [self.tag.name], "summary": self.summary, "description": self.description });
        if self.open {
            json["security"] = json!([]);
        }
        json["parameters"] = Value::Array(self.parameters);
        if let Some(body) = self.body {
            json["requestBody"] = body;
        }
        answers.sort_keys();
        json["responses"] = Value::Object(answers);
        json
    }
}

#[cfg(test)]
impl Operation {
    /// How its errors look.
    pub(super) fn form(&self) -> Form {
        self.tag.form
    }

    /// Whether it is answered by the gateway alone.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }
}

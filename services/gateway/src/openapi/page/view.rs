//! What the templates need of the document, in the order in which it is read.

use minijinja::Value as Seen;
use serde::Serialize;
use serde_json::Value;

use super::{curl, fields};
use crate::openapi::errors::{FORMS, KINDS, explained, status};

/// A heading and its operations.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    name: String,
    what: String,
    operations: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    method: String,
    path: String,
    open: bool,
    told: Value,
    bodies: Vec<Body>,
    answers: Vec<Answered>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Body {
    kind: String,
    is: Seen,
    fields: Vec<fields::Field>,
}

#[derive(Debug, Serialize)]
struct Answered {
    status: String,
    what: String,
    bodies: Vec<Body>,
}

#[derive(Debug, Serialize)]
struct Line {
    summary: String,
    line: String,
}

/// A schema that has a name.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    name: String,
    what: String,
    is: Seen,
    fields: Vec<fields::Field>,
}

/// A kind of error.
#[derive(Debug, Serialize)]
pub(super) struct Kind {
    code: &'static str,
    what: &'static str,
    remedy: &'static str,
    http: u16,
    statuses: Vec<u16>,
    grpc: String,
    openai: (&'static str, &'static str),
    tei: &'static str,
    torchserve: &'static str,
}

/// The operations under their headings.
pub(super) fn sections(document: &Value) -> Vec<Section> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let section =
        |tag: &Value| Section { name: text(&tag["name"]), what: text(&tag["description"]), operations: under(document, &tag["name"]) };
    document["tags"].as_array().into_iter().flatten().map(section).collect()
}

fn under(document: &Value, tag: &Value) -> Vec<Shown> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, told) in methods.as_object().into_iter().flatten().filter(|(_, told)| told["tags"][0] == *tag) {
            all.push(shown(document, path, method, told));
        }
    }
    all
}

fn shown(document: &Value, path: &str, method: &str, told: &Value) -> Shown {
    let answers = told["responses"].as_object().into_iter().flatten();
    Shown {
        id: told["operationId"].as_str().unwrap_or_default().to_owned(),
        method: method.to_uppercase(),
        path: path.to_owned(),
        open: told["security"].is_array(),
        bodies: bodies(document, &told["requestBody"]["content"]),
        answers: answers.map(|(status, answer)| answered(document, status, answer)).collect(),
        lines: lines(path, method, told),
        told: told.clone(),
    }
}

/// What a reference stands for.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    value["$ref"].as_str().and_then(|place| document.pointer(place.trim_start_matches('#'))).unwrap_or(value)
}

fn bodies(document: &Value, content: &Value) -> Vec<Body> {
    let body = |(kind, told): (&String, &Value)| {
        let schema = &told["schema"];
        Body { kind: kind.clone(), is: Seen::from_safe_string(fields::kind(schema)), fields: fields::table(resolved(document, schema)) }
    };
    content.as_object().into_iter().flatten().map(body).collect()
}

fn answered(document: &Value, status: &str, answer: &Value) -> Answered {
    let answer = resolved(document, answer);
    let mut bodies = bodies(document, &answer["content"]);
    // Those of answers are looked up by their names.
    for body in &mut bodies {
        body.fields.clear();
    }
    Answered { status: status.to_owned(), what: answer["description"].as_str().unwrap_or_default().to_owned(), bodies }
}

fn lines(path: &str, method: &str, told: &Value) -> Vec<Line> {
    let (mut filled, mut question) = (path.to_owned(), Vec::new());
    for one in told["parameters"].as_array().into_iter().flatten() {
        let (name, example) = (one["name"].as_str().unwrap_or_default(), one["example"].as_str());
        match (one["in"].as_str(), example) {
            (Some("path"), Some(example)) => filled = filled.replace(&format!("{{{name}}}"), example),
            (Some("query"), Some(example)) => question.push(format!("{name}={example}")),
            _ => {}
        }
    }
    if !question.is_empty() {
        filled = format!("{filled}?{}", question.join("&"));
    }
    let open = told["security"].is_array();
    let mut lines = Vec::new();
    for (kind, body) in told["requestBody"]["content"].as_object().into_iter().flatten() {
        for example in body["examples"].as_object().into_iter().flatten().map(|(_, example)| example) {
            let summary = example["summary"].as_str().unwrap_or_default().to_owned();
            lines.push(Line { summary, line: curl::line(method, &filled, open, Some((kind, &example["value"]))) });
        }
    }
    if lines.is_empty() {
        lines.push(Line { summary: String::new(), line: curl::line(method, &filled, open, None) });
    }
    lines
}

/// The schemas that have names.
pub(super) fn schemas(document: &Value) -> Vec<Named> {
    let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
    let named = |(name, schema): (&String, &Value)| Named {
        name: name.clone(),
        what: schema["description"].as_str().unwrap_or_default().to_owned(),
        is: Seen::from_safe_string(fields::kind(schema)),
        fields: fields::table(schema),
    };
    schemas.map(named).collect()
}

/// The kinds of errors with their names everywhere.
pub(super) fn kinds() -> Vec<Kind> {
    let told = |kind| {
        let of = explained(kind);
        Kind {
            code: of.code,
            what: of.what,
            remedy: of.remedy,
            http: kind.http().as_u16(),
            statuses: FORMS.map(|(form, _)| status(form, kind).as_u16()).to_vec(),
            grpc: grpc_name(&format!("{:?}", kind.code())),
            openai: crate::openai::names(kind),
            tei: crate::tei::error_type(kind),
            torchserve: crate::torchserve::exception(kind),
        }
    };
    KINDS.into_iter().map(told).collect()
}

/// `InvalidArgument` as gRPC's documents write it: `INVALID_ARGUMENT`.
fn grpc_name(code: &str) -> String {
    let mut name = String::new();
    for letter in code.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpcs_names_are_written_as_its_documents_write_them() {
        assert_eq!(grpc_name("InvalidArgument"), "INVALID_ARGUMENT");
        assert_eq!(grpc_name("Internal"), "INTERNAL");
    }
}

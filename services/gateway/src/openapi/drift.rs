//! The document against the program: what is written is what is answered and read, and the other way round.

use std::{collections::BTreeSet, sync::Arc};

use axum::{Router, body::Body};
use http::{Method, Request, header};
use serde_json::{Value, json};
use torchmesh_discovery::Instances;
use torchmesh_relay::{Endpoints, Groups, Relay, RelayMetrics, RelaySettings};
use tower::ServiceExt as _;

use super::{
    Written, document,
    errors::{KINDS, status},
    spy::{Asked, Step, asked},
};
use crate::{
    Known, Routers, batches, doors,
    generation::fields::Object,
    health::Health,
    identity::{self, Identity},
    mesh::Mesh,
    openai::chat::question::Question as Chat,
    openai::completions::question::Question as Completion,
    openai::embeddings::Question as Embeddings,
    openai::rerank::Question as Rerank,
    openai::responses::question::Question as Responses,
    rest_v2, tasks, tei,
};

/// All doors, in front of a mesh in which there is nothing.
fn router(identity: Identity) -> Router {
    let settings = RelaySettings::default();
    let metrics = RelayMetrics::register(&mut Default::default(), "gateway");
    let known = Known { endpoints: Endpoints::new(1), groups: Groups::new(settings, metrics) };
    let routers = Arc::new(Routers::new(known.group(&Instances::default())));
    let mesh = Mesh::new(Relay::for_threads(1, &settings).remove(0), routers, Default::default());
    let health = Health::new(mesh.clone(), Default::default(), Default::default());
    doors(&mesh, health, &Written::new(1 << 20, "http", identity.gives_tokens()), 1 << 20, 1)
        .merge(batches::routes(None))
        .merge(identity::routes(identity))
}

/// Which methods each path of the router answers, as it says when it is asked in another way.
async fn answered(router: &Router) -> BTreeSet<(String, String)> {
    let shown = format!("{router:?}");
    let paths: BTreeSet<&str> =
        shown.split('"').filter(|text| text.starts_with('/') && *text != "/" && !text.contains("__private")).collect();
    assert!(paths.contains("/v2/models/{model}"), "axum shows its routes in another way now: {shown}");
    let mut all = BTreeSet::new();
    for path in paths {
        let request = Request::builder().method(Method::TRACE).uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 405, "{path}");
        let allowed = response.headers()[header::ALLOW].to_str().unwrap();
        let methods = allowed.split(',').filter(|&method| method != "HEAD");
        all.extend(methods.map(|method| (path.to_owned(), method.to_lowercase())));
    }
    all
}

#[tokio::test]
async fn every_route_is_in_the_document_and_every_path_of_the_document_is_a_route() {
    for (identity, oauth) in [(Identity::of_nobody(), false), (Identity::giving_tokens(), true)] {
        let document = document::write(1, oauth);
        let paths = document["paths"].as_object().unwrap().iter();
        let written = paths.flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
        assert_eq!(written.collect::<BTreeSet<_>>(), answered(&router(identity)).await);
    }
}

#[test]
fn every_error_that_a_door_can_give_is_in_the_document_with_its_status() {
    for operation in document::operations(true) {
        let form = operation.form();
        let (path, own) = (operation.path, operation.is_own());
        let answers = operation.json()["responses"].clone();
        for kind in KINDS.into_iter().filter(|_| !own) {
            let status = status(form, kind);
            assert!(answers.get(status.as_str()).is_some(), "{path} does not say that {kind:?} is {status}");
        }
    }
}

#[tokio::test]
async fn a_form_of_oauth_that_is_too_large_is_refused_as_the_document_says() {
    let chunked = || Body::from_stream(tokio_stream::iter((0..65).map(|_| Ok::<_, std::convert::Infallible>(vec![b'x'; 1 << 10]))));
    for (announced, body) in [(Some(65 << 10), Body::from(vec![b'x'; 65 << 10])), (None, chunked())] {
        let mut request = Request::post("/oauth/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(length) = announced {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        let response = router(Identity::giving_tokens()).oneshot(request.body(body).unwrap()).await.unwrap();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert_eq!((response.status().as_u16(), kind), (413, "application/json"), "{announced:?}");
        let told: Value = serde_json::from_slice(&axum::body::to_bytes(response.into_body(), 1 << 12).await.unwrap()).unwrap();
        assert_eq!(told["error"]["code"], crate::openai::names(torchmesh_api::error::ErrorKind::TooLarge).1);
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_an_id_of_its_own() {
    let document = document::write(1, true);
    let mut open = vec![&document];
    let (mut count, mut ids) = (0, BTreeSet::new());
    while let Some(value) = open.pop() {
        if let Some(place) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(place.trim_start_matches('#')).is_some(), "{place} is not there");
        }
        if let Some(id) = value.get("operationId").and_then(Value::as_str) {
            (count, _) = (count + 1, ids.insert(id));
        }
        open.extend(value.as_object().into_iter().flat_map(|fields| fields.values()).chain(value.as_array().into_iter().flatten()));
    }
    assert_eq!(ids.len(), count);
}

/// Asks a reader what it takes at a place.
type Ask = fn(&[Step]) -> Option<(Asked, bool)>;

/// Follows a schema and a reader side by side.
struct Walk<'a> {
    ask: Ask,
    document: &'a Value,
    /// Fields that a reader takes apart from those that it lists.
    aside: &'a [&'a str],
    wrong: Vec<String>,
    visited: usize,
}

impl Walk<'_> {
    fn resolved<'v>(&'v self, schema: &'v Value) -> &'v Value {
        schema["$ref"].as_str().and_then(|place| self.document.pointer(place.trim_start_matches('#'))).unwrap_or(schema)
    }

    /// The alternatives of a schema, those of its references too.
    fn kinds(&self, schema: &Value) -> Vec<Value> {
        let schema = self.resolved(schema);
        match schema["anyOf"].as_array() {
            Some(all) => all.iter().flat_map(|one| self.kinds(one)).collect(),
            None => vec![schema.clone()],
        }
    }

    fn compare(&mut self, schema: &Value, required: bool, place: &mut Vec<Step>) {
        let kinds = self.kinds(schema);
        let Some((asked, nullable)) = (self.ask)(place) else {
            self.wrong.push(format!("{place:?} is written and never read"));
            return;
        };
        self.visited += 1;
        let names = |kind: &Value| match &kind["type"] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            one => one.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
        };
        let types: BTreeSet<String> = kinds.iter().flat_map(names).collect();
        // Of what must be there null is refused like nothing at all.
        if types.contains("null") != nullable && asked != Asked::Any && !required {
            self.wrong.push(format!("{place:?}: null is written: {}, and read: {nullable}", types.contains("null")));
        }
        let fits = match &asked {
            Asked::Fields(_) | Asked::Map => types.contains("object"),
            Asked::Words(words) => self.same(place, words, kinds.iter().flat_map(|kind| kind["enum"].as_array().into_iter().flatten())),
            Asked::Text => types.contains("string"),
            Asked::Whole => types.contains("integer"),
            Asked::Number => types.contains("number"),
            Asked::Flag => types.contains("boolean"),
            Asked::List => types.contains("array"),
            Asked::Any => true,
        };
        if !fits {
            self.wrong.push(format!("{place:?}: {types:?} is written, and {asked:?} is read"));
        }
        for kind in kinds {
            self.inside(&asked, &kind, place);
        }
    }

    fn same<'v>(&mut self, place: &[Step], read: &[String], written: impl Iterator<Item = &'v Value>) -> bool {
        let written: BTreeSet<&str> = written.filter_map(Value::as_str).collect();
        let read: BTreeSet<&str> =
            read.iter().map(String::as_str).chain(if place.is_empty() { self.aside } else { &[] }.iter().copied()).collect();
        if read != written {
            let (unread, unwritten) = (written.difference(&read).collect::<Vec<_>>(), read.difference(&written).collect::<Vec<_>>());
            self.wrong.push(format!("{place:?}: written and not read: {unread:?}; read and not written: {unwritten:?}"));
        }
        true
    }

    fn inside(&mut self, asked: &Asked, kind: &Value, place: &mut Vec<Step>) {
        if let (Asked::List | Asked::Any, true) = (asked, kind["items"].is_object()) {
            // What an untagged reader has inside cannot be seen: it keeps what comes before it looks.
            place.push(Step::Entry);
            if *asked == Asked::List || (self.ask)(place).is_some() {
                self.compare(&kind["items"], false, place);
            }
            place.pop();
        }
        let Some(properties) = kind["properties"].as_object() else { return };
        if let Asked::Fields(fields) = asked {
            let names: Vec<_> = properties.keys().cloned().map(Value::String).collect();
            self.same(place, fields, names.iter());
        }
        for (name, schema) in properties {
            let required = kind["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
            place.push(Step::Field(name.clone()));
            if *asked != Asked::Any || (self.ask)(place).is_some() {
                self.compare(schema, required, place);
            }
            place.pop();
        }
    }
}

/// Compares a reader with the schema of this name; gives at how many places.
fn same(name: &str, aside: &[&str], ask: Ask) -> usize {
    let document = document::write(1, true);
    let mut walk = Walk { ask, document: &document, aside, wrong: Vec::new(), visited: 0 };
    walk.compare(&json!({ "$ref": format!("#/components/schemas/{name}") }), false, &mut Vec::new());
    assert!(walk.wrong.is_empty(), "{name}:\n{}", walk.wrong.join("\n"));
    walk.visited
}

#[test]
fn what_is_written_of_language_models_is_what_their_doors_read() {
    assert!(same("ChatRequest", &[], |place| asked::<Object<Chat>>(place)) > 60);
    assert!(same("ResponsesRequest", &[], |place| asked::<Object<Responses>>(place)) > 60);
    assert!(same("CompletionRequest", &[], |place| asked::<Object<Completion>>(place)) > 40);
    assert!(same("GenerateRequest", &["parameters"], |place| asked::<Object<rest_v2::generate::Question>>(place)) > 60);
}

#[test]
fn what_is_written_of_the_other_doors_is_what_they_read() {
    assert!(same("EmbeddingsRequest", &[], |place| asked::<Embeddings>(place)) > 4);
    assert!(same("RerankRequest", &[], |place| asked::<Rerank>(place)) > 6);
    assert!(same("LoadRequest", &[], |place| asked::<rest_v2::repository::Question>(place)) > 1);
    assert!(same("TeiEmbedRequest", &[], |place| asked::<tei::embed::Question>(place)) > 5);
    assert!(same("TeiPredictRequest", &[], |place| asked::<tei::predict::Question>(place)) > 3);
    assert!(same("TeiRerankRequest", &[], |place| asked::<tei::rerank::Question>(place)) > 6);
    assert!(same("TaskRequest", &[], |place| asked::<tasks::door::Question>(place)) > 2);
}

#[test]
fn what_is_written_of_tensors_is_what_is_read() {
    fn ask(place: &[Step]) -> Option<(Asked, bool)> {
        asked::<rest_v2::request::Header<'_>>(place)
    }
    assert!(same("InferRequest", &[], ask) > 12);
}

#[test]
fn what_is_written_of_the_tasks_parameters_is_what_they_read() {
    use tasks::{senses, text};
    same("EmbedParameters", &[], |place| asked::<text::Embed>(place));
    same("ClassifyParameters", &[], |place| asked::<text::Classify>(place));
    same("TokenClassifyParameters", &[], |place| asked::<text::ClassifyTokens>(place));
    same("FillParameters", &[], |place| asked::<text::Fill>(place));
    same("RerankParameters", &[], |place| asked::<text::Rerank>(place));
    same("ClassifyImageParameters", &[], |place| asked::<senses::Classify>(place));
    same("DetectObjectsParameters", &[], |place| asked::<senses::Detect>(place));
    same("DetectVoiceParameters", &[], |place| asked::<senses::Voice>(place));
}

#[test]
fn what_is_written_of_queries_is_what_is_read() {
    let document = document::write(1, true);
    let query = |path: &str| -> BTreeSet<String> {
        let methods = document["paths"][path].as_object().unwrap();
        let parameters = methods.values().flat_map(|told| told["parameters"].as_array().unwrap());
        parameters.filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let read = |asked: Option<(Asked, bool)>| match asked {
        Some((Asked::Fields(fields), _)) => fields.into_iter().collect::<BTreeSet<_>>(),
        other => panic!("{other:?}"),
    };
    for path in ["/embed", "/predict", "/rerank", "/info"] {
        assert_eq!(query(path), read(asked::<tei::Named>(&[])), "{path}");
    }
    assert_eq!(query("/v1/tasks/{model}"), read(asked::<tasks::door::Version>(&[])));
}

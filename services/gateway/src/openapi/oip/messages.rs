//! Schemas of messages, made from their protos: what a door writes by reflection is described by reflection.

use std::collections::BTreeMap;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

use crate::{
    openapi::schema::{Object, Schema},
    rest_v2::reflect::{OURS, PROTOS},
};

/// The name under which the document has a message of `package inference`.
pub(super) fn refer(name: &str) -> Schema {
    Schema::named(&format!("inference.{name}"))
}

/// These messages of `package inference`, and all that is in them.
pub(super) fn schemas(names: &[&str]) -> Vec<(String, Schema)> {
    let mut all = BTreeMap::new();
    for name in names {
        if let Some(message) = PROTOS.get_message_by_name(&format!("inference.{name}")) {
            describe(&message, &mut all);
        }
    }
    all.into_iter().collect()
}

fn describe(message: &MessageDescriptor, all: &mut BTreeMap<String, Schema>) {
    if all.contains_key(message.full_name()) {
        return;
    }
    // In its place before its fields are looked at, since a message may hold itself.
    all.insert(message.full_name().to_owned(), Schema::any(""));
    let mut object = Object::new(&format!("`{}`, as the protocol's proto has it.", message.full_name()));
    for field in message.fields().filter(|field| field.number() < OURS) {
        let schema = of(&field, all);
        // What is one of several, and what is a message, is there where it was set; all else always.
        let always = !field.supports_presence();
        object = if always { object.must(field.name(), schema) } else { object.may(field.name(), schema) };
    }
    all.insert(message.full_name().to_owned(), object.schema());
}

fn of(field: &FieldDescriptor, all: &mut BTreeMap<String, Schema>) -> Schema {
    let what = format!("`{}`.", field.name());
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        return Schema::map(one(&entry.map_entry_value_field().kind(), &what, all), &what);
    }
    let one = one(&field.kind(), &what, all);
    if field.cardinality() == Cardinality::Repeated { Schema::list(one, &what) } else { one }
}

fn one(kind: &Kind, what: &str, all: &mut BTreeMap<String, Schema>) -> Schema {
    match kind {
        Kind::Double | Kind::Float => Schema::number(what),
        Kind::Bool => Schema::flag(what),
        Kind::String => Schema::text(what),
        Kind::Bytes => Schema::text(what).format("byte"),
        Kind::Message(message) => {
            describe(message, all);
            Schema::named(message.full_name())
        }
        Kind::Enum(of) => {
            let names: Vec<_> = of.values().map(|value| value.name().to_owned()).collect();
            Schema::word(&names.iter().map(String::as_str).collect::<Vec<_>>(), what)
        }
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Schema::whole(what).from(0),
        Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 => Schema::whole(what),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_described_with_all_that_is_in_it() {
        let all: BTreeMap<_, _> = schemas(&["ModelMetadataResponse"]).into_iter().collect();
        let metadata = all["inference.ModelMetadataResponse"].clone().json();
        assert_eq!(metadata["properties"]["name"]["type"], "string");
        assert_eq!(metadata["properties"]["properties"]["additionalProperties"]["type"], "string");
        assert!(metadata["required"].as_array().unwrap().contains(&json!("inputs")));
        let tensor = all["inference.ModelMetadataResponse.TensorMetadata"].clone().json();
        assert_eq!(tensor["properties"]["shape"]["items"]["type"], "integer");
    }
}

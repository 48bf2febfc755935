//! JSON Schemas (2020-12), as OpenAPI 3.1 has them, written down in few words.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

/// What a value has to be.
#[derive(Debug, Clone)]
pub(super) struct Schema(Map<String, Value>);

impl Schema {
    fn of(json: Value) -> Self {
        match json {
            Value::Object(fields) => Self(fields),
            _ => Self(Map::new()),
        }
    }

    /// Any value.
    pub(super) fn any(what: &str) -> Self {
        Self::of(json!({ "description": what }))
    }

    /// A text.
    pub(super) fn text(what: &str) -> Self {
        Self::of(json!({ "type": "string", "description": what }))
    }

    /// One of these texts.
    pub(super) fn word(words: &[&str], what: &str) -> Self {
        Self::of(json!({ "type": "string", "enum": words, "description": what }))
    }

    /// Always this text.
    pub(super) fn always(word: &str) -> Self {
        Self::of(json!({ "type": "string", "const": word }))
    }

    /// Nothing: a field that is there for clients which look for it.
    pub(super) fn null(what: &str) -> Self {
        Self::of(json!({ "type": "null", "description": what }))
    }

    /// A whole number from 0 that has 32 bits.
    pub(super) fn count(what: &str) -> Self {
        Self::of(json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX, "description": what }))
    }

    /// A whole number.
    pub(super) fn whole(what: &str) -> Self {
        Self::of(json!({ "type": "integer", "description": what }))
    }

    /// A number.
    pub(super) fn number(what: &str) -> Self {
        Self::of(json!({ "type": "number", "description": what }))
    }

    /// True or false.
    pub(super) fn flag(what: &str) -> Self {
        Self::of(json!({ "type": "boolean", "description": what }))
    }

    /// A list.
    pub(super) fn list(of: Self, what: &str) -> Self {
        Self::of(json!({ "type": "array", "items": of.json(), "description": what }))
    }

    /// An object with any names, whose values are alike.
    pub(super) fn map(of: Self, what: &str) -> Self {
        Self::of(json!({ "type": "object", "additionalProperties": of.json(), "description": what }))
    }

    /// One that has a name of its own in the document.
    pub(super) fn named(name: &str) -> Self {
        Self::of(json!({ "$ref": format!("#/components/schemas/{name}") }))
    }

    /// One of several.
    pub(super) fn either(of: impl IntoIterator<Item = Self>, what: &str) -> Self {
        let all: Vec<_> = of.into_iter().map(Self::json).collect();
        Self::of(json!({ "anyOf": all, "description": what }))
    }

    /// An event of a stream, whose data are JSON, or words that end it: `text/event-stream` has the schema of one event.
    pub(super) fn event(data: Self, end: Option<&str>, what: &str) -> Self {
        let data = json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": data.json() });
        let all = [data].into_iter().chain(end.map(|end| json!({ "const": end })));
        let data = json!({ "description": what, "anyOf": all.collect::<Vec<_>>() });
        Self::of(json!({ "type": "object", "description": "An event.", "required": ["data"], "properties": { "data": data } }))
    }

    fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Says what it is.
    pub(super) fn says(self, what: &str) -> Self {
        self.set("description", what)
    }

    /// What holds when it is left out.
    pub(super) fn default(self, value: impl Into<Value>) -> Self {
        self.set("default", value)
    }

    /// A number's range.
    pub(super) fn within(self, range: &RangeInclusive<f32>) -> Self {
        self.set("minimum", f64::from(*range.start())).set("maximum", f64::from(*range.end()))
    }

    /// A whole number's range.
    pub(super) fn between(self, range: RangeInclusive<u32>) -> Self {
        self.set("minimum", *range.start()).set("maximum", *range.end())
    }

    /// A whole number's lower end.
    pub(super) fn from(self, least: i64) -> Self {
        self.set("minimum", least)
    }

    /// Over zero, and at most this.
    pub(super) fn above_zero(self, most: f32) -> Self {
        self.set("exclusiveMinimum", 0).set("maximum", f64::from(most))
    }

    /// A list's or an object's most entries.
    pub(super) fn at_most(self, entries: usize) -> Self {
        let name = if self.0.get("type") == Some(&json!("object")) { "maxProperties" } else { "maxItems" };
        self.set(name, entries)
    }

    /// A list's fewest entries.
    pub(super) fn at_least(self, entries: usize) -> Self {
        self.set("minItems", entries)
    }

    /// A text that is not empty.
    pub(super) fn some(self) -> Self {
        self.set("minLength", 1)
    }

    /// A text's most characters.
    pub(super) fn no_longer(self, characters: usize) -> Self {
        self.set("maxLength", characters)
    }

    /// What a text looks like.
    pub(super) fn looks(self, pattern: &str) -> Self {
        self.set("pattern", pattern)
    }

    /// What its bytes stand for.
    pub(super) fn format(self, format: &str) -> Self {
        self.set("format", format)
    }

    /// Null may stand for nothing.
    pub(super) fn or_null(mut self) -> Self {
        if self.0.contains_key("$ref") {
            return Self::of(json!({ "anyOf": [self.json(), { "type": "null" }] }));
        }
        if let Some(Value::Array(all)) = self.0.get_mut("anyOf") {
            all.push(json!({ "type": "null" }));
        }
        if let Some(Value::Array(words)) = self.0.get_mut("enum") {
            words.push(Value::Null);
        }
        match self.0.get("type").cloned() {
            Some(one) => self.set("type", json!([one, "null"])),
            None => self,
        }
    }

    /// As JSON.
    pub(super) fn json(self) -> Value {
        Value::Object(self.0)
    }
}

/// An object, field by field.
#[derive(Debug, Clone)]
pub(super) struct Object {
    what: String,
    required: Vec<String>,
    fields: Map<String, Value>,
    closed: bool,
}

impl Object {
    /// One without fields.
    pub(super) fn new(what: &str) -> Self {
        Self { what: what.to_owned(), required: Vec::new(), fields: Map::new(), closed: false }
    }

    /// A field that must be there.
    pub(super) fn must(mut self, name: &str, schema: Schema) -> Self {
        self.required.push(name.to_owned());
        self.may(name, schema)
    }

    /// A field that may be left out.
    pub(super) fn may(mut self, name: &str, schema: Schema) -> Self {
        self.fields.insert(name.to_owned(), schema.json());
        self
    }

    /// A field that may be left out, or null.
    pub(super) fn maybe(self, name: &str, schema: Schema) -> Self {
        self.may(name, schema.or_null())
    }

    /// All fields of another one.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.required.extend(other.required);
        self.fields.extend(other.fields);
        self
    }

    /// Other fields than these are refused.
    pub(super) fn closed(mut self) -> Self {
        self.closed = true;
        self
    }

    /// As a schema.
    pub(super) fn schema(self) -> Schema {
        let mut json = json!({ "type": "object", "description": self.what });
        if !self.required.is_empty() {
            json["required"] = json!(self.required);
        }
        json["properties"] = Value::Object(self.fields);
        if self.closed {
            json["additionalProperties"] = json!(false);
        }
        Schema::of(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_may_stand_for_every_kind_of_value() {
        assert_eq!(Schema::whole("x").or_null().json()["type"], json!(["integer", "null"]));
        assert_eq!(Schema::word(&["a"], "x").or_null().json()["enum"], json!(["a", null]));
        let either = Schema::either([Schema::text("x")], "y").or_null().json();
        assert_eq!(either["anyOf"][1], json!({ "type": "null" }));
        assert_eq!(Schema::named("N").or_null().json()["anyOf"][0]["$ref"], "#/components/schemas/N");
    }
}

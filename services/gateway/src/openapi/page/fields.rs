//! Schemas in words.

use std::fmt::Write as _;

use minijinja::Value as Seen;
use serde::Serialize;
use serde_json::Value;

/// One line of a table of fields.
#[derive(Debug, Serialize)]
pub(super) struct Field {
    name: String,
    kind: Seen,
    required: bool,
    limits: String,
    what: String,
}

/// The fields of a schema, those of its inner objects behind them by their places.
pub(super) fn table(schema: &Value) -> Vec<Field> {
    let mut all = Vec::new();
    below(schema, "", &mut all);
    all
}

fn below(schema: &Value, place: &str, all: &mut Vec<Field>) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let name_here = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        let what = field["description"].as_str().unwrap_or_default().to_owned();
        all.push(Field {
            kind: Seen::from_safe_string(kind(field)),
            required: required.contains(&name.as_str()),
            limits: limits(field),
            what,
            name: name_here.clone(),
        });
        below(field, &name_here, all);
    }
    if schema["items"].is_object() {
        below(&schema["items"], &format!("{place}[]"), all);
    }
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        below(one, place, all);
    }
}

/// What it may be, in HTML: a name of the document is a link.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let list = |all: &[Value], one: &dyn Fn(&Value) -> String| all.iter().map(one).collect::<Vec<_>>().join(" or ");
    if let Some(all) = schema["anyOf"].as_array() {
        return list(all, &kind);
    }
    if let Some(words) = schema["enum"].as_array() {
        return list(words, &|word| format!("<code>{}</code>", escaped(&word.to_string())));
    }
    if !schema["const"].is_null() {
        return format!("<code>{}</code>", escaped(&schema["const"].to_string()));
    }
    // Of an event what its data are says more.
    let data = &schema["properties"]["data"]["anyOf"][0]["contentSchema"];
    if data.is_object() {
        return format!("events of ({})", kind(data));
    }
    match &schema["type"] {
        Value::Array(kinds) => list(kinds, &|one| word(one.as_str().unwrap_or_default(), schema)),
        Value::String(one) => word(one, schema),
        _ => "any".to_owned(),
    }
}

fn word(kind_of: &str, schema: &Value) -> String {
    match kind_of {
        "array" => format!("list of ({})", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => format!("object of ({})", kind(&schema["additionalProperties"])),
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        other => other.to_owned(),
    }
}

/// The limits of a schema and what holds when it is left out.
fn limits(schema: &Value) -> String {
    let names = [
        ("minimum", "from "),
        ("exclusiveMinimum", "over "),
        ("maximum", "to "),
        ("minLength", "characters from "),
        ("maxLength", "characters up to "),
        ("minItems", "entries from "),
        ("maxItems", "entries up to "),
        ("maxProperties", "entries up to "),
        ("default", "default "),
    ];
    let told = names.iter().filter(|(name, _)| schema.get(name).is_some_and(|value| *value != u32::MAX));
    told.map(|(name, words)| format!("{words}{}", schema[name])).collect::<Vec<_>>().join(", ")
}

/// Text in which `this` is code and [this](/place) a link, as HTML.
pub(super) fn words(text: &str) -> Seen {
    let mut html = String::new();
    for (at, part) in escaped(text).split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(html, "<code>{part}</code>");
        } else {
            html += &links(part);
        }
    }
    Seen::from_safe_string(html.replace("\n\n", "<br>"))
}

fn links(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        html += before;
        let found = link.split_once("](").and_then(|(name, behind)| Some((name, behind.split_once(')')?)));
        if let Some((name, (place, after))) = found {
            let _ = write!(html, "<a href=\"{place}\">{name}</a>");
            rest = after;
        } else {
            html.push('[');
            rest = link;
        }
    }
    html + rest
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_have_code_and_links_and_nothing_of_html() {
        assert_eq!(
            words("`a<b` and [what](/docs/errors#x), [no").to_string(),
            "<code>a&lt;b</code> and <a href=\"/docs/errors#x\">what</a>, [no"
        );
    }

    #[test]
    fn inner_fields_have_their_places() {
        let schema = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "array", "items": { "type": "object",
            "properties": { "b": { "type": ["integer", "null"], "minimum": 1, "maximum": 5 } } } } } });
        let table = table(&schema);
        let names: Vec<_> = table.iter().map(|field| (field.name.as_str(), field.required, field.limits.as_str())).collect();
        assert_eq!(names, [("a", true, ""), ("a[].b", false, "from 1, to 5")]);
        assert_eq!(table[1].kind.to_string(), "whole number or null");
    }
}

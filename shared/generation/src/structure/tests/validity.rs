//! Whether JSON has a schema, as far as the schemas of these tests go.

use serde_json::Value;

pub(super) fn valid(schema: &Value, value: &Value) -> bool {
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().any(|choice| valid(choice, value));
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.contains(value);
    }
    if let Some(only) = schema.get("const") {
        return only == value;
    }
    match schema["type"].as_str() {
        Some("object") => object(schema, value),
        Some("array") => array(schema, value),
        Some("string") => value.as_str().is_some_and(|text| within(schema, "minLength", "maxLength", text.chars().count())),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0 && bounded(schema, number)),
        Some("number") => value.as_f64().is_some_and(|number| bounded(schema, number)),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => true,
    }
}

fn object(schema: &Value, value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let required = schema["required"].as_array().is_none_or(|keys| keys.iter().all(|key| object.contains_key(key.as_str().unwrap())));
    let known = |key: &String, value: &Value| match schema["properties"].get(key) {
        Some(property) => valid(property, value),
        None => match &schema["additionalProperties"] {
            Value::Bool(allowed) => *allowed,
            other => valid(other, value),
        },
    };
    required && object.iter().all(|(key, value)| known(key, value))
}

fn array(schema: &Value, value: &Value) -> bool {
    let Some(items) = value.as_array() else { return false };
    within(schema, "minItems", "maxItems", items.len()) && items.iter().all(|item| valid(&schema["items"], item))
}

fn within(schema: &Value, least: &str, most: &str, length: usize) -> bool {
    schema[least].as_u64().is_none_or(|least| length as u64 >= least) && schema[most].as_u64().is_none_or(|most| length as u64 <= most)
}

fn bounded(schema: &Value, number: f64) -> bool {
    let bound = |key: &str, holds: fn(&f64, &f64) -> bool| schema[key].as_f64().is_none_or(|bound| holds(&number, &bound));
    bound("minimum", f64::ge) && bound("maximum", f64::le) && bound("exclusiveMinimum", f64::gt) && bound("exclusiveMaximum", f64::lt)
}

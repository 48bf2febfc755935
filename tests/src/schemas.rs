//! JSON Schemas by chance, and whether a value has one: as much of the language as [`Schemas`] writes.

use serde_json::{Map, Value, json};

/// Schemas by chance, the same for the same seed.
#[derive(Debug, Clone)]
pub struct Schemas(u64);

impl Schemas {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one; an object at its root, as callers ask for.
    pub fn next_schema(&mut self) -> Value {
        self.object(2)
    }

    fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn any(&mut self, depth: u32) -> Value {
        let kinds = if depth == 0 { 7 } else { 10 };
        match self.below(kinds) {
            0 => json!({ "type": "boolean" }),
            1 => json!({ "type": "null" }),
            2 => {
                let least = self.below(200);
                json!({ "type": "integer", "minimum": least, "maximum": least + self.below(1000) })
            }
            3 => json!({ "type": "number" }),
            4 => json!({ "type": "string", "maxLength": 1 + self.below(12) }),
            5 => json!({ "enum": ["red", "grün", 3, null, "a \"quoted\" one"] }),
            6 => json!({ "const": format!("is {}", self.below(9)) }),
            7 => {
                let least = self.below(3);
                json!({ "type": "array", "items": self.any(depth - 1), "minItems": least, "maxItems": least + self.below(3) })
            }
            8 => json!({ "anyOf": [self.any(depth - 1), self.any(depth - 1)] }),
            _ => self.object(depth - 1),
        }
    }

    fn object(&mut self, depth: u32) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for number in 0..=self.below(3) {
            let name = ["name", "größe", "of_1", "x y"][usize::try_from(number).expect("few")].to_owned();
            if self.below(3) > 0 {
                required.push(name.clone());
            }
            properties.insert(name, self.any(depth));
        }
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }
}

/// Whether a value has a schema of [`Schemas`].
pub fn fits(value: &Value, schema: &Value) -> bool {
    if let Some(any) = schema["anyOf"].as_array() {
        return any.iter().any(|one| fits(value, one));
    }
    if let Some(all) = schema["enum"].as_array() {
        return all.contains(value);
    }
    if schema.get("const").is_some() {
        return schema["const"] == *value;
    }
    let within = |length: usize, least: &str, most: &str| {
        let length = length as u64;
        schema[least].as_u64().is_none_or(|least| length >= least) && schema[most].as_u64().is_none_or(|most| length <= most)
    };
    match schema["type"].as_str().expect("a type") {
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        // 5.0 is an integer as well.
        "integer" => value.as_f64().is_some_and(|number| {
            let bound = |name: &str| schema[name].as_f64().expect("a bound");
            number.fract() == 0.0 && number >= bound("minimum") && number <= bound("maximum")
        }),
        "string" => value.as_str().is_some_and(|text| within(text.chars().count(), "minLength", "maxLength")),
        "array" => value
            .as_array()
            .is_some_and(|items| within(items.len(), "minItems", "maxItems") && items.iter().all(|item| fits(item, &schema["items"]))),
        "object" => value.as_object().is_some_and(|fields| {
            let required = schema["required"].as_array().expect("a list");
            required.iter().filter_map(Value::as_str).all(|name| fields.contains_key(name))
                && fields.iter().all(|(name, field)| schema["properties"].get(name).is_some_and(|schema| fits(field, schema)))
        }),
        other => panic!("no schema of ours has the type {other}"),
    }
}

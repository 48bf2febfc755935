//! What an answer may look like.

use std::fmt::Write as _;

use llguidance::{api::TopLevelGrammar, regex_to_lark};
use serde_json::{Value, json};

use crate::Refusal;

/// The longest schema or grammar, and the longest all choices together.
pub const MAX_FORM_BYTES: usize = 256 * 1024;
/// The longest regular expression.
pub const MAX_REGEX_BYTES: usize = 16 * 1024;
/// The most texts that one is chosen from.
pub const MAX_CHOICES: usize = 4096;

/// The most properties of one object of a schema, and of all together. What an object costs grows with their square.
const MAX_PROPERTIES: (usize, usize) = (512, 2048);

/// How deeply brackets may be nested in a grammar: its parser calls itself for each.
const MAX_DEPTH: usize = 200;

/// A form that a whole answer has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Form {
    /// Any JSON object.
    JsonObject,
    /// JSON of a schema, as text: draft 2020-12 and earlier. `$ref` from the root of the schema (`#/...`) only.
    JsonSchema(String),
    /// A regular expression that the whole answer matches; without look-around and back references.
    Regex(String),
    /// A grammar in the form of Lark, as `llguidance` reads it, whose start is `start`.
    Lark(String),
    /// One of these texts.
    Choices(Vec<String>),
}

impl Form {
    /// The setting that it comes from.
    pub(super) fn field(&self) -> &'static str {
        match self {
            Self::JsonObject => "format.json_object",
            Self::JsonSchema(_) => "format.json_schema",
            Self::Regex(_) => "format.regex",
            Self::Lark(_) => "format.grammar",
            Self::Choices(_) => "format.choices",
        }
    }

    /// The form as `llguidance` takes it, if it is not too large.
    pub(super) fn source(&self) -> Result<TopLevelGrammar, Refusal> {
        let refuse = |why: String| Refusal::new(self.field(), why);
        let bounded = |length: usize, most: usize| {
            let why = || refuse(format!("has {length} bytes; at most {most} are taken"));
            (length <= most).then_some(()).ok_or_else(why)
        };
        match self {
            Self::JsonObject => Ok(TopLevelGrammar::from_json_schema(plain(json!({"type": "object"})).map_err(refuse)?)),
            Self::JsonSchema(schema) => {
                bounded(schema.len(), MAX_FORM_BYTES)?;
                let schema = serde_json::from_str(schema).map_err(|error| refuse(format!("is not JSON: {error}")))?;
                Ok(TopLevelGrammar::from_json_schema(plain(schema).map_err(refuse)?))
            }
            Self::Regex(regex) => {
                bounded(regex.len(), MAX_REGEX_BYTES)?;
                Ok(TopLevelGrammar::from_regex(regex))
            }
            Self::Lark(grammar) => {
                bounded(grammar.len(), MAX_FORM_BYTES)?;
                if depth(grammar) > MAX_DEPTH {
                    return Err(refuse(format!("has brackets within brackets more than {MAX_DEPTH} deep")));
                }
                Ok(TopLevelGrammar::from_lark(grammar.clone()))
            }
            Self::Choices(texts) => {
                bounded(texts.iter().map(String::len).sum(), MAX_FORM_BYTES)?;
                choices(texts).map(TopLevelGrammar::from_lark).map_err(refuse)
            }
        }
    }
}

/// The schema, read by our own options of `llguidance` whatever it says itself.
fn plain(mut schema: Value) -> Result<Value, String> {
    match schema {
        Value::Object(_) => {}
        Value::Bool(true) => schema = json!({}),
        _ => return Err("must be an object, for example {\"type\": \"object\"}".to_owned()),
    }
    let (widest, all) = properties(&schema);
    if widest > MAX_PROPERTIES.0 {
        return Err(format!("an object has {widest} properties; at most {} are taken", MAX_PROPERTIES.0));
    }
    if all > MAX_PROPERTIES.1 {
        return Err(format!("has {all} properties; at most {} are taken", MAX_PROPERTIES.1));
    }
    bound_blanks(&mut schema);
    Ok(schema)
}

/// Between two words of the JSON there is a blank, or a new line with its indentation: models that may fall into writing nothing else, up to their
/// last token.
pub(crate) fn bound_blanks(schema: &mut Value) {
    schema["x-guidance"] = json!({"whitespace_pattern": " |\\r?\\n(?: {0,40}|\\t{0,10})"});
}

/// How many properties the widest object of a schema has, and how many all have.
fn properties(schema: &Value) -> (usize, usize) {
    let both = |(widest, all): (usize, usize), (other, more): (usize, usize)| (widest.max(other), all + more);
    match schema {
        Value::Object(keys) => {
            let own = keys.get("properties").and_then(Value::as_object).map_or(0, serde_json::Map::len);
            keys.values().map(properties).fold((own, own), both)
        }
        Value::Array(items) => items.iter().map(properties).fold((0, 0), both),
        _ => (0, 0),
    }
}

fn choices(texts: &[String]) -> Result<String, String> {
    if texts.is_empty() || texts.len() > MAX_CHOICES {
        return Err(format!("must be 1 to {MAX_CHOICES} texts, not {}", texts.len()));
    }
    if texts.iter().any(String::is_empty) {
        return Err("an empty text cannot be chosen".to_owned());
    }
    // One expression rather than a rule for each text: it becomes one automaton, whose states they share.
    let quoted: Vec<String> = texts.iter().map(|text| regex_to_lark(&quote(text), "")).collect();
    Ok(format!("start: /(?:{})/", quoted.join("|")))
}

/// A regular expression that matches `text` alone.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            _ if letter.is_ascii_alphanumeric() || !letter.is_ascii() || letter == ' ' => quoted.push(letter),
            _ if letter.is_ascii_control() => drop(write!(quoted, "\\x{:02x}", letter as u32)),
            _ => quoted.extend(['\\', letter]),
        }
    }
    quoted
}

fn depth(grammar: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in grammar.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

//! Answers that are held to calls.

use serde_json::{Value, json};

use super::{CallFormat, Conversation, Tool, ToolChoice};
use crate::{
    Refusal,
    structure::{Form, bound_blanks},
};

/// The form of an answer to `conversation` in which the model calls tools as it was asked to, if it was: with [`ToolChoice::Required`] and
/// [`ToolChoice::Named`] the answer is calls and nothing else. Where the model decides, the arguments of strict tools have their schema if it calls
/// them in the format of Hermes; in the others nothing marks where a call begins until it is there.
///
/// The arguments of a tool that is not strict are any object.
pub fn form(conversation: &Conversation, format: CallFormat) -> Result<Option<Form>, Refusal> {
    let tools: Vec<&Tool> = match &conversation.choice {
        ToolChoice::None => return Ok(None),
        ToolChoice::Auto | ToolChoice::Required => conversation.tools.iter().collect(),
        ToolChoice::Named(name) => conversation.tools.iter().filter(|tool| tool.name == *name).collect(),
    };
    let one = conversation.parallel == Some(false) || matches!(conversation.choice, ToolChoice::Named(_));
    let grammar = match conversation.choice {
        ToolChoice::Auto if format == CallFormat::Hermes && tools.iter().any(|tool| tool.strict) => among_text(&tools, one)?,
        ToolChoice::Auto | ToolChoice::None => return Ok(None),
        _ => calls(&tools, format, one)?,
    };
    Ok(Some(Form::Lark(grammar)))
}

/// Calls alone.
fn calls(tools: &[&Tool], format: CallFormat, one: bool) -> Result<String, Refusal> {
    Ok(match format {
        CallFormat::Hermes => {
            let more = if one { "" } else { " (\"\\n\" call)*" };
            let call = whole(tools, "arguments")?;
            format!("start: call{more}\ncall: \"<tool_call>\\n\" body \"\\n</tool_call>\"\nbody: %json {call}\n")
        }
        CallFormat::Llama => format!("start: body\nbody: %json {}\n", whole(tools, "parameters")?),
        CallFormat::Mistral => {
            let mut list = json!({"type": "array", "minItems": 1, "items": any(tools, "arguments", "#/items")?});
            if one {
                list["maxItems"] = json!(1);
            }
            bound_blanks(&mut list);
            format!("start: \"[TOOL_CALLS] \" body\nbody: %json {list}\n")
        }
    })
}

/// Calls with text around them.
fn among_text(tools: &[&Tool], one: bool) -> Result<String, Refusal> {
    let rule = if one { "start: (to_call body \"\\n</tool_call>\")? TEXT" } else { "start: (to_call body \"\\n</tool_call>\")* TEXT" };
    // The first that matches is taken: text goes on up to the next mark, if there is one.
    let text = "TEXT: /(?s:.*)/ & ~/(?s:.*)<tool_call>(?s:.*)/\nto_call[lazy]: /(?s:.*)<tool_call>\\n/";
    Ok(format!("{rule}\n{text}\nbody: %json {}\n", whole(tools, "arguments")?))
}

/// A schema of a call of any of `tools`, by itself.
fn whole(tools: &[&Tool], arguments: &str) -> Result<Value, Refusal> {
    let mut schema = any(tools, arguments, "#")?;
    bound_blanks(&mut schema);
    Ok(schema)
}

/// A schema of a call of any of `tools`; `root` is where it stands in the whole.
fn any(tools: &[&Tool], arguments: &str, root: &str) -> Result<Value, Refusal> {
    let calls = tools.iter().enumerate().map(|(place, tool)| {
        let mut schema = if tool.strict || tool.parameters.trim().is_empty() { tool.schema()? } else { json!({"type": "object"}) };
        moved(&mut schema, &format!("{root}/anyOf/{place}/properties/{arguments}"));
        Ok(json!({
            "type": "object",
            "properties": {"name": {"const": tool.name}, arguments: schema},
            "required": ["name", arguments],
            "additionalProperties": false,
        }))
    });
    Ok(json!({"anyOf": calls.collect::<Result<Vec<_>, Refusal>>()?}))
}

/// Makes the references within a schema right for its new place.
fn moved(schema: &mut Value, root: &str) {
    match schema {
        Value::Object(keys) => {
            for (key, value) in keys {
                match value {
                    Value::String(reference) if key == "$ref" && reference.starts_with('#') => {
                        *reference = format!("{root}{}", &reference[1..]);
                    }
                    _ => moved(value, root),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| moved(item, root)),
        _ => {}
    }
}

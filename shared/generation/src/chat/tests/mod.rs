mod calendar;
mod calls;
mod conversations;
mod forms;
mod rendering;
mod templates;

use super::{Conversation, Message, Tool};

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned(), ..Message::default() }
}

fn talk(messages: &[(&str, &str)]) -> Conversation {
    Conversation { messages: messages.iter().map(|(role, content)| message(role, content)).collect(), ..Conversation::default() }
}

fn tool(name: &str, parameters: &str) -> Tool {
    Tool { name: name.to_owned(), description: format!("What `{name}` <does>"), parameters: parameters.to_owned(), strict: true }
}

/// A tool with one argument.
fn weather() -> Tool {
    tool(
        "weather",
        r#"{"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"], "additionalProperties": false}"#,
    )
}

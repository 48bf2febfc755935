use super::{message, talk, tool, weather};
use crate::chat::{Call, Conversation, Message, Template, ToolChoice};

#[test]
fn what_is_wrong_in_a_conversation_is_named() {
    let with = |change: fn(&mut Conversation)| {
        let mut conversation = Conversation { tools: vec![weather()], ..talk(&[("user", "Hi")]) };
        change(&mut conversation);
        conversation.check().unwrap_err().to_string()
    };
    for (message, expected) in [
        (with(|c| c.messages.clear()), "messages: must have at least one message"),
        (with(|c| c.tools[0].name = "a b".to_owned()), "tools: each name must have 1 to 64 letters, digits, `_` and `-`"),
        (with(|c| c.tools[0].name = "a".repeat(65)), "tools: each name must have 1 to 64 letters, digits, `_` and `-`"),
        (with(|c| c.tools.push(weather())), "tools: `weather` is there twice"),
        (with(|c| c.tools.push(tool("x", "[1]"))), "tools: the parameters of `x` must be a JSON object"),
        (with(|c| c.choice = ToolChoice::Named("x".to_owned())), "tool_choice: `x` is none of the tools"),
        (with(|c| (c.tools.clear(), c.choice = ToolChoice::Required).1), "tool_choice: asks for a call, but there are no tools"),
        (with(|c| c.variables = "[".to_owned()), "template_variables: must be a JSON object"),
        (with(|c| c.variables = "{\"messages\": []}".to_owned()), "template_variables: `messages` is given by the request"),
    ] {
        assert!(message.starts_with(expected), "{message}");
    }
    assert_eq!(Conversation { tools: vec![weather(), tool("x", "")], ..talk(&[("user", "Hi")]) }.check(), Ok(()));
}

#[test]
fn the_arguments_of_an_earlier_call_must_be_an_object() {
    let call = Call { name: "weather".to_owned(), arguments: "\"Köln\"".to_owned(), ..Call::default() };
    let mut conversation = talk(&[("user", "Hi")]);
    conversation.messages.push(Message { tool_calls: vec![call], ..message("assistant", "") });
    let refused = Template::new("{{ messages }}", "", "").unwrap().render(&conversation, std::time::UNIX_EPOCH).unwrap_err().to_string();
    assert!(refused.starts_with("messages: the arguments of a tool call of message 1 must be a JSON object"), "{refused}");
}

//! The request, as OpenAI's reference describes it, with vLLM's additions; what is not named here is passed over.

use serde::de::MapAccess;
use serde_json::value::RawValue;
use torchmesh_api::text::v1::ChatRequest;

use super::{
    Manner,
    messages::{self, Message},
    tools::{self, Choice, Tool},
};
use crate::{
    bounded::AtMost,
    generation::{
        Fields, Refused, Settings,
        fields::take,
        settings::{MAX_LIKELIEST, count},
    },
    openai::usage::StreamOptions,
};

/// The most messages of a conversation.
pub(crate) const MAX_MESSAGES: usize = 16_384;
/// The most tools.
pub(crate) const MAX_TOOLS: usize = 512;

/// The fields as they are sent.
#[derive(Debug, Default)]
pub(crate) struct Question {
    model: Option<String>,
    messages: Option<AtMost<Message, MAX_MESSAGES>>,
    tools: Option<AtMost<Tool, MAX_TOOLS>>,
    tool_choice: Option<Choice>,
    parallel_tool_calls: Option<bool>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    chat_template_kwargs: Option<Box<RawValue>>,
    settings: Settings,
}

impl Fields for Question {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if self.settings.take(name, map)? {
            return Ok(true);
        }
        take!(
            self,
            name,
            map,
            model,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls,
            logprobs,
            top_logprobs,
            stream,
            stream_options,
            chat_template_kwargs
        )
    }
}

impl Question {
    /// As the mesh has it, and how its answer is to be written.
    ///
    /// Error: the field that is wrong.
    pub(super) fn check(self) -> Result<(ChatRequest, Manner), Refused> {
        let missing = |param| move || Refused::field(param, "is missing");
        let model = self.model.ok_or_else(missing("model"))?;
        let messages = messages::read(self.messages.ok_or_else(missing("messages"))?.0)?;
        let tools = tools::read(self.tools.unwrap_or_default().0)?;
        let tool_choice = tools::choose(self.tool_choice, &tools)?;
        let logprobs = self.logprobs.unwrap_or_default();
        let likeliest = count("top_logprobs", self.top_logprobs, 0..=MAX_LIKELIEST)?;
        if likeliest.is_some_and(|likeliest| likeliest > 0) && !logprobs {
            return Err(Refused::field("top_logprobs", "is told with logprobs only; set logprobs to true"));
        }
        let mut settings = self.settings.check()?;
        settings.logprobs = logprobs.then(|| likeliest.unwrap_or_default());
        let variables = self.chat_template_kwargs.map(|variables| variables.get().to_owned()).unwrap_or_default();
        if !variables.is_empty() && !variables.starts_with('{') {
            return Err(Refused::field("chat_template_kwargs", "must be an object"));
        }
        let stream = self.stream.unwrap_or_default();
        let manner = Manner { stream, usage: stream && StreamOptions::usage(self.stream_options.as_ref()), logprobs };
        let request = ChatRequest {
            model,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls: self.parallel_tool_calls,
            settings: Some(settings),
            template_variables: variables,
            ..Default::default()
        };
        Ok((request, manner))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generation::fields::parse;

    fn param(json: &str) -> Option<String> {
        parse::<Question>(json.as_bytes()).and_then(Question::check).unwrap_err().param
    }

    #[test]
    fn a_short_text_does_not_become_a_long_list() {
        let many = |entry: &str, count| vec![entry; count].join(",");
        let messages = many(r#"{"role":"user","content":""}"#, MAX_MESSAGES + 1);
        assert_eq!(param(&format!(r#"{{"model":"m","messages":[{messages}]}}"#)).unwrap(), "messages");
        let tools = many(r#"{"type":""}"#, MAX_TOOLS + 1);
        assert_eq!(param(&format!(r#"{{"model":"m","tools":[{tools}]}}"#)).unwrap(), "tools");
    }

    #[test]
    fn what_is_no_json_has_no_field() {
        for json in ["", "[", "{\"model\": tru", "{\"model\": \"m\",}", "{} {}", "\u{feff}{}"] {
            assert_eq!(param(json), None, "{json:?}");
        }
        assert_eq!(param(r#"{"model":"m","messages":[{"role":"user","content":"a}]}"#), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(json in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Question>(&json).and_then(Question::check);
        }

        #[test]
        fn no_value_of_any_field_makes_it_panic(
            name in "messages|tools|tool_choice|stop|seed|logit_bias|response_format|guided_json|top_k|n|structured_outputs|stream_options|max_tokens",
            value in r#"(\{|\[|"|[0-9a-z:,.\-]|\}|\]|"type"|"function"|"content"|"text"|null|true|1e400|-1){0,12}"#,
        ) {
            let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"{name}":{value}}}"#);
            let _ = parse::<Question>(json.as_bytes()).and_then(Question::check);
        }
    }
}

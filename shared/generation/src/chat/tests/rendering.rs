use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    message, talk,
    templates::{CHATML, HERMES, LLAMA, MISTRAL},
    weather,
};
use crate::chat::{Call, CallFormat, Conversation, Message, Template, ToolChoice};

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(951_827_696)
}

fn render(source: &str, conversation: &Conversation) -> Result<String, String> {
    Template::new(source, "<s>", "</s>").unwrap().render(conversation, now()).map_err(|refusal| refusal.to_string())
}

/// A question, a call of the assistant, the tool's answer.
fn called(id: &str) -> Conversation {
    let call = Call { id: id.to_owned(), name: "weather".to_owned(), arguments: "{\"city\":\"Köln\", \"a\": [1,2.0]}".to_owned() };
    let asked = Message { tool_calls: vec![call], ..message("assistant", "") };
    let answered = Message { tool_call_id: id.to_owned(), ..message("tool", "21") };
    Conversation { messages: vec![message("user", "Warm?"), asked, answered], tools: vec![weather()], ..Conversation::default() }
}

const FUNCTION: &str = r#"{"type": "function", "function": {"name": "weather", "description": "What `weather` <does>", "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"], "additionalProperties": false}}}"#;

#[test]
fn chatml_shows_each_message_between_its_marks() {
    let expected = "<|im_start|>system\nYou are kind.<|im_end|>\n<|im_start|>user\nHi & <b>\n<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(render(CHATML, &talk(&[("user", "Hi & <b>\n")])).unwrap(), expected);
    let expected = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(render(CHATML, &talk(&[("system", "Be brief."), ("user", "Hi")])).unwrap(), expected);
}

#[test]
fn hermes_shows_tools_calls_and_answers() {
    let expected = format!(
        "<|im_start|>system\n# Tools\n<tools>\n{FUNCTION}\n</tools>\nCall with <tool_call></tool_call>.<|im_end|>\n<|im_start|>user\nWarm?<|im_end|>\n\
         <|im_start|>assistant\n<tool_call>\n{{\"name\": \"weather\", \"arguments\": {{\"city\": \"Köln\", \"a\": [1, 2.0]}}}}\n</tool_call><|im_end|>\n\
         <|im_start|>user\n<tool_response>\n21\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(render(HERMES, &called("call_1")).unwrap(), expected);
}

#[test]
fn the_callers_variables_reach_the_template() {
    let mut conversation = talk(&[("user", "Hi"), ("assistant", "<think>\nhm</think>\n\nyes"), ("user", "Sure?")]);
    conversation.variables = "{\"enable_thinking\": false}".to_owned();
    let expected = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nSure?<|im_end|>\n\
                    <|im_start|>assistant\n<think>\n\n</think>\n\n";
    assert_eq!(render(HERMES, &conversation).unwrap(), expected);
}

#[test]
fn llama_shows_the_date_and_tools_over_several_lines() {
    let shown = render(LLAMA, &called("call_1")).unwrap();
    let tool = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(FUNCTION).unwrap()).unwrap().replace("  ", "    ");
    let expected = format!(
        "<s><|start_header_id|>system<|end_header_id|>\n\nToday: 29 Feb 2000\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n\
         Answer with {{\"name\": name, \"parameters\": object}}.\n\n{tool}\n\nWarm?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n\
         {{\"name\": \"weather\", \"parameters\": {{\"city\": \"Köln\", \"a\": [1, 2.0]}}}}<|eot_id|>\
         <|start_header_id|>ipython<|end_header_id|>\n\n21<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    );
    assert_eq!(shown, expected);
    let mut two = called("call_1");
    let call = two.messages[1].tool_calls[0].clone();
    two.messages[1].tool_calls.push(call);
    assert_eq!(render(LLAMA, &two).unwrap_err(), "messages: the chat template refuses this: This model calls one tool at a time!");
}

#[test]
fn mistral_shows_turns_that_alternate() {
    let talking = talk(&[("system", "Be brief."), ("user", "Hi"), ("assistant", " Yes? "), ("user", "Bye")]);
    assert_eq!(render(MISTRAL, &talking).unwrap(), "<s>[INST] Hi[/INST] Yes?</s>[INST] Be brief.\n\nBye[/INST]");
    let expected = format!(
        "<s>[AVAILABLE_TOOLS] [{FUNCTION}][/AVAILABLE_TOOLS][INST] Warm?[/INST][TOOL_CALLS] [{{\"name\": \"weather\", \"arguments\": \
         {{\"city\": \"Köln\", \"a\": [1, 2.0]}}, \"id\": \"abcdef012\"}}]</s>[TOOL_RESULTS] {{\"content\": 21, \"call_id\": \"abcdef012\"}}[/TOOL_RESULTS]"
    );
    assert_eq!(render(MISTRAL, &called("abcdef012")).unwrap(), expected);
    let refused = render(MISTRAL, &talk(&[("user", "Hi"), ("user", "Hi")])).unwrap_err();
    assert_eq!(refused, "messages: the chat template refuses this: Turns must alternate user/assistant/user/assistant/...");
    assert!(render(MISTRAL, &called("call_1")).unwrap_err().contains("length 9"));
    assert!(render(MISTRAL, &talk(&[("user", "a"), ("critic", "b")])).unwrap_err().contains("Only user, assistant and tool roles"));
}

#[test]
fn tools_that_the_template_cannot_show_are_refused() {
    let refused = render(CHATML, &called("call_1")).unwrap_err();
    assert_eq!(refused, "tools: the model's chat template cannot show tools");
    let hidden = Conversation { choice: ToolChoice::None, ..called("call_1") };
    assert!(render(CHATML, &hidden).unwrap().contains("Warm?"), "tools that may not be called need not be shown");
    assert!(!render(HERMES, &hidden).unwrap().contains("# Tools"));
}

#[test]
fn the_format_of_calls_is_told_by_the_template() {
    for (source, format) in
        [(HERMES, Some(CallFormat::Hermes)), (LLAMA, Some(CallFormat::Llama)), (MISTRAL, Some(CallFormat::Mistral)), (CHATML, None)]
    {
        let template = Template::new(source, "", "").unwrap();
        assert_eq!((template.format(), template.shows_tools()), (format, format.is_some()));
    }
}

#[test]
fn a_conversation_with_tools_may_have_a_template_of_its_own() {
    let template = Template::new("{{ bos_token }}plain{{ eos_token }}", "<s>", "").unwrap();
    assert!(!template.shows_tools());
    let both = template.with_tools("{{ tools | length }} tools").unwrap();
    assert!(both.shows_tools());
    assert_eq!(both.render(&talk(&[("user", "")]), now()).unwrap(), "<s>plain");
    assert_eq!(both.render(&called("call_1"), now()).unwrap(), "1 tools");
}

#[test]
fn the_dialect_is_that_of_transformers() {
    for (source, expected) in [
        ("a{% if true %}\n  b\n  {% endif %}\nc\n", "a  b\nc"),
        ("{{ '<&>\"' | tojson }}{{ {'b': 1, 'a': 'é'} | tojson(ensure_ascii=False) }}", "\"<&>\\\"\"{\"b\": 1, \"a\": \"é\"}"),
        ("{%- generation -%} x {%- endgeneration %}{% generation %}y{% endgeneration %}", "xy"),
        ("{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "012"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m('a') }}{{ ' b '.strip() }}{{ 'a,b'.split(',')[-1] }}{{ 'ab'.upper() }}", "[a]bbAB"),
        ("{% set x = namespace(n=0) %}{% for k, v in {'a': 1, 'b': 2}.items() %}{% set x.n = x.n + v %}{% endfor %}{{ x.n }}", "3"),
        ("{{ messages[0].get('nothing', 'no') }}{{ messages[0].content.replace('i', 'o').rstrip('o') }}", "noH"),
        ("{{ (messages | first).role }}{{ messages[-1]['content'] | default('x') }}{{ nothing is defined }}", "userHiFalse"),
        ("{{ messages | map(attribute='role') | join(',') }}{{ '%s-%s' | format('a', 'b') }}", "usera-b"),
    ] {
        assert_eq!(render(source, &talk(&[("user", "Hi")])).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_template_that_never_ends_or_grows_is_stopped() {
    for source in [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set x = namespace(t='aaaaaaaaaaaaaaaa') %}{% for a in range(99) %}{% set x.t = x.t + x.t %}{% endfor %}",
        "{{ 'a' * 99999999999 }}",
        "{% macro m(x) %}{{ m(x) }}{{ m(x) }}{% endmacro %}{{ m(1) }}",
    ] {
        assert!(render(source, &talk(&[("user", "")])).is_err(), "{source}");
    }
    assert!(render("{{ messages[0].content.nothing.more }}", &talk(&[("user", "")])).unwrap_err().contains("(line 1 of the template)"));
    assert!(Template::new("{% if %}", "", "").unwrap_err().to_string().contains("line 1"));
    assert!(Template::new(&"a".repeat(2 << 20), "", "").unwrap_err().to_string().contains("at most"));
}

#[test]
fn a_long_conversation_has_fuel_enough() {
    let mut long = talk(&[]);
    for turn in 0..2000 {
        long.messages.push(message(if turn % 2 == 0 { "user" } else { "assistant" }, &"word ".repeat(100)));
    }
    assert!(render(HERMES, &long).unwrap().len() > 1_000_000);
}

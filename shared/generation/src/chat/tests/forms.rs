use serde_json::Value;

use super::{talk, tool, weather};
use crate::{
    chat::{CallFormat, Calls, Conversation, Delta, Tool, ToolChoice, form},
    sample::{Sampler, Sampling},
    structure::{Form, Grammars},
    write::Words,
};

const END: u32 = 256;

fn words() -> Words {
    let bytes = (0..=u8::MAX).map(|byte| (vec![byte], false));
    let longer = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "{\"", "\": ", "\"}"];
    Words::new(bytes.chain([(b"<|end|>".to_vec(), true)]).chain(longer.map(|text| (text.as_bytes().to_vec(), false))))
}

fn asks(choice: ToolChoice, tools: Vec<Tool>) -> Conversation {
    Conversation { tools, choice, ..talk(&[("user", "Hi")]) }
}

fn takes(form: &Form, text: &str) -> bool {
    let mut matcher = Grammars::new(&words(), &[END]).unwrap().compile(form).unwrap().matcher();
    for byte in text.bytes() {
        if matcher.is_done() || !matcher.mask().unwrap().allows(u32::from(byte)) {
            return false;
        }
        matcher.take(u32::from(byte)).unwrap();
    }
    matcher.is_complete()
}

/// What a model writes that wants nothing in particular, but likes what closes.
fn write(form: &Form, seed: u64) -> Option<String> {
    let words = words();
    let mut matcher = Grammars::new(&words, &[END]).unwrap().compile(form).unwrap().matcher();
    let (mut sampler, mut rng, mut text) = (Sampler::new(Sampling::default(), seed, &[]), fastrand::Rng::with_seed(seed), Vec::new());
    for _ in 0..1000 {
        let mask = matcher.mask().unwrap();
        let likes = |token: usize| token == END as usize || token < 256 && matches!(token as u8, b'"' | b'}' | b']');
        let mut logits: Vec<f32> = (0..words.len()).map(|token| rng.f32() * 5.0 + if likes(token) { 3.0 } else { 0.0 }).collect();
        let token = sampler.choose(&mut logits, Some(mask.words())).unwrap().token;
        if token != END {
            text.extend_from_slice(&words.bytes(token));
            matcher.take(token).unwrap();
        }
        if token == END || matcher.is_done() {
            return Some(String::from_utf8(text).unwrap());
        }
    }
    None
}

#[test]
fn a_required_call_is_a_call_whatever_the_model_wants() {
    let referring =
        r##"{"type": "object", "properties": {"at": {"$ref": "#/$defs/hour"}}, "required": ["at"], "$defs": {"hour": {"enum": [1, 2]}}}"##;
    let tools = vec![weather(), tool("time", referring), Tool { strict: false, ..tool("any", r#"{"not": {}}"#) }, tool("none", "")];
    for format in [CallFormat::Hermes, CallFormat::Llama, CallFormat::Mistral] {
        let mut called = std::collections::HashSet::new();
        for seed in 0..25 {
            let form = form(&asks(ToolChoice::Required, tools.clone()), format).unwrap().unwrap();
            let Some(text) = write(&form, seed) else { continue };
            let mut calls = Calls::new(format, tools.iter().map(|tool| tool.name.clone()), 1);
            let deltas: Vec<Delta> = calls.push(&text).into_iter().chain(calls.finish()).collect();
            assert!(calls.count() > 0 && deltas.iter().all(|delta| matches!(delta, Delta::Call(_))), "{format:?}: {text}");
            for index in 0..calls.count() {
                let pieces = deltas.iter().filter_map(|delta| if let Delta::Call(piece) = delta { Some(piece) } else { None });
                let pieces: Vec<_> = pieces.filter(|piece| piece.index == index).collect();
                let arguments: String = pieces.iter().map(|piece| piece.arguments.as_str()).collect();
                let arguments: Value = serde_json::from_str(&arguments).unwrap();
                match pieces[0].name.as_str() {
                    "weather" => assert!(arguments["city"].as_str().unwrap().chars().count() <= 12),
                    "time" => assert!(arguments["at"] == 1 || arguments["at"] == 2),
                    "none" => assert_eq!(arguments, serde_json::json!({})),
                    other => assert!(other == "any" && arguments.is_object()),
                }
                called.insert(pieces[0].name.clone());
            }
        }
        assert!(called.len() > 2, "{format:?}: {called:?}");
    }
}

#[test]
fn a_named_tool_is_called_once_and_no_other() {
    let call = "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>";
    let conversation = asks(ToolChoice::Named("time".to_owned()), vec![weather(), tool("time", "")]);
    let named = form(&conversation, CallFormat::Hermes).unwrap().unwrap();
    assert!(takes(&named, call));
    assert!(!takes(&named, &format!("{call}\n{call}")));
    let spread = |blanks: usize| call.replace("{}", &format!("{{{}}}", " ".repeat(blanks)));
    assert!(takes(&named, &spread(1)) && !takes(&named, &spread(2)), "blanks have an end");
    assert!(!takes(&named, &call.replace("time", "weather")) && !takes(&named, "No."));
    let required = Conversation { choice: ToolChoice::Required, ..conversation };
    let form_of = |parallel| form(&Conversation { parallel, ..required.clone() }, CallFormat::Hermes).unwrap().unwrap();
    assert!(takes(&form_of(None), &format!("{call}\n{call}")) && !takes(&form_of(Some(false)), &format!("{call}\n{call}")));
}

#[test]
fn a_strict_tool_is_held_to_its_schema_also_where_the_model_decides() {
    let call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Ulm\"}}\n</tool_call>";
    let strict = form(&asks(ToolChoice::Auto, vec![weather()]), CallFormat::Hermes).unwrap().unwrap();
    for text in ["", "No < tool_call>, thank you.\n", call, &format!("Let me see.\n\n{call}\n{call} And <so on")] {
        assert!(takes(&strict, text), "{text}");
    }
    for text in ["<tool_call>\nHm", &call.replace("city", "town"), &format!("See: {}", call.replace("\"Ulm\"", "3"))] {
        assert!(!takes(&strict, text), "{text}");
    }
}

#[test]
fn nothing_is_held_to_calls_that_were_not_asked_for() {
    let form = |choice, tools, format| form(&asks(choice, tools), format).unwrap();
    assert_eq!(form(ToolChoice::None, vec![weather()], CallFormat::Hermes), None);
    assert_eq!(form(ToolChoice::Auto, vec![weather()], CallFormat::Llama), None);
    assert_eq!(form(ToolChoice::Auto, vec![Tool { strict: false, ..weather() }], CallFormat::Hermes), None);
    assert_eq!(form(ToolChoice::Auto, vec![], CallFormat::Hermes), None);
}

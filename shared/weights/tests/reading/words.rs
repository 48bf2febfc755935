//! Special tokens and chat templates of Hugging Face directories.

use serde_json::{Value, json};
use torchmesh_weights::PublishedModel;

use crate::made::{Folder, pairs};

fn model(files: &[(&str, Value)]) -> Box<dyn PublishedModel> {
    let mut folder = Folder::new().with("config.json", "{}").with("model.safetensors", pairs(&["x"]));
    for (name, content) in files {
        folder = folder.with(name, content.to_string());
    }
    folder.open().unwrap()
}

fn added(tokens: &[(u32, &str)], post_processor: &Value) -> Value {
    let tokens: Vec<Value> = tokens.iter().map(|(id, text)| json!({"id": id, "content": text})).collect();
    json!({"added_tokens": tokens, "post_processor": post_processor, "model": {"vocab": {}}})
}

#[test]
fn what_ends_an_answer_is_a_number_or_a_list_and_the_tokenizers_own_end() {
    let generation = |end: Value| ("generation_config.json", json!({"eos_token_id": end}));
    let config = ("config.json", json!({"eos_token_id": 9}));
    assert_eq!(model(&[generation(json!(3)), config.clone()]).special().end, [3]);
    assert_eq!(model(&[generation(json!([3, 4, 3])), config.clone()]).special().end, [3, 4]);
    assert_eq!(model(&[generation(Value::Null), config.clone()]).special().end, [9]);
    assert_eq!(model(&[("config.json", json!({"text_config": {"eos_token_id": [1, 106]}}))]).special().end, [1, 106]);
    let own =
        [("tokenizer_config.json", json!({"eos_token": {"content": "<end>"}})), ("tokenizer.json", added(&[(7, "<end>")], &Value::Null))];
    assert_eq!(model(&own).special().end, [7]);
    assert_eq!(model(&[own[0].clone(), own[1].clone(), generation(json!([3]))]).special().end, [3, 7]);
    assert_eq!(model(&[generation(json!("x"))]).special().end, [0; 0]);
}

#[test]
fn a_token_begins_a_prompt_only_where_the_tokenizer_does_not_add_it_by_itself() {
    let settings = |adds: bool| ("tokenizer_config.json", json!({"bos_token": "<s>", "add_bos_token": adds}));
    let template = json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
        "special_tokens": {"<s>": {"ids": [1]}}});
    let tokenizer = |processor: &Value| ("tokenizer.json", added(&[(1, "<s>")], processor));
    assert_eq!(model(&[settings(true), tokenizer(&Value::Null)]).special().begin, Some(1));
    assert_eq!(model(&[settings(false), tokenizer(&Value::Null)]).special().begin, None);
    assert_eq!(model(&[settings(true), tokenizer(&template)]).special().begin, None);
    let several = json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, template]});
    assert_eq!(model(&[settings(true), tokenizer(&several)]).special().begin, None);
}

#[test]
fn the_chat_template_is_a_text_or_the_default_of_several_or_a_file_of_its_own() {
    let settings = |template: Value| ("tokenizer_config.json", json!({"chat_template": template}));
    assert_eq!(model(&[settings(json!("one"))]).special().chat_template.as_deref(), Some("one"));
    let several = json!([{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]);
    assert_eq!(model(&[settings(several)]).special().chat_template.as_deref(), Some("d"));
    assert_eq!(model(&[settings(json!([{"name": "rag", "template": "r"}]))]).special().chat_template.as_deref(), Some("r"));
    assert_eq!(model(&[settings(Value::Null)]).special().chat_template.as_deref(), None);
    let folder = Folder::new().with("config.json", "{}").with("model.safetensors", pairs(&["x"]));
    let both = folder.with("tokenizer_config.json", r#"{"chat_template": "old"}"#).with("chat_template.jinja", "{{ new }}\n");
    assert_eq!(both.open().unwrap().special().chat_template.as_deref(), Some("{{ new }}\n"));
}

#[test]
fn special_tokens_have_the_names_that_templates_call_them_by() {
    let map = ("special_tokens_map.json", json!({"bos_token": "<old>", "unk_token": {"content": "<unk>"}}));
    let settings = ("tokenizer_config.json", json!({"bos_token": "<s>", "pad_token": null, "add_bos_token": true, "additional": ["x"]}));
    let model = model(&[map, settings]);
    let found: Vec<(&str, &str)> = model.special().texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(found, [("bos_token", "<s>"), ("unk_token", "<unk>")]);
}

#[test]
fn a_file_of_words_that_is_no_json_is_refused_by_its_name() {
    for name in ["tokenizer_config.json", "generation_config.json", "special_tokens_map.json", "tokenizer.json", "config.json"] {
        let folder = Folder::new().with("config.json", "{}").with("model.safetensors", pairs(&["x"]));
        let problem = folder.with(name, "{\"a\"").problem();
        assert!(problem.contains(name), "{name}: {problem}");
    }
    let missing = Folder::new().with("config.json", "{}").with("model.safetensors", pairs(&["x"])).problem();
    assert!(missing.contains("tokenizer.json: is missing"), "{missing}");
}

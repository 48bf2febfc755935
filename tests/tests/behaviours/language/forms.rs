//! Answers that are held to a form.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use torchmesh_api::text::v1::{Choices, FinishReason, Format, GenerationSettings, format::Form};
use torchmesh_tests::{
    bounded, client,
    language::{Told, ask, generate, seeded, worker},
    models::Model,
    schemas::{Schemas, fits},
};

fn formed(form: Form, settings: GenerationSettings) -> GenerationSettings {
    GenerationSettings { format: Some(Format { form: Some(form) }), ..settings }
}

#[test]
fn a_hundred_schemas_by_chance_hold_every_answer_that_is_complete() {
    bounded(async {
        let mesh = worker([Model::stories()]).await;
        let client = client::generation(mesh.workers[0].addr);
        let mut schemas = Schemas::new(20_261_126);
        let mut running = JoinSet::new();
        for seed in 0..100 {
            let schema = schemas.next_schema();
            let settings = formed(Form::JsonSchema(schema.to_string()), seeded(seed, 200));
            let client = client.clone();
            running.spawn(async move {
                let told = generate(&client, ask("stories", "Tom wrote:", settings)).await;
                (schema, told.map(Told::one))
            });
        }
        let mut whole = 0;
        while let Some(answered) = running.join_next().await {
            let (schema, answer) = answered.unwrap();
            let answer = answer.unwrap_or_else(|status| panic!("{schema}: {status}"));
            match answer.reason {
                FinishReason::Stop => {
                    let value: Value =
                        serde_json::from_str(&answer.text).unwrap_or_else(|error| panic!("{schema}: {:?}: {error}", answer.text));
                    assert!(fits(&value, &schema), "{value} is not of {schema}");
                    whole += 1;
                }
                reason => assert_eq!((reason, answer.tokens.len()), (FinishReason::Length, 200), "{schema}: {:?}", answer.text),
            }
        }
        assert!(whole >= 60, "only {whole} answers were complete within 200 tokens");
    });
}

#[test]
fn choices_expressions_and_grammars_hold_the_answer_too() {
    bounded(async {
        let mesh = worker([Model::stories()]).await;
        let client = client::generation(mesh.workers[0].addr);
        let texts = ["yes", "no", "yes, and no 🙂"].map(str::to_owned);
        let grammar = "start: \"(\" NUMBER (\",\" NUMBER)~1..3 \")\"\nNUMBER: /[0-9]{1,3}/";
        for seed in 0..6 {
            let answer = async |form: Form| {
                let answer = generate(&client, ask("stories", "The answer is", formed(form, seeded(seed, 60)))).await.unwrap().one();
                assert_eq!(answer.reason, FinishReason::Stop, "{:?}", answer.text);
                answer.text
            };
            let chosen = answer(Form::Choices(Choices { texts: texts.to_vec() })).await;
            assert!(texts.contains(&chosen), "{chosen:?}");
            let date = answer(Form::Regex("[12][0-9]{3}-[01][0-9]".to_owned())).await;
            assert!(date.len() == 7 && date.as_bytes()[4] == b'-', "{date:?}");
            let tuple = answer(Form::Grammar(grammar.to_owned())).await;
            let inner = tuple.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("{tuple:?}"));
            assert!(
                (2..=4).contains(&inner.split(',').count()) && inner.split(',').all(|number| number.parse::<u32>().is_ok()),
                "{tuple:?}"
            );
        }
    });
}

#[test]
fn a_form_that_no_text_has_is_refused_or_ends_and_holds_nobody_up() {
    bounded(async {
        let mesh = worker([Model::stories()]).await;
        let client = client::generation(mesh.workers[0].addr);
        // Nothing is both; the compiler may see it, or the first token.
        let schema = json!({ "allOf": [{ "type": "string", "minLength": 5 }, { "type": "string", "maxLength": 2 }] });
        let settings = formed(Form::JsonSchema(schema.to_string()), seeded(1, 20));
        let asked = generate(&client, ask("stories", "Tom", settings));
        let refused = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("an end").unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with("format"), "{refused}");
        assert_eq!(generate(&client, ask("stories", "Tom", seeded(1, 4))).await.unwrap().usage.completion_tokens, 4);
    });
}

//! Random schemas, and a model that wants nothing in particular.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::{END, grammars, validity::valid, words};
use crate::{
    sample::{Sampler, Sampling},
    structure::{Form, Matcher},
};

const STEPS: usize = 800;

fn schema(rng: &mut Rng, depth: usize) -> Value {
    match rng.u32(0..if depth == 0 { 7 } else { 10 }) {
        0 => json!({"type": "boolean"}),
        1 => json!({"type": "null"}),
        2 => integer(rng),
        3 => number(rng),
        4 => json!({"enum": &[json!("é \"quoted\""), json!(3), json!(true), json!(null), json!("a/b"), json!(-0.5)][..rng.usize(1..=6)]}),
        5 => json!({"const": "on\nly"}),
        6 => string(rng),
        7 => array(rng, depth),
        8 => json!({"anyOf": (0..rng.usize(1..4)).map(|_| schema(rng, depth - 1)).collect::<Vec<_>>()}),
        _ => object(rng, depth),
    }
}

fn integer(rng: &mut Rng) -> Value {
    let least = rng.i32(-2000..2000);
    match rng.u32(0..3) {
        0 => json!({"type": "integer"}),
        1 => json!({"type": "integer", "minimum": least, "maximum": least + rng.i32(0..300)}),
        _ => json!({"type": "integer", "exclusiveMinimum": least}),
    }
}

fn number(rng: &mut Rng) -> Value {
    let least = f64::from(rng.i32(-2000..2000)) / 8.0;
    match rng.u32(0..3) {
        0 => json!({"type": "number"}),
        1 => json!({"type": "number", "minimum": least, "maximum": least + f64::from(rng.u32(1..300)) / 4.0}),
        _ => json!({"type": "number", "exclusiveMaximum": least}),
    }
}

fn string(rng: &mut Rng) -> Value {
    let least = rng.usize(0..5);
    match rng.u32(0..2) {
        0 => json!({"type": "string", "maxLength": rng.usize(0..10)}),
        _ => json!({"type": "string", "minLength": least, "maxLength": least + rng.usize(0..5)}),
    }
}

fn array(rng: &mut Rng, depth: usize) -> Value {
    let least = rng.usize(0..3);
    let mut array = json!({"type": "array", "items": schema(rng, depth - 1)});
    if rng.bool() {
        array["minItems"] = json!(least);
        array["maxItems"] = json!(least + rng.usize(0..3));
    }
    array
}

fn object(rng: &mut Rng, depth: usize) -> Value {
    let names = ["a", "é", "long name", "q\"uote", "a1"];
    let properties: Map<String, Value> = names[..rng.usize(1..=5)].iter().map(|&name| (name.to_owned(), schema(rng, depth - 1))).collect();
    let required: Vec<&String> = properties.keys().filter(|_| rng.bool()).collect();
    let mut object = json!({"type": "object", "properties": properties, "required": required});
    match rng.u32(0..4) {
        0 => {}
        1 => object["additionalProperties"] = schema(rng, 0),
        _ => object["additionalProperties"] = json!(false),
    }
    object
}

/// Logits at random; what closes something is a little likelier, so that answers end.
fn logits(rng: &mut Rng) -> Vec<f32> {
    let closes = |token: usize| matches!(token as u8, b'"' | b'}' | b']') && token < 256 || token == END as usize;
    (0..words().len()).map(|token| rng.f32() * 8.0 + if closes(token) { 3.0 } else { 0.0 }).collect()
}

/// What a model of random logits writes; whether it ended by itself.
fn write(mut matcher: Matcher, sampling: &Sampling, rng: &mut Rng) -> (Vec<u8>, bool) {
    let (mut sampler, words, mut text) = (Sampler::new(sampling.clone(), rng.u64(..), &[]), words(), Vec::new());
    for _ in 0..STEPS {
        let mask = matcher.mask().unwrap();
        let token = sampler.choose(&mut logits(rng), Some(mask.words())).unwrap().token;
        if token == END {
            return (text, true);
        }
        text.extend_from_slice(&words.bytes(token));
        matcher.take(token).unwrap();
        if matcher.is_done() {
            return (text, true);
        }
    }
    (text, false)
}

#[test]
fn whatever_the_model_wants_a_finished_answer_has_its_schema() {
    let (mut rng, grammars, mut finished, mut all) = (Rng::with_seed(1), grammars(), 0, 0);
    let settings = [
        Sampling::default(),
        Sampling { top_k: 3, ..Sampling::default() },
        Sampling { temperature: 0.3, top_p: 0.5, ..Sampling::default() },
    ];
    for _ in 0..100 {
        let schema = schema(&mut rng, 3);
        let grammar = grammars.compile(&Form::JsonSchema(schema.to_string())).unwrap_or_else(|refusal| panic!("{refusal}: {schema}"));
        for sampling in &settings {
            let (text, ended) = write(grammar.matcher(), sampling, &mut rng);
            all += 1;
            if ended {
                finished += 1;
                let value: Value = match serde_json::from_slice(&text) {
                    Ok(value) => value,
                    // JSON has numbers that no double holds; a model that writes at random writes them too.
                    Err(error) if error.to_string().starts_with("number out of range") => continue,
                    Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&text)),
                };
                assert!(valid(&schema, &value), "{value} is not of {schema}");
            }
        }
    }
    assert!(finished * 10 > all * 9, "only {finished} of {all} answers ended");
}

#[test]
fn the_checker_of_these_tests_knows_what_is_wrong() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}, "required": ["a"], "additionalProperties": false});
    assert!(valid(&schema, &json!({"a": 3})));
    for wrong in [json!({}), json!({"a": 4}), json!({"a": 1.5}), json!({"a": 1, "b": 2}), json!([])] {
        assert!(!valid(&schema, &wrong), "{wrong}");
    }
}

//! What a form costs with a vocabulary of a real model's size: `cargo test --release -p torchmesh-generation -- --ignored --nocapture microseconds`.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{
    sample::{Sampler, Sampling},
    structure::{Form, Grammars},
    write::Words,
};

/// Bytes, an end token, and words of letters, digits and signs, a half of them behind a space.
fn words() -> Words {
    let mut rng = Rng::with_seed(1);
    let mut words: Vec<(Vec<u8>, bool)> = (0..=u8::MAX).map(|byte| (vec![byte], false)).collect();
    words.push((b"<|end|>".to_vec(), true));
    while words.len() < 49_152 {
        let letters: &[u8] = if rng.u32(0..8) > 0 { b"etaoinshrdlucmfwyp" } else { b"0123456789\"{}[]:,.\n _-=()<>/" };
        let space = if rng.bool() { " " } else { "" };
        let word: Vec<u8> = (0..rng.usize(1..9)).map(|_| letters[rng.usize(..letters.len())]).collect();
        words.push(([space.as_bytes(), &word].concat(), false));
    }
    Words::new(words)
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn microseconds_for_each_mask() {
    let words = words();
    let start = Instant::now();
    let grammars = Grammars::new(&words, &[256]).unwrap();
    println!("the tree of {} words: {:?}", words.len(), start.elapsed());
    let object = r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 40}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["name", "age", "tags"], "additionalProperties": false}"#;
    for (name, form) in [
        ("any object", Form::JsonObject),
        ("a schema", Form::JsonSchema(object.to_owned())),
        ("a regex", Form::Regex("[a-z ]{3,200}[0-9]+".to_owned())),
        ("repeats of repeats", Form::Regex("(((a{1,99}){1,99}){1,99}){1,99}b".to_owned())),
        ("a wide choice of ends", Form::Regex("(e|t)*e(e|t|a| ){0,2000}".to_owned())),
        ("an ambiguous grammar", Form::Lark("start: s\ns: s s | \"e\" | \"t\" | \" \" | \"a\"".to_owned())),
    ] {
        let start = Instant::now();
        let grammar = grammars.compile(&form).unwrap();
        let compiled = start.elapsed();
        let start = Instant::now();
        let mut matcher = grammar.matcher();
        let cloned = start.elapsed();
        let (mut sampler, mut rng, mut times) = (Sampler::new(Sampling::default(), 1, &[]), Rng::with_seed(1), Vec::new());
        let mut broken = None;
        while times.len() < 60 && !matcher.is_done() {
            let start = Instant::now();
            let mask = matcher.mask();
            times.push(start.elapsed());
            let Ok(mask) = mask else {
                broken = mask.err();
                break;
            };
            let mut logits: Vec<f32> = (0..words.len()).map(|_| rng.f32()).collect();
            logits[256] = -30.0;
            let token = sampler.choose(&mut logits, Some(mask.words())).unwrap().token;
            if token == 256 || matcher.take(token).is_err() {
                break;
            }
        }
        let mean = times.iter().sum::<Duration>() / times.len() as u32;
        println!(
            "{name}: compiled {compiled:?}, copied {cloned:?}, {} masks of {mean:?}, at most {:?}; {broken:?}",
            times.len(),
            times.iter().max().unwrap()
        );
    }
}
